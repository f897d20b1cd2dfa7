//! Lengths of time as people write them: `30s`, `5m`, `1h 30m`, or a number of
//! seconds.

use std::fmt;
use std::time::Duration;

use serde::{Deserializer, Serializer, de};

/// Parses a number of seconds, or what `humantime` understands; at most a year.
pub fn parse(text: &str) -> Option<Duration> {
    match text.trim().parse() {
        Ok(number) => seconds(number),
        Err(_) => humantime::parse_duration(text.trim()).ok().filter(|found| *found <= YEAR),
    }
}

/// Longer than any recording, and no later arithmetic on it can overflow.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn seconds(number: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(number).ok().filter(|found| *found <= YEAR)
}

pub(super) fn serialize<S: Serializer>(d: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{}s", d.as_secs_f64()))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_any(Text)
}

/// Several of them.
pub(super) mod list {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct One(#[serde(with = "super")] Duration);

    pub(in super::super) fn serialize<S: Serializer>(
        all: &[Duration],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().copied().map(One))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Duration>, D::Error> {
        let all = Vec::<One>::deserialize(from)?;
        Ok(all.into_iter().map(|One(duration)| duration).collect())
    }
}

/// One that may be absent.
pub(super) mod option {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct One(#[serde(with = "super")] Duration);

    pub(in super::super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(One).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<One>::deserialize(from)?.map(|One(duration)| duration))
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration like \"30s\", \"5m\", \"4h\" or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<Duration, E> {
        self.visit_f64(n as f64)
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<Duration, E> {
        self.visit_f64(n as f64)
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<Duration, E> {
        seconds(n).ok_or_else(|| E::invalid_value(de::Unexpected::Float(n), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_bare_seconds() {
        for (text, ms) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("4h", 14_400_000),
            ("1h30m", 5_400_000),
            ("1500ms", 1_500),
            (" 10s ", 10_000),
            ("1.5", 1_500),
            ("90", 90_000),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "s", "-1s", "-1", "inf", "nan", "1e300", "soon", "400d"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
