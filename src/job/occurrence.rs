//! What is told to the outside about a job: the contract's four events.

use serde::{Deserialize, Serialize};

use super::life::{FailureKind, StopReason};

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
    pub const NAMES: [&'static str; 4] =
        ["beam.started.success", "beam.stopped.success", "beam.recording.success", "beam.failure"];

    /// The contract's name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "beam.started.success",
            Self::Stopped { .. } => "beam.stopped.success",
            Self::Recorded { .. } => "beam.recording.success",
            Self::Failed { .. } => "beam.failure",
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
