//! A job's states, the transitions between them, and why it ended.

use serde::{Deserialize, Serialize};

/// Contract status of a recording (`../docs/api.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Accepted; the browser is on its way into the room.
    Starting,
    /// Frames go into the file.
    Running,
    /// A stop was accepted; the last frames are being written.
    Stopping,
    /// The file is complete on disk and is being finalised or moved.
    PostProcessing,
    /// The file is where it belongs.
    Completed,
    /// It will never be completed; what was recorded is kept.
    Failed,
}

/// A transition that the life of a job does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a recording cannot go from {from:?} to {to:?}")]
pub struct IllegalTransition {
    /// Where it was.
    pub from: State,
    /// Where somebody wanted it.
    pub to: State,
}

impl State {
    /// True once nothing can change any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// True while the room counts as being recorded: a second start is refused.
    pub fn holds_room(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }

    /// Moves on to `to`, or says that life has no such step.
    ///
    /// Every state may fail; a recording may end by itself, so `Running` may
    /// skip `Stopping`.
    pub fn advance(self, to: Self) -> Result<Self, IllegalTransition> {
        use State::{Completed, Failed, PostProcessing, Running, Starting, Stopping};
        let legal = match (self, to) {
            (from, Failed) => !from.is_final(),
            (Starting, Running | Stopping)
            | (Running, Stopping | PostProcessing)
            | (Stopping, PostProcessing)
            | (PostProcessing, Completed) => true,
            _ => false,
        };
        if legal { Ok(to) } else { Err(IllegalTransition { from: self, to }) }
    }
}

/// Why a recording that had begun came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody asked: the API, or Ctrl-C.
    ClientRequest,
    /// The maximum duration was reached.
    MaxDuration,
    /// The page said that the meeting is over, or closed itself.
    RoomEnded,
    /// Everybody else has left.
    LastPeerLeft,
}

impl StopReason {
    /// The contract's text for the reason.
    pub fn text(self) -> &'static str {
        match self {
            Self::ClientRequest => "client request",
            Self::MaxDuration => "max duration reached",
            Self::RoomEnded => "room ended",
            Self::LastPeerLeft => "last peer left",
        }
    }
}

/// What kind of failure ended a job; the first four are the contract's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureKind {
    /// The recorder itself failed: browser, encoder or disk.
    InternalError,
    /// The meeting was not joined within the time-out and its reloads.
    MaxRetriesReached,
    /// The file could not be moved to its storage; it is kept on disk.
    UploadError,
    /// Stopped before the recording began.
    BeamStopped,
    /// Less than a second of picture.
    ShortRecordingError,
    /// One colour and silence from beginning to end.
    BlankRecordingError,
    /// Nobody but recorders was in the meeting; a file is kept only if nothing is trimmed.
    NobodyJoined,
}

impl FailureKind {
    /// The contract's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::InternalError => "INTERNAL_ERROR",
            Self::MaxRetriesReached => "MAX_RETRIES_REACHED",
            Self::UploadError => "UPLOAD_ERROR",
            Self::BeamStopped => "BEAM_STOPPED",
            Self::ShortRecordingError => "SHORT_RECORDING_ERROR",
            Self::BlankRecordingError => "BLANK_RECORDING_ERROR",
            Self::NobodyJoined => "NOBODY_JOINED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::State::{self, Completed, Failed, PostProcessing, Running, Starting, Stopping};

    const ALL: [State; 6] = [Starting, Running, Stopping, PostProcessing, Completed, Failed];

    #[test]
    fn a_full_life_is_legal() {
        for (from, to) in [
            (Starting, Running),
            (Running, Stopping),
            (Stopping, PostProcessing),
            (PostProcessing, Completed),
            (Starting, Stopping),
            (Running, PostProcessing),
        ] {
            assert_eq!(from.advance(to), Ok(to));
        }
    }

    #[test]
    fn nothing_follows_a_final_state_and_nothing_goes_back() {
        for (i, &from) in ALL.iter().enumerate() {
            for (j, &to) in ALL.iter().enumerate() {
                let moved = from.advance(to);
                if from.is_final() || j <= i {
                    assert!(moved.is_err(), "{from:?} -> {to:?}");
                }
            }
        }
    }
}
