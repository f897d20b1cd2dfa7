//! What of this machine and this configuration works, and what to do about the rest.
//!
//! `roomreel doctor` shows all of it to an operator; `roomreel serve` asks [`quick`]
//! before it starts, so that it does not take on what could only fail. Nobody else
//! calls this. It may ask every other room, changes nothing and leaves nothing behind.

mod browser;
mod disk;
mod machine;
mod page;
mod parts;
mod service;
mod trial;

use std::fmt;

use serde::Serialize;

use crate::config::Config;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It works.
    Ok,
    /// It works, and less well than it should.
    Warn,
    /// Recordings would fail.
    Fail,
}

/// What one look has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word: `chromium`, `data`, `storage main`.
    pub check: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it; nothing if it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Finding {
    fn new(check: &str, level: Level, found: String, advice: Option<String>) -> Self {
        Self { check: check.to_owned(), level, found, advice }
    }

    fn ok(check: &str, found: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, found.into(), None)
    }

    fn warn(check: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Level::Warn, found.into(), Some(advice.into()))
    }

    fn fail(check: &str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Level::Fail, found.into(), Some(advice.into()))
    }
}

impl fmt::Display for Finding {
    /// One line: the level, what was looked at, what was found, what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        write!(f, "{level:4}  {:14}  {}", self.check, self.found)?;
        match &self.advice {
            Some(advice) => write!(f, " -> {advice}"),
            None => Ok(()),
        }
    }
}

/// What starting the service would only find out too late: looks that take
/// milliseconds and start nothing.
pub fn quick(config: &Config) -> Vec<Finding> {
    vec![
        parts::chromium(config),
        parts::encoders(),
        machine::namespaces(config),
        machine::temporary(),
        disk::writable(&config.data.dir),
    ]
}

/// Looks at everything that can be looked at without recording, storing and asking
/// the network, and hands out each finding as it is there.
pub async fn look(config: &Config, tell: &mut dyn FnMut(Finding)) {
    quick(config).into_iter().for_each(&mut *tell);
    for finding in [
        disk::room(config),
        machine::shared_memory(),
        machine::descriptors(),
        machine::processes(config),
        machine::memory(config),
        machine::landlock(config),
        machine::clock().await,
        service::keys(config),
        service::port(config).await,
    ] {
        tell(finding);
    }
}

/// Tries what [`look`] leaves out: starts the browser, measures the disk, records three
/// seconds, and asks destinations and endpoints. Takes 10 to 20 seconds.
pub async fn try_out(config: &Config, tell: &mut dyn FnMut(Finding)) {
    tell(disk::speed(config).await);
    for finding in service::endpoints(config).await {
        tell(finding);
    }
    for finding in service::destinations(config).await {
        tell(finding);
    }
    for finding in browser::look(config).await {
        tell(finding);
    }
    for finding in trial::record(config).await {
        tell(finding);
    }
}

/// The worst level of all.
pub fn worst<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Level {
    findings.into_iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_to_do_only_where_there_is_something() {
        let lines = [
            Finding::ok("clock", "runs").to_string(),
            Finding::fail("data", "is read-only", "mount it").to_string(),
        ];
        assert_eq!(lines[0], "ok    clock           runs");
        assert_eq!(lines[1], "fail  data            is read-only -> mount it");
    }

    #[test]
    fn the_worst_decides() {
        let ok = Finding::ok("a", "");
        let warn = Finding::warn("b", "", "");
        assert_eq!(worst([&ok, &warn, &ok]), Level::Warn);
        assert_eq!(worst([]), Level::Ok);
        assert!(Level::Fail > Level::Warn);
    }
}
