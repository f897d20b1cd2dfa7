//! Why a recording failed, in the words that users and webhooks get.

use super::verdict::SHORTEST_S;
use crate::job::FailureKind;

/// A recording that did not end as it should. Messages are whole sentences
/// without secrets: query strings of URLs never appear in them.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The page did not get into the meeting, or did not load. The words before
    /// the reason are the contract's.
    #[error("Beam couldn't connect to Meeting URL after {tries} {}: {why}",
        if *tries == 1 { "try" } else { "tries" })]
    NotJoined {
        /// Loads of the page.
        tries: u32,
        /// What was wrong with the last of them.
        why: String,
    },
    /// A stop came before there was anything to record; the contract's words.
    #[error("Beam stopped too early")]
    StoppedBeforeJoin,
    /// The file is complete and too short to be one.
    #[error("only {seconds:.2} s were recorded, and a recording has at least {SHORTEST_S} s")]
    Short {
        /// Of picture and sound.
        seconds: f64,
    },
    /// The file is complete and holds nothing.
    #[error("the recording is blank: {}", if *audio_only {
        "the sound was silent from beginning to end"
    } else {
        "the picture was one colour and the sound silent from beginning to end"
    })]
    Blank {
        /// There was to be no picture.
        audio_only: bool,
    },
    /// Nobody but recorders came.
    #[error("nobody joined the meeting within {seconds:.0} s")]
    NobodyJoined {
        /// How long the room was known to be empty.
        seconds: f64,
    },
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
            Self::NotJoined { .. } => FailureKind::MaxRetriesReached,
            Self::StoppedBeforeJoin => FailureKind::BeamStopped,
            Self::Short { .. } => FailureKind::ShortRecordingError,
            Self::Blank { .. } => FailureKind::BlankRecordingError,
            Self::NobodyJoined { .. } => FailureKind::NobodyJoined,
            _ => FailureKind::InternalError,
        }
    }
}
