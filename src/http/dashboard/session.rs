//! Who is signed in: random cookies, of which only digests are kept, and the secret
//! that the forms of each of them carry. A restart signs everybody out.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, hmac};
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The cookie's name. With the prefix a browser takes it from https alone
/// (RFC 6265bis, section 4.1.3.2).
const NAME: &str = "roomreel_session";
const SECURE_NAME: &str = "__Host-roomreel_session";

/// More than this at once, and the one that ends first is ended.
const MOST: usize = 1000;
/// Cookies of our name that are looked at; a browser sends one.
const MOST_COOKIES: usize = 4;

/// See the module's documentation.
pub(in crate::http) struct Sessions {
    life: Duration,
    secure: bool,
    /// What forms' secrets are made with.
    key: hmac::Key,
    /// Digests of cookies, and when each ends.
    known: Mutex<HashMap<Digest, Instant>>,
}

type Digest = [u8; 32];

/// Somebody who is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Session(Digest);

impl Sessions {
    /// Sessions of `life`; `secure` if browsers come by https.
    pub(super) fn new(life: Duration, secure: bool) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>());
        Self { life, secure, key, known: Mutex::default() }
    }

    /// How long somebody stays signed in.
    pub(super) fn life(&self) -> Duration {
        self.life
    }

    /// Begins one that ends after `life`; the cookie to be set.
    pub(super) fn begin(&self, life: Duration, now: Instant) -> HeaderValue {
        let life = life.min(self.life);
        let value = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let mut known = self.known();
        known.retain(|_, ends| *ends > now);
        if known.len() >= MOST
            && let Some(first) = known.iter().min_by_key(|(_, ends)| **ends).map(|(id, _)| *id)
        {
            known.remove(&first);
        }
        known.insert(digest_of(&value), now + life);
        self.cookie(&value, life.as_secs())
    }

    /// Whose cookie is among `headers`, if it is good.
    pub(in crate::http) fn find(&self, headers: &HeaderMap) -> Option<Session> {
        let now = Instant::now();
        let known = self.known();
        let name = self.name();
        let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = texts.flat_map(|text| text.split(';'));
        let own = pairs.filter_map(|pair| {
            pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value)
        });
        own.take(MOST_COOKIES)
            .map(digest_of)
            .find(|id| known.get(id).is_some_and(|ends| *ends > now))
            .map(Session)
    }

    /// Ends one; the cookie that takes its place.
    pub(super) fn end(&self, session: Session) -> HeaderValue {
        self.known().remove(&session.0);
        self.cookie("", 0)
    }

    /// What the forms of a session carry, and those of a dashboard that is open.
    pub(super) fn form_token(&self, session: Option<Session>) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, message(session).as_ref()))
    }

    /// True if a form carries it; in constant time.
    pub(super) fn check_form(&self, session: Option<Session>, token: &str) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(token) else { return false };
        hmac::verify(&self.key, message(session).as_ref(), &tag).is_ok()
    }

    fn name(&self) -> &'static str {
        if self.secure { SECURE_NAME } else { NAME }
    }

    /// Letters, digits, `-` and `_` are a header value.
    fn cookie(&self, value: &str, seconds: u64) -> HeaderValue {
        let name = self.name();
        let secure = if self.secure { "; Secure" } else { "" };
        let text =
            format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Instant>> {
        // No code can panic between two writes under this lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By the digest alone nobody can come in.
fn digest_of(value: &str) -> Digest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, value.as_bytes()).as_ref());
    bytes
}

fn message(session: Option<Session>) -> Vec<u8> {
    session.map_or_else(|| b"open".to_vec(), |session| session.0.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        let value = format!("other=1; {pair};{NAME}=forged").parse().unwrap();
        HeaderMap::from_iter([(header::COOKIE, value)])
    }

    #[test]
    fn a_session_is_known_until_it_ends() {
        let sessions = Sessions::new(Duration::from_secs(3600), false);
        let now = Instant::now();
        let cookie = sessions.begin(Duration::from_secs(7200), now);
        let text = cookie.to_str().unwrap();
        assert!(text.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=3600"), "{text}");
        let session = sessions.find(&shown(&cookie)).unwrap();
        assert_eq!(sessions.find(&HeaderMap::new()), None);
        assert!(sessions.end(session).to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(sessions.find(&shown(&cookie)), None);
        let over = sessions.begin(Duration::ZERO, now);
        assert_eq!(sessions.find(&shown(&over)), None);
    }

    #[test]
    fn by_https_the_cookie_is_for_https_alone() {
        let sessions = Sessions::new(Duration::from_secs(60), true);
        let cookie = sessions.begin(Duration::from_secs(60), Instant::now());
        let text = cookie.to_str().unwrap();
        assert!(text.starts_with(SECURE_NAME) && text.ends_with("; Secure"), "{text}");
        assert!(sessions.find(&shown(&cookie)).is_some());
    }

    #[test]
    fn each_session_s_forms_are_its_own() {
        let sessions = Sessions::new(Duration::from_secs(60), false);
        let begin = || sessions.find(&shown(&sessions.begin(sessions.life, Instant::now())));
        let (one, two) = (begin(), begin());
        assert!(one.is_some() && one != two);
        let token = sessions.form_token(one);
        assert!(sessions.check_form(one, &token));
        for (session, token) in
            [(two, &*token), (None, &token), (one, ""), (one, "AAAA"), (one, "?")]
        {
            assert!(!sessions.check_form(session, token), "{token}");
        }
        let elsewhere = Sessions::new(Duration::from_secs(60), false);
        assert!(!elsewhere.check_form(None, &sessions.form_token(None)));
    }

    #[test]
    fn the_number_of_sessions_is_limited() {
        let sessions = Sessions::new(Duration::from_secs(3600), false);
        let now = Instant::now();
        let first = sessions.begin(Duration::from_secs(10), now);
        for _ in 0..MOST {
            sessions.begin(Duration::from_secs(20), now);
        }
        assert_eq!(sessions.known().len(), MOST);
        assert_eq!(sessions.find(&shown(&first)), None);
    }
}
