//! Amounts of memory or disk as people write them: `2GiB`, `500MB`, or a number
//! of bytes.

use std::fmt;

use serde::{Deserializer, Serializer, de};

/// Names by their bytes; the larger first, so that text is written short.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Parses a whole number and its unit, in any case; without one it is bytes.
pub(super) fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The bytes in words, exactly.
pub(crate) fn text(bytes: u64) -> String {
    let whole = |unit: &&(&str, u64)| bytes != 0 && bytes.is_multiple_of(unit.1);
    match UNITS.iter().find(whole) {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => bytes.to_string(),
    }
}

pub(super) fn serialize<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text(*bytes))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    from.deserialize_any(Size)
}

struct Size;

impl de::Visitor<'_> for Size {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount like \"2GiB\", or a number of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<u64, E> {
        Ok(bytes)
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_they_are_written() {
        for (written, bytes) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("2GiB", Some(2 << 30)),
            (" 500 mb ", Some(500_000_000)),
            ("1kib", Some(1024)),
            ("99999999TiB", None),
            ("GiB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("2 apples", None),
        ] {
            assert_eq!(parse(written), bytes, "{written}");
        }
        for bytes in [0, 1, 999, 1 << 30, 3 << 20, 500_000_000, u64::MAX] {
            assert_eq!(parse(&text(bytes)), Some(bytes));
        }
        assert_eq!(text(1 << 30), "1GiB");
    }
}
