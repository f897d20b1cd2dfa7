//! Numbers and times as people read them.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

/// A moment: `2023-11-14 22:13:20`, in UTC, as every page says once.
#[derive(Clone, Copy)]
pub(super) struct When(pub(super) DateTime<Utc>);

impl When {
    /// As `<time datetime>` wants it.
    pub(super) fn iso(&self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%d %H:%M:%S"))
    }
}

/// A length of time: `0:07`, `12:05`, `1:02:03`.
pub(super) fn clock(seconds: f64) -> String {
    // A cast saturates; less than nothing is nothing.
    let seconds = seconds as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        _ => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
    }
}

/// About so long: `3 days`, `9 hours`, `90 s`.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (amount, unit) = match seconds {
        0..120 => return format!("{seconds} s"),
        120..7200 => (seconds / 60, "minutes"),
        7200..172_800 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{amount} {unit}")
}

/// Bytes, rounded: `34.4 MB`.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut amount, mut unit) = (count as f64, 0);
    while amount >= 999.5 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && amount < 99.95);
    format!("{amount:.digits$} {}", UNITS[unit])
}

/// `1 recording`, `3 recordings`.
pub(super) fn count(number: usize, one: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {one}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_short() {
        for (seconds, text) in
            [(-1.0, "0:00"), (7.9, "0:07"), (725.0, "12:05"), (3723.0, "1:02:03")]
        {
            assert_eq!(clock(seconds), text);
        }
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (34_412_077, "34.4 MB"),
            (999_960_000, "1.0 GB"),
            (250_000_000, "250 MB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (seconds, text) in
            [(90, "90 s"), (7199, "119 minutes"), (32_400, "9 hours"), (259_200, "3 days")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".into(), "0 files".into()));
        let when = When(DateTime::from_timestamp(1_700_000_000, 5).unwrap());
        assert_eq!(
            (when.to_string(), when.iso()),
            ("2023-11-14 22:13:20".into(), "2023-11-14T22:13:20Z".into())
        );
    }
}
