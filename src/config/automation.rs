//! `[automation]`: what starts and stops recordings by itself, by what rooms tell.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// `[automation]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Automation {
    /// A session that opens is recorded.
    pub start_on_open: bool,
    /// A session is recorded once somebody joins.
    pub start_on_join: bool,
    /// Whose joining counts for that: roles, or beginnings like `host*`; every
    /// role but the bots' if empty.
    pub join_roles: Vec<String>,
    /// An event that is older starts nothing.
    #[serde(with = "duration")]
    pub start_within: Duration,
    /// A recording stops once nobody but bots is in the room.
    pub stop_when_alone: bool,
    /// How long the room must have been so.
    #[serde(with = "duration")]
    pub alone_grace: Duration,
    /// A recording stops with its session.
    pub stop_on_close: bool,
    /// Who does not count as somebody: roles, or beginnings of roles.
    pub bot_roles: Vec<String>,
    /// The same by name or user id.
    pub bot_names: Vec<String>,
}

impl Default for Automation {
    fn default() -> Self {
        Self {
            start_on_open: false,
            start_on_join: false,
            join_roles: Vec::new(),
            start_within: Duration::from_secs(300),
            stop_when_alone: false,
            alone_grace: Duration::ZERO,
            stop_on_close: false,
            bot_roles: vec!["__internal*".into()],
            bot_names: Vec::new(),
        }
    }
}

impl Automation {
    /// What is wrong, as setting and problem; `template` if rooms have addresses.
    pub(super) fn check(&self, template: bool) -> Result<(), (&'static str, String)> {
        let needs = "needs meeting.url_template: a rule's start has no other address of the room";
        for (setting, on) in [
            ("automation.start_on_open", self.start_on_open),
            ("automation.start_on_join", self.start_on_join),
        ] {
            if on && !template {
                return Err((setting, needs.into()));
            }
        }
        if self.start_within.is_zero() {
            return Err((
                "automation.start_within",
                "must be longer than zero, like \"5m\"".into(),
            ));
        }
        for (setting, patterns) in [
            ("automation.join_roles", &self.join_roles),
            ("automation.bot_roles", &self.bot_roles),
            ("automation.bot_names", &self.bot_names),
        ] {
            // Who has no role or no name would be meant.
            if patterns.iter().any(String::is_empty) {
                return Err((setting, "each must be a name, or its beginning and a *".into()));
            }
        }
        Ok(())
    }
}
