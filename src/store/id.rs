//! Ids in the shape of a MongoDB ObjectId: 24 hex digits, of which the first
//! eight are the second of creation.
//!
//! Layout (<https://www.mongodb.com/docs/manual/reference/bson-types/#objectid>):
//! 4 bytes seconds since the Unix epoch, 5 bytes drawn once per process, 3 bytes
//! counter, all big-endian. Ids of one process therefore sort by their age.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};

use crate::session::SessionId;

/// The id of a recording, an asset or a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 12]);

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 24 hex digits")]
pub struct BadId;

/// Drawn once per process, so that two processes do not meet.
static PROCESS: LazyLock<[u8; 5]> = LazyLock::new(rand::random);
/// Begins in the lower half, so that it does not wrap within a second of life.
static COUNTER: LazyLock<AtomicU32> =
    LazyLock::new(|| AtomicU32::new(rand::random_range(0..1 << 23)));

impl Id {
    /// A new id, made at `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        // Four bytes hold seconds until 2106.
        let seconds = u32::try_from(now.timestamp()).unwrap_or(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..9].copy_from_slice(&*PROCESS);
        bytes[9..].copy_from_slice(&count.to_be_bytes()[1..]);
        Self(bytes)
    }

    /// The second in which it was made.
    pub fn created_at(&self) -> DateTime<Utc> {
        let seconds = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]);
        DateTime::from_timestamp(i64::from(seconds), 0).unwrap_or_default()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A session that nobody named gets an id of the contract's own shape.
impl From<Id> for SessionId {
    fn from(id: Id) -> Self {
        // 24 hex digits are a session's id.
        Self::from_digits(id.0)
    }
}

impl FromStr for Id {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let digits = text.as_bytes();
        if digits.len() != 24 {
            return Err(BadId);
        }
        let value = |digit: u8| char::from(digit).to_digit(16).ok_or(BadId);
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_digits_are_the_second_of_creation() {
        let at = DateTime::from_timestamp(1_626_898_422, 999_999_999).unwrap();
        let id = Id::new(at).to_string();
        assert_eq!(id.len(), 24);
        assert_eq!(i64::from_str_radix(&id[..8], 16).unwrap(), 1_626_898_422);
    }

    #[test]
    fn later_ids_sort_after_earlier_ones() {
        let at = Utc::now();
        let ids: Vec<_> = (0..1000).map(|_| Id::new(at)).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|w| w[0] != w[1]));
        assert!(Id::new(at + chrono::TimeDelta::seconds(1)) > *ids.last().unwrap());
    }

    proptest! {
        #[test]
        fn text_and_back(bytes: [u8; 12]) {
            let id = Id(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        }

        #[test]
        fn other_text_is_refused(text in "\\PC{0,30}") {
            let hex = text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert_eq!(text.parse::<Id>().is_ok(), hex);
        }
    }
}
