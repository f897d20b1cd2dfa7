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
//!
//! Forms of the dashboard are no JSON. It asks for [`own_page`] whatever else is
//! configured, and for a secret that its own pages alone carry. A link on a page of
//! somebody else's may lead to it: reading changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, Uri, header, uri::Authority};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use url::Url;

use super::body::MAX_BODY;
use super::dashboard;
use super::error::ApiError;
use crate::config;

/// Names by which the service may be called.
struct Hosts {
    names: Vec<String>,
    /// See [`judge_origin`].
    public: Option<String>,
}

impl Hosts {
    /// The loopback names with the port of `address`, and the configured ones.
    fn new(address: SocketAddr, configured: &[String], public: Option<String>) -> Self {
        let port = address.port();
        let own = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}"));
        let mut names: Vec<String> = own.into_iter().chain([address.to_string()]).collect();
        names.extend(configured.iter().map(|name| name.to_lowercase()));
        if port == 80 {
            // Browsers leave the default port out.
            names.extend(["localhost", "127.0.0.1", "[::1]"].map(str::to_owned));
        }
        Self { names, public }
    }

    /// True for a name in the list, with any port where the list has none.
    fn allow(&self, host: &str) -> bool {
        let Ok(authority) = host.to_lowercase().parse::<Authority>() else { return false };
        let listed = |text: &str| self.names.iter().any(|name| name == text);
        !host.contains('@') && (listed(authority.as_str()) || listed(authority.host()))
    }

    /// `followed`: it may be a link on somebody else's page that was followed.
    fn judge(&self, uri: &Uri, headers: &HeaderMap, followed: bool) -> Result<(), ApiError> {
        let host = single(headers, header::HOST)?.unwrap_or_default();
        // A request line may name a host, too (RFC 9112, section 3.2.2).
        for name in [Some(host), uri.authority().map(Authority::as_str)].into_iter().flatten() {
            if !self.allow(name) {
                return Err(ApiError::refused(format!(
                    "Host: {name:?} is no name of this service: use {} or add it to \
                     server.allowed_hosts",
                    self.names[0]
                )));
            }
        }
        match judge_origin(headers, self.public.as_deref()) {
            Err(_) if followed && is_navigation(headers)? => Ok(()),
            judged => judged.map(drop),
        }
    }
}

/// Refuses what was sent from a page that is not ours. `public` is the origin of
/// `server.public_url`: behind a proxy `Host` may be another. True if a browser said
/// that the page is ours; programs do not say.
fn judge_origin(headers: &HeaderMap, public: Option<&str>) -> Result<bool, ApiError> {
    let host = single(headers, header::HOST)?.unwrap_or_default();
    let origin = single(headers, header::ORIGIN)?;
    if let Some(origin) = origin {
        let of_host = ["http://", "https://"]
            .iter()
            .any(|s| origin.strip_prefix(s).is_some_and(|o| o.eq_ignore_ascii_case(host)));
        if !of_host && !public.is_some_and(|public| origin.eq_ignore_ascii_case(public)) {
            return Err(ApiError::refused("Origin: pages of other sites may not call".into()));
        }
    }
    match single(headers, SEC_FETCH_SITE)? {
        None => Ok(origin.is_some()),
        // `same-site` includes other ports of this machine.
        Some("same-origin" | "none") => Ok(true),
        Some(_) => {
            Err(ApiError::refused("Sec-Fetch-Site: pages of other sites may not call".into()))
        }
    }
}

const SEC_FETCH_SITE: header::HeaderName = header::HeaderName::from_static("sec-fetch-site");

/// A browser goes to a page, and shows it in a tab of its own.
fn is_navigation(headers: &HeaderMap) -> Result<bool, ApiError> {
    let said = |name| single(headers, header::HeaderName::from_static(name));
    Ok(said("sec-fetch-mode")? == Some("navigate") && said("sec-fetch-dest")? == Some("document"))
}

/// Refuses a form that no page of ours has sent.
pub(super) fn own_page(headers: &HeaderMap, public: Option<&Url>) -> Result<(), ApiError> {
    let public = public.map(|url| url.origin().ascii_serialization());
    if judge_origin(headers, public.as_deref())? {
        return Ok(());
    }
    Err(ApiError::refused("Origin: is needed, as browsers send it with a form".into()))
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

/// Refuses a declared body that is too long or of another kind than `wanted`.
fn judge_body(headers: &HeaderMap, wanted: &str) -> Result<(), ApiError> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > MAX_BODY as u64) {
        return Err(ApiError::too_large(MAX_BODY));
    }
    let has_body =
        length.is_some_and(|length| length > 0) || headers.contains_key(header::TRANSFER_ENCODING);
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.map_or("", |text| text.split(';').next().unwrap_or("").trim());
    if has_body && !media_type.eq_ignore_ascii_case(wanted) {
        return Err(ApiError::not_json());
    }
    Ok(())
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

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
        let public = server.public_url.as_ref().map(|url| url.origin().ascii_serialization());
        Self { hosts: (!tokens).then(|| Hosts::new(address, &names, public)) }
    }
}

/// Lets a request through or answers it.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let page = path.is_some_and(dashboard::has);
    let verdict = match &guard.hosts {
        Some(hosts) => {
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            hosts.judge(request.uri(), request.headers(), page && reads)
        }
        None => Ok(()),
    };
    let wanted = if page { FORM } else { JSON };
    match verdict.and_then(|()| judge_body(request.headers(), wanted)) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        let configured = ["Recorder.internal".to_owned(), "proxy:8443".to_owned()];
        let public = Some("https://recorder.example".to_owned());
        Hosts::new(SocketAddr::from(([127, 0, 0, 2], 8080)), &configured, public)
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
        let hosts = Hosts::new(SocketAddr::from(([127, 0, 0, 1], 80)), &[], None);
        assert!(hosts.allow("localhost") && hosts.allow("localhost:80"));
    }

    #[test]
    fn origins_and_sites() {
        let host = ("host", "localhost:8080");
        let judged = |pairs: &[_], followed| {
            hosts().judge(&Uri::from_static("/"), &headers(pairs), followed).is_ok()
        };
        let judge = |pairs: &[_]| judged(pairs, false);
        assert!(judge(&[host]));
        assert!(judge(&[host, ("origin", "http://localhost:8080")]));
        assert!(judge(&[host, ("origin", "https://recorder.example")]));
        assert!(judge(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(judge(&[host, ("sec-fetch-site", "none")]));
        for foreign in ["null", "http://localhost:3000", "http://evil.example", "localhost:8080"] {
            assert!(!judge(&[host, ("origin", foreign)]), "{foreign}");
        }
        for foreign in ["cross-site", "same-site", "", "other"] {
            assert!(!judge(&[host, ("sec-fetch-site", foreign)]), "{foreign}");
        }
        // A link that is followed shows a page, and shows it in no frame.
        let link = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        let shown = |dest| [link.as_slice(), &[("sec-fetch-dest", dest)]].concat();
        assert!(judged(&shown("document"), true));
        assert!(!judged(&shown("document"), false) && !judged(&shown("iframe"), true));
        assert!(!judged(&link, true));
        assert!(!judge(&[]));
        assert!(!judge(&[host, ("host", "evil.example")]));
        let absolute = Uri::from_static("http://evil.example/v2/recordings");
        assert!(hosts().judge(&absolute, &headers(&[host]), true).is_err());
    }

    #[test]
    fn forms_are_of_pages_that_are_ours() {
        let host = ("host", "localhost:8080");
        let public = Url::parse("https://recorder.example/rooms/").unwrap();
        let own = |pairs: &[_]| own_page(&headers(pairs), Some(&public)).is_ok();
        for ours in ["http://localhost:8080", "https://recorder.example"] {
            assert!(own(&[host, ("origin", ours)]), "{ours}");
        }
        assert!(own(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(!own(&[host]));
        for foreign in ["null", "https://recorder.example:8443", "http://localhost"] {
            assert!(!own(&[host, ("origin", foreign)]), "{foreign}");
        }
        let (ours, foreign) = (("origin", "http://localhost:8080"), "same-site");
        assert!(!own(&[host, ours, ("sec-fetch-site", foreign)]));
    }

    #[test]
    fn bodies() {
        let ok = |pairs: &[_]| judge_body(&headers(pairs), JSON).is_ok();
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
