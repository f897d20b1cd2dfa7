//! `[page]`: how meetings' pages are opened.

use std::collections::BTreeMap;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Toml};
use serde::{Deserialize, Serialize};
use url::{Origin, Url};

use super::Secret;
use crate::job::{BasicAuth, Hidden, PageOptions};

/// `[page]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Laid over every page.
    pub css: String,
    /// Language of the pages, like `de-DE`; `en-US` when empty.
    pub locale: String,
    /// Time zone of the pages, like `Europe/Berlin`; this machine's when empty.
    pub time_zone: String,
    /// What only some meetings' pages are given.
    pub sites: Vec<Site>,
}

/// What the pages of one origin are given: no other sees it, whatever URL a
/// request names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// `https://meet.example`, with a port if it is not the scheme's own.
    pub origin: Url,
    /// Sent with each request to it.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Set before it is opened.
    #[serde(default)]
    pub cookies: BTreeMap<String, Secret>,
    /// For its HTTP authentication.
    #[serde(default)]
    pub basic_auth: Option<Account>,
    /// Laid over its pages.
    #[serde(default)]
    pub css: String,
}

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A file of [`PageOptions`] in TOML. The error names the setting and never shows
/// a value.
pub fn parse_page_options(text: &str) -> Result<PageOptions, String> {
    let read: Result<PageOptions, _> = Figment::from(Toml::string(text)).extract();
    let options = read.map_err(|e| {
        let at = if e.path.is_empty() { String::new() } else { format!("{}: ", e.path.join(".")) };
        match e.kind {
            Kind::InvalidType(_, expected) => format!("{at}wrong type, expected {expected}"),
            Kind::UnknownField(name, _) => format!("{at}there is no setting {name}"),
            _ => format!("{at}cannot be understood"),
        }
    })?;
    options.check().map_err(|e| e.to_string())?;
    Ok(options)
}

impl Page {
    /// What the page at `meeting` is given.
    pub fn options(&self, meeting: &Url) -> PageOptions {
        let origin = meeting.origin();
        let sites = self.sites.iter().filter(|site| site.origin.origin() == origin);
        sites.fold(self.general(), |options, site| site.options().over(options))
    }

    /// What is wrong, as setting and problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        self.general().check().map_err(|e| (e.field, e.problem))?;
        for site in &self.sites {
            let url = &site.origin;
            let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let anonymous = url.username().is_empty() && url.password().is_none();
            let web = matches!(url.scheme(), "http" | "https");
            if !web || !bare || !anonymous || matches!(url.origin(), Origin::Opaque(_)) {
                let why = "origin: must be like \"https://meet.example\", without user and path";
                return Err(("page.sites", why.into()));
            }
            site.options().check().map_err(|e| {
                let field = e.field.trim_start_matches("page.");
                ("page.sites", format!("{field} of {url}: {}", e.problem))
            })?;
        }
        Ok(())
    }

    fn general(&self) -> PageOptions {
        PageOptions {
            css: self.css.clone(),
            locale: self.locale.clone(),
            time_zone: self.time_zone.clone(),
            ..PageOptions::default()
        }
    }
}

impl Site {
    fn options(&self) -> PageOptions {
        let hidden = |texts: &BTreeMap<String, Secret>| {
            texts.iter().map(|(name, value)| (name.clone(), value.expose().into())).collect()
        };
        let auth = self.basic_auth.as_ref().map(|account| BasicAuth {
            user: account.user.clone(),
            password: Hidden::from(account.password.expose()),
        });
        PageOptions {
            headers: hidden(&self.headers),
            cookies: hidden(&self.cookies),
            basic_auth: auth,
            css: self.css.clone(),
            ..PageOptions::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_known_by_its_origin() {
        let page: Page = toml(
            "css = 'a{}'\nlocale = 'de'\n\
             [[sites]]\norigin = 'https://meet.example'\nheaders = { X-Key = 'k' }\ncss = 'b{}'\n",
        );
        page.check().unwrap();
        let given = |url: &str| page.options(&url.parse().unwrap());
        let own = given("https://meet.example:443/room?x=1");
        assert_eq!((own.headers.len(), &*own.css, &*own.locale), (1, "a{}\nb{}", "de"));
        for other in ["http://meet.example/", "https://meet.example:444/", "https://evil.test/"] {
            let other = given(other);
            assert_eq!((other.headers.len(), &*other.css, &*other.locale), (0, "a{}", "de"));
        }
    }

    #[test]
    fn bad_settings_are_named_and_not_shown() {
        for (text, named) in [
            ("time_zone = '/etc'", "page.time_zone"),
            ("[[sites]]\norigin = 'https://a.test/path'", "page.sites: origin"),
            (
                "[[sites]]\norigin = 'https://a.test'\ncookies = { s = 's3cret;' }",
                "page.sites: cookies",
            ),
        ] {
            let (setting, problem) = toml::<Page>(text).check().unwrap_err();
            let told = format!("{setting}: {problem}");
            assert!(told.starts_with(named) && !told.contains("s3cret"), "{told}");
        }
        let refused = parse_page_options("headers = { X-Key = ['s3cret'] }").unwrap_err();
        assert!(refused.starts_with("headers.X-Key") && !refused.contains("s3cret"), "{refused}");
        let refused = parse_page_options("colour = 1").unwrap_err();
        assert!(refused.contains("colour"), "{refused}");
    }

    fn toml<T: serde::de::DeserializeOwned>(text: &str) -> T {
        Figment::from(Toml::string(text)).extract().unwrap()
    }
}
