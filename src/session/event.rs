//! One event of a room, checked.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Peer, SessionId};

/// What a room's webhook says, in terms of the rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomEvent {
    /// The sender's id of the event: the same on every try.
    pub id: String,
    /// Where it happened; one path segment.
    pub room_id: String,
    /// The room's name for people; empty if it was not told.
    pub room_name: String,
    /// In which session it happened.
    pub session_id: SessionId,
    /// When that session began, by the sender's clock.
    pub opened_at: DateTime<Utc>,
    /// When it happened, by the sender's clock.
    pub at: DateTime<Utc>,
    /// What happened.
    pub happening: Happening,
}

/// What can happen in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// The session began.
    Opened,
    /// The session is over: the last peer is gone.
    Closed,
    /// Somebody ended the session for everybody.
    Ended,
    /// A peer came, at its `joined_at`.
    Joined {
        /// Who.
        peer: Peer,
    },
    /// A peer went, at the event's time.
    Left {
        /// Who, as of when it had come.
        peer: Peer,
    },
}

impl Happening {
    /// In a word, for the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened => "session.open",
            Self::Closed => "session.close",
            Self::Ended => "room.end",
            Self::Joined { .. } => "peer.join",
            Self::Left { .. } => "peer.leave",
        }
    }
}
