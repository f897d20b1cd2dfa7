//! The recordings routes but the start: check what was sent, act, show.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::error::ApiError;
use super::query::{self, Paging, RecordingId, RoomId, Wrong};
use super::refusals::{Active, BadRequest, NoRecording, NothingKept};
use super::view::{Page, RecordingView};
use super::{App, body};
use crate::job::State as JobState;
use crate::store::Query;

/// Stop what records a room
///
/// Answers at once with what was stopped, in status `stopping`. A body is neither
/// needed nor read.
#[utoipa::path(
    post, path = "/v2/recordings/room/{room_id}/stop", tag = "recordings",
    params(("room_id" = String, Path, description = "The room", pattern = "^[A-Za-z0-9._-]{1,128}$")),
    responses(
        (status = 200, description = "What was stopped; `limit` is how many", body = Page<RecordingView>),
        BadRequest, NoRecording,
    ),
)]
pub(super) async fn stop_room(
    State(app): State<App>,
    RoomId(room_id): RoomId,
) -> Result<Response, ApiError> {
    let stopped = app.node.stop_room(&room_id).await?;
    for recording in &stopped {
        app.keep_hands_off(recording).await;
    }
    let shown = stopped.iter().map(|recording| app.view().acted_on(recording)).collect();
    Ok(body::answer(StatusCode::OK, &Page::of_recordings(stopped.len(), shown)))
}

/// Pause the recording of a room
///
/// Time that passes until it is resumed is left out of the file. The status stays
/// `running`. Pausing what is paused changes nothing.
#[utoipa::path(
    post, path = "/v2/recordings/room/{room_id}/pause", tag = "recordings",
    params(("room_id" = String, Path, description = "The room", pattern = "^[A-Za-z0-9._-]{1,128}$")),
    responses(
        (status = 200, description = "The paused recording", body = RecordingView),
        BadRequest, NoRecording,
    ),
)]
pub(super) async fn pause_room(
    State(app): State<App>,
    RoomId(room_id): RoomId,
) -> Result<Response, ApiError> {
    let paused = app.node.pause_room(&room_id).await?;
    Ok(body::answer(StatusCode::OK, &app.view().acted_on(&paused)))
}

/// Resume the recording of a room
///
/// Resuming what is not paused changes nothing.
#[utoipa::path(
    post, path = "/v2/recordings/room/{room_id}/resume", tag = "recordings",
    params(("room_id" = String, Path, description = "The room", pattern = "^[A-Za-z0-9._-]{1,128}$")),
    responses(
        (status = 200, description = "The resumed recording", body = RecordingView),
        BadRequest, NoRecording,
    ),
)]
pub(super) async fn resume_room(
    State(app): State<App>,
    RoomId(room_id): RoomId,
) -> Result<Response, ApiError> {
    let resumed = app.node.resume_room(&room_id).await?;
    Ok(body::answer(StatusCode::OK, &app.view().acted_on(&resumed)))
}

/// Stop a recording
///
/// Answers at once, in status `stopping`. Stopping it again meanwhile answers the
/// same; once its last frame is taken there is nothing to stop.
#[utoipa::path(
    post, path = "/v2/recordings/{recording_id}/stop", tag = "recordings",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The stopping recording", body = RecordingView),
        NoRecording,
    ),
)]
pub(super) async fn stop(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    let recording = app.stop(id).await?;
    Ok(body::answer(StatusCode::OK, &app.view().acted_on(&recording)))
}

/// A recording with its assets
#[utoipa::path(
    get, path = "/v2/recordings/{recording_id}", tag = "recordings",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The recording", body = RecordingView),
        NoRecording,
    ),
)]
pub(super) async fn get(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    let recording = app.store.get(id).await?.ok_or_else(ApiError::not_found)?;
    Ok(body::answer(StatusCode::OK, &app.view().whole(&recording)))
}

/// Upload a file again
///
/// Beyond the contract. For a recording that failed with `UPLOAD_ERROR`: its file
/// was kept, and is now tried for as long as a new one would be. Answers at once,
/// in status `post_processing`; `beam.recording.success` or `beam.failure` follow.
/// Asking again meanwhile answers the same.
#[utoipa::path(
    post, path = "/v2/recordings/{recording_id}/upload", tag = "recordings",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The recording", body = RecordingView),
        NoRecording, NothingKept,
    ),
)]
pub(super) async fn upload(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    let recording = app.node.upload(id).await?;
    Ok(body::answer(StatusCode::OK, &app.view().acted_on(&recording)))
}

/// Delete a recording with its files
///
/// Beyond the contract. Only what is `completed` or `failed` can be deleted.
#[utoipa::path(
    delete, path = "/v2/recordings/{recording_id}", tag = "recordings",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "What it was", body = RecordingView),
        NoRecording, Active,
    ),
)]
pub(super) async fn delete(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    let removed = app.node.remove(id).await?;
    Ok(body::answer(StatusCode::OK, &app.view().whole(&removed)))
}

/// Recordings, newest first, without their assets
#[utoipa::path(
    get, path = "/v2/recordings", tag = "recordings",
    params(
        ("room_id" = Option<String>, Query, description = "Only of this room"),
        ("session_id" = Option<String>, Query, description = "Only of this session"),
        ("status" = Option<super::view::Status>, Query, description = "Only in this status"),
        ("start" = Option<String>, Query, pattern = "^([0-9a-fA-F]{24})?$",
            description = "`last` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 10, maximum = 100,
            description = "How many; 10 if absent"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<RecordingView>),
        BadRequest,
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = parse_query(query.as_deref())?;
    let found = app.store.list(&query).await?;
    let shown = found.iter().map(|recording| app.view().listed(recording)).collect();
    Ok(body::answer(StatusCode::OK, &Page::of_recordings(query.limit, shown)))
}

/// The last of several values counts.
pub(super) fn parse_query(text: Option<&str>) -> Result<Query, ApiError> {
    let (mut query, mut paging) = (Query::default(), Paging::default());
    let mut wrong = Wrong::default();
    for (name, value) in query::pairs(text) {
        match &*name {
            "room_id" => query.room_id = Some(value),
            "session_id" => query.session_id = Some(value),
            "status" => {
                let names = "starting, running, stopping, post_processing, completed, failed";
                query.state = query::choice::<JobState>(&name, &value, names, &mut wrong);
            }
            _ => _ = paging.take(&name, &value, &mut wrong),
        }
    }
    wrong.unless(Query { before: paging.before, limit: paging.limit, ..query })
}
