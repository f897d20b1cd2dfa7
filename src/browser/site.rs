//! What the meeting's own site is given and nobody else: headers, credentials,
//! cookies. And what its page is made to look like: style sheet, language.
//!
//! Headers go on by pausing each request to the site's origin (the Fetch domain),
//! because the protocol's own extra headers would go to every origin. An override
//! does not outlive a redirect, so it never follows one to another site. Requests
//! of workers and web sockets are not paused and carry no such header; the
//! credentials and cookies are the network's own and go with those, too.

use std::collections::BTreeSet;

use chromiumoxide::cdp::browser_protocol::emulation::SetLocaleOverrideParams;
use chromiumoxide::cdp::browser_protocol::fetch::{
    AuthChallengeResponse, AuthChallengeResponseResponse as Answer, ContinueRequestParams,
    ContinueWithAuthParams, EnableParams, HeaderEntry, RequestPattern,
};
use chromiumoxide::cdp::browser_protocol::network::CookieParam;
use url::{Origin, Url};

use super::cdp::Order;
use super::wire::{AuthRequired, RequestPaused};
use crate::job::PageOptions;

/// Requests remembered to have been answered with the credentials.
const MOST_ANSWERED: usize = 1024;

/// Lays a style sheet over the document, whatever its content security policy
/// says of styles, and keeps it there when the page puts its own in place.
const DRESS: &str = "(css => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  const wear = () => {
    if (!document.adoptedStyleSheets.includes(sheet)) document.adoptedStyleSheets.push(sheet);
  };
  wear();
  setInterval(wear, 1000);
})";

/// The meeting's site and what it is given.
#[derive(Debug)]
pub(super) struct Site {
    origin: Origin,
    options: PageOptions,
    /// Requests that were given the credentials: asked again, they were wrong.
    answered: BTreeSet<String>,
}

impl Site {
    pub(super) fn new(meeting: &Url, options: &PageOptions) -> Self {
        Self { origin: meeting.origin(), options: options.clone(), answered: BTreeSet::new() }
    }

    /// What a page's or frame's session has to be told before its first request.
    pub(super) fn preparations(&self, session: &str) -> Vec<Order> {
        let mut orders = Vec::new();
        if !self.options.locale.is_empty() {
            let locale = Some(self.options.locale.replace('-', "_"));
            orders.push(Order::new(Some(session), &SetLocaleOverrideParams { locale }));
        }
        let auth = self.options.basic_auth.is_some();
        if auth || !self.options.headers.is_empty() {
            let pattern = RequestPattern {
                url_pattern: Some(format!("{}/*", self.origin.ascii_serialization())),
                resource_type: None,
                request_stage: None,
            };
            // Whoever else asks for a password must be heard to be refused.
            let patterns = (!auth).then(|| vec![pattern]);
            let enable = EnableParams { patterns, handle_auth_requests: Some(auth) };
            orders.push(Order::new(Some(session), &enable));
        }
        orders
    }

    /// Sets the cookies; only on the host of the meeting, and only by HTTP.
    pub(super) fn cookies(&self) -> Vec<CookieParam> {
        let url = self.origin.ascii_serialization();
        let cookie = |name: &str, value: &str| {
            let mut cookie = CookieParam::new(name, value);
            cookie.url = Some(url.clone());
            cookie.path = Some("/".into());
            cookie.secure = Some(url.starts_with("https:"));
            cookie.http_only = Some(true);
            cookie
        };
        self.options.cookies.iter().map(|(name, value)| cookie(name, value.expose())).collect()
    }

    /// The script that lays the style sheet over each document.
    pub(super) fn style_script(&self) -> Option<String> {
        let css = &self.options.css;
        (!css.is_empty()).then(|| format!("{DRESS}({});", serde_json::Value::from(css.as_str())))
    }

    /// Lets a paused request go on, with the headers if it is for the site.
    pub(super) fn on_request(&self, session: Option<&str>, paused: RequestPaused) -> Order {
        let mut go_on = ContinueRequestParams::new(paused.request_id);
        let own = Url::parse(&paused.request.url).is_ok_and(|url| url.origin() == self.origin);
        if own && !self.options.headers.is_empty() {
            let given = &self.options.headers;
            let replaced = |name: &str| given.keys().any(|own| own.eq_ignore_ascii_case(name));
            let mut headers: Vec<HeaderEntry> = paused
                .request
                .headers
                .into_iter()
                .filter(|(name, _)| !replaced(name))
                .map(|(name, value)| HeaderEntry::new(name, value))
                .collect();
            headers.extend(given.iter().map(|(k, v)| HeaderEntry::new(k, v.expose())));
            go_on.headers = Some(headers);
        }
        Order::new(session, &go_on)
    }

    /// Answers a site that asks who is there; others, proxies and a site that asks
    /// again get no answer, which shows their refusal and no dialog.
    pub(super) fn on_challenge(&mut self, session: Option<&str>, asked: AuthRequired) -> Order {
        let challenge = asked.auth_challenge;
        let own = challenge.source.as_deref() == Some("Server")
            && Url::parse(&challenge.origin).is_ok_and(|url| url.origin() == self.origin);
        let credentials = self.options.basic_auth.as_ref().filter(|_| own);
        if self.answered.len() > MOST_ANSWERED {
            self.answered.clear();
        }
        let answer = match credentials {
            Some(auth) if self.answered.insert(asked.request_id.clone()) => {
                let mut answer = AuthChallengeResponse::new(Answer::ProvideCredentials);
                answer.username = Some(auth.user.clone());
                answer.password = Some(auth.password.expose().to_owned());
                answer
            }
            _ => AuthChallengeResponse::new(Answer::CancelAuth),
        };
        Order::new(session, &ContinueWithAuthParams::new(asked.request_id, answer))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn site(options: Value) -> Site {
        let meeting = Url::parse("https://meet.example/room?x=1").unwrap();
        Site::new(&meeting, &serde_json::from_value(options).unwrap())
    }

    fn headers(site: &Site, url: &str) -> Value {
        let paused = json!({"requestId": "r", "request":
            {"url": url, "headers": {"x-KEY": "page's", "Accept": "*/*"}}});
        let order = site.on_request(Some("S"), serde_json::from_value(paused).unwrap());
        assert_eq!(order.method, "Fetch.continueRequest");
        order.params["headers"].clone()
    }

    #[test]
    fn headers_go_to_the_sites_own_origin_only() {
        let site = site(json!({"headers": {"X-Key": "s"}}));
        assert_eq!(
            headers(&site, "https://meet.example/app.js"),
            json!([{"name": "Accept", "value": "*/*"}, {"name": "X-Key", "value": "s"}])
        );
        for other in [
            "http://meet.example/",
            "https://meet.example:8443/",
            "https://meet.example.evil.test/",
            "https://meet.example@evil.test/",
            "data:text/html,x",
        ] {
            assert_eq!(headers(&site, other), Value::Null, "{other}");
        }
    }

    #[test]
    fn a_password_is_given_once_and_to_the_site_only() {
        let mut site = site(json!({"basic_auth": {"user": "u", "password": "p"}}));
        let mut answer = |id: &str, source: &str, origin: &str| {
            let asked = json!({"requestId": id, "authChallenge":
                {"source": source, "origin": origin, "scheme": "basic", "realm": "r"}});
            let order = site.on_challenge(Some("S"), serde_json::from_value(asked).unwrap());
            order.params["authChallengeResponse"]["response"].as_str().unwrap().to_owned()
        };
        assert_eq!(answer("1", "Server", "https://meet.example"), "ProvideCredentials");
        assert_eq!(answer("1", "Server", "https://meet.example"), "CancelAuth");
        assert_eq!(answer("2", "Server", "https://meet.example"), "ProvideCredentials");
        assert_eq!(answer("3", "Server", "https://other.example"), "CancelAuth");
        assert_eq!(answer("4", "Proxy", "https://meet.example"), "CancelAuth");
    }

    #[test]
    fn a_page_without_wishes_is_left_alone() {
        let site = site(json!({}));
        assert!(site.preparations("S").is_empty());
        assert!(site.cookies().is_empty());
        assert!(site.style_script().is_none());
    }
}
