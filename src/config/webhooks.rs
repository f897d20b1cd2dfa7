//! `[webhooks]`: who is told of what happens to recordings, and how hard it is
//! tried.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{ConfigError, Secret, duration};
use crate::job::Occurrence;

/// What a signing secret is written with (Standard Webhooks 1.0.0, "Signature
/// scheme").
const SECRET_PREFIX: &str = "whsec_";

/// The name that the history uses for the endpoint of a recording's own request.
const RESERVED: &str = "request";

/// Headers that belong to the connection or to the delivery itself.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `[webhooks]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// Who is told, unless a request named an endpoint of its own.
    pub endpoints: Vec<Endpoint>,
    /// How long one attempt may take, from the connection to the answer's end.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// How long the connection alone may take.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// How long after each failed attempt the next one is made; after the last
    /// of them the delivery has failed.
    #[serde(with = "duration::list")]
    pub retries: Vec<Duration>,
    /// How long the URL in a webhook gives access to the file.
    #[serde(with = "duration")]
    pub presign_duration: Duration,
    /// How long settled deliveries are remembered, to be looked at and replayed.
    #[serde(with = "duration")]
    pub history: Duration,
    /// HTTP proxy of the configured endpoints, as a URL; none when empty. A
    /// request's own endpoint is always connected to directly.
    pub proxy: Secret,
    /// Tells of a recorded room who comes and goes, as far as its page shows that,
    /// unless the room's own webhooks do.
    pub room_events: bool,
    /// `account_id` of every webhook.
    pub account_id: String,
    /// `app_id` of every webhook.
    pub app_id: String,
    /// `template_id` of every webhook.
    pub template_id: String,
}

impl Default for Webhooks {
    fn default() -> Self {
        let (minute, hour) = (60, 3600);
        let retries =
            [1, 3, 10, minute, 5 * minute, 30 * minute, 2 * hour, 6 * hour, 12 * hour, 24 * hour];
        Self {
            endpoints: Vec::new(),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            retries: retries.map(Duration::from_secs).to_vec(),
            presign_duration: Duration::from_secs(72 * hour),
            history: Duration::from_secs(30 * 24 * hour),
            proxy: Secret::default(),
            room_events: false,
            account_id: String::new(),
            app_id: String::new(),
            template_id: String::new(),
        }
    }
}

/// `[[webhooks.endpoints]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// What logs and the history call it.
    pub name: String,
    /// Where to; may hold a token.
    pub url: Secret,
    /// Sent along as they are.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Names of the events it wants, or beginnings like `beam.*`; all if empty.
    #[serde(default)]
    pub events: Vec<String>,
    /// Each signs every delivery, so that a receiver can change from one to the
    /// next; see [`signing_key`].
    #[serde(default)]
    pub secrets: Vec<Secret>,
}

impl Endpoint {
    /// True if it is to be told of events with this name.
    pub fn wants(&self, event: &str) -> bool {
        self.events.is_empty() || self.events.iter().any(|pattern| matches(pattern, event))
    }
}

fn matches(pattern: &str, event: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => event.starts_with(beginning),
        None => pattern == event,
    }
}

/// A secret that cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Not base64.
    #[error("must be \"whsec_\" and base64; make one with `openssl rand -base64 32`")]
    NotBase64,
    /// Too short or too long.
    #[error("must hold 24 to 64 bytes, not {0}; make one with `openssl rand -base64 32`")]
    Length(usize),
}

/// The key in a signing secret: `whsec_…` or bare base64 of 24 to 64 bytes.
pub fn signing_key(secret: &Secret) -> Result<Vec<u8>, BadSecret> {
    let text = secret.expose();
    let bytes = STANDARD
        .decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text))
        .map_err(|_| BadSecret::NotBase64)?;
    if (24..=64).contains(&bytes.len()) { Ok(bytes) } else { Err(BadSecret::Length(bytes.len())) }
}

/// Parses the URL of an endpoint, the configuration's or a request's. The error
/// does not repeat it.
pub fn parse_endpoint_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err("must be a full http or https address, like \"https://app.example/hooks\"".into()),
    }
}

/// A token (RFC 9110, section 5.6.2).
pub(super) fn is_header_name(name: &str) -> bool {
    let of_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(of_token)
}

/// Checks a header that goes along with deliveries, the configuration's or a
/// request's. The error does not repeat the value.
pub fn check_header(name: &str, value: &str) -> Result<(), String> {
    if !is_header_name(name) {
        return Err("is no name of a header: use letters, digits and \"-\"".into());
    }
    let lower = name.to_ascii_lowercase();
    if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with("webhook-") {
        return Err("is set by roomreel itself: leave it out".into());
    }
    if value.bytes().any(|b| !(b == b'\t' || (b' '..=b'~').contains(&b))) {
        return Err("has a value with other than printable ASCII characters".into());
    }
    Ok(())
}

impl Webhooks {
    /// Refuses values that parse but cannot work.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let bad = |setting, problem: String| Err(ConfigError::Value { setting, problem });
        for (setting, value) in [
            ("webhooks.timeout", self.timeout),
            ("webhooks.connect_timeout", self.connect_timeout),
            ("webhooks.presign_duration", self.presign_duration),
            ("webhooks.history", self.history),
        ] {
            if value.is_zero() {
                return bad(setting, "must be longer than zero, like \"10s\"".into());
            }
        }
        if self.retries.iter().any(Duration::is_zero) {
            return bad("webhooks.retries", "each must be longer than zero, like \"1s\"".into());
        }
        if !self.proxy.is_empty() && parse_endpoint_url(self.proxy.expose()).is_err() {
            let problem = "must be an http or https address, like \"http://proxy.internal:3128\"";
            return bad("webhooks.proxy", problem.into());
        }
        let mut names = HashSet::new();
        for endpoint in &self.endpoints {
            let name = &endpoint.name;
            if let Err(problem) = endpoint.check() {
                return bad("webhooks.endpoints", format!("{name:?}: {problem}"));
            }
            if !names.insert(name) {
                let problem = format!("{name:?} is there twice: give each endpoint its own name");
                return bad("webhooks.endpoints", problem);
            }
        }
        Ok(())
    }
}

impl Endpoint {
    fn check(&self) -> Result<(), String> {
        let of_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.name == RESERVED {
            return Err("is the name of endpoints that requests bring: choose another".into());
        }
        if !(1..=64).contains(&self.name.len()) || !self.name.chars().all(of_name) {
            return Err("name: use 1 to 64 letters, digits, \".\", \"_\" and \"-\"".into());
        }
        parse_endpoint_url(self.url.expose()).map_err(|problem| format!("url: {problem}"))?;
        for (header, value) in &self.headers {
            check_header(header, value.expose())
                .map_err(|problem| format!("headers: {header:?} {problem}"))?;
        }
        for pattern in &self.events {
            if !Occurrence::NAMES.iter().any(|event| matches(pattern, event)) {
                let known = Occurrence::NAMES.join(", ");
                return Err(format!(
                    "events: {pattern:?} is no event: use beam.*, peer.*, {known}"
                ));
            }
        }
        for secret in &self.secrets {
            signing_key(secret).map_err(|problem| format!("secrets: each {problem}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(events: &[&str]) -> Endpoint {
        Endpoint {
            name: "app".into(),
            url: "https://app.example/hooks?token=t0ken".into(),
            headers: BTreeMap::from([("X-Passcode".into(), "t0ken".into())]),
            events: events.iter().map(ToString::to_string).collect(),
            secrets: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()],
        }
    }

    #[test]
    fn filters_take_names_and_beginnings() {
        for (events, event, wanted) in [
            (&[][..], "beam.failure", true),
            (&["beam.*"], "beam.failure", true),
            (&["*"], "beam.failure", true),
            (&["beam.failure"], "beam.failure", true),
            (&["beam.failure"], "beam.stopped.success", false),
            (&["beam.st*", "beam.failure"], "beam.stopped.success", true),
            (&["beam.st*"], "beam.recording.success", false),
        ] {
            assert_eq!(endpoint(events).wants(event), wanted, "{events:?} {event}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let mut settings = Webhooks { endpoints: vec![endpoint(&[])], ..Webhooks::default() };
        settings.proxy = "http://u:t0ken@proxy.example:3128".into();
        let shown = format!("{settings:?} {}", serde_json::to_string(&settings).unwrap());
        assert!(!shown.contains("t0ken") && !shown.contains("MfKQ9"), "{shown}");
    }

    #[test]
    fn headers_of_the_connection_are_refused() {
        for name in ["Host", "content-length", "Webhook-Id", "", "a b", "a:b"] {
            assert!(check_header(name, "v").is_err(), "{name:?}");
        }
        assert!(check_header("X-Passcode", "a\r\nb").is_err());
        assert_eq!(check_header("Authorization", "Bearer a b"), Ok(()));
    }
}
