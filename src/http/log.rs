//! One log line for each request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use super::dashboard;

/// Why a request failed on our side: travels with the response to its log line.
#[derive(Clone)]
pub(super) struct Cause(pub(super) Arc<str>);

/// What a page that is open in a browser asks for again every few seconds.
const LIVE: &str = "/v2/recordings/{recording_id}/thumbnail.jpg";

/// Logs method, path without query, status and time.
pub(super) async fn one_line(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let watches = method == Method::GET && matched.is_some_and(|p| p == LIVE || dashboard::has(p));
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let ms = began.elapsed().as_millis();
    match response.extensions().get::<Cause>() {
        Some(Cause(cause)) => tracing::error!(%method, path, status, ms, %cause, "request failed"),
        None if watches => tracing::debug!(%method, path, status, ms, "request"),
        None => tracing::info!(%method, path, status, ms, "request"),
    }
    response
}
