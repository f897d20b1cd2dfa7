//! `[storage]`: how long files are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// How long finished files are kept; zero keeps them for ever.
    #[serde(with = "duration")]
    pub retention: Duration,
}

impl Default for Storage {
    fn default() -> Self {
        Self { retention: Duration::from_secs(15 * 86_400) }
    }
}
