//! What a recording has come to once its recorder is gone: its file saved, brought
//! to where it belongs, and the last step made of it.

use std::fs::File;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::deliver::{NotPlaced, Rest};
use super::journal::Tail;
use super::process::{self, Process, Task};
use super::redact::redact;
use super::stills::Finished;
use super::supervisor::Supervisor;
use super::told::{self, End, Told};
use crate::job::{FailureKind, Resolution, StopReason, Summary};
use crate::recorder::journal::JOURNAL;
use crate::recorder::place::create_private;
use crate::store::{Asset, Failure, Id, Step};

/// What a caller should know of a file that was finished after a crash.
const CUT: &str = "the recorder was cut off while it finished this file; its last half second may \
                   be missing";

/// What a finished file is.
enum Verdict {
    /// The recording.
    Whole {
        /// What is odd about it all the same.
        warnings: Vec<String>,
    },
    /// What had been recorded when this happened.
    Failed(Failure),
}

impl Verdict {
    fn failure(self) -> Option<Failure> {
        match self {
            Self::Whole { .. } => None,
            Self::Failed(failure) => Some(failure),
        }
    }
}

/// The service shuts down before the file is where it belongs.
pub(super) struct Left;

impl Supervisor {
    /// True if there are frames and no finished file that the journal tells of.
    pub(super) fn left_something(&self, told: &Told) -> bool {
        let file = match &told.end {
            Some(End::Finished(_)) => true,
            // A room that nobody came to has no file on purpose.
            Some(End::Failed { kind, file, .. }) => {
                file.is_some() || *kind == FailureKind::NobodyJoined
            }
            None => false,
        };
        told.started_at().is_some() && told.salvaged.is_none() && !file
    }

    /// Makes a file of what a recorder that was cut off left behind, in a process
    /// of its own. Without one, its directory stays as it is.
    pub(super) async fn salvage(&self, told: &mut Told) {
        let id = self.id;
        tracing::warn!(%id, "the recorder was cut off; saving what it recorded");
        let ended = match process::spawn(&self.node.program, &self.dir, &self.spec, Task::Salvage) {
            Ok(child) => Process::Child(child).wait().await,
            Err(error) => format!("it could not be started: {error}"),
        };
        let mut journal = Tail::new(self.dir.join(JOURNAL));
        let events = journal.read().await.unwrap_or_default();
        events.iter().for_each(|event| drop(told.take(event)));
        if told.salvaged.is_none() {
            tracing::error!(%id, ended, "nothing could be saved; the directory is kept");
        }
    }

    /// The last step, from all that is known.
    pub(super) async fn conclude(&self, told: &mut Told, how: &str) -> Result<(Step, Rest), Left> {
        match told.end.take() {
            Some(End::Finished(summary)) => {
                if !told.stopped {
                    let reason = self.orders.borrow().stop.unwrap_or(StopReason::RoomEnded);
                    self.settle(told.stop(reason, None, summary.duration_s)).await;
                }
                let verdict = Verdict::Whole { warnings: summary.warnings.clone() };
                self.keep(&summary, told, verdict).await
            }
            Some(End::Failed { kind, message, file }) => {
                let message = redact(&message, &self.spec.meeting_url);
                let failure = Failure { kind, message };
                self.keep_failed(file.or(told.salvaged.take()), told, failure).await
            }
            None => self.conclude_cut(told, how).await,
        }
    }

    /// The last step of a recording whose recorder did not tell its end.
    async fn conclude_cut(&self, told: &mut Told, how: &str) -> Result<(Step, Rest), Left> {
        let salvaged = told.salvaged.take();
        if told.stopped
            && let Some(summary) = &salvaged
            && told::is_recording(summary)
        {
            // It had come to its end and was being finished: nothing is lost.
            let verdict = Verdict::Whole { warnings: vec![CUT.to_owned()] };
            return self.keep(summary, told, verdict).await;
        }
        if self.asked_to_stop() && told.started_at().is_none() {
            return Ok((Step::Fail { failure: too_early(), file: None }, Rest::default()));
        }
        let words = process::last_words(&self.dir).unwrap_or_default();
        let message = format!("the recorder ended without finishing ({how}): {words}");
        let message = redact(message.trim_end_matches([':', ' ']), &self.spec.meeting_url);
        self.keep_failed(salvaged, told, internal(message)).await
    }

    async fn keep_failed(
        &self,
        summary: Option<Summary>,
        told: &Told,
        failure: Failure,
    ) -> Result<(Step, Rest), Left> {
        match summary {
            Some(summary) => self.keep(&summary, told, Verdict::Failed(failure)).await,
            None => Ok((Step::Fail { failure, file: None }, Rest::default())),
        }
    }

    /// Brings the finished file to the storage, and makes a step of it.
    async fn keep(
        &self,
        summary: &Summary,
        told: &Told,
        verdict: Verdict,
    ) -> Result<(Step, Rest), Left> {
        let started_at = told.started_at().unwrap_or_default();
        let name = format!("Rec-{}-{}.mp4", self.spec.room_id, started_at.timestamp_millis());
        let known = self.kept().await;
        let resolution =
            Resolution::new(summary.width, summary.height).unwrap_or(self.spec.quality.resolution);
        let now = Utc::now();
        let asset = known.unwrap_or_else(|| Asset {
            id: Id::new(now),
            destination: String::new(),
            path: String::new(),
            size: 0,
            duration_s: summary.duration_s,
            created_at: now,
            resolution,
            audio_only: self.spec.audio_only,
            failed: false,
        });
        let Some(file) = self.find(&name, started_at) else {
            let missing = internal("the recorder announced a finished file that is not there");
            let failure = verdict.failure().unwrap_or(missing);
            return Ok((Step::Fail { failure, file: None }, Rest::default()));
        };
        self.hand_over(&file, asset, started_at, verdict).await
    }

    /// Where the finished file is: where it was made, or where an earlier run put
    /// it.
    fn find(&self, name: &str, started_at: DateTime<Utc>) -> Option<PathBuf> {
        let storage = &self.node.storage;
        let there = |name: &str| {
            let destination = storage.get(name).ok()?;
            destination.file(&destination.key_for(&self.spec.room_id, started_at))
        };
        let built_in = there(storage.built_in().name());
        let places = [Some(self.dir.join(name)), there(&self.destination), built_in];
        let is_file = |file: &PathBuf| file.symlink_metadata().is_ok_and(|about| about.is_file());
        places.into_iter().flatten().find(is_file)
    }

    /// The file of this recording that was kept as nothing took it.
    async fn kept(&self) -> Option<Asset> {
        let recording = self.node.store.get(self.id).await.ok()??;
        recording.kept().cloned()
    }

    /// Uploads a file that was kept on this machine.
    pub(super) async fn upload_kept(&self) -> Result<(Step, Rest), Left> {
        let Some(asset) = self.kept().await else {
            let failure = internal("there is no file to upload");
            return Ok((Step::Fail { failure, file: None }, Rest::default()));
        };
        let Some(file) = self.node.storage.file(&asset.destination, &asset.path) else {
            let failure = internal("the file to upload is not on this machine");
            return Ok((Step::Fail { failure, file: Some(asset) }, Rest::default()));
        };
        // The key that it was kept under names the moment it began.
        let recording = self.node.store.get(self.id).await.ok().flatten();
        let started_at = recording.and_then(|recording| recording.started_at);
        let verdict = Verdict::Whole { warnings: Vec::new() };
        // For the record of the upload; without it a restart only begins anew.
        _ = create_private(&self.dir);
        self.hand_over(&file, asset, started_at.unwrap_or_default(), verdict).await
    }

    async fn hand_over(
        &self,
        file: &Path,
        mut asset: Asset,
        started_at: DateTime<Utc>,
        verdict: Verdict,
    ) -> Result<(Step, Rest), Left> {
        // Held open: by the time it is looked at, it may have moved or be uploaded.
        let opened = File::open(file);
        let mut placed = match self.deliver(file, started_at).await {
            Ok(placed) => placed,
            Err(NotPlaced::Left) => return Err(Left),
            Err(NotPlaced::Lost(message)) => {
                let lost = Failure { kind: FailureKind::UploadError, message };
                let failure = verdict.failure().unwrap_or(lost);
                return Ok((Step::Fail { failure, file: None }, Rest::default()));
            }
        };
        (asset.destination, asset.path, asset.size) = (placed.destination, placed.key, placed.size);
        placed.rest.finished = opened.ok().map(|opened| Finished {
            file: opened,
            path: file.to_owned(),
            destination: asset.destination.clone(),
            key: asset.path.clone(),
        });
        asset.failed = placed.refused.is_some() || matches!(verdict, Verdict::Failed(_));
        let refused =
            placed.refused.map(|message| Failure { kind: FailureKind::UploadError, message });
        let step = match (verdict, refused) {
            (Verdict::Failed(failure), _) | (Verdict::Whole { .. }, Some(failure)) => {
                Step::Fail { failure, file: Some(asset) }
            }
            (Verdict::Whole { warnings }, None) => Step::Complete { asset, warnings },
        };
        Ok((step, placed.rest))
    }
}

pub(super) fn too_early() -> Failure {
    Failure { kind: FailureKind::BeamStopped, message: "Beam stopped too early".into() }
}

pub(super) fn internal(message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::InternalError, message: message.into() }
}
