//! `GET /metrics`, for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::Utc;

use super::App;
use super::error::ApiError;
use crate::metrics::{self, MEDIA_TYPE, Reading};

/// Measurements
///
/// Recordings and webhook deliveries by state, capacity left, and of each recording
/// that runs here its frames, encoder, backlogs, sound, CPU and memory. Labels name rooms, so
/// it asks for a token like everything else.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((
        status = 200, description = "Prometheus' text format, version 0.0.4",
        body = String, content_type = "text/plain",
    )),
)]
pub(super) async fn get(State(app): State<App>) -> Result<Response, ApiError> {
    let tally = app.store.tally().await?;
    let dir = app.settings.data_dir.clone();
    let free = tokio::task::spawn_blocking(move || rustix::fs::statvfs(dir).ok());
    let free_bytes = free.await.ok().flatten().map(|of| of.f_bavail.saturating_mul(of.f_frsize));
    let recordings = app.node.vitals().await;
    let capacity = app.node.capacity();
    let reading = Reading { at: Utc::now(), tally, capacity, free_bytes, recordings };
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], metrics::render(&reading)).into_response())
}
