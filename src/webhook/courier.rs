//! One attempt: a POST and the judgement of its answer.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Proxy, Response};

use super::target::Target;
use crate::config::{Net, Webhooks};
use crate::net::{Guard, GuardedResolver};

/// Nobody needs an answer's body; this much of it is waited for.
const MOST_READ: usize = 64 * 1024;

/// Why an attempt counts as not taken; free of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotTaken {
    /// The answer's status, if there was one.
    pub(super) status: Option<u16>,
    pub(super) error: String,
}

impl NotTaken {
    fn silent(error: impl Into<String>) -> Self {
        Self { status: None, error: error.into() }
    }
}

pub(super) struct Courier {
    /// For endpoints of the configuration.
    free: Client,
    /// For endpoints of requests: connects only to where the guard allows.
    guarded: Client,
    guard: Guard,
    timeout: Duration,
}

impl Courier {
    pub(super) fn new(settings: &Webhooks, net: &Net) -> Result<Self, reqwest::Error> {
        let guard = Guard::new(net.allow.iter().copied());
        let client = || client(settings);
        let free = match settings.proxy.expose() {
            "" => client(),
            proxy => client().proxy(Proxy::all(proxy)?),
        };
        let resolver = Arc::new(GuardedResolver(guard.clone()));
        Ok(Self {
            free: free.build()?,
            guarded: client().dns_resolver(resolver).build()?,
            guard,
            timeout: settings.timeout,
        })
    }

    /// Posts `body` under the event's `id`; the status of the answer if it was
    /// taken.
    pub(super) async fn post(
        &self,
        target: &Target,
        id: &str,
        body: Vec<u8>,
    ) -> Result<u16, NotTaken> {
        if target.guarded {
            // A name is judged at the connection, an address has to be here.
            let checked = self.guard.check_literal(&target.url);
            checked.map_err(|refused| NotTaken::silent(refused.to_string()))?;
        }
        let timestamp = Utc::now().timestamp();
        let mut headers = target.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let signature = target.signer.sign(id, timestamp, &body);
        let own = [
            ("webhook-id", Some(id.to_owned())),
            ("webhook-timestamp", Some(timestamp.to_string())),
            ("webhook-signature", signature),
        ];
        for (name, value) in own {
            // Ids, numbers and base64 are always good values.
            if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                headers.insert(name, value);
            }
        }
        let client = if target.guarded { &self.guarded } else { &self.free };
        let request = client.post(target.url.clone()).headers(headers).body(body);
        let answer = request.send().await.map_err(|e| self.silence(&e))?;
        self.judge(answer).await
    }

    async fn judge(&self, mut answer: Response) -> Result<u16, NotTaken> {
        let code = answer.status().as_u16();
        let not_taken = |error: String| NotTaken { status: Some(code), error };
        if answer.status().is_redirection() {
            return Err(not_taken(format!(
                "answered {code}, and redirects are not followed: name the final address"
            )));
        }
        if !answer.status().is_success() {
            return Err(not_taken(format!("answered {code}")));
        }
        let mut read = 0;
        while read < MOST_READ {
            match answer.chunk().await {
                Ok(Some(bytes)) => read += bytes.len(),
                Ok(None) => break,
                Err(e) if e.is_timeout() => return Err(not_taken(self.too_slow())),
                Err(e) => {
                    let why = root(&e);
                    return Err(not_taken(format!("answered {code} and broke off: {why}")));
                }
            }
        }
        Ok(code)
    }

    fn silence(&self, error: &reqwest::Error) -> NotTaken {
        NotTaken::silent(match error {
            e if e.is_connect() && e.is_timeout() => "no connection in time".into(),
            e if e.is_connect() => format!("no connection: {}", root(e)),
            e if e.is_timeout() => self.too_slow(),
            e => format!("no answer: {}", root(e)),
        })
    }

    fn too_slow(&self) -> String {
        format!("no complete answer within {} s", self.timeout.as_secs_f64())
    }
}

/// What both kinds of endpoints have in common. Each attempt has a connection of
/// its own: deliveries are rare, and a kept one may be closed at the wrong moment.
fn client(settings: &Webhooks) -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .user_agent(concat!("roomreel/", env!("CARGO_PKG_VERSION")))
}

/// The innermost cause: the layers above it repeat themselves, and the outermost
/// names the URL.
fn root(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "the exchange failed".into(), ToString::to_string)
}
