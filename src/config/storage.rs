//! `[storage]`: where files go, how long they are kept, how hard an upload is
//! tried.

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::destination::{BUILT_IN, Destination};
use super::{ConfigError, duration};

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// How long finished files are kept on the local disk; zero keeps them for
    /// ever.
    #[serde(with = "duration")]
    pub retention: Duration,
    /// How long an upload is tried again before it goes to the backup, and there
    /// before it has failed.
    #[serde(with = "duration")]
    pub retry_for: Duration,
    /// A recording with more MiB than this is uploaded while it goes on; 0: none
    /// is.
    pub ahead_mib: u32,
    /// Where recordings go. Empty: the local disk.
    pub destinations: Vec<Destination>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(15 * 86_400),
            retry_for: Duration::from_secs(12 * 3600),
            ahead_mib: 64,
            destinations: Vec::new(),
        }
    }
}

impl Storage {
    /// Refuses values that parse but cannot work.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let bad = |problem| Err(ConfigError::Value { setting: "storage.destinations", problem });
        let mut names = HashSet::new();
        for destination in &self.destinations {
            let name = &destination.name;
            if let Err(problem) = destination.check() {
                return bad(format!("{name:?}: {problem}"));
            }
            if !names.insert(name.as_str()) {
                return bad(format!("{name:?} is there twice: give each destination its own name"));
            }
        }
        for Destination { name, backup, .. } in &self.destinations {
            if backup == name {
                return bad(format!("{name:?}: backup: must be another destination"));
            }
            let known = backup == BUILT_IN || names.contains(backup.as_str());
            if !backup.is_empty() && !known {
                return bad(format!("{name:?}: backup: {backup:?} is not configured"));
            }
        }
        Ok(())
    }
}
