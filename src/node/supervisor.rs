//! One recorder process from its start to its end: what its journal tells
//! becomes steps in the store, what it must be told goes over its socket, and
//! what it fails to tell is noticed.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::Signal;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::journal::Tail;
use super::redact::redact;
use super::{Orders, control, process};
use crate::clock::Mono;
use crate::job::{
    Command, Event, FailureKind, RecordingSpec, Reply, Resolution, StopReason, Summary,
};
use crate::store::{AdvanceError, Asset, Failure, Id, Step, Store};

/// How often the journal is looked at.
const POLL: Duration = Duration::from_millis(100);
/// Between two attempts at a socket or a store that does not answer.
const RETRY: Duration = Duration::from_millis(500);

/// Everything about one recording and its process.
pub(super) struct Supervisor {
    pub(super) store: Arc<dyn Store>,
    pub(super) id: Id,
    pub(super) spec: RecordingSpec,
    /// The recording's own directory; does not exist yet.
    pub(super) dir: PathBuf,
    pub(super) program: PathBuf,
    /// How long a recorder may go on that was told to stop or said it is done.
    pub(super) stop_grace: Duration,
    /// What the recorder is to be told.
    pub(super) orders: watch::Receiver<Orders>,
    /// Cancelled when the service shuts down: nobody is forced to an end then,
    /// as a recorder can finish its file without the service.
    pub(super) closing: CancellationToken,
}

/// What the journal has told so far.
#[derive(Default)]
struct Told {
    /// T0 on both clocks.
    first_frame: Option<(Mono, DateTime<Utc>)>,
    /// The browser's process id and start.
    browser: Option<(u32, u64)>,
    /// The last frame was taken.
    stopped: bool,
    /// A final event came; nothing after it counts.
    ended: Option<Instant>,
    /// The journal could not be read at least once.
    unreadable: bool,
}

impl Supervisor {
    /// Runs the recording to a final state.
    pub(super) async fn run(self) {
        if let Err(failure) = self.record().await {
            self.settle(Step::Fail { failure, file: None }).await;
        }
    }

    /// `Ok` once the journal has told the end; else why there was none.
    async fn record(&self) -> Result<(), Failure> {
        if self.orders.borrow().stop.is_some() {
            return Err(too_early());
        }
        let mut child = process::spawn(&self.program, &self.dir, &self.spec)
            .map_err(|e| internal(format!("the recorder could not be started: {e}")))?;
        let mut told = Told::default();
        let status = self.follow(&mut child, &mut told).await;
        if let Some((pid, start_ticks)) = told.browser
            && process::kill_group_of(pid, start_ticks)
        {
            tracing::warn!(id = %self.id, pid, "killed the browser that a recorder left behind");
        }
        if told.ended.is_some() {
            return Ok(());
        }
        if self.orders.borrow().stop.is_some() && told.first_frame.is_none() {
            return Err(too_early());
        }
        let words = process::last_words(&self.dir).unwrap_or_default();
        let status = status.map_or_else(|e| e.to_string(), |status| status.to_string());
        let message = format!("the recorder ended without finishing ({status}): {words}");
        Err(internal(redact(message.trim_end_matches([':', ' ']), &self.spec.meeting_url)))
    }

    /// Follows the process until it is gone and its journal is read to the end.
    async fn follow(
        &self,
        child: &mut Child,
        told: &mut Told,
    ) -> std::io::Result<std::process::ExitStatus> {
        let mut journal = Tail::new(self.dir.join("journal.jsonl"));
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut orders = std::pin::pin!(deliver(self.id, &self.dir, self.orders.clone()));
        let mut patience = Patience::default();
        loop {
            tokio::select! {
                status = child.wait() => {
                    // Whatever it wrote, it wrote before it ended.
                    self.hear(&mut journal, told).await;
                    return status;
                }
                never = &mut orders => match never {},
                _ = ticks.tick() => {
                    self.hear(&mut journal, told).await;
                    if !self.closing.is_cancelled() {
                        let asked = self.orders.borrow().stop.is_some();
                        patience.check(asked, told, self.stop_grace, child, self.id);
                    }
                }
            }
        }
    }

    /// Takes in what is new in the journal.
    async fn hear(&self, journal: &mut Tail, told: &mut Told) {
        match journal.read().await {
            Ok(events) => {
                for event in events {
                    self.take(event, told).await;
                }
            }
            // Said once; it is tried again at every tick.
            Err(error) if !told.unreadable => {
                told.unreadable = true;
                tracing::warn!(id = %self.id, %error, "cannot read a journal");
            }
            Err(_) => {}
        }
    }

    async fn take(&self, event: Event, told: &mut Told) {
        let id = self.id;
        if told.ended.is_some() {
            tracing::warn!(%id, "a recorder went on after its final event");
            return;
        }
        match event {
            Event::Started { pid, .. } => tracing::debug!(%id, pid, "recorder is up"),
            Event::Browser { pid, start_ticks, .. } => told.browser = Some((pid, start_ticks)),
            Event::Joined { how, reloads, .. } => tracing::info!(%id, how, reloads, "joined"),
            Event::FirstFrame { t0, epoch_ms } => {
                let started_at = DateTime::from_timestamp_millis(epoch_ms).unwrap_or_else(Utc::now);
                told.first_frame = Some((t0, started_at));
                self.settle(Step::Run { started_at }).await;
            }
            Event::Peers { count } => tracing::debug!(%id, ?count, "others in the room"),
            Event::Stats(stats) => tracing::debug!(%id, ?stats, "stats"),
            Event::Notice { message } => {
                tracing::info!(%id, notice = redact(&message, &self.spec.meeting_url));
            }
            Event::Paused { .. } => tracing::info!(%id, "paused"),
            Event::Resumed { .. } => tracing::info!(%id, "resumed"),
            Event::Salvaged(_) => tracing::info!(%id, "salvaged"),
            Event::Stopped { reason, at, recorded_s } => {
                self.stopped(reason, Some(at), recorded_s, told).await;
            }
            Event::Finished(summary) => {
                if !told.stopped {
                    let asked = self.orders.borrow().stop;
                    let reason = asked.unwrap_or(StopReason::RoomEnded);
                    self.stopped(reason, None, summary.duration_s, told).await;
                }
                told.ended = Some(Instant::now());
                let step = match self.asset(&summary, told) {
                    Ok(asset) => Step::Complete { asset, warnings: Vec::new() },
                    Err(failure) => Step::Fail { failure, file: None },
                };
                self.settle(step).await;
            }
            Event::Failed { kind, message, file } => {
                told.ended = Some(Instant::now());
                let message = redact(&message, &self.spec.meeting_url);
                let failure = Failure { kind, message };
                // A file that is not there is not worth a second failure.
                let file = file.and_then(|summary| self.asset(&summary, told).ok());
                self.settle(Step::Fail { failure, file }).await;
            }
        }
    }

    async fn stopped(
        &self,
        reason: StopReason,
        at: Option<Mono>,
        recorded_s: f64,
        told: &mut Told,
    ) {
        told.stopped = true;
        // File time is monotonic time; a wall clock that stepped is left out.
        let stopped_at = told.first_frame.zip(at).and_then(|((t0, epoch), at)| {
            epoch.checked_add_signed(TimeDelta::from_std(at.since(t0)).ok()?)
        });
        let stopped_at = stopped_at.unwrap_or_else(Utc::now);
        let started_at = told.first_frame.map(|(_, epoch)| epoch);
        self.settle(Step::PostProcess { started_at, stopped_at, recorded_s, reason }).await;
    }

    /// The finished file, if it is where it was announced.
    fn asset(&self, summary: &Summary, told: &Told) -> Result<Asset, Failure> {
        let epoch = told.first_frame.map_or(0, |(_, epoch)| epoch.timestamp_millis());
        let path = self.dir.join(format!("Rec-{}-{epoch}.mp4", self.spec.room_id));
        let lost = |why: &dyn std::fmt::Display| {
            internal(format!("the recorder announced a finished file that is not there: {why}"))
        };
        let file = std::fs::symlink_metadata(&path).map_err(|e| lost(&e))?;
        if !file.is_file() {
            return Err(lost(&"it is not a regular file"));
        }
        let url = Url::from_file_path(&path).map_err(|()| lost(&"its path is relative"))?;
        let now = Utc::now();
        Ok(Asset {
            id: Id::new(now),
            path: url.into(),
            size: file.len(),
            duration_s: summary.duration_s,
            created_at: now,
            resolution: Resolution::new(summary.width, summary.height)
                .unwrap_or(self.spec.resolution),
            audio_only: self.spec.audio_only,
            failed: false,
        })
    }

    /// Takes a step in the store, for as long as it takes: what happened has
    /// happened, and a recording that never ends would hold its room.
    async fn settle(&self, step: Step) {
        let id = self.id;
        loop {
            match self.store.advance(id, step.clone(), Utc::now()).await {
                Ok(recording) => {
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
                // The first frame after a stop was accepted, for example.
                Err(error) => {
                    tracing::debug!(%id, %error, "step not taken");
                    return;
                }
            }
        }
    }
}

/// Brings every order to the recorder, whose socket may not be there yet. A stop
/// is the last order that counts.
async fn deliver(id: Id, dir: &Path, mut orders: watch::Receiver<Orders>) -> Infallible {
    let mut done = Orders::default();
    loop {
        let Ok(wanted) = orders.wait_for(|orders| *orders != done).await.map(|orders| *orders)
        else {
            // Nobody is left who could ask.
            return std::future::pending().await;
        };
        let command = match wanted.stop {
            Some(reason) => Command::Stop { reason },
            None if wanted.paused => Command::Pause,
            None => Command::Resume,
        };
        match control::send(dir, command).await {
            Ok(Reply::Ok | Reply::Status(_)) if wanted.stop.is_some() => {
                return std::future::pending().await;
            }
            Ok(Reply::Ok | Reply::Status(_)) => {
                done = wanted;
                continue;
            }
            Ok(Reply::Error { message: why }) => tracing::warn!(%id, why, "an order was refused"),
            Err(error) => tracing::debug!(%id, %error, "an order was not delivered"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// How far a recorder that does not end has been pressed.
#[derive(Default)]
struct Patience {
    /// Since when it should be on its way out.
    since: Option<Instant>,
    /// SIGTERM was sent.
    termed: bool,
    /// SIGKILL was sent.
    killed: bool,
}

impl Patience {
    /// A recorder that was told to stop has one grace to take its last frame,
    /// then SIGTERM and another grace, then SIGKILL. One that has told its end
    /// has one grace to go. Finalising a file takes the time it takes.
    fn check(&mut self, asked: bool, told: &Told, grace: Duration, child: &Child, id: Id) {
        if asked && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        let over = |since: Option<Instant>, graces: u32| {
            since.is_some_and(|since| since.elapsed() >= grace * graces)
        };
        let since = if told.stopped { None } else { self.since };
        if (over(told.ended, 1) || over(since, 2)) && !self.killed {
            self.killed = true;
            tracing::warn!(%id, "killing a recorder that does not end");
            process::signal(child, Signal::KILL, true);
        } else if told.ended.is_none() && over(since, 1) && !self.termed {
            self.termed = true;
            tracing::warn!(%id, "terminating a recorder that ignores its stop");
            process::signal(child, Signal::TERM, false);
        }
    }
}

fn too_early() -> Failure {
    Failure { kind: FailureKind::BeamStopped, message: "Beam stopped too early".into() }
}

fn internal(message: String) -> Failure {
    Failure { kind: FailureKind::InternalError, message }
}
