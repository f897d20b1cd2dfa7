//! `[storage]`: how long files are kept and signed links hold.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, duration};

/// The longest that a signed link may hold: a week, as at object stores.
pub const LONGEST_LINK: Duration = Duration::from_secs(7 * 86_400);

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// How long finished files are kept; zero keeps them for ever.
    #[serde(with = "duration")]
    pub retention: Duration,
    /// How long a signed link holds when nobody says otherwise.
    #[serde(with = "duration")]
    pub presign_duration: Duration,
}

impl Default for Storage {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { retention: 15 * day, presign_duration: 3 * day }
    }
}

impl Storage {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.presign_duration.is_zero() || self.presign_duration > LONGEST_LINK {
            return Err(ConfigError::Value {
                setting: "storage.presign_duration",
                problem: "must be longer than zero and at most a week, like \"3d\"".to_owned(),
            });
        }
        Ok(())
    }
}
