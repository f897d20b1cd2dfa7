//! What is remembered about recordings, and the rules every store keeps.
//!
//! `node` writes, `http` reads. A store knows neither processes nor HTTP. The
//! promises below hold for every implementation; one suite of tests
//! holds each to them (`store/tests.rs`).
//!
//! - A room has at most one recording that holds it ([`State::holds_room`]),
//!   however many callers insert at once.
//! - After the insert a recording changes only by a [`Step`], each of which is
//!   one legal transition of its life, applied whole or not at all.
//! - The events of a step are in the [`Outbox`] in the same moment as the step.
//! - What a call returns is what was true at one moment during the call.
//! - A call that was answered is durable as far as the implementation is.

mod attendance;
mod id;
mod outbox;
mod recording;
mod rooms;
mod sqlite;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

pub use attendance::{Attendance, Look};
pub use id::{BadId, Id};
pub use outbox::{Delivery, DeliveryQuery, DeliveryState, Outbox, OutboxEvent, Outcome, Replayed};
pub use recording::{Asset, Failure, OwnedAsset, Recording, Step, StopAsked, Terms, WebhookTarget};
pub use rooms::{Attended, Received, Rooms};
pub use sqlite::{OpenError, SqliteStore, back_up};

use crate::job::{IllegalTransition, State};

/// A place where recordings are remembered.
pub trait Store: Outbox {
    /// Remembers a new recording, unless its room is held by another.
    fn insert(&self, recording: Recording) -> BoxFuture<'_, Result<(), InsertError>>;

    /// Applies one step at `now`, puts its events into the outbox, and returns
    /// the recording after it.
    fn advance(
        &self,
        id: Id,
        step: Step,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<Recording, AdvanceError>>;

    /// The recording with this id.
    fn get(&self, id: Id) -> BoxFuture<'_, Result<Option<Recording>, Unavailable>>;

    /// The recording that holds the room now.
    fn holder<'a>(
        &'a self,
        room_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Recording>, Unavailable>>;

    /// The recordings that match, newest first, at most `query.limit`.
    fn list<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Recording>, Unavailable>>;

    /// The recordings that are in no final state, oldest first.
    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Recording>, Unavailable>>;

    /// Forgets a recording that is in a final state, with its assets, events and
    /// deliveries; returns what it was.
    fn remove(&self, id: Id) -> BoxFuture<'_, Result<Recording, RemoveError>>;

    /// The assets that match, newest first, at most `query.limit`.
    fn assets<'a>(
        &'a self,
        query: &'a AssetQuery,
    ) -> BoxFuture<'a, Result<Vec<OwnedAsset>, Unavailable>>;

    /// The asset with this id.
    fn asset(&self, id: Id) -> BoxFuture<'_, Result<Option<OwnedAsset>, Unavailable>>;

    /// How many recordings and deliveries there are.
    fn tally(&self) -> BoxFuture<'_, Result<Tally, Unavailable>>;

    /// Forgets one asset, as its file is gone; `None` if there is none.
    fn remove_asset(&self, id: Id) -> BoxFuture<'_, Result<Option<OwnedAsset>, Unavailable>>;
}

/// How much is remembered. What there is none of is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Recordings by their state.
    pub recordings: Vec<(State, u64)>,
    /// Deliveries by their state.
    pub deliveries: Vec<(DeliveryState, u64)>,
    /// When the oldest event was written that somebody still has to be told.
    pub untold_since: Option<DateTime<Utc>>,
}

/// Which recordings to list; an absent filter matches all.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only of this room.
    pub room_id: Option<String>,
    /// Only of this session.
    pub session_id: Option<String>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only older than this id, which need not exist.
    pub before: Option<Id>,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// True if the filters let the recording through.
    pub fn matches(&self, recording: &Recording) -> bool {
        self.room_id.as_ref().is_none_or(|room| *room == recording.room_id)
            && self.session_id.as_ref().is_none_or(|id| *id == recording.session_id.to_string())
            && self.state.is_none_or(|state| state == recording.state)
            && self.before.is_none_or(|before| recording.id < before)
    }
}

/// Which assets to list; an absent filter matches all.
#[derive(Debug, Clone, Default)]
pub struct AssetQuery {
    /// Only of this room.
    pub room_id: Option<String>,
    /// Only of this session.
    pub session_id: Option<String>,
    /// Only in this storage.
    pub destination: Option<String>,
    /// Only those that failed, or only those that did not.
    pub failed: Option<bool>,
    /// Only older than this id, which need not exist.
    pub before: Option<Id>,
    /// Only made before this time.
    pub made_before: Option<DateTime<Utc>>,
    /// At most so many.
    pub limit: usize,
}

impl AssetQuery {
    /// True if the filters let the asset through.
    pub fn matches(&self, owned: &OwnedAsset) -> bool {
        self.room_id.as_ref().is_none_or(|room| *room == owned.room_id)
            && self.session_id.as_ref().is_none_or(|id| *id == owned.session_id.to_string())
            && self.destination.as_ref().is_none_or(|name| *name == owned.asset.destination)
            && self.failed.is_none_or(|failed| failed == owned.asset.failed)
            && self.before.is_none_or(|before| owned.asset.id < before)
            && self.made_before.is_none_or(|time| owned.asset.created_at < time)
    }
}

/// The store cannot be reached or written now; the call had no effect that is
/// known of and may be tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store is unavailable: {0}")]
pub struct Unavailable(pub String);

/// Why a recording was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// Another recording holds the room.
    #[error("recording {0} holds the room")]
    RoomHeld(Id),
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a step was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// No recording has this id.
    #[error("there is no such recording")]
    NotFound,
    /// The life of the recording has no such step now.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a recording was not removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// No recording has this id.
    #[error("there is no such recording")]
    NotFound,
    /// It has not come to its end yet.
    #[error("the recording is not over: stop it first")]
    Active(State),
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

#[cfg(test)]
mod tests;
