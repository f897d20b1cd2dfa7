//! What is remembered about recordings, and the rules every store keeps.
//!
//! `node` writes, `http` reads. A store knows neither processes nor HTTP. The
//! promises below hold for every implementation; `store::memory` is the one
//! that forgets at exit.
//!
//! - A room has at most one recording that holds it ([`State::holds_room`]),
//!   however many callers insert at once.
//! - After the insert a recording changes only by a [`Step`], each of which is
//!   one legal transition of its life, applied whole or not at all.
//! - What a call returns is what was true at one moment during the call.
//! - A call that was answered is durable as far as the implementation is.

mod id;
mod memory;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use secrecy::SecretString;

pub use id::{BadId, Id};
pub use memory::MemoryStore;

use crate::job::{FailureKind, IllegalTransition, Resolution, State, StopReason};

/// A place where recordings are remembered.
pub trait Store: Send + Sync + 'static {
    /// Remembers a new recording, unless its room is held by another.
    fn insert(&self, recording: Recording) -> BoxFuture<'_, Result<(), InsertError>>;

    /// Applies one step at `now` and returns the recording after it.
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
}

/// One recording as it is remembered.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Made at `created_at`; orders recordings by age.
    pub id: Id,
    /// The caller's room.
    pub room_id: String,
    /// What the contract groups recordings by. The meeting software's own
    /// session is not known here, so each recording is a session.
    pub session_id: Id,
    /// Where in its life it is.
    pub state: State,
    /// When the start was accepted.
    pub created_at: DateTime<Utc>,
    /// When the newest step was taken.
    pub updated_at: DateTime<Utc>,
    /// When the first frame was taken.
    pub started_at: Option<DateTime<Utc>>,
    /// When the last frame was taken.
    pub stopped_at: Option<DateTime<Utc>>,
    /// As the caller gave it. Its query usually holds a token.
    pub meeting_url: SecretString,
    /// Why it ended, once it did without failing.
    pub stop_reason: Option<StopReason>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What it produced.
    pub assets: Vec<Asset>,
}

/// Why a recording failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The contract's error type.
    pub kind: FailureKind,
    /// A sentence, free of secrets.
    pub message: String,
}

/// One finished file of the kind `room-composite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its own id.
    pub id: Id,
    /// Where it is, as a URL.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Length in whole seconds.
    pub duration: u64,
    /// When the file was finished.
    pub created_at: DateTime<Utc>,
    /// Size of the picture.
    pub resolution: Resolution,
}

/// One step in the life of a recording, with what it leaves behind.
#[derive(Debug, Clone)]
pub enum Step {
    /// The first frame was taken: [`State::Running`].
    Run {
        /// When.
        started_at: DateTime<Utc>,
    },
    /// A stop was asked for: [`State::Stopping`].
    Stop,
    /// The last frame was taken: [`State::PostProcessing`].
    PostProcess {
        /// When the first frame was, if it was not told by [`Step::Run`].
        started_at: Option<DateTime<Utc>>,
        /// When the last frame was.
        stopped_at: DateTime<Utc>,
        /// Why.
        reason: StopReason,
    },
    /// The file is where it belongs: [`State::Completed`].
    Complete(Asset),
    /// It will never be: [`State::Failed`].
    Fail {
        /// Why.
        failure: Failure,
        /// The file of what had been recorded by then.
        file: Option<Asset>,
    },
}

impl Step {
    /// The state it leads to.
    pub fn target(&self) -> State {
        match self {
            Self::Run { .. } => State::Running,
            Self::Stop => State::Stopping,
            Self::PostProcess { .. } => State::PostProcessing,
            Self::Complete(_) => State::Completed,
            Self::Fail { .. } => State::Failed,
        }
    }
}

impl Recording {
    /// A recording whose start was accepted at `now`.
    pub fn new(room_id: String, meeting_url: SecretString, now: DateTime<Utc>) -> Self {
        Self {
            id: Id::new(now),
            room_id,
            session_id: Id::new(now),
            state: State::Starting,
            created_at: now,
            updated_at: now,
            started_at: None,
            stopped_at: None,
            meeting_url,
            stop_reason: None,
            failure: None,
            assets: Vec::new(),
        }
    }

    /// Takes the step, or changes nothing. Stores call it under their lock or
    /// in their transaction.
    pub fn take(&mut self, step: Step, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        self.state = self.state.advance(step.target())?;
        self.updated_at = now;
        match step {
            Step::Run { started_at } => self.started_at = Some(started_at),
            Step::Stop => {}
            Step::PostProcess { started_at, stopped_at, reason } => {
                self.started_at = self.started_at.or(started_at);
                self.stopped_at = Some(stopped_at);
                self.stop_reason = Some(reason);
            }
            Step::Complete(asset) => self.assets.push(asset),
            Step::Fail { failure, file } => {
                if self.started_at.is_some() {
                    self.stopped_at.get_or_insert(now);
                }
                self.failure = Some(failure);
                self.assets.extend(file);
            }
        }
        Ok(())
    }
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
