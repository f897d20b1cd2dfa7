//! The recordings routes: check what was sent, act, show.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as PlainError;
use serde_json::json;
use url::form_urlencoded;

use super::App;
use super::body::{self, Object};
use super::error::ApiError;
use super::view::{Page, RecordingView};
use crate::job::{BadSpec, JoinRule, RecordingSpec, Resolution, State as JobState, Video};
use crate::node::Wanted;
use crate::store::{Id, Query};

/// How long a caller may let a recording run, in seconds: up to a day.
const MAX_DURATION: std::ops::RangeInclusive<f64> = 1.0..=86_400.0;

/// `GET /health/live`: the process answers.
pub(super) async fn live() -> Response {
    body::answer(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `POST /v2/recordings/room/{room_id}/start`
pub(super) async fn start(
    State(app): State<App>,
    RoomId(room_id): RoomId,
    body: Body,
) -> Result<Response, ApiError> {
    let wanted = body::read::<StartBody>(body).await?.check(room_id)?;
    let recording = app.node.start(wanted).await?;
    Ok(body::answer(StatusCode::OK, &RecordingView::acted_on(&recording)))
}

/// `POST /v2/recordings/room/{room_id}/stop`: a page of what was stopped.
pub(super) async fn stop_room(
    State(app): State<App>,
    RoomId(room_id): RoomId,
) -> Result<Response, ApiError> {
    let stopped = app.node.stop_room(&room_id).await?;
    let shown = stopped.iter().map(RecordingView::acted_on).collect();
    Ok(body::answer(StatusCode::OK, &Page::new(stopped.len(), shown)))
}

/// `POST /v2/recordings/{id}/stop`
pub(super) async fn stop(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    let recording = app.node.stop(id).await?;
    Ok(body::answer(StatusCode::OK, &RecordingView::acted_on(&recording)))
}

/// `GET /v2/recordings/{id}`: with its assets.
pub(super) async fn get(
    State(app): State<App>,
    RecordingId(id): RecordingId,
) -> Result<Response, ApiError> {
    let recording = app.store.get(id).await?.ok_or_else(ApiError::not_found)?;
    Ok(body::answer(StatusCode::OK, &RecordingView::whole(&recording)))
}

/// `GET /v2/recordings`: a page, newest first.
pub(super) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = parse_query(query.as_deref().unwrap_or_default())?;
    let found = app.store.list(&query).await?;
    let shown = found.iter().map(RecordingView::listed).collect();
    Ok(body::answer(StatusCode::OK, &Page::new(query.limit, shown)))
}

/// The body of a start. What the contract knows and we do not is ignored, as
/// unknown fields are.
#[derive(Deserialize)]
struct StartBody {
    meeting_url: Option<String>,
    resolution: Option<Object<Size>>,
    join: Option<String>,
    max_duration: Option<f64>,
    fps: Option<u32>,
}

#[derive(Deserialize)]
struct Size {
    width: u32,
    height: u32,
}

impl StartBody {
    /// Everything that is wrong with it at once, or what it asks for.
    fn check(self, room_id: String) -> Result<Wanted, ApiError> {
        let mut wrong = Vec::new();
        let text = self.meeting_url.unwrap_or_default();
        let page = if text.is_empty() {
            wrong.push("meeting_url: is required: give a full http or https address".to_owned());
            None
        } else {
            good(RecordingSpec::parse_meeting_url(&text), &mut wrong)
        };
        let resolution = self
            .resolution
            .and_then(|Object(size)| good(Resolution::new(size.width, size.height), &mut wrong));
        let join = self.join.and_then(|text| good(text.parse::<JoinRule>(), &mut wrong));
        if let Some(fps) = self.fps {
            good(Video { fps, ..Video::default() }.check(), &mut wrong);
        }
        let max_duration = self.max_duration.filter(|seconds| {
            let fits = MAX_DURATION.contains(seconds);
            if !fits {
                wrong.push(format!(
                    "max_duration: {seconds} is out of range: give 1 to 86400 seconds"
                ));
            }
            fits
        });
        match page {
            Some(page) if wrong.is_empty() => Ok(Wanted {
                room_id,
                meeting_url: text.into(),
                page,
                resolution,
                fps: self.fps,
                join,
                max_duration: max_duration.map(Duration::from_secs_f64),
                audio_only: false,
                destination: None,
                webhook: None,
                warnings: Vec::new(),
            }),
            _ => Err(ApiError::invalid(wrong)),
        }
    }
}

fn good<T>(checked: Result<T, BadSpec>, wrong: &mut Vec<String>) -> Option<T> {
    checked.map_err(|bad| wrong.push(bad.to_string())).ok()
}

/// The query of a list. An empty value is no value, as clients send it so;
/// the last of several counts.
fn parse_query(text: &str) -> Result<Query, ApiError> {
    let mut query = Query { limit: 10, ..Query::default() };
    let mut wrong = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()).filter(|(_, v)| !v.is_empty()) {
        match &*name {
            "room_id" => query.room_id = Some(value.into_owned()),
            "session_id" => query.session_id = Some(value.into_owned()),
            "status" => match JobState::deserialize((&*value).into_deserializer()) {
                Ok(state) => query.state = Some(state),
                Err(PlainError { .. }) => wrong.push(format!(
                    "status: {value:?} is not one of starting, running, stopping, \
                     post_processing, completed, failed"
                )),
            },
            "start" => match value.parse() {
                Ok(id) => query.before = Some(id),
                Err(e) => wrong.push(format!("start: {e}: give `last` of the page before")),
            },
            "limit" => match value.parse() {
                Ok(limit @ 10..=100) => query.limit = limit,
                _ => wrong.push(format!("limit: {value:?} is out of range: give 10 to 100")),
            },
            _ => {}
        }
    }
    if wrong.is_empty() { Ok(query) } else { Err(ApiError::invalid(wrong)) }
}

/// One path segment that names a room: safe in a file name, too.
pub(super) struct RoomId(String);

impl<S: Send + Sync> FromRequestParts<S> for RoomId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(id)) if (1..=128).contains(&id.len()) && id.bytes().all(allowed) => {
                Ok(Self(id))
            }
            _ => Err(ApiError::invalid(vec![
                "room_id: must be 1 to 128 letters, digits, dots, underscores or hyphens".into(),
            ])),
        }
    }
}

/// A recording's id. What is no id is the id of nothing.
pub(super) struct RecordingId(Id);

impl<S: Send + Sync> FromRequestParts<S> for RecordingId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        text.ok().and_then(|Path(text)| text.parse().ok()).map(Self).ok_or_else(ApiError::not_found)
    }
}
