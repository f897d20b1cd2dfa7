//! One recording as it is remembered, and the steps of its life. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Attendance, Id, Look};
use crate::job::{
    Ended, FailureKind, IllegalTransition, JoinRule, Occurrence, PageOptions, PresenceRule,
    Quality, Resolution, State, StopReason,
};
use crate::session::SessionId;

/// One recording as it is remembered.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Made at `created_at`; orders recordings by age.
    pub id: Id,
    /// What all webhooks of the recording carry; another id than `id`.
    pub beam_id: Id,
    /// The caller's room.
    pub room_id: String,
    /// What the contract groups recordings by.
    pub session_id: SessionId,
    /// The meeting software's own session is not known: this recording is one.
    pub session_is_made_up: bool,
    /// Who is in the room, if that is told in place of the room's own webhooks.
    pub attendance: Option<Attendance>,
    /// Where in its life it is.
    pub state: State,
    /// Running, but taking no frames.
    pub paused: bool,
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
    /// What was agreed on.
    pub terms: Terms,
    /// Name of the storage that the file goes to.
    pub destination: String,
    /// Where the caller wants this recording's events, instead of where the
    /// configuration sends them.
    pub webhook: Option<WebhookTarget>,
    /// What the caller wants the page opened with, besides what is configured.
    pub page: PageOptions,
    /// What the caller should know although nothing failed.
    pub warnings: Vec<String>,
    /// The first stop that was asked for.
    pub stop_asked: Option<StopAsked>,
    /// Why it ended, once it did without failing.
    pub stop_reason: Option<StopReason>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What it produced.
    pub assets: Vec<Asset>,
}

/// How a recording is made: request and configuration put together when it was
/// accepted, so that a later change of the configuration does not change it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// What it is encoded to.
    #[serde(flatten)]
    pub quality: Quality,
    /// What counts as joined.
    pub join: JoinRule,
    /// When it ends by itself, in seconds of file time.
    pub max_duration_s: f64,
    /// Sound alone.
    pub audio_only: bool,
    /// When it ends because of who is there.
    #[serde(default)]
    pub presence: PresenceRule,
}

/// An endpoint that a request named for its own recording.
#[derive(Debug, Clone)]
pub struct WebhookTarget {
    /// Where to; may hold a token.
    pub url: SecretString,
    /// Headers to send along, which usually hold a secret.
    pub headers: BTreeMap<String, SecretString>,
}

/// That a recording is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopAsked {
    /// Why.
    pub reason: StopReason,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// Why a recording failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The contract's error type.
    pub kind: FailureKind,
    /// A sentence, free of secrets.
    pub message: String,
}

/// One finished file.
#[derive(Debug, Clone, PartialEq)]
pub struct Asset {
    /// Its own id.
    pub id: Id,
    /// Name of the storage that has it; where the recording was to go, or where it
    /// was kept because it could not go there.
    pub destination: String,
    /// Where it is in its storage: `beam/<room_id>/<YYYYMMDD>/Rec-….mp4`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Length in seconds.
    pub duration_s: f64,
    /// When the file was finished.
    pub created_at: DateTime<Utc>,
    /// Size of the picture.
    pub resolution: Resolution,
    /// It has no picture.
    pub audio_only: bool,
    /// It keeps what a failed recording had recorded.
    pub failed: bool,
}

/// An asset and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnedAsset {
    /// The recording that made it.
    pub recording_id: Id,
    /// Of the recording.
    pub room_id: String,
    /// Of the recording.
    pub session_id: SessionId,
    /// The asset.
    pub asset: Asset,
}

impl Asset {
    /// Length in whole seconds, as the contract tells it.
    pub fn duration(&self) -> u64 {
        whole(self.duration_s)
    }
}

/// One step in the life of a recording, with what it leaves behind.
#[derive(Debug, Clone)]
pub enum Step {
    /// The first frame was taken: [`State::Running`].
    Run {
        /// When.
        started_at: DateTime<Utc>,
    },
    /// No frames are to be taken for a while; stays [`State::Running`].
    Pause,
    /// Frames are to be taken again; stays [`State::Running`].
    Resume,
    /// The page knows what session it is in; stays in its state.
    InSession {
        /// The meeting software's id of it.
        session: SessionId,
    },
    /// The page shows who is there; stays in its state.
    Attend {
        /// What it shows.
        look: Look,
    },
    /// A stop was asked for: [`State::Stopping`].
    Stop {
        /// Why.
        reason: StopReason,
    },
    /// The last frame was taken: [`State::PostProcessing`].
    PostProcess {
        /// When the first frame was, if it was not told by [`Step::Run`].
        started_at: Option<DateTime<Utc>>,
        /// When the last frame was.
        stopped_at: DateTime<Utc>,
        /// Seconds recorded in between, pauses not counted.
        recorded_s: f64,
        /// Why.
        reason: StopReason,
    },
    /// The file that was kept because no storage took it is to be uploaded after
    /// all: [`State::PostProcessing`] again.
    Upload,
    /// The file is where it belongs: [`State::Completed`].
    Complete {
        /// The file.
        asset: Asset,
        /// What is odd about it all the same.
        warnings: Vec<String>,
    },
    /// It will never be: [`State::Failed`].
    Fail {
        /// Why.
        failure: Failure,
        /// The file of what had been recorded by then.
        file: Option<Asset>,
    },
}

impl Step {
    /// The state it leads to; `None`: it leads from none to another.
    pub fn target(&self) -> Option<State> {
        Some(match self {
            Self::Pause | Self::Resume | Self::InSession { .. } | Self::Attend { .. } => {
                return None;
            }
            Self::Run { .. } => State::Running,
            Self::Stop { .. } => State::Stopping,
            Self::PostProcess { .. } | Self::Upload => State::PostProcessing,
            Self::Complete { .. } => State::Completed,
            Self::Fail { .. } => State::Failed,
        })
    }
}

impl Recording {
    /// A recording whose start was accepted at `now`.
    pub fn new(
        room_id: String,
        meeting_url: SecretString,
        terms: Terms,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: Id::new(now),
            beam_id: Id::new(now),
            room_id,
            session_id: Id::new(now).into(),
            session_is_made_up: true,
            attendance: None,
            state: State::Starting,
            paused: false,
            created_at: now,
            updated_at: now,
            started_at: None,
            stopped_at: None,
            meeting_url,
            terms,
            destination: "default".into(),
            webhook: None,
            page: PageOptions::default(),
            warnings: Vec::new(),
            stop_asked: None,
            stop_reason: None,
            failure: None,
            assets: Vec::new(),
        }
    }

    /// Takes the step and tells its events, or changes nothing. Stores call it
    /// under their lock or in their transaction.
    pub fn take(
        &mut self,
        step: Step,
        now: DateTime<Utc>,
    ) -> Result<Vec<Occurrence>, IllegalTransition> {
        let from = self.state;
        let Some(to) = step.target() else { return self.take_aside(step, now) };
        self.state = match step {
            Step::Upload if self.can_upload() => to,
            Step::Upload => return Err(IllegalTransition { from, to }),
            _ => from.advance(to)?,
        };
        self.updated_at = now;
        // Whoever was in the room, nobody looks any more.
        let ends = matches!(to, State::PostProcessing | State::Failed);
        let closed = self.attendance.as_mut().filter(|_| ends).and_then(Attendance::end);
        let told: Vec<Occurrence> = match step {
            Step::Run { started_at } => vec![self.start(started_at)],
            Step::Stop { reason } => {
                self.stop_asked = Some(StopAsked { reason, at: now });
                Vec::new()
            }
            Step::Pause | Step::Resume | Step::InSession { .. } | Step::Attend { .. } => Vec::new(),
            Step::PostProcess { started_at, stopped_at, recorded_s, reason } => {
                let late = self.started_at.is_none().then_some(started_at).flatten();
                let mut told: Vec<_> = late.map(|at| self.start(at)).into_iter().collect();
                self.paused = false;
                self.stopped_at = Some(stopped_at);
                self.stop_reason = Some(reason);
                let duration = whole(recorded_s);
                told.push(Occurrence::Stopped { duration, ended: Ended::Reason(reason) });
                told
            }
            Step::Upload => {
                self.failure = None;
                Vec::new()
            }
            Step::Complete { asset, warnings } => {
                let told = vec![Occurrence::Recorded { asset: asset.id.to_string() }];
                self.keep(asset);
                self.warnings.extend(warnings);
                told
            }
            Step::Fail { failure, file } => self.fail(failure, file, now),
        };
        Ok(closed.map(|news| Occurrence::Room { news }).into_iter().chain(told).collect())
    }

    /// A step that leads to no other state.
    fn take_aside(
        &mut self,
        step: Step,
        now: DateTime<Utc>,
    ) -> Result<Vec<Occurrence>, IllegalTransition> {
        let from = self.state;
        match step {
            Step::InSession { session } if !from.is_final() => {
                if std::mem::take(&mut self.session_is_made_up) {
                    self.session_id = session;
                }
                Ok(Vec::new())
            }
            Step::Attend { look } if !from.is_final() => {
                let attendance = self.attendance.as_mut();
                let news = attendance.map_or_else(Vec::new, |room| room.take(&look, now));
                Ok(news.into_iter().map(|news| Occurrence::Room { news }).collect())
            }
            Step::Pause | Step::Resume if from == State::Running => {
                let pause = matches!(step, Step::Pause);
                if self.paused != pause {
                    self.paused = pause;
                    self.updated_at = now;
                }
                Ok(Vec::new())
            }
            _ => Err(IllegalTransition { from, to: State::Running }),
        }
    }

    /// The file that is kept on this machine because no storage took it.
    pub fn kept(&self) -> Option<&Asset> {
        self.assets.iter().find(|asset| asset.failed)
    }

    /// True if [`Step::Upload`] may be taken: the one step out of a final state.
    pub fn can_upload(&self) -> bool {
        let upload = |failure: &Failure| failure.kind == FailureKind::UploadError;
        self.state == State::Failed
            && self.failure.as_ref().is_some_and(upload)
            && self.kept().is_some()
    }

    /// Takes a file in, in place of what was known under its id.
    fn keep(&mut self, asset: Asset) {
        self.assets.retain(|known| known.id != asset.id);
        self.assets.push(asset);
    }

    fn start(&mut self, at: DateTime<Utc>) -> Occurrence {
        self.started_at = Some(at);
        // A wall clock that was set back in between counts as no delay.
        let start_delay = u64::try_from((at - self.created_at).num_seconds()).unwrap_or(0);
        Occurrence::Started { start_delay }
    }

    /// Who was told of a start is told of the stop, too.
    fn fail(
        &mut self,
        failure: Failure,
        file: Option<Asset>,
        now: DateTime<Utc>,
    ) -> Vec<Occurrence> {
        let Failure { kind, message } = failure.clone();
        let duration = file.as_ref().map_or(0, Asset::duration);
        let mut told = Vec::new();
        if self.started_at.is_some() && self.stopped_at.is_none() {
            self.stopped_at = Some(now);
            told.push(Occurrence::Stopped { duration, ended: Ended::Failure(kind) });
        }
        let asset = file.as_ref().map(|asset| asset.id.to_string());
        told.push(Occurrence::Failed { kind, message, duration, asset });
        self.paused = false;
        self.failure = Some(failure);
        if let Some(file) = file {
            self.keep(file);
        }
        told
    }
}

/// Seconds as the contract counts them. Saturates; a negative length is zero.
fn whole(seconds: f64) -> u64 {
    seconds.round() as u64
}
