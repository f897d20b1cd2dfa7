//! Times as the contract writes them.

use chrono::{DateTime, SubsecRound, Timelike, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// RFC 3339 in UTC with as many of nine fraction digits as are needed.
#[derive(Clone, Copy, ToSchema)]
#[schema(as = Time, value_type = String, format = DateTime, example = "2023-11-14T22:13:23.12Z")]
pub(super) struct Rfc3339(pub(super) DateTime<Utc>);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // A leap second reads as 1_000_000_000 and more nanoseconds.
        let whole = self.0.trunc_subsecs(0).format("%Y-%m-%dT%H:%M:%S");
        let fraction = format!(".{:09}", self.0.nanosecond() % 1_000_000_000);
        to.collect_str(&format_args!(
            "{whole}{}Z",
            fraction.trim_end_matches(['0']).trim_end_matches('.')
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_trailing_zeros() {
        for (nanos, text) in [
            (0, "\"2021-07-21T20:13:42Z\""),
            (670_000_000, "\"2021-07-21T20:13:42.67Z\""),
            (7_990_308, "\"2021-07-21T20:13:42.007990308Z\""),
            (1, "\"2021-07-21T20:13:42.000000001Z\""),
            (100_000_000, "\"2021-07-21T20:13:42.1Z\""),
        ] {
            let time = DateTime::from_timestamp(1_626_898_422, nanos).unwrap();
            assert_eq!(serde_json::to_string(&Rfc3339(time)).unwrap(), text);
        }
    }
}
