//! The outbox: events that have to be told, and how far each delivery is.
//!
//! A step writes its events here in the same moment. `webhook` fans each event
//! out to the endpoints of that moment and settles every attempt; `http` shows
//! the history. An event is delivered at least once and with one id.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Id, Unavailable};
use crate::job::Occurrence;

/// One event of one recording.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEvent {
    /// The event's id, the same on every attempt at every endpoint.
    pub id: Uuid,
    /// Another id of the contract's, constant as well.
    pub metadata_id: Uuid,
    /// Whose it is.
    pub recording_id: Id,
    /// What happened.
    pub occurrence: Occurrence,
    /// When it was written.
    pub at: DateTime<Utc>,
}

/// One event on its way to one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Ascending in the order in which deliveries were made.
    pub id: i64,
    /// What is to be told.
    pub event: OutboxEvent,
    /// Name of the endpoint in the configuration, or [`Delivery::REQUESTED`].
    pub endpoint: String,
    /// Attempts that were made.
    pub attempts: u32,
    /// How far it is.
    pub state: DeliveryState,
    /// When it is tried next, while it is pending.
    pub due_at: DateTime<Utc>,
    /// When it was settled last.
    pub updated_at: DateTime<Utc>,
    /// What the newest attempt was answered with.
    pub last_status: Option<u16>,
    /// Why the newest attempt failed; free of secrets.
    pub last_error: Option<String>,
    /// Somebody asked to tell it again.
    pub is_replay: bool,
}

impl Delivery {
    /// The endpoint that the recording's own request named.
    pub const REQUESTED: &'static str = "request";
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It will be tried.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// It was tried as often as it is worth.
    Failed,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Taken.
    Delivered {
        /// The answer's status.
        status: u16,
    },
    /// Not taken; to be tried again.
    Retry {
        /// When.
        at: DateTime<Utc>,
        /// The answer's status, if there was one.
        status: Option<u16>,
        /// Why it counts as not taken.
        error: String,
    },
    /// Not taken, and not to be tried again.
    GiveUp {
        /// The answer's status, if there was one.
        status: Option<u16>,
        /// Why it counts as not taken.
        error: String,
    },
}

/// Which deliveries to list or to replay; an absent filter matches all.
#[derive(Debug, Clone, Default)]
pub struct DeliveryQuery {
    /// Only of this event.
    pub event_id: Option<Uuid>,
    /// Only of this recording.
    pub recording_id: Option<Id>,
    /// Only of recordings of this room.
    pub room_id: Option<String>,
    /// Only events of this name, like `beam.failure`.
    pub name: Option<String>,
    /// Only to this endpoint.
    pub endpoint: Option<String>,
    /// Only in this state.
    pub state: Option<DeliveryState>,
    /// Only deliveries older than the one with this id.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

/// How many deliveries a replay has made.
pub type Replayed = usize;

/// The promises about events; see the module's documentation.
pub trait Outbox: Send + Sync + 'static {
    /// Events that no delivery was made for yet, oldest first, at most `limit`.
    fn new_events(&self, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxEvent>, Unavailable>>;

    /// Makes one pending delivery, due now, for each endpoint, and takes the
    /// event out of [`new_events`](Self::new_events); with no endpoint it is told
    /// to nobody. Done once: for an event fanned out before, nothing changes.
    fn fan_out(
        &self,
        event: Uuid,
        endpoints: Vec<String>,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<(), Unavailable>>;

    /// Pending deliveries that are due at `now`, oldest first, at most `limit`. So
    /// that events come in the order of life, one waits while an older delivery of
    /// the same recording to the same endpoint is pending and was tried fewer than
    /// `patience` times.
    fn due(
        &self,
        now: DateTime<Utc>,
        patience: u32,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, Unavailable>>;

    /// When the next pending delivery is due.
    fn next_due(&self) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, Unavailable>>;

    /// Writes down what came of one attempt; `false` if there is no such delivery
    /// any more.
    fn settle(
        &self,
        delivery: i64,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<bool, Unavailable>>;

    /// The deliveries that match, newest first, at most `query.limit`.
    fn deliveries<'a>(
        &'a self,
        query: &'a DeliveryQuery,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, Unavailable>>;

    /// For each of the newest `query.limit` deliveries that match and are not
    /// pending, makes a new one of the same event to the same endpoint, due now.
    fn replay<'a>(
        &'a self,
        query: &'a DeliveryQuery,
        now: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<Replayed, Unavailable>>;

    /// Forgets deliveries settled before `time` that are not pending, and events
    /// that have none left and were fanned out before it; how many deliveries
    /// those were.
    fn prune(&self, time: DateTime<Utc>) -> BoxFuture<'_, Result<usize, Unavailable>>;
}
