//! What is told to the outside about a job: the contract's four events, and those of
//! a room that has no webhooks of its own.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::life::{FailureKind, StopReason};
use super::message::Peer;

/// One event of a job's life, as facts. Bodies are made of it when it is
/// delivered; it never holds a URL or a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Occurrence {
    /// The first frame was taken.
    Started {
        /// Whole seconds from the accepted request to the first frame.
        start_delay: u64,
    },
    /// The last frame was taken.
    Stopped {
        /// Whole seconds recorded, pauses not counted.
        duration: u64,
        /// Why.
        ended: Ended,
    },
    /// The file is where it belongs.
    Recorded {
        /// Id of the asset.
        asset: String,
    },
    /// The job failed.
    Failed {
        /// The contract's error type.
        kind: FailureKind,
        /// A sentence for people, free of secrets.
        message: String,
        /// Whole seconds recorded.
        duration: u64,
        /// Id of the asset that keeps what had been recorded by then.
        asset: Option<String>,
    },
    /// Something of the room, which has no webhooks of its own.
    Room {
        /// What.
        news: RoomNews,
    },
}

/// What the page of a recording shows of its room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RoomNews {
    /// The page shows somebody in a room that was empty before, or not known.
    Opened {
        /// When.
        opened_at: DateTime<Utc>,
    },
    /// The room was empty when the recording of it ended.
    Closed {
        /// When it was opened.
        opened_at: DateTime<Utc>,
        /// Since when nobody was there.
        closed_at: DateTime<Utc>,
    },
    /// The page shows somebody whom it did not show before.
    Joined {
        /// When the session was opened.
        opened_at: DateTime<Utc>,
        /// Who.
        peer: Peer,
        /// When they were seen first.
        joined_at: DateTime<Utc>,
    },
    /// The page does not show somebody any more.
    Left {
        /// When the session was opened.
        opened_at: DateTime<Utc>,
        /// Who.
        peer: Peer,
        /// When they were seen first.
        joined_at: DateTime<Utc>,
        /// When they were missed first.
        left_at: DateTime<Utc>,
    },
}

/// Why a recording stopped, as `beam.stopped.success` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It came to its end.
    Reason(StopReason),
    /// It failed.
    Failure(FailureKind),
}

impl Occurrence {
    /// Every name that [`name`](Self::name) gives, in the order of a life.
    pub const NAMES: [&'static str; 8] = [
        "beam.started.success",
        "beam.stopped.success",
        "beam.recording.success",
        "beam.failure",
        "session.open.success",
        "peer.join.success",
        "peer.leave.success",
        "session.close.success",
    ];

    /// The contract's name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "beam.started.success",
            Self::Stopped { .. } => "beam.stopped.success",
            Self::Recorded { .. } => "beam.recording.success",
            Self::Failed { .. } => "beam.failure",
            Self::Room { news } => news.name(),
        }
    }
}

impl RoomNews {
    fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "session.open.success",
            Self::Joined { .. } => "peer.join.success",
            Self::Left { .. } => "peer.leave.success",
            Self::Closed { .. } => "session.close.success",
        }
    }
}

impl Ended {
    /// The contract's text for it.
    pub fn text(self) -> String {
        match self {
            Self::Reason(reason) => reason.text().to_owned(),
            Self::Failure(kind) => format!("failure: {}", kind.name()),
        }
    }
}
