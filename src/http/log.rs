//! One log line for each request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

/// Why a request failed on our side: travels with the response to its log line.
#[derive(Clone)]
pub(super) struct Cause(pub(super) Arc<str>);

/// Logs method, path without query, status and time.
pub(super) async fn one_line(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let ms = began.elapsed().as_millis();
    match response.extensions().get::<Cause>() {
        Some(Cause(cause)) => tracing::error!(%method, path, status, ms, %cause, "request failed"),
        None => tracing::info!(%method, path, status, ms, "request"),
    }
    response
}
