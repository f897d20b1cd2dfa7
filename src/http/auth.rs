//! Asks for a token. Whatever is not named here as open needs one, also paths
//! that are no route: a route that is added is closed until it is opened. Pages of
//! the dashboard do not come by here: they have a gate of their own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::attempts::Attempts;
use super::dashboard::Sessions;
use super::error::ApiError;
use crate::token::Keys;

/// Routes that need no token: what a load balancer asks, what carries a
/// signature or a secret of its own, and what documents the API without saying anything
/// about this service.
pub(super) const OPEN: [&str; 8] = [
    "/v2/hooks/room",
    "/health/live",
    "/health/ready",
    "/files/{asset_id}/{name}",
    "/openapi.json",
    "/docs",
    "/docs/",
    "/docs/{*rest}",
];

/// What the pages of the dashboard show of a recording: a browser sends no token for
/// a picture, but the cookie of who is signed in.
const PICTURES: [&str; 4] = ["thumbnail.jpg", "live.mp4", "poster.jpg", "sprite.jpg"];
const RECORDING: &str = "/v2/recordings/{recording_id}/";

/// Who may call, and how often others may try.
pub(super) struct Gate {
    keys: Keys,
    attempts: Arc<Attempts>,
    /// Who is signed in to the dashboard, if there is one.
    sessions: Option<Arc<Sessions>>,
}

impl Gate {
    pub(super) fn new(
        keys: Keys,
        attempts: Arc<Attempts>,
        sessions: Option<Arc<Sessions>>,
    ) -> Self {
        Self { keys, attempts, sessions }
    }

    /// True if the dashboard's pages show what is asked for, and somebody who is
    /// signed in there asks.
    fn is_shown(&self, path: Option<&str>, request: &Request) -> bool {
        let name = path.and_then(|path| path.strip_prefix(RECORDING));
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let signed_in = |sessions: &Arc<Sessions>| sessions.find(request.headers()).is_some();
        reads
            && name.is_some_and(|name| PICTURES.contains(&name))
            && self.sessions.as_ref().is_some_and(signed_in)
    }
}

/// Lets a request through or answers it. Without keys there is nothing to ask, but
/// what a route with a secret of its own refuses counts as a failure, too.
pub(super) async fn check(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let open = path.is_some_and(|path| OPEN.contains(&path));
    let who = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let who = who.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(from)| from.ip());
    // Who shows nothing guesses nothing.
    let guesses = open || request.headers().contains_key(header::AUTHORIZATION);
    let shown = gate.is_shown(path, &request);
    let response = if gate.keys.is_empty() || open || shown {
        next.run(request).await
    } else {
        match judge(&gate.keys, request.headers()) {
            Ok(()) => next.run(request).await,
            Err(why) => ApiError::unauthorized(why).into_response(),
        }
    };
    if !guesses || response.status() != StatusCode::UNAUTHORIZED {
        return response;
    }
    match gate.attempts.failed(who, Instant::now()) {
        Ok(()) => response,
        Err(wait) => {
            if wait.first {
                tracing::warn!(address = %who, "too many refused tokens or webhooks: answering 429");
            }
            ApiError::too_many_failures(wait.seconds).into_response()
        }
    }
}

/// RFC 6750, section 2.1.
fn judge(keys: &Keys, headers: &HeaderMap) -> Result<(), String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err("Authorization: a Bearer token is needed".into()),
        (Some(_), Some(_)) => return Err("Authorization: is there twice".into()),
        (Some(value), None) => value.to_str().unwrap_or_default(),
    };
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => return Err("Authorization: must be `Bearer` and a token".into()),
    };
    keys.check_management(token).map_err(|refused| refused.to_string())
}
