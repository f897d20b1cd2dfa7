//! Where a delivery goes, and with what.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use url::Url;

use super::signature::Signer;
use crate::config::{Endpoint, check_header, parse_endpoint_url};
use crate::store::WebhookTarget;

pub(super) struct Target {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) signer: Signer,
    /// It came in a request: the address guard decides whether it is reached.
    pub(super) guarded: bool,
}

impl Target {
    /// An endpoint of the configuration. The error is a sentence without secrets.
    pub(super) fn configured(endpoint: &Endpoint) -> Result<Self, String> {
        Ok(Self {
            url: parse_endpoint_url(endpoint.url.expose()).map_err(|e| format!("its url {e}"))?,
            headers: headers(endpoint.headers.iter().map(|(n, v)| (n.as_str(), v.expose())))?,
            signer: Signer::new(&endpoint.secrets).map_err(|e| format!("its secret {e}"))?,
            guarded: false,
        })
    }

    /// The endpoint that a recording's own request named. It shares no secret
    /// with this service, so nothing is signed for it.
    pub(super) fn requested(target: &WebhookTarget) -> Result<Self, String> {
        let given = target.headers.iter().map(|(n, v)| (n.as_str(), v.expose_secret()));
        Ok(Self {
            url: parse_endpoint_url(target.url.expose_secret())
                .map_err(|e| format!("its url {e}"))?,
            headers: headers(given)?,
            signer: Signer::default(),
            guarded: true,
        })
    }
}

fn headers<'a>(given: impl Iterator<Item = (&'a str, &'a str)>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        check_header(name, value).map_err(|e| format!("its header {name:?} {e}"))?;
        let cannot = || format!("its header {name:?} cannot be sent");
        let key = HeaderName::try_from(name).map_err(|_| cannot())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| cannot())?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}
