//! What a load balancer or an orchestrator asks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::refusals::NotReady;
use super::{App, Settings, body};
use crate::storage::{self, Destination};
use crate::store::Query;

/// That all is well.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`; what is not well is told by an error.
    #[schema(example = "ok")]
    status: &'static str,
    /// The places that recordings go to, as they were last found. One that does
    /// not work stops no recording: files wait for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    storage: Vec<DestinationHealth>,
}

/// What is known of a destination.
#[derive(Serialize, ToSchema)]
pub(super) struct DestinationHealth {
    /// Its name in the configuration.
    name: String,
    /// `ok`, `failing`, or `unknown` before it was tried.
    #[schema(example = "ok")]
    status: &'static str,
    /// What is wrong, in a few words; the log says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<&'static str>,
}

impl DestinationHealth {
    fn of(destination: &Destination) -> Self {
        let (status, problem) = match destination.health() {
            storage::Health::Unknown => ("unknown", None),
            storage::Health::Good => ("ok", None),
            storage::Health::Bad(trouble) => ("failing", Some(trouble.text())),
        };
        Self { name: destination.name().to_owned(), status, problem }
    }
}

const OK: Health = Health { status: "ok", storage: Vec::new() };

/// The process answers
#[utoipa::path(
    get, path = "/health/live", tag = "health", security(()),
    responses((status = 200, description = "It does", body = Health)),
)]
pub(super) async fn live() -> Response {
    body::answer(StatusCode::OK, &OK)
}

/// Recordings can be taken on
///
/// The store answers, the data directory can be written, no shutdown is going on.
#[utoipa::path(
    get, path = "/health/ready", tag = "health", security(()),
    responses((status = 200, description = "They can", body = Health), NotReady),
)]
pub(super) async fn ready(State(app): State<App>) -> Result<Response, ApiError> {
    if app.closing.is_cancelled() {
        return Err(ApiError::closing());
    }
    let one = Query { limit: 1, ..Query::default() };
    app.store.list(&one).await.map_err(|e| ApiError::not_ready("the store does not answer", e))?;
    let settings = app.settings.clone();
    match tokio::task::spawn_blocking(move || write_and_remove(&settings)).await {
        Ok(Ok(())) => {
            let storage = app.storage.configured().iter().map(DestinationHealth::of).collect();
            Ok(body::answer(StatusCode::OK, &Health { storage, ..OK }))
        }
        Ok(Err(e)) => Err(ApiError::not_ready("the data directory cannot be written", e)),
        Err(e) => Err(ApiError::internal(e)),
    }
}

/// A full or read-only disk takes no file. Without a name there is nothing to
/// be left behind.
fn write_and_remove(settings: &Settings) -> std::io::Result<()> {
    use std::io::Write;
    tempfile::tempfile_in(&settings.data_dir)?.write_all(b"ready?")
}
