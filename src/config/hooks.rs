//! `[hooks]`: who may tell what happens in rooms.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::webhooks::{is_header_name, signing_key};
use super::{Secret, duration};

/// Characters that a secret header has at least: it is all that keeps others out.
const SHORTEST_HEADER: usize = 16;

/// `[hooks]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hooks {
    /// Who may post to `/v2/hooks/room`; nobody if empty.
    pub senders: Vec<Sender>,
    /// A session whose end was never told is over after this time (contract: 12 h).
    #[serde(with = "duration")]
    pub session_max: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { senders: Vec::new(), session_max: Duration::from_secs(12 * 3600) }
    }
}

/// `[[hooks.senders]]`: whatever is set has to be right in a post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    /// What logs call it.
    pub name: String,
    /// Headers with their values, all of which have to be there.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// One of these has to have signed the post (Standard Webhooks); as
    /// `whsec_…`, see [`signing_key`].
    #[serde(default)]
    pub secrets: Vec<Secret>,
}

impl Hooks {
    /// What is wrong, as setting and problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.session_max.is_zero() {
            return Err(("hooks.session_max", "must be longer than zero, like \"12h\"".into()));
        }
        let mut names = HashSet::new();
        for sender in &self.senders {
            let name = &sender.name;
            let problem = match sender.check() {
                Err(problem) => problem,
                Ok(()) if names.insert(name) => continue,
                Ok(()) => "is there twice: give each sender its own name".to_owned(),
            };
            return Err(("hooks.senders", format!("{name:?}: {problem}")));
        }
        Ok(())
    }
}

impl Sender {
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("name: must not be empty".into());
        }
        if self.headers.is_empty() && self.secrets.is_empty() {
            return Err("needs headers or secrets: anybody could post without".into());
        }
        for (header, value) in &self.headers {
            if !is_header_name(header) {
                return Err(format!("headers: {header:?} is no name of a header"));
            }
            if value.expose().len() < SHORTEST_HEADER {
                return Err(format!(
                    "headers: {header:?} has fewer than {SHORTEST_HEADER} characters, which can \
                     be guessed; make one with `openssl rand -hex 16`"
                ));
            }
        }
        for secret in &self.secrets {
            signing_key(secret).map_err(|problem| format!("secrets: each {problem}"))?;
        }
        Ok(())
    }
}
