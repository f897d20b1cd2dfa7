//! Queries and path segments: what is read from a URL, and what is wrong with it.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as PlainError;
use url::form_urlencoded;

use super::error::ApiError;
use crate::store::Id;

/// The pairs of a query that have a value: an empty one is as good as none, as
/// clients send it so.
pub(super) fn pairs(query: Option<&str>) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .into_owned()
        .filter(|(_, value)| !value.is_empty())
}

/// What is wrong with a query; everything is told at once.
#[derive(Default)]
pub(super) struct Wrong(Vec<String>);

impl Wrong {
    pub(super) fn add(&mut self, problem: String) {
        self.0.push(problem);
    }

    /// `value`, unless something was wrong.
    pub(super) fn unless<T>(self, value: T) -> Result<T, ApiError> {
        if self.0.is_empty() { Ok(value) } else { Err(ApiError::invalid(self.0)) }
    }
}

/// The part of a query that all pages share.
pub(super) struct Paging {
    /// Where the page before ended.
    pub(super) before: Option<Id>,
    /// How many are wanted: 10 to 100, the contract's limits.
    pub(super) limit: usize,
}

impl Default for Paging {
    fn default() -> Self {
        Self { before: None, limit: 10 }
    }
}

impl Paging {
    /// Takes the pair if it is of a page; `false` if not.
    pub(super) fn take(&mut self, name: &str, value: &str, wrong: &mut Wrong) -> bool {
        match name {
            "start" => match value.parse() {
                Ok(id) => self.before = Some(id),
                Err(e) => wrong.add(format!("start: {e}: give `last` of the page before")),
            },
            "limit" => {
                if let Some(limit) = number(name, value, 10, 100, wrong) {
                    self.limit = limit;
                }
            }
            _ => return false,
        }
        true
    }
}

/// A whole number between `least` and `most`.
pub(super) fn number(
    name: &str,
    value: &str,
    least: usize,
    most: usize,
    wrong: &mut Wrong,
) -> Option<usize> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    if number.is_none() {
        wrong.add(format!("{name}: {value:?} is out of range: give {least} to {most}"));
    }
    number
}

/// One of the names of an enum `T`, which `names` lists for people.
pub(super) fn choice<'a, T: Deserialize<'a>>(
    name: &str,
    value: &'a str,
    names: &str,
    wrong: &mut Wrong,
) -> Option<T> {
    let found = T::deserialize(value.into_deserializer()).map_err(|e: PlainError| e).ok();
    if found.is_none() {
        wrong.add(format!("{name}: {value:?} is not one of {names}"));
    }
    found
}

/// True for one path segment that is safe in a file name, too. Two names of
/// directories are no room's: its files are put under its name.
pub(super) fn is_room_id(id: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=128).contains(&id.len()) && id.bytes().all(allowed) && !matches!(id, "." | "..")
}

/// One path segment that names a room: safe in a file name, too.
pub(super) struct RoomId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for RoomId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Self::of(segments(parts, state).await.into_iter().next().unwrap_or_default())
    }
}

impl RoomId {
    pub(super) fn of(id: String) -> Result<Self, ApiError> {
        if is_room_id(&id) {
            return Ok(Self(id));
        }
        Err(ApiError::invalid(vec![
            "room_id: must be 1 to 128 letters, digits, dots, underscores or hyphens".into(),
        ]))
    }
}

/// Who in the room: the segment after the room's. Whatever it is, it is nobody's
/// or somebody's.
pub(super) struct PeerId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for PeerId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        segments(parts, state).await.into_iter().nth(1).map(Self).ok_or_else(ApiError::no_peer)
    }
}

/// What stands in the route's places, decoded; nothing if one is no text.
async fn segments<S: Send + Sync>(parts: &mut Parts, state: &S) -> Vec<String> {
    let places = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
    places.map(|Path(all)| all.into_iter().map(|(_, value)| value).collect()).unwrap_or_default()
}

/// A recording's id. What is no id is the id of nothing.
pub(super) struct RecordingId(pub(super) Id);

impl<S: Send + Sync> FromRequestParts<S> for RecordingId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        id(parts, state).await.map(Self).ok_or_else(ApiError::not_found)
    }
}

/// An asset's id, likewise.
pub(super) struct AssetId(pub(super) Id);

impl<S: Send + Sync> FromRequestParts<S> for AssetId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        id(parts, state).await.map(Self).ok_or_else(ApiError::no_asset)
    }
}

async fn id<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<Id> {
    let Path(text) = Path::<String>::from_request_parts(parts, state).await.ok()?;
    text.parse().ok()
}
