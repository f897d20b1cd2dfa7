//! What the rooms' own webhooks told, and what has to come of it.
//!
//! `http` takes events in and shows who is in a room; `automation` draws the
//! consequences of each event and settles it. What events add up to is
//! `session`'s.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;

use super::{Id, Recording, Unavailable};
use crate::session::{Peer, RoomEvent, Session, SessionId};

/// An event whose consequences are not drawn yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What was told.
    pub event: RoomEvent,
    /// When it was taken in, by our clock.
    pub at: DateTime<Utc>,
}

/// A session and who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attended {
    /// The session, over or not.
    pub session: Session,
    /// Somebody stopped its recording by hand: no rule starts another.
    pub hands_off: bool,
    /// Who is in it, the earliest first.
    pub peers: Vec<Peer>,
}

/// The promises about rooms; like the others, they hold in every store.
pub trait Rooms: Send + Sync + 'static {
    /// Remembers an event and what it adds to its session, in one step; `false`,
    /// and nothing changes, if an event with its id was taken in before.
    fn take_in<'a>(
        &'a self,
        event: &'a RoomEvent,
        now: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<bool, Unavailable>>;

    /// Events that are not settled, in the order in which they came, at most
    /// `limit`.
    fn unsettled(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Received>, Unavailable>>;

    /// The consequences of the event with this id are drawn.
    fn settle_event<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// The session of the room that began last.
    fn newest_session<'a>(
        &'a self,
        room_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Attended>, Unavailable>>;

    /// Somebody stopped the recording of the room's session by hand. A session that
    /// nothing was told of is not remembered.
    fn keep_hands_off<'a>(
        &'a self,
        room_id: &'a str,
        session: &'a SessionId,
    ) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// Gives a recording the session that the room's webhooks tell, unless it knows
    /// one already; what it is then. Who is there is not told in their place any more.
    fn adopt_session<'a>(
        &'a self,
        recording: Id,
        session: &'a SessionId,
    ) -> BoxFuture<'a, Result<Option<Recording>, Unavailable>>;

    /// Forgets sessions that began before `sessions`, with their peers, and settled
    /// events that were taken in before `events`; how many sessions those were.
    fn forget_rooms(
        &self,
        sessions: DateTime<Utc>,
        events: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<usize, Unavailable>>;
}
