//! Pictures of recordings, and recordings while they go on. Beyond the contract.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures::stream;

use super::App;
use super::error::ApiError;
use super::query::RecordingId;
use super::refusals::{NoPicture, NotWatched, TooManyWatch};
use crate::node::{Watch, WatchError};
use crate::storage::Beside;
use crate::store::Id;

/// Watch a recording while it goes on
///
/// Beyond the contract. A fragmented MP4 from the newest keyframe on, at most a few
/// seconds behind, until the recording ends; while it is paused nothing comes. The
/// recording does not notice.
#[utoipa::path(
    get, path = "/v2/recordings/{recording_id}/live.mp4", tag = "pictures",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The recording, as it grows", content_type = "video/mp4"),
        NotWatched, TooManyWatch,
    ),
)]
pub(super) async fn live(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    let recording = app.store.get(id).await?.ok_or_else(ApiError::not_found)?;
    let watch = app.node.watch(id).await.map_err(refused)?;
    let next = async |mut watch: Watch| Some((watch.next().await?, watch));
    let body = Body::from_stream(stream::unfold(watch, next));
    let media_type = if recording.terms.audio_only { "audio/mp4" } else { "video/mp4" };
    Ok(([(header::CONTENT_TYPE, media_type), NO_STORE, NO_RANGES], body).into_response())
}

/// The picture of a recording now
///
/// Beyond the contract. Of one that goes on, its newest keyframe, little more than the
/// keyframe interval old and at most 640 pixels large; of a finished one its poster.
#[utoipa::path(
    get, path = "/v2/recordings/{recording_id}/thumbnail.jpg", tag = "pictures",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The picture", content_type = "image/jpeg"),
        NoPicture,
    ),
)]
pub(super) async fn thumbnail(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    match app.node.picture(id).await {
        Ok(jpeg) => Ok(([(header::CONTENT_TYPE, "image/jpeg"), NO_STORE], jpeg).into_response()),
        Err(WatchError::NotRecording) => still(&app, id, Beside::Poster).await,
        Err(error) => Err(refused(error)),
    }
}

/// The poster of a finished recording
///
/// Beyond the contract. One picture of it in its own size, a moment after it is
/// completed, for as long as its files are kept here. It lies beside its file, too:
/// `….mp4` becomes `….poster.jpg`.
#[utoipa::path(
    get, path = "/v2/recordings/{recording_id}/poster.jpg", tag = "pictures",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The poster", content_type = "image/jpeg"),
        NoPicture,
    ),
)]
pub(super) async fn poster(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    still(&app, id, Beside::Poster).await
}

/// Small pictures from all over a finished recording
///
/// Beyond the contract. Up to a hundred, ten in a row; `sprite.vtt` says which is which.
#[utoipa::path(
    get, path = "/v2/recordings/{recording_id}/sprite.jpg", tag = "pictures",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The sheet", content_type = "image/jpeg"),
        NoPicture,
    ),
)]
pub(super) async fn sprite(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    still(&app, id, Beside::Sprite).await
}

/// What of the sprite sheet belongs to which time
///
/// Beyond the contract. WebVTT whose cues are places in `sprite.jpg`, as players take
/// it for their seek bar.
#[utoipa::path(
    get, path = "/v2/recordings/{recording_id}/sprite.vtt", tag = "pictures",
    params(("recording_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The cues", content_type = "text/vtt"),
        NoPicture,
    ),
)]
pub(super) async fn sprite_index(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    still(&app, id, Beside::SpriteIndex).await
}

const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");
const NO_RANGES: (HeaderName, &str) = (header::ACCEPT_RANGES, "none");

async fn still(app: &App, id: Id, what: Beside) -> Result<Response, ApiError> {
    app.store.get(id).await?.ok_or_else(ApiError::not_found)?;
    let data = tokio::fs::read(app.node.still(id, what.name())).await;
    let data = data.map_err(|_| ApiError::no_picture())?;
    let cache = (header::CACHE_CONTROL, "private, max-age=3600");
    Ok(([(header::CONTENT_TYPE, what.media_type()), cache], data).into_response())
}

fn refused(error: WatchError) -> ApiError {
    match error {
        WatchError::NotRecording => ApiError::not_watched(),
        WatchError::SoundAlone => ApiError::no_picture(),
        WatchError::TooMany => ApiError::too_many_watch(),
        WatchError::Failed(cause) => ApiError::internal(cause),
    }
}
