//! One recording from its start to its end: what the journal of its recorder
//! tells becomes steps in the store, what the recorder must be told goes over
//! its socket, what it fails to tell is noticed, and what it left is saved.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::Inner;
use super::ahead::Ahead;
use super::conclusion::{Left, internal, too_early};
use super::deliver::Rest;
use super::journal::Tail;
use super::orders::{Orders, Patience, deliver};
use super::process::{self, Process, Task};
use super::redact::redact;
use super::seat::Seat;
use super::told::Told;
use super::vitals::Seen;
use crate::job::{Event, RecordingSpec};
use crate::recorder::journal::JOURNAL;
use crate::recorder::place::{LOCK, PART, is_locked};
use crate::storage::Sent;
use crate::store::{AdvanceError, Failure, Id, Step};

/// How often the journal is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Between two attempts at a store or a storage that does not answer.
const RETRY: Duration = Duration::from_millis(500);
/// How long a recorder that was started right before the service died may take
/// to show that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// Everything about one recording and its process.
pub(super) struct Supervisor {
    pub(super) node: Arc<Inner>,
    pub(super) id: Id,
    pub(super) spec: RecordingSpec,
    /// Name of the storage that the file goes to.
    pub(super) destination: String,
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
    /// Its file was kept on this machine and is to be uploaded after all.
    Upload,
}

impl Supervisor {
    /// Runs the recording to a final state, or leaves it to the next start of the
    /// service if that shuts down meanwhile.
    pub(super) async fn run(self, mut seat: Seat) {
        let done = match self.start {
            Start::Upload => {
                seat.free_slot();
                self.upload_kept().await
            }
            Start::Fresh | Start::Accepted | Start::Found => self.record_and_keep(&mut seat).await,
        };
        match done {
            Ok((step, mut rest)) => {
                let finished = rest.finished.take();
                self.settle(step).await;
                rest.clear();
                // Nobody waits for the pictures.
                drop(seat);
                if self.node.recording.posters
                    && let Some(finished) = finished
                {
                    self.node.illustrate(self.id, finished).await;
                }
            }
            Err(Left) => tracing::info!(id = %self.id, "an upload is left to the next start"),
        }
    }

    async fn record_and_keep(&self, seat: &mut Seat) -> Result<(Step, Rest), Left> {
        let mut told = Told::default();
        let ended = self.record(&mut told).await;
        if let Some((pid, start_ticks)) = told.browser
            && process::kill_group_of(pid, start_ticks)
        {
            tracing::warn!(id = %self.id, pid, "killed the browser that a recorder left behind");
        }
        match ended {
            Err(failure) => Ok((Step::Fail { failure, file: None }, Rest::default())),
            Ok(how) => {
                if self.left_something(&told) {
                    self.salvage(&mut told).await;
                }
                seat.free_slot();
                self.conclude(&mut told, &how).await
            }
        }
    }

    /// Sees the recorder to its end; says how it ended.
    async fn record(&self, told: &mut Told) -> Result<String, Failure> {
        let found = match self.start {
            Start::Fresh => None,
            Start::Accepted | Start::Found | Start::Upload => self.find_recorder().await,
        };
        let begun =
            matches!(self.start, Start::Found | Start::Upload) || self.dir.join(JOURNAL).exists();
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
        let mut ahead = None;
        loop {
            tokio::select! {
                how = process.wait() => {
                    // Whatever it wrote, it wrote before it ended.
                    self.hear(&mut journal, told).await;
                    if told.ended() || !is_locked(&self.dir.join(LOCK)) {
                        if let Some(ahead) = ahead {
                            Ahead::end(ahead).await;
                        }
                        return Ok(how);
                    }
                    // It met one that was there before it and had not shown itself.
                    tracing::warn!(id = %self.id, how, "another recorder was started before");
                    process = Process::Adopted { dir: self.dir.clone() };
                }
                never = &mut orders => match never {},
                _ = ticks.tick() => {
                    self.hear(&mut journal, told).await;
                    self.send_ahead(&mut ahead, told);
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

    /// Sends what is safe of a recording that is long enough to be finished where
    /// it lies.
    fn send_ahead(&self, ahead: &mut Option<Ahead>, told: &Told) {
        let safe = told.safe_bytes;
        if ahead.is_none()
            && self.spec.copy_max.is_some_and(|copied| safe > copied)
            && let Some(upload) = told.started_at().and_then(|at| self.upload_ahead(at))
        {
            *ahead = Some(Ahead::start(self.id, upload, self.dir.join(PART)));
        }
        if let Some(ahead) = ahead {
            ahead.safe(safe);
            self.see_upload(Some((safe, ahead.sent())));
        }
    }

    /// Keeps how much of its file is to go up, and how much has.
    pub(super) fn see_upload(&self, upload: Option<(u64, Sent)>) {
        let mut live = self.node.live();
        live.seen.entry(self.id).or_insert_with(|| Seen::of(&self.spec.room_id)).upload = upload;
    }

    pub(super) fn asked_to_stop(&self) -> bool {
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
            self.see(&event);
            if let Some(step) = told.take(&event) {
                self.settle(step).await;
            }
            self.witness(told.looks, event).await;
        }
    }

    /// Keeps what the node is asked about a recording that runs.
    fn see(&self, event: &Event) {
        let mut live = self.node.live();
        let seen = live.seen.entry(self.id).or_insert_with(|| Seen::of(&self.spec.room_id));
        match event {
            Event::Peers { count, peers } => {
                seen.others = *count;
                seen.peers.clone_from(peers);
            }
            Event::Stats(stats) => seen.count(*stats),
            Event::Encoder { encoder } => seen.encoder = Some(*encoder),
            Event::Started { pid, .. } | Event::Browser { pid, .. } => seen.groups.push(*pid),
            _ => {}
        }
    }

    fn log(&self, event: &Event) {
        let id = self.id;
        match event {
            Event::Joined { how, reloads, .. } => tracing::info!(%id, how, reloads, "joined"),
            Event::Encoder { encoder } => tracing::info!(%id, %encoder, "the picture is made"),
            Event::Paused { .. } => tracing::info!(%id, "paused"),
            Event::Resumed { .. } => tracing::info!(%id, "resumed"),
            Event::Notice { message } => {
                tracing::info!(%id, notice = redact(message, &self.spec.meeting_url));
            }
            other => tracing::debug!(%id, event = ?std::mem::discriminant(other), "journal"),
        }
    }

    /// Takes a step in the store, for as long as it takes: what happened has
    /// happened, and a recording that never ends would hold its room.
    pub(super) async fn settle(&self, step: Step) {
        let id = self.id;
        let moves = step.target().is_some();
        loop {
            match self.node.store.advance(id, step.clone(), Utc::now()).await {
                Ok(recording) => {
                    self.node.told.notify_one();
                    let room_id = &recording.room_id;
                    match &recording.failure {
                        Some(Failure { kind, message: why }) => {
                            tracing::error!(%id, room_id, ?kind, why, "recording failed");
                        }
                        None if moves => {
                            tracing::info!(%id, room_id, state = ?recording.state, "recording moved on")
                        }
                        None => {}
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
