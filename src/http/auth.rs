//! Asks for a token. Whatever is not named here as open needs one, also paths
//! that are no route: a route that is added is closed until it is opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::attempts::Attempts;
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

/// Who may call, and how often others may try.
pub(super) struct Gate {
    keys: Keys,
    attempts: Attempts,
}

impl Gate {
    pub(super) fn new(keys: Keys) -> Self {
        Self { keys, attempts: Attempts::new() }
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
    let response = if gate.keys.is_empty() || open {
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
