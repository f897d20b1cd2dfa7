//! A session's id: the meeting software's own where that is known.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Bytes that an id has at most.
const LONGEST: usize = 128;

/// 1 to 128 letters, digits, dots, underscores and hyphens; 24 hex digits in the
/// contract.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// A text that is no session's id; says what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 128 letters, digits, dots, underscores or hyphens")]
pub struct BadSessionId;

impl FromStr for SessionId {
    type Err = BadSessionId;

    fn from_str(text: &str) -> Result<Self, BadSessionId> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        let good = (1..=LONGEST).contains(&text.len()) && text.bytes().all(allowed);
        if good { Ok(Self(text.to_owned())) } else { Err(BadSessionId) }
    }
}

impl SessionId {
    /// In the contract's own shape: each byte as two hex digits.
    pub fn from_digits(bytes: [u8; 12]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl TryFrom<String> for SessionId {
    type Error = BadSessionId;

    fn try_from(text: String) -> Result<Self, BadSessionId> {
        text.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_other_software_are_ids() {
        for good in ["6110ba7a4b9e1ba5dd3dc85a", "0b7c6c6e-2f5e-4f58-9a0b-8f6cf0f4d6a1", "a_1.b"] {
            assert_eq!(good.parse::<SessionId>().unwrap().to_string(), good);
        }
        for bad in ["", "a b", "a/b", "ä", "a\n", &"x".repeat(129)] {
            assert_eq!(bad.parse::<SessionId>(), Err(BadSessionId), "{bad:?}");
        }
    }
}
