//! Why a recording failed, in the words that users and webhooks get.

use crate::job::FailureKind;

/// A recording that did not end as it should. Messages are whole sentences
/// without secrets: query strings of URLs never appear in them.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The page did not get into the meeting, or did not load.
    #[error("{0}")]
    NotJoined(String),
    /// A stop came before there was anything to record.
    #[error("stopped before the meeting was joined; nothing was recorded")]
    StoppedBeforeJoin,
    /// Chromium could not be started or kept alive.
    #[error("{0}")]
    Browser(String),
    /// The screen or the speaker could not be opened.
    #[error("{0}")]
    Device(String),
    /// The output cannot be written.
    #[error("{0}")]
    Disk(String),
    /// The encoder or the muxer failed.
    #[error("{0}")]
    Encoder(String),
    /// The second Ctrl-C.
    #[error("aborted; the part file keeps what was recorded")]
    Aborted,
}

impl RecordError {
    /// The contract's error type for it.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::NotJoined(_) => FailureKind::MaxRetriesReached,
            Self::StoppedBeforeJoin => FailureKind::BeamStopped,
            _ => FailureKind::InternalError,
        }
    }
}
