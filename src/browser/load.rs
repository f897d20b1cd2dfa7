//! How far the page's newest load has come, and why it failed. Pure.

use std::time::Duration;

use super::cdp::CallError;

/// Why a page did not load. Every text is a sentence for the job's report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The name or the server behind it could not be reached, or the exchange broke.
    #[error("the page cannot be reached: {reason} ({code})")]
    Unreachable {
        /// Chromium's code, for example `net::ERR_NAME_NOT_RESOLVED`.
        code: String,
        /// The same in words.
        reason: &'static str,
    },
    /// The server's certificate or its TLS is not trusted.
    #[error("the page's certificate is not trusted: {reason} ({code})")]
    Certificate {
        /// Chromium's code, for example `net::ERR_CERT_DATE_INVALID`.
        code: String,
        /// The same in words.
        reason: &'static str,
    },
    /// The server answered with an error status.
    #[error("the server answered with HTTP status {status}")]
    Status {
        /// 400 to 599.
        status: u16,
    },
    /// It took too long.
    #[error("the page did not load within {} s: {waited_for}", after.as_secs_f64())]
    TimedOut {
        /// The time it was given.
        after: Duration,
        /// What was missing.
        waited_for: &'static str,
    },
    /// The page's renderer died or the page closed while loading.
    #[error("the page crashed or closed itself while loading")]
    Crashed,
    /// The browser did not take the command.
    #[error("the browser could not load the page: {0}")]
    Browser(#[from] CallError),
}

/// Chromium's net error codes that a person can do something about
/// (`net/base/net_error_list.h`).
const REASONS: &[(&str, &str)] = &[
    ("ERR_NAME_NOT_RESOLVED", "its host name is not known to DNS"),
    ("ERR_NAME_RESOLUTION_FAILED", "the name server did not answer"),
    ("ERR_CONNECTION_REFUSED", "nothing listens at its address"),
    ("ERR_CONNECTION_TIMED_OUT", "its server does not answer"),
    ("ERR_TIMED_OUT", "its server does not answer"),
    ("ERR_ADDRESS_UNREACHABLE", "there is no route to its address"),
    ("ERR_INTERNET_DISCONNECTED", "this machine has no network"),
    ("ERR_NETWORK_CHANGED", "the network changed during the load"),
    ("ERR_CONNECTION_RESET", "its server broke the connection off"),
    ("ERR_CONNECTION_CLOSED", "its server closed the connection"),
    ("ERR_EMPTY_RESPONSE", "its server closed the connection without an answer"),
    ("ERR_TOO_MANY_REDIRECTS", "it redirects in a circle"),
    ("ERR_UNSAFE_PORT", "browsers refuse its port"),
    ("ERR_BLOCKED_BY_RESPONSE", "its headers forbid showing it"),
    ("ERR_INVALID_AUTH_CREDENTIALS", "it asks for a password"),
    ("ERR_PROXY_CONNECTION_FAILED", "the proxy cannot be reached"),
    ("ERR_TUNNEL_CONNECTION_FAILED", "the proxy refused the connection"),
    ("ERR_ABORTED", "its server sent a download, or nothing to show"),
    ("ERR_CERT_AUTHORITY_INVALID", "it is signed by nobody this machine trusts"),
    ("ERR_CERT_COMMON_NAME_INVALID", "it was issued for another name"),
    ("ERR_CERT_DATE_INVALID", "it has expired or is not valid yet"),
    ("ERR_CERT_REVOKED", "it was revoked"),
    ("ERR_SSL_PROTOCOL_ERROR", "the server does not speak TLS on this port"),
];

/// What Chromium calls a load that ends without a document and without a fault.
pub(super) const ABORTED: &str = "net::ERR_ABORTED";

impl LoadError {
    /// Sorts an `errorText` of Chromium (`net::ERR_…`).
    pub(super) fn from_net(code: &str) -> Self {
        let name = code.trim_start_matches("net::");
        let known = REASONS.iter().find(|(known, _)| *known == name).map(|(_, reason)| *reason);
        let code = code.to_string();
        if name.starts_with("ERR_CERT_") || name.starts_with("ERR_SSL_") {
            Self::Certificate { code, reason: known.unwrap_or("TLS with its server failed") }
        } else {
            Self::Unreachable { code, reason: known.unwrap_or("the load failed") }
        }
    }
}

/// How far a document has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It has begun to replace the one before.
    #[default]
    Shown,
    /// Its markup and deferred scripts are done (`DOMContentLoaded`).
    Parsed,
    /// Its pictures and frames are there as well (`load`).
    Loaded,
}

/// The newest load of the main frame, as told by events. A loader id stands for
/// one load of one document.
#[derive(Debug, Clone, Default)]
pub(super) struct Load {
    /// Loader that was last requested.
    requested: String,
    /// Host and port that it was requested of, after the redirects so far.
    pub(super) authority: Option<String>,
    /// HTTP status of that request, once answered.
    status: Option<u16>,
    /// Net error of that request.
    failure: Option<String>,
    /// That request will show nothing: it gave way to another, or its answer
    /// was a download or empty.
    aborted: bool,
    /// Loader whose document is shown.
    shown: String,
    /// How far that document has come.
    stage: Stage,
    /// Times the page crashed or closed.
    pub(super) losses: u32,
}

impl Load {
    pub(super) fn request(&mut self, loader: &str, authority: Option<String>) {
        self.requested = loader.to_string();
        self.authority = authority;
        self.status = None;
        self.failure = None;
        self.aborted = false;
    }

    pub(super) fn answer(&mut self, loader: &str, status: u16) {
        if self.requested == loader {
            self.status = Some(status);
        }
    }

    pub(super) fn fail(&mut self, loader: &str, code: &str) {
        if self.requested == loader {
            if code == ABORTED {
                self.aborted = true;
            } else {
                self.failure = Some(code.to_string());
            }
        }
    }

    pub(super) fn show(&mut self, loader: &str) {
        if self.shown != loader {
            self.shown = loader.to_string();
            self.stage = Stage::Shown;
        }
    }

    pub(super) fn reach(&mut self, loader: &str, stage: Stage) {
        if self.shown == loader {
            self.stage = self.stage.max(stage);
        }
    }

    /// What came of the load begun when everything was as in `before`; `None`
    /// while that is open.
    pub(super) fn outcome(&self, before: &Self) -> Option<Result<Stage, LoadError>> {
        if self.losses != before.losses {
            return Some(Err(LoadError::Crashed));
        }
        if self.requested != before.requested {
            if let Some(status) = self.status.filter(|status| *status >= 400) {
                return Some(Err(LoadError::Status { status }));
            }
            if let Some(code) = &self.failure {
                return Some(Err(LoadError::from_net(code)));
            }
        }
        let on_its_way =
            self.requested != before.requested && self.requested != self.shown && !self.aborted;
        (self.is_new(before) && !on_its_way).then_some(Ok(self.stage))
    }

    /// True when a document is shown that was not even on its way in `before`: a
    /// load that was given up may still show its own.
    fn is_new(&self, before: &Self) -> bool {
        self.shown != before.shown && self.shown != before.requested
    }

    /// The error when time is up.
    pub(super) fn timed_out(&self, before: &Self, after: Duration) -> LoadError {
        let waited_for = if self.is_new(before) {
            "its markup was not complete"
        } else if self.requested != before.requested && self.status.is_some() {
            "its server answered but sent no page"
        } else {
            "its server did not answer"
        };
        LoadError::TimedOut { after, waited_for }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(load: &Load, before: &Load) -> String {
        match load.outcome(before) {
            None => "open".into(),
            Some(Ok(stage)) => format!("{stage:?}"),
            Some(Err(error)) => error.to_string(),
        }
    }

    #[test]
    fn a_load_goes_from_request_to_loaded() {
        let mut load = Load::default();
        load.show("old");
        load.reach("old", Stage::Loaded);
        let before = load.clone();
        assert_eq!(sentence(&load, &before), "open");
        load.request("new", None);
        load.answer("new", 200);
        load.reach("old", Stage::Loaded);
        assert_eq!(sentence(&load, &before), "open");
        load.show("new");
        assert_eq!(sentence(&load, &before), "Shown");
        load.reach("new", Stage::Loaded);
        load.reach("new", Stage::Parsed);
        assert_eq!(sentence(&load, &before), "Loaded");
    }

    #[test]
    fn each_failure_has_its_own_sentence() {
        type Happens = fn(&mut Load);
        let before = Load::default();
        let cases: &[(&str, Happens)] = &[
            ("the server answered with HTTP status 503", |l| l.answer("a", 503)),
            (
                "the page cannot be reached: its host name is not known to DNS \
                 (net::ERR_NAME_NOT_RESOLVED)",
                |l| l.fail("a", "net::ERR_NAME_NOT_RESOLVED"),
            ),
            (
                "the page's certificate is not trusted: it has expired or is not valid yet \
                 (net::ERR_CERT_DATE_INVALID)",
                |l| l.fail("a", "net::ERR_CERT_DATE_INVALID"),
            ),
            ("the page cannot be reached: the load failed (net::ERR_NEW)", |l| {
                l.fail("a", "net::ERR_NEW");
            }),
            ("the page crashed or closed itself while loading", |l| l.losses += 1),
            ("open", |l| l.fail("a", "net::ERR_ABORTED")),
            ("open", |l| l.fail("other", "net::ERR_FAILED")),
            ("open", |l| l.answer("other", 404)),
        ];
        for (expected, happens) in cases {
            let mut load = before.clone();
            load.request("a", None);
            happens(&mut load);
            assert_eq!(sentence(&load, &before), *expected);
        }
    }

    #[test]
    fn an_old_error_does_not_spoil_the_next_load() {
        let mut load = Load::default();
        load.request("a", None);
        load.answer("a", 500);
        let before = load.clone();
        assert!(load.outcome(&before).is_none());
        load.request("b", None);
        load.answer("b", 200);
        load.show("a");
        load.reach("a", Stage::Loaded);
        assert_eq!(sentence(&load, &before), "open");
        load.show("b");
        assert_eq!(sentence(&load, &before), "Shown");
    }

    #[test]
    fn a_page_that_moves_on_by_itself_is_followed() {
        let before = Load::default();
        let mut load = before.clone();
        load.request("a", None);
        load.show("a");
        load.request("b", None);
        load.reach("a", Stage::Loaded);
        assert_eq!(sentence(&load, &before), "open");
        let mut download = load.clone();
        download.fail("b", ABORTED);
        assert_eq!(sentence(&download, &before), "Loaded");
        load.answer("b", 404);
        assert_eq!(sentence(&load, &before), "the server answered with HTTP status 404");
    }

    #[test]
    fn a_time_out_says_what_was_missing() {
        let before = Load::default();
        let after = Duration::from_millis(1500);
        let mut load = before.clone();
        let text = |load: &Load| load.timed_out(&before, after).to_string();
        load.request("a", None);
        assert_eq!(text(&load), "the page did not load within 1.5 s: its server did not answer");
        load.answer("a", 200);
        assert!(text(&load).ends_with("answered but sent no page"));
        load.show("a");
        assert!(text(&load).ends_with("markup was not complete"));
    }
}
