//! What a meeting's page is given besides its URL: who the visitor is, where he
//! comes from, and what he does not want to see. Pure.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::spec::BadSpec;

/// Bytes of CSS, and of all headers or cookies together, that a page is given at
/// most.
const MOST_BYTES: usize = 32 * 1024;

/// What the page is opened with. Headers, cookies and the password go to the
/// meeting's own origin only, and are as secret as the meeting's URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PageOptions {
    /// Sent with each request of the page and its frames to the meeting's origin.
    pub headers: BTreeMap<String, Hidden>,
    /// Set for the meeting's host before the page is opened.
    pub cookies: BTreeMap<String, Hidden>,
    /// Answers the origin's HTTP authentication.
    pub basic_auth: Option<BasicAuth>,
    /// Laid over every frame of the page; hides its bars, for example.
    pub css: String,
    /// BCP 47, like `de-DE`; empty: `en-US`.
    pub locale: String,
    /// A name of the IANA data base, like `Europe/Berlin`; empty: the machine's.
    pub time_zone: String,
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Hidden,
}

/// Text that `Debug` does not show. It is written out where it is serialized: in
/// the spec on a recorder's standard input, and in the store.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Hidden(SecretString);

impl Hidden {
    /// The text itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Hidden {}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.expose())
    }
}

/// Headers that the browser makes itself.
const OWN_HEADERS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl PageOptions {
    /// Refuses what no browser would send or understand. Values are not repeated.
    pub fn check(&self) -> Result<(), BadSpec> {
        for (name, value) in &self.headers {
            let own = OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
            if own || !is_token(name) || !value.expose().bytes().all(is_field_byte) {
                let why = format!("{name:?} is no header that can be sent along");
                return Err(BadSpec::new("page.headers", why));
            }
        }
        for (name, value) in &self.cookies {
            if !is_token(name) || !value.expose().bytes().all(is_cookie_byte) {
                let why = format!("{name:?} is no cookie that can be set");
                return Err(BadSpec::new("page.cookies", why));
            }
        }
        for (field, texts) in [("page.headers", &self.headers), ("page.cookies", &self.cookies)] {
            let bytes: usize = texts.iter().map(|(k, v)| k.len() + v.expose().len()).sum();
            if bytes > MOST_BYTES {
                return Err(BadSpec::new(field, format!("more than {MOST_BYTES} bytes")));
            }
        }
        if let Some(auth) = &self.basic_auth
            && (auth.user.is_empty() || auth.user.contains(':'))
        {
            let why = "user must be there and hold no colon (RFC 7617)";
            return Err(BadSpec::new("page.basic_auth", why));
        }
        if self.css.len() > MOST_BYTES {
            return Err(BadSpec::new("page.css", format!("more than {MOST_BYTES} bytes")));
        }
        if !self.locale.is_empty() && !is_locale(&self.locale) {
            let why = format!("{:?} is no language tag: give one like \"de-DE\"", self.locale);
            return Err(BadSpec::new("page.locale", why));
        }
        if !self.time_zone.is_empty() && !is_time_zone(&self.time_zone) {
            let why =
                format!("{:?} is no time zone: give one like \"Europe/Berlin\"", self.time_zone);
            return Err(BadSpec::new("page.time_zone", why));
        }
        Ok(())
    }

    /// These, and where they say nothing `others`; style sheets add up.
    pub fn over(mut self, others: Self) -> Self {
        let Self { headers, cookies, basic_auth, css, locale, time_zone } = others;
        for (name, value) in headers {
            if !self.headers.keys().any(|own| own.eq_ignore_ascii_case(&name)) {
                self.headers.insert(name, value);
            }
        }
        for (name, value) in cookies {
            self.cookies.entry(name).or_insert(value);
        }
        self.basic_auth = self.basic_auth.or(basic_auth);
        let sheets = [css, self.css];
        self.css = sheets.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("\n");
        let or = |own: String, other| if own.is_empty() { other } else { own };
        self.locale = or(self.locale, locale);
        self.time_zone = or(self.time_zone, time_zone);
        self
    }
}

/// A token of RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// What a header's value may hold (RFC 9110, section 5.5), without obsolete text.
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (b' '..=b'~').contains(&byte)
}

/// A cookie-octet of RFC 6265, section 4.1.1.
fn is_cookie_byte(byte: u8) -> bool {
    (b'!'..=b'~').contains(&byte) && !b"\",;\\".contains(&byte)
}

/// Language, then script, region and variants (RFC 5646), as far as the shape goes.
fn is_locale(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| {
            (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// `Area/City`, `UTC`, `Etc/GMT+5`: letters, and no way out of the data base.
fn is_time_zone(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+-".contains(&b);
    text.len() <= 64 && text.split('/').all(|part| !part.is_empty() && part.bytes().all(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PageOptions, String> {
        let options: PageOptions = serde_json::from_str(json).map_err(|e| e.to_string())?;
        options.check().map(|()| options).map_err(|e| e.to_string())
    }

    #[test]
    fn what_cannot_be_sent_is_refused_by_name_and_without_its_value() {
        for (json, field) in [
            (r#"{"headers":{"X-Key":"s3cret\n"}}"#, "page.headers: \"X-Key\""),
            (r#"{"headers":{"Host":"s3cret"}}"#, "page.headers: \"Host\""),
            (r#"{"headers":{"a b":"s3cret"}}"#, "page.headers: \"a b\""),
            (r#"{"cookies":{"sid":"s3cret;"}}"#, "page.cookies: \"sid\""),
            (r#"{"basic_auth":{"user":"a:b","password":"s3cret"}}"#, "page.basic_auth: user"),
            (r#"{"locale":"german"}"#, "page.locale: \"german\""),
            (r#"{"locale":"de_DE"}"#, "page.locale"),
            (r#"{"time_zone":"../../etc"}"#, "page.time_zone"),
            (r#"{"colour":1}"#, "unknown field `colour`"),
        ] {
            let refused = read(json).unwrap_err();
            assert!(refused.contains(field) && !refused.contains("s3cret"), "{json}: {refused}");
        }
        for json in [
            r#"{"headers":{"Authorization":"Bearer x.y"},"cookies":{"__Host-sid":"a=b"}}"#,
            r#"{"locale":"zh-Hant-TW","time_zone":"America/Argentina/Buenos_Aires"}"#,
            r#"{"locale":"de","time_zone":"Etc/GMT+5","css":"header { display: none }"}"#,
        ] {
            read(json).unwrap();
        }
    }

    #[test]
    fn the_nearer_wins_and_style_sheets_add_up() {
        let own = read(r#"{"headers":{"x-a":"1"},"css":"b{}","locale":"de"}"#).unwrap();
        let others = read(
            r#"{"headers":{"X-A":"2","X-B":"3"},"cookies":{"c":"4"},"css":"a{}","locale":"fr",
                "time_zone":"UTC","basic_auth":{"user":"u","password":"p"}}"#,
        );
        let both = own.over(others.unwrap());
        let expected = read(
            r#"{"headers":{"x-a":"1","X-B":"3"},"cookies":{"c":"4"},"css":"a{}\nb{}",
                "locale":"de","time_zone":"UTC","basic_auth":{"user":"u","password":"p"}}"#,
        );
        assert_eq!(both, expected.unwrap());
        assert!(!format!("{both:?}").contains("\"1\""), "{both:?}");
    }
}
