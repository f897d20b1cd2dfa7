//! One recording from its start to its end: what the journal of its recorder
//! tells becomes steps in the store, what the recorder must be told goes over
//! its socket, what it fails to tell is noticed, and what it left is saved.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::journal::Tail;
use super::orders::{Orders, Patience, deliver};
use super::process::{self, Process, Task};
use super::redact::redact;
use super::told::{End, Told};
use super::{Inner, told};
use crate::job::{Event, FailureKind, RecordingSpec, Resolution, StopReason, Summary};
use crate::recorder::journal::JOURNAL;
use crate::recorder::place::{LOCK, is_locked};
use crate::storage::Local;
use crate::store::{AdvanceError, Asset, Failure, Id, Step};

/// How often the journal is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Between two attempts at a store or a storage that does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// How long a recorder that was started right before the service died may take
/// to show that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// What a caller should know of a file that was finished after a crash.
const CUT: &str = "the recorder was cut off while it finished this file; its last half second may \
                   be missing";
/// Attempts at moving a finished file to its place before it stays where it is.
const PLACE_ATTEMPTS: u32 = 10;

/// Everything about one recording and its process.
pub(super) struct Supervisor {
    pub(super) node: Arc<Inner>,
    pub(super) id: Id,
    pub(super) spec: RecordingSpec,
    /// The recording's own directory.
    pub(super) dir: PathBuf,
    /// What the recorder is to be told.
    pub(super) orders: watch::Receiver<Orders>,
    /// Whether this is where the recording begins.
    pub(super) start: Start,
}

/// Where a supervisor takes a recording up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Its recorder is to be started.
    Fresh,
    /// It was accepted by an earlier run of the service a moment ago; its recorder is
    /// to be started, unless it was.
    Accepted,
    /// It was begun by an earlier run of the service.
    Found,
}

impl Supervisor {
    /// Runs the recording to a final state.
    pub(super) async fn run(self) {
        let mut told = Told::default();
        let ended = self.record(&mut told).await;
        if let Some((pid, start_ticks)) = told.browser
            && process::kill_group_of(pid, start_ticks)
        {
            tracing::warn!(id = %self.id, pid, "killed the browser that a recorder left behind");
        }
        let step = match ended {
            Err(failure) => Step::Fail { failure, file: None },
            Ok(how) => {
                if self.left_something(&told) {
                    self.salvage(&mut told).await;
                }
                self.conclude(&mut told, &how).await
            }
        };
        self.settle(step).await;
    }

    /// Sees the recorder to its end; says how it ended.
    async fn record(&self, told: &mut Told) -> Result<String, Failure> {
        let found = match self.start {
            Start::Fresh => None,
            Start::Accepted | Start::Found => self.find_recorder().await,
        };
        let begun = self.start == Start::Found || self.dir.join(JOURNAL).exists();
        let (process, known) = match found {
            None if begun => (None, None),
            None if self.asked_to_stop() => return Err(too_early()),
            None => {
                let child = process::spawn(&self.node.program, &self.dir, &self.spec, Task::Record)
                    .map_err(|e| internal(format!("the recorder could not be started: {e}")))?;
                (Some(Process::Child(child)), Some(Orders::default()))
            }
            found => {
                tracing::info!(id = %self.id, "going on with a recorder that outlived the service");
                (found, None)
            }
        };
        let mut journal = Tail::new(self.dir.join(JOURNAL));
        let Some(mut process) = process else {
            self.hear(&mut journal, told).await;
            return Ok("its process was gone when the service came back".to_owned());
        };
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut orders = std::pin::pin!(deliver(self.id, &self.dir, self.orders.clone(), known));
        let mut patience = Patience::default();
        loop {
            tokio::select! {
                how = process.wait() => {
                    // Whatever it wrote, it wrote before it ended.
                    self.hear(&mut journal, told).await;
                    if told.ended() || !is_locked(&self.dir.join(LOCK)) {
                        return Ok(how);
                    }
                    // It met one that was there before it and had not shown itself.
                    tracing::warn!(id = %self.id, how, "another recorder was started before");
                    process = Process::Adopted { dir: self.dir.clone() };
                }
                never = &mut orders => match never {},
                _ = ticks.tick() => {
                    self.hear(&mut journal, told).await;
                    // On shutdown nobody is forced to an end: a recorder can
                    // finish its file without the service.
                    if !self.node.closing.is_cancelled() {
                        let asked = self.asked_to_stop();
                        patience.check(asked, told, self.node.recording.stop_grace, &process, self.id);
                    }
                }
            }
        }
    }

    fn asked_to_stop(&self) -> bool {
        self.orders.borrow().stop.is_some()
    }

    /// The recorder of a recording that was begun before, if it still lives.
    async fn find_recorder(&self) -> Option<Process> {
        let (lock, journal) = (self.dir.join(LOCK), self.dir.join(JOURNAL));
        let patience = tokio::time::Instant::now() + SIGN_OF_LIFE;
        loop {
            if is_locked(&lock) {
                return Some(Process::Adopted { dir: self.dir.clone() });
            }
            // One that wrote a journal held its lock by then.
            let may_come = self.dir.exists() && !journal.exists();
            if !may_come || tokio::time::Instant::now() >= patience {
                return None;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Takes in what is new in the journal.
    async fn hear(&self, journal: &mut Tail, told: &mut Told) {
        let events = match journal.read().await {
            Ok(events) => events,
            // Tried again at the next tick; what is missing at the end shows.
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "cannot read a journal");
                return;
            }
        };
        for event in events {
            self.log(&event);
            if let Event::Peers { count, .. } = event {
                self.shows(count);
            }
            if let Some(step) = told.take(&event) {
                self.settle(step).await;
            }
        }
    }

    /// The page shows so many others now.
    fn shows(&self, count: Option<u32>) {
        let mut live = self.node.live();
        match count {
            Some(count) => live.others.insert(self.id, count),
            None => live.others.remove(&self.id),
        };
    }

    fn log(&self, event: &Event) {
        let id = self.id;
        match event {
            Event::Joined { how, reloads, .. } => tracing::info!(%id, how, reloads, "joined"),
            Event::Paused { .. } => tracing::info!(%id, "paused"),
            Event::Resumed { .. } => tracing::info!(%id, "resumed"),
            Event::Notice { message } => {
                tracing::info!(%id, notice = redact(message, &self.spec.meeting_url));
            }
            other => tracing::debug!(%id, event = ?std::mem::discriminant(other), "journal"),
        }
    }

    /// True if there are frames and no finished file that the journal tells of.
    fn left_something(&self, told: &Told) -> bool {
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
    async fn salvage(&self, told: &mut Told) {
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
    async fn conclude(&self, told: &mut Told, how: &str) -> Step {
        match told.end.take() {
            Some(End::Finished(summary)) => {
                if !told.stopped {
                    let reason = self.orders.borrow().stop.unwrap_or(StopReason::RoomEnded);
                    self.settle(told.stop(reason, None, summary.duration_s)).await;
                }
                match self.keep(&summary, told, false).await {
                    Ok(asset) => Step::Complete { asset, warnings: summary.warnings },
                    Err(failure) => Step::Fail { failure, file: None },
                }
            }
            Some(End::Failed { kind, message, file }) => {
                let message = redact(&message, &self.spec.meeting_url);
                let failure = Failure { kind, message };
                let file = self.keep_failed(file.or(told.salvaged.take()), told).await;
                Step::Fail { failure, file }
            }
            None => self.conclude_cut(told, how).await,
        }
    }

    /// The last step of a recording whose recorder did not tell its end.
    async fn conclude_cut(&self, told: &mut Told, how: &str) -> Step {
        let salvaged = told.salvaged.take();
        if told.stopped
            && let Some(summary) = &salvaged
            && told::is_recording(summary)
        {
            // It had come to its end and was being finished: nothing is lost.
            return match self.keep(summary, told, false).await {
                Ok(asset) => Step::Complete { asset, warnings: vec![CUT.to_owned()] },
                Err(failure) => Step::Fail { failure, file: None },
            };
        }
        if self.asked_to_stop() && told.started_at().is_none() {
            return Step::Fail { failure: too_early(), file: None };
        }
        let words = process::last_words(&self.dir).unwrap_or_default();
        let message = format!("the recorder ended without finishing ({how}): {words}");
        let message = redact(message.trim_end_matches([':', ' ']), &self.spec.meeting_url);
        let file = self.keep_failed(salvaged, told).await;
        Step::Fail { failure: internal(message), file }
    }

    /// A file that is not there is not worth a second failure.
    async fn keep_failed(&self, summary: Option<Summary>, told: &Told) -> Option<Asset> {
        self.keep(&summary?, told, true).await.ok()
    }

    /// Moves the finished file to the storage.
    async fn keep(&self, summary: &Summary, told: &Told, failed: bool) -> Result<Asset, Failure> {
        let started_at = told.started_at().unwrap_or_default();
        let path = Local::path_for(&self.spec.room_id, started_at);
        let name = path.rsplit('/').next().unwrap_or_default();
        let size = self.place(&self.dir.join(name), &path).await?;
        let now = Utc::now();
        Ok(Asset {
            id: Id::new(now),
            path,
            size,
            duration_s: summary.duration_s,
            created_at: now,
            resolution: Resolution::new(summary.width, summary.height)
                .unwrap_or(self.spec.resolution),
            audio_only: self.spec.audio_only,
            failed,
        })
    }

    /// Moves the file and returns its size in bytes.
    async fn place(&self, from: &Path, path: &str) -> Result<u64, Failure> {
        let to = self.node.storage.file(path);
        let is_file = |file: &Path| file.symlink_metadata().is_ok_and(|about| about.is_file());
        if !is_file(from) && !is_file(&to) {
            return Err(internal(
                "the recorder announced a finished file that is not there".to_owned(),
            ));
        }
        let mut attempt = 1;
        loop {
            let (storage, from, path) =
                (Arc::clone(&self.node.storage), from.to_owned(), path.to_owned());
            let moved = tokio::task::spawn_blocking(move || {
                storage.take_in(&from, &path)?;
                Ok::<_, std::io::Error>(storage.file(&path).metadata()?.len())
            });
            let why = match moved.await {
                Ok(Ok(size)) => return Ok(size),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            if attempt == PLACE_ATTEMPTS {
                let message = format!("the finished file could not be moved to its storage: {why}");
                return Err(Failure { kind: FailureKind::UploadError, message });
            }
            tracing::warn!(id = %self.id, attempt, why, "cannot move a finished file, will try again");
            attempt += 1;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Takes a step in the store, for as long as it takes: what happened has
    /// happened, and a recording that never ends would hold its room.
    async fn settle(&self, step: Step) {
        let id = self.id;
        loop {
            match self.node.store.advance(id, step.clone(), Utc::now()).await {
                Ok(recording) => {
                    self.node.told.notify_one();
                    let room_id = &recording.room_id;
                    match &recording.failure {
                        Some(Failure { kind, message: why }) => {
                            tracing::error!(%id, room_id, ?kind, why, "recording failed");
                        }
                        None => {
                            tracing::info!(%id, room_id, state = ?recording.state, "recording moved on")
                        }
                    }
                    return;
                }
                Err(AdvanceError::Unavailable(error)) => {
                    tracing::error!(%id, %error, "cannot store a step, will try again");
                    tokio::time::sleep(RETRY).await;
                }
                // The first frame after a stop was accepted, or a step that was
                // taken before the service was restarted.
                Err(error) => {
                    tracing::debug!(%id, %error, "step not taken");
                    return;
                }
            }
        }
    }
}

fn too_early() -> Failure {
    Failure { kind: FailureKind::BeamStopped, message: "Beam stopped too early".into() }
}

fn internal(message: String) -> Failure {
    Failure { kind: FailureKind::InternalError, message }
}
