//! When a recording ends because of who is there, and what its file leaves out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::spec::BadSpec;

/// Longest expression that a caller may give, in bytes.
const LONGEST_EXPRESSION: usize = 8 * 1024;

/// How long a room may be empty, in seconds: from one to a day.
const TIMEOUT_S: std::ops::RangeInclusive<f64> = 1.0..=86_400.0;

/// Which ends leave the empty end of a meeting out of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrimEmpty {
    /// None: the file holds all that was recorded.
    Never,
    /// Those that nobody asked for: a time-out, the end of the room, the maximum
    /// duration, a rule of the service.
    #[default]
    Automatic,
    /// Those and a stop by somebody.
    Always,
}

impl TrimEmpty {
    /// True if the file of a recording that ends so is trimmed; `asked`: somebody
    /// stopped it.
    pub fn applies(self, asked: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Automatic => !asked,
            Self::Always => true,
        }
    }
}

impl std::str::FromStr for TrimEmpty {
    type Err = BadSpec;
    fn from_str(text: &str) -> Result<Self, BadSpec> {
        match text {
            "never" => Ok(Self::Never),
            "automatic" => Ok(Self::Automatic),
            "always" => Ok(Self::Always),
            _ => Err(BadSpec::new(
                "trim_empty",
                format!("{text:?} is not one of never, automatic, always"),
            )),
        }
    }
}

/// How presence decides about one recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PresenceRule {
    /// Seconds that the room may be empty after somebody was there.
    pub empty_timeout_s: f64,
    /// Seconds that the room may be empty before anybody has come.
    pub nobody_timeout_s: f64,
    /// Seconds without a byte of media from anybody; `None`: media decide nothing.
    pub no_media_timeout_s: Option<f64>,
    /// Roles that are nobody, besides every `__internal…`.
    pub ignore_roles: Vec<String>,
    /// Names that are nobody: other recorders, for example.
    pub ignore_names: Vec<String>,
    /// A JavaScript expression that tells who is there, instead of the probes.
    pub expression: Option<String>,
    /// When the empty end is left out of the file.
    pub trim_empty: TrimEmpty,
    /// Seconds after the last one left that stay in the file.
    pub keep_empty_s: f64,
    /// The file begins when somebody is there, not when the bot is.
    pub trim_start: bool,
}

impl Default for PresenceRule {
    fn default() -> Self {
        Self {
            empty_timeout_s: 300.0,
            nobody_timeout_s: 300.0,
            no_media_timeout_s: None,
            ignore_roles: Vec::new(),
            ignore_names: Vec::new(),
            expression: None,
            trim_empty: TrimEmpty::default(),
            keep_empty_s: 3.0,
            trim_start: false,
        }
    }
}

impl PresenceRule {
    /// How long the room may be empty after somebody was there.
    pub fn empty_timeout(&self) -> Duration {
        seconds(self.empty_timeout_s)
    }

    /// How long the room may be empty before anybody has come.
    pub fn nobody_timeout(&self) -> Duration {
        seconds(self.nobody_timeout_s)
    }

    /// How long no media may come.
    pub fn no_media_timeout(&self) -> Option<Duration> {
        self.no_media_timeout_s.map(seconds)
    }

    /// How much of the empty end stays in the file.
    pub fn keep_empty(&self) -> Duration {
        seconds(self.keep_empty_s)
    }

    /// Refuses what cannot work, naming the field as a caller knows it.
    pub fn check(&self) -> Result<(), BadSpec> {
        let times = [
            ("empty_timeout", Some(self.empty_timeout_s)),
            ("nobody_timeout", Some(self.nobody_timeout_s)),
            ("no_media_timeout", self.no_media_timeout_s),
        ];
        for (field, time) in times {
            if let Some(time) = time.filter(|time| !TIMEOUT_S.contains(time)) {
                return Err(BadSpec::new(
                    field,
                    format!("{time} s is out of range: give 1 to 86400 seconds"),
                ));
            }
        }
        if !(0.0..=60.0).contains(&self.keep_empty_s) {
            let problem = format!("{} s is out of range: give 0 to 60 seconds", self.keep_empty_s);
            return Err(BadSpec::new("keep_empty", problem));
        }
        match &self.expression {
            Some(text) if text.trim().is_empty() => {
                Err(BadSpec::new("presence_expression", "is empty: leave it out"))
            }
            Some(text) if text.len() > LONGEST_EXPRESSION => Err(BadSpec::new(
                "presence_expression",
                format!("is longer than {LONGEST_EXPRESSION} bytes"),
            )),
            _ => Ok(()),
        }
    }
}

/// A time that a check has let through; anything else is the longest there is.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_the_default_and_nonsense_is_named() {
        let rule: PresenceRule = serde_json::from_str(r#"{"trim_empty":"always"}"#).unwrap();
        assert_eq!(rule, PresenceRule { trim_empty: TrimEmpty::Always, ..Default::default() });
        assert_eq!(rule.check(), Ok(()));
        let base = PresenceRule::default;
        for (rule, field) in [
            (PresenceRule { empty_timeout_s: 0.5, ..base() }, "empty_timeout"),
            (PresenceRule { empty_timeout_s: f64::NAN, ..base() }, "empty_timeout"),
            (PresenceRule { nobody_timeout_s: 90_000.0, ..base() }, "nobody_timeout"),
            (PresenceRule { no_media_timeout_s: Some(-1.0), ..base() }, "no_media_timeout"),
            (PresenceRule { keep_empty_s: 61.0, ..base() }, "keep_empty"),
            (PresenceRule { expression: Some(" ".into()), ..base() }, "presence_expression"),
            (PresenceRule { expression: Some("x".repeat(9000)), ..base() }, "presence_expression"),
        ] {
            assert_eq!(rule.check().unwrap_err().field, field);
        }
    }

    #[test]
    fn who_asked_decides() {
        use TrimEmpty::{Always, Automatic, Never};
        for (trim, automatic, asked) in
            [(Never, false, false), (Automatic, true, false), (Always, true, true)]
        {
            assert_eq!((trim.applies(false), trim.applies(true)), (automatic, asked));
        }
        assert!("yes".parse::<TrimEmpty>().is_err());
    }
}
