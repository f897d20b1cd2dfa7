//! Recordings and assets as rows, and back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::unavailable;
use crate::job::{PageOptions, Resolution, State, StopReason};
use crate::session::SessionId;
use crate::store::{
    Asset, Attendance, DeliveryState, Failure, Id, OwnedAsset, Recording, StopAsked, Terms,
    Unavailable, WebhookTarget,
};

/// What nobody asks for by value, as JSON. It is read by every later version: a
/// new field has a `#[serde(default)]`.
#[derive(Serialize, Deserialize)]
struct Doc {
    paused: bool,
    started_at: Option<DateTime<Utc>>,
    stopped_at: Option<DateTime<Utc>>,
    meeting_url: String,
    terms: Terms,
    destination: String,
    webhook: Option<Target>,
    #[serde(default)]
    page: PageOptions,
    warnings: Vec<String>,
    stop_reason: Option<StopReason>,
    #[serde(default)]
    stop_asked: Option<StopAsked>,
    /// Before there were others, all were.
    #[serde(default = "yes")]
    session_is_made_up: bool,
    #[serde(default)]
    attendance: Option<Attendance>,
    failure: Option<Failure>,
}

fn yes() -> bool {
    true
}

#[derive(Serialize, Deserialize)]
struct Target {
    url: String,
    headers: BTreeMap<String, String>,
}

/// The `doc` of a recording. Holds its secrets.
pub(super) fn doc(recording: &Recording) -> Result<String, Unavailable> {
    let exposed = |secret: &SecretString| secret.expose_secret().to_owned();
    json(&Doc {
        paused: recording.paused,
        started_at: recording.started_at,
        stopped_at: recording.stopped_at,
        meeting_url: exposed(&recording.meeting_url),
        terms: recording.terms.clone(),
        destination: recording.destination.clone(),
        webhook: recording.webhook.as_ref().map(|target| Target {
            url: exposed(&target.url),
            headers: target.headers.iter().map(|(k, v)| (k.clone(), exposed(v))).collect(),
        }),
        page: recording.page.clone(),
        warnings: recording.warnings.clone(),
        stop_reason: recording.stop_reason,
        stop_asked: recording.stop_asked,
        session_is_made_up: recording.session_is_made_up,
        attendance: recording.attendance.clone(),
        failure: recording.failure.clone(),
    })
}

/// Rows of recordings joined with their assets, in the order of the rows.
pub(super) fn recordings(rows: &[SqliteRow]) -> Result<Vec<Recording>, Unavailable> {
    let mut found: Vec<Recording> = Vec::new();
    for row in rows {
        let id = id(row, "id")?;
        if found.last().is_none_or(|last| last.id != id) {
            found.push(recording(row, id)?);
        }
        if let (Some(_), Some(last)) = (get::<Option<String>>(row, "asset_id")?, found.last_mut()) {
            last.assets.push(asset(row)?);
        }
    }
    Ok(found)
}

fn recording(row: &SqliteRow, id: Id) -> Result<Recording, Unavailable> {
    let doc: Doc = from_json(row, "doc")?;
    let secret = SecretString::from;
    Ok(Recording {
        id,
        beam_id: self::id(row, "beam_id")?,
        room_id: get(row, "room_id")?,
        session_id: session_id(row, "session_id")?,
        session_is_made_up: doc.session_is_made_up,
        attendance: doc.attendance,
        state: named(row, "state", STATES)?,
        paused: doc.paused,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        started_at: doc.started_at,
        stopped_at: doc.stopped_at,
        meeting_url: secret(doc.meeting_url),
        terms: doc.terms,
        destination: doc.destination,
        webhook: doc.webhook.map(|target| WebhookTarget {
            url: secret(target.url),
            headers: target.headers.into_iter().map(|(k, v)| (k, secret(v))).collect(),
        }),
        page: doc.page,
        warnings: doc.warnings,
        stop_reason: doc.stop_reason,
        stop_asked: doc.stop_asked,
        failure: doc.failure,
        assets: Vec::new(),
    })
}

/// A row with the columns of `assets`, its id as `asset_id` and its time as
/// `asset_created_at`.
pub(super) fn asset(row: &SqliteRow) -> Result<Asset, Unavailable> {
    let resolution = Resolution::new(get(row, "width")?, get(row, "height")?)
        .map_err(|_| unreadable("width or height"))?;
    Ok(Asset {
        id: id(row, "asset_id")?,
        destination: get(row, "destination")?,
        path: get(row, "path")?,
        size: get::<i64>(row, "size")?.unsigned_abs(),
        duration_s: get(row, "duration_s")?,
        created_at: time(row, "asset_created_at")?,
        resolution,
        audio_only: get(row, "audio_only")?,
        failed: get(row, "failed")?,
    })
}

/// The same with the columns that say whose it is.
pub(super) fn owned(row: &SqliteRow) -> Result<OwnedAsset, Unavailable> {
    Ok(OwnedAsset {
        recording_id: id(row, "recording_id")?,
        room_id: get(row, "room_id")?,
        session_id: session_id(row, "session_id")?,
        asset: asset(row)?,
    })
}

/// How states are written in the database: as everywhere else.
pub(super) const STATES: &[(State, &str)] = &[
    (State::Starting, "starting"),
    (State::Running, "running"),
    (State::Stopping, "stopping"),
    (State::PostProcessing, "post_processing"),
    (State::Completed, "completed"),
    (State::Failed, "failed"),
];

/// The same of deliveries. The indexes of pending ones name their state.
pub(super) const DELIVERY_STATES: &[(DeliveryState, &str)] = &[
    (DeliveryState::Pending, "pending"),
    (DeliveryState::Delivered, "delivered"),
    (DeliveryState::Failed, "failed"),
];

/// The name of `value`; every value of the two types above has one.
pub(super) fn name<T: PartialEq>(names: &[(T, &'static str)], value: T) -> &'static str {
    names.iter().find(|(named, _)| *named == value).map_or("", |(_, name)| name)
}

/// The value that the column names.
pub(super) fn named<T: Copy>(
    row: &SqliteRow,
    column: &'static str,
    names: &[(T, &str)],
) -> Result<T, Unavailable> {
    let text: String = get(row, column)?;
    let found = names.iter().find(|(_, name)| *name == text);
    found.map(|(value, _)| *value).ok_or_else(|| unreadable(column))
}

pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T, Unavailable>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(unavailable)
}

pub(super) fn id(row: &SqliteRow, column: &'static str) -> Result<Id, Unavailable> {
    get::<String>(row, column)?.parse().map_err(|_| unreadable(column))
}

pub(super) fn session_id(row: &SqliteRow, column: &'static str) -> Result<SessionId, Unavailable> {
    get::<String>(row, column)?.parse().map_err(|_| unreadable(column))
}

pub(super) fn time(row: &SqliteRow, column: &'static str) -> Result<DateTime<Utc>, Unavailable> {
    Ok(DateTime::from_timestamp_nanos(get(row, column)?))
}

pub(super) fn json(value: &impl Serialize) -> Result<String, Unavailable> {
    serde_json::to_string(value).map_err(|e| Unavailable(format!("cannot be written: {e}")))
}

/// What serde says of a bad value may quote it, and `doc` holds secrets.
pub(super) fn from_json<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T, Unavailable> {
    serde_json::from_str(&get::<String>(row, column)?).map_err(|_| unreadable(column))
}

pub(super) fn unreadable(column: &'static str) -> Unavailable {
    Unavailable(format!("a row of the database has no readable {column}"))
}
