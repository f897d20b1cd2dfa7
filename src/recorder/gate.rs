//! The gate that a guarded page's connections pass: the proxy of one browser.

use std::future::pending;
use std::net::SocketAddr;

use tokio::sync::mpsc;

use super::error::RecordError;
use crate::browser::{Browser, LoadError};
use crate::job::{Egress, RecordingSpec};
use crate::net::{Guard, Proxy, Refusal, Upstream};

/// What a browser of this recording connects through.
#[derive(Debug)]
pub(super) enum Gate {
    /// It connects by itself.
    Open,
    /// A proxy that asks the guard.
    Guarded {
        /// Ends with this value.
        proxy: Proxy,
        /// What the guard refused.
        refusals: mpsc::Receiver<Refusal>,
    },
}

impl Gate {
    /// Opens one for one browser.
    pub(super) async fn open(spec: &RecordingSpec) -> Result<Self, RecordError> {
        let Egress::Guarded { networks, sockets, closed_ports } = &spec.egress else {
            return Ok(Self::Open);
        };
        let guard = Guard::new(networks.iter().copied()).with_sockets(sockets.iter().copied());
        let started =
            Proxy::start_behind(guard, closed_ports.clone(), upstream(&spec.browser.proxy)).await;
        let (proxy, refusals) = started.map_err(|e| {
            RecordError::Device(format!("the page's proxy could not be opened: {e}"))
        })?;
        Ok(Self::Guarded { proxy, refusals })
    }

    /// Where Chromium finds it.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Open => None,
            Self::Guarded { proxy, .. } => Some(proxy.address()),
        }
    }

    /// Lets this browser through, and nobody else.
    pub(super) fn admit(&self, browser: &Browser) {
        if let Self::Guarded { proxy, .. } = self {
            proxy.admit(browser.uid());
        }
    }

    /// The next refusal, for the journal. Cancel safe.
    pub(super) async fn refusal(&mut self) -> String {
        let told = match self {
            Self::Open => None,
            Self::Guarded { refusals, .. } => refusals.recv().await,
        };
        match told {
            Some(Refusal { authority, why }) => {
                format!("the page was kept from {authority}: {why}")
            }
            None => pending().await,
        }
    }

    /// Why a load failed. Chromium knows only that its proxy did not connect.
    pub(super) fn explain(&self, browser: &Browser, error: &LoadError) -> String {
        let why = match (self, error) {
            (Self::Guarded { proxy, .. }, LoadError::Unreachable { .. }) => {
                browser.page().requested_authority().and_then(|asked| proxy.why(&asked))
            }
            _ => None,
        };
        why.map_or_else(|| error.to_string(), |why| format!("meeting_url: {why}"))
    }
}

/// The operator's proxy, by its checked URL.
fn upstream(proxy: &str) -> Option<Upstream> {
    let url = url::Url::parse(proxy).ok()?;
    let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Upstream { host, port: url.port_or_known_default()? })
}
