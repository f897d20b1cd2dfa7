//! Asks for a token. Whatever is not named here as open needs one, also paths
//! that are no route: a route that is added is closed until it is opened.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

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

/// Lets a request through or answers it. Without keys there is nothing to ask.
pub(super) async fn check(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if keys.is_empty() || path.is_some_and(|path| OPEN.contains(&path)) {
        return next.run(request).await;
    }
    match judge(&keys, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(why) => ApiError::unauthorized(why).into_response(),
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
