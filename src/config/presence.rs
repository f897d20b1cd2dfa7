//! `[presence]`: when recordings end because of who is there, and what their files
//! leave out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Meeting, duration};
use crate::job::{PresenceRule, TrimEmpty};

/// `[presence]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Presence {
    /// How long a room may be empty after somebody was there.
    #[serde(with = "duration")]
    pub empty_timeout: Duration,
    /// How long it may be empty before anybody has come.
    #[serde(with = "duration")]
    pub nobody_timeout: Duration,
    /// How long no media may come from anybody; zero: that decides nothing.
    #[serde(with = "duration")]
    pub no_media_timeout: Duration,
    /// Roles that are nobody, besides the bot's own and every `__internal…`.
    pub ignore_roles: Vec<String>,
    /// Names that are nobody, besides the bot's own.
    pub ignore_names: Vec<String>,
    /// A JavaScript expression that tells who is there; empty: the probes do.
    pub expression: String,
    /// When the empty end is left out of the file.
    pub trim_empty: TrimEmpty,
    /// How much of it stays.
    #[serde(with = "duration")]
    pub keep_empty: Duration,
    /// The file begins when somebody is there.
    pub trim_start: bool,
}

impl Default for Presence {
    fn default() -> Self {
        let rule = PresenceRule::default();
        Self {
            empty_timeout: rule.empty_timeout(),
            nobody_timeout: rule.nobody_timeout(),
            no_media_timeout: rule.no_media_timeout().unwrap_or_default(),
            ignore_roles: rule.ignore_roles.clone(),
            ignore_names: rule.ignore_names.clone(),
            expression: rule.expression.clone().unwrap_or_default(),
            trim_empty: rule.trim_empty,
            keep_empty: rule.keep_empty(),
            trim_start: rule.trim_start,
        }
    }
}

impl Presence {
    /// The same as a spec carries it. A bot that is given its role and its name by
    /// the template of `meeting` is nobody.
    pub fn rule(&self, meeting: &Meeting) -> PresenceRule {
        let seconds = |time: Duration| (!time.is_zero()).then_some(time.as_secs_f64());
        let with_own = |list: &[String], placeholder: &str, own: &String| {
            let own = meeting.url_template.contains(placeholder).then(|| own.clone());
            list.iter().cloned().chain(own).collect()
        };
        PresenceRule {
            empty_timeout_s: self.empty_timeout.as_secs_f64(),
            nobody_timeout_s: self.nobody_timeout.as_secs_f64(),
            no_media_timeout_s: seconds(self.no_media_timeout),
            ignore_roles: with_own(&self.ignore_roles, "{role}", &meeting.role),
            ignore_names: with_own(&self.ignore_names, "{name}", &meeting.name),
            expression: (!self.expression.is_empty()).then(|| self.expression.clone()),
            trim_empty: self.trim_empty,
            keep_empty_s: self.keep_empty.as_secs_f64(),
            trim_start: self.trim_start,
        }
    }

    /// What is wrong, as setting and problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        self.rule(&Meeting::default()).check().map_err(|bad| {
            let setting = match bad.field {
                "empty_timeout" => "presence.empty_timeout",
                "nobody_timeout" => "presence.nobody_timeout",
                "no_media_timeout" => "presence.no_media_timeout",
                "keep_empty" => "presence.keep_empty",
                _ => "presence.expression",
            };
            (setting, bad.problem)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bot_of_the_template_is_nobody() {
        let presence = Presence { ignore_roles: vec!["camera".into()], ..Presence::default() };
        assert_eq!(presence.rule(&Meeting::default()).ignore_roles, ["camera"]);
        let url_template = "https://meet.example/{room_id}/{role}?name={name}".to_owned();
        let rule = presence.rule(&Meeting { url_template, ..Meeting::default() });
        assert_eq!(rule.ignore_roles, ["camera", "__internal_recorder"]);
        assert_eq!(rule.ignore_names, ["Recorder"]);
    }

    #[test]
    fn the_default_is_the_rule_s_own_and_mistakes_are_named() {
        assert_eq!(Presence::default().rule(&Meeting::default()), PresenceRule::default());
        let short = Presence { empty_timeout: Duration::from_millis(1), ..Presence::default() };
        assert_eq!(short.check().unwrap_err().0, "presence.empty_timeout");
    }
}
