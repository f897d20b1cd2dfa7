//! Keeps web pages away from the API.
//!
//! While no tokens are configured, whoever can connect may record. Other machines
//! cannot connect; a page open in a browser on this machine can. Three checks
//! refuse what a page can make a browser send:
//!
//! - `Host` must be a name of ours, or a page could point its own name at
//!   127.0.0.1 and become same-origin with us (DNS rebinding);
//! - `Origin` must be ours and `Sec-Fetch-Site` not foreign, or a page could
//!   post to us blindly (CSRF); browsers set both and pages cannot;
//! - a body must be `application/json`, which a page cannot send across origins
//!   without a preflight that we never grant.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::body::MAX_BODY;
use super::error::ApiError;
use crate::config;

/// Names by which the service may be called.
struct Hosts(Vec<String>);

impl Hosts {
    /// The loopback names with the port of `address`, and the configured ones.
    fn new(address: SocketAddr, configured: &[String]) -> Self {
        let port = address.port();
        let own = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}"));
        let mut names: Vec<String> = own.into_iter().chain([address.to_string()]).collect();
        names.extend(configured.iter().map(|name| name.to_lowercase()));
        if port == 80 {
            // Browsers leave the default port out.
            names.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        Self(names)
    }

    /// True for a name in the list, with any port where the list has none.
    fn allow(&self, host: &str) -> bool {
        let Ok(authority) = host.to_lowercase().parse::<Authority>() else { return false };
        let listed = |text: &str| self.0.iter().any(|name| name == text);
        !host.contains('@') && (listed(authority.as_str()) || listed(authority.host()))
    }

    fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = single(headers, header::HOST)?.unwrap_or_default();
        // A request line may name a host, too (RFC 9112, section 3.2.2).
        for name in [Some(host), uri.authority().map(Authority::as_str)].into_iter().flatten() {
            if !self.allow(name) {
                return Err(ApiError::refused(format!(
                    "Host: {name:?} is no name of this service: use {} or add it to \
                     server.allowed_hosts",
                    self.0[0]
                )));
            }
        }
        if let Some(origin) = single(headers, header::ORIGIN)? {
            let ours = ["http://", "https://"]
                .iter()
                .any(|s| origin.strip_prefix(s).is_some_and(|o| o.eq_ignore_ascii_case(host)));
            if !ours {
                return Err(ApiError::refused("Origin: pages of other sites may not call".into()));
            }
        }
        match single(headers, header::HeaderName::from_static("sec-fetch-site"))? {
            // `same-site` includes other ports of this machine.
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => {
                Err(ApiError::refused("Sec-Fetch-Site: pages of other sites may not call".into()))
            }
        }
    }
}

/// The header's value, if it is there once; refused if it is there twice.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(&name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        _ => Err(ApiError::refused(format!("{name}: must be one line of plain text"))),
    }
}

/// Refuses a declared body that is too long or no JSON.
fn judge_body(headers: &HeaderMap) -> Result<(), ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > MAX_BODY as u64) {
        return Err(ApiError::too_large(MAX_BODY));
    }
    let has_body =
        length.is_some_and(|length| length > 0) || headers.contains_key(header::TRANSFER_ENCODING);
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.map_or("", |text| text.split(';').next().unwrap_or("").trim());
    if has_body && !media_type.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::not_json());
    }
    Ok(())
}

/// What a request has to look like.
pub(super) struct Guard {
    /// `None` if every call shows a token: a page has none to show, and then the
    /// service may be called by whatever name leads to it.
    hosts: Option<Hosts>,
}

impl Guard {
    /// For a service at `address`; `tokens` tells whether calls show one.
    pub(super) fn new(address: SocketAddr, server: &config::Server, tokens: bool) -> Self {
        let mut names = server.allowed_hosts.clone();
        // As a `Host` header spells it: without the scheme's own port.
        let public = server.public_url.as_ref().map(|url| url.authority().to_owned());
        names.extend(public);
        Self { hosts: (!tokens).then(|| Hosts::new(address, &names)) }
    }
}

/// Lets a request through or answers it.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let verdict = match &guard.hosts {
        Some(hosts) => hosts.judge(request.uri(), request.headers()),
        None => Ok(()),
    };
    match verdict.and_then(|()| judge_body(request.headers())) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        let configured = ["Recorder.internal".to_owned(), "proxy:8443".to_owned()];
        Hosts::new(SocketAddr::from(([127, 0, 0, 2], 8080)), &configured)
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn names_of_ours() {
        for name in [
            "localhost:8080",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.0.0.2:8080",
            "[::1]:8080",
            "recorder.internal",
            "recorder.internal:9000",
            "proxy:8443",
        ] {
            assert!(hosts().allow(name), "{name}");
        }
    }

    #[test]
    fn names_of_others() {
        for name in [
            "",
            "localhost",
            "localhost:80",
            "localhost.:8080",
            "evil.example:8080",
            "127.0.0.1.evil.example:8080",
            "evil@localhost:8080",
            "recorder.internal@evil.example",
            "proxy",
            "proxy:80",
            "localhost:8080/",
            "localhost:8080 ",
            "::1:8080",
        ] {
            assert!(!hosts().allow(name), "{name}");
        }
    }

    #[test]
    fn port_80_needs_no_port() {
        let hosts = Hosts::new(SocketAddr::from(([127, 0, 0, 1], 80)), &[]);
        assert!(hosts.allow("localhost") && hosts.allow("localhost:80"));
    }

    #[test]
    fn origins_and_sites() {
        let host = ("host", "localhost:8080");
        let judge = |pairs: &[_]| hosts().judge(&Uri::from_static("/"), &headers(pairs)).is_ok();
        assert!(judge(&[host]));
        assert!(judge(&[host, ("origin", "http://localhost:8080")]));
        assert!(judge(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(judge(&[host, ("sec-fetch-site", "none")]));
        for foreign in ["null", "http://localhost:3000", "http://evil.example", "localhost:8080"] {
            assert!(!judge(&[host, ("origin", foreign)]), "{foreign}");
        }
        for foreign in ["cross-site", "same-site", "", "other"] {
            assert!(!judge(&[host, ("sec-fetch-site", foreign)]), "{foreign}");
        }
        assert!(!judge(&[]));
        assert!(!judge(&[host, ("host", "evil.example")]));
        let absolute = Uri::from_static("http://evil.example/v2/recordings");
        assert!(hosts().judge(&absolute, &headers(&[host])).is_err());
    }

    #[test]
    fn bodies() {
        let ok = |pairs: &[_]| judge_body(&headers(pairs)).is_ok();
        assert!(ok(&[]) && ok(&[("content-length", "0")]));
        let length = ("content-length", "2");
        for json in ["application/json", "Application/JSON ; charset=utf-8"] {
            assert!(ok(&[length, ("content-type", json)]));
        }
        for other in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            assert!(!ok(&[length, ("content-type", other)]), "{other}");
        }
        assert!(!ok(&[length]) && !ok(&[("transfer-encoding", "chunked")]));
        assert!(!ok(&[("content-length", "65537"), ("content-type", "application/json")]));
    }
}
