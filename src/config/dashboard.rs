//! `[dashboard]`: the pages for people.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Secret, duration};

/// Characters that a password has at least: who guesses is slowed down, not stopped.
const SHORTEST_PASSWORD: usize = 12;

/// `[dashboard]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dashboard {
    /// Whether there is one.
    pub enabled: bool,
    /// What people sign in with, besides a management token; empty: nothing.
    pub password: Secret,
    /// How long somebody stays signed in.
    #[serde(with = "duration")]
    pub session: Duration,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self { enabled: true, password: Secret::default(), session: Duration::from_secs(12 * 3600) }
    }
}

impl Dashboard {
    /// What is wrong, as setting and problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let length = self.password.expose().chars().count();
        if !self.password.is_empty() && length < SHORTEST_PASSWORD {
            let problem = format!(
                "has {length} characters: give at least {SHORTEST_PASSWORD}, for example by \
                 `openssl rand -base64 18`"
            );
            return Err(("dashboard.password", problem));
        }
        // A minute: who signs in wants to see something.
        let limits = Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);
        if !limits.contains(&self.session) {
            return Err(("dashboard.session", "must be \"1m\" to \"30d\"".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_and_no_password_is_shown() {
        assert_eq!(Dashboard::default().check(), Ok(()));
        let short = Dashboard { password: "s3cret".into(), ..Dashboard::default() };
        let (setting, problem) = short.check().unwrap_err();
        assert_eq!(setting, "dashboard.password");
        assert!(!problem.contains("s3cret"), "{problem}");
        let good = Dashboard { password: "correct horse battery".into(), ..Dashboard::default() };
        assert_eq!(good.check(), Ok(()));
        assert!(!format!("{good:?}{}", serde_json::to_string(&good).unwrap()).contains("horse"));
        for session in [0, 59, 31 * 86_400] {
            let odd = Dashboard { session: Duration::from_secs(session), ..Dashboard::default() };
            assert_eq!(odd.check().unwrap_err().0, "dashboard.session", "{session}");
        }
    }
}
