//! This machine: how many recordings it takes on, and the recorder processes
//! behind them.
//!
//! `http` calls it. It writes every step of a recording to the store, and
//! leaves what happens inside a recording to the recorder process. It knows no
//! HTTP and no browser.

mod ahead;
mod backoff;
mod claim;
mod control;
mod deliver;
mod journal;
mod orders;
mod process;
mod recovery;
mod redact;
mod report;
mod retention;
mod strays;
mod supervisor;
mod told;
mod vitals;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use url::Url;

pub use self::claim::Claim;
use self::orders::Orders;
pub use self::report::report;
use self::supervisor::{Start, Supervisor};
use self::vitals::Seen;
pub use self::vitals::{Capacity, Usage, Vitals};
use crate::config::{self, Config, Kind};
use crate::job::{
    BrowserOptions, Egress, JoinRule, PageOptions, PresenceRule, RecordingSpec, Resolution, State,
    StopReason, Video,
};
use crate::session::SessionId;
use crate::storage::{ChoiceError, Storage};
use crate::store::{
    AdvanceError, Id, InsertError, Recording, Step, Store, Terms, Unavailable, WebhookTarget,
};

/// What a caller wants recorded; what is absent follows the configuration.
pub struct Wanted {
    /// The room in the caller's system.
    pub room_id: String,
    /// The session that the room is in, where that is known.
    pub session: Option<SessionId>,
    /// The meeting URL as the caller wrote it, to be shown again.
    pub meeting_url: SecretString,
    /// The same, parsed.
    pub page: Url,
    /// Size of the picture.
    pub resolution: Option<Resolution>,
    /// Frames per second, checked by [`Video::check`].
    pub fps: Option<u32>,
    /// What counts as joined.
    pub join: Option<JoinRule>,
    /// When it ends by itself.
    pub max_duration: Option<Duration>,
    /// When it ends because of who is there.
    pub presence: Option<PresenceRule>,
    /// Sound alone.
    pub audio_only: bool,
    /// Name of the storage that the file goes to; the only one when absent.
    pub destination: Option<String>,
    /// Where this recording's events go instead of the configured endpoints.
    pub webhook: Option<WebhookTarget>,
    /// What the page is opened with, before what is configured.
    pub page_options: PageOptions,
    /// What the caller should know of what it will not get.
    pub warnings: Vec<String>,
}

/// Why a recording was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The room is being recorded already.
    #[error("the room is being recorded")]
    RoomHeld,
    /// Every slot is taken.
    #[error("all {slots} recordings that this node takes at once are running")]
    Full {
        /// How many there are.
        slots: usize,
    },
    /// The disk is nearly full.
    #[error("the disk of the data directory has {free} bytes left, less than {needed}")]
    NoSpace {
        /// Bytes that are left.
        free: u64,
        /// Bytes without which nothing is started.
        needed: u64,
    },
    /// The service is shutting down.
    #[error("the service is shutting down")]
    Closing,
    /// It names no destination that there is.
    #[error("destination: {0}")]
    Destination(#[from] ChoiceError),
    /// Nothing is known about the recording afterwards.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a recording was not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// There is no such recording, or it has ended already.
    #[error("there is no recording to stop")]
    NotActive,
    /// Whether it stops is not known.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a file is not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// There is no such recording.
    #[error("there is no such recording")]
    NotFound,
    /// There is nothing to upload.
    #[error("the recording has no file that waits for an upload")]
    NothingKept,
    /// Whether it is, is not known.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The recordings of this machine. Clones are the same node.
#[derive(Clone)]
pub struct Node(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    /// Where finished files go.
    storage: Arc<Storage>,
    /// Rung after each step, as it may have left events in the outbox.
    told: Arc<Notify>,
    /// Bytes from which on a recording is uploaded while it goes on; 0: never.
    ahead_from: u64,
    /// Defaults of a spec, and the grace of a stop.
    recording: config::Recording,
    /// What presence decides when a request does not say.
    presence: PresenceRule,
    browser: BrowserOptions,
    /// Where recorded pages may connect to.
    egress: Egress,
    /// What pages are opened with where a request says nothing.
    page: config::Page,
    /// `<data>/recordings`, absolute.
    dir: PathBuf,
    /// Bytes of its disk without which nothing is started.
    min_free: u64,
    /// What is run as a recorder.
    program: PathBuf,
    slots: Arc<Semaphore>,
    live: Mutex<Live>,
    /// One task for each recorder process.
    tasks: TaskTracker,
    /// Cancelled once the service shuts down.
    closing: CancellationToken,
}

/// Who can be told something.
#[derive(Default)]
struct Live {
    /// Nobody enters any more.
    closed: bool,
    orders: HashMap<Id, watch::Sender<Orders>>,
    /// What their journals told, for whoever asks how they are.
    seen: HashMap<Id, Seen>,
}

/// A recording's place on this node, given back however its task ends.
struct Seat {
    node: Arc<Inner>,
    id: Id,
    /// A recording that was found running at the start may be one too many.
    slot: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// Lets another recording begin while this one is only being uploaded.
    fn free_slot(&mut self) {
        self.slot = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut live = self.node.live();
        live.orders.remove(&self.id);
        live.seen.remove(&self.id);
    }
}

impl Node {
    /// A node that keeps its recordings under `config.data.dir`, which its caller has
    /// a [`Claim`] on. `told` is rung whenever a step was stored.
    ///
    /// Before it is used, [`recover`](Self::recover) takes up what an earlier run
    /// of the service began.
    pub fn open(
        config: &Config,
        store: Arc<dyn Store>,
        storage: Arc<Storage>,
        told: Arc<Notify>,
    ) -> std::io::Result<Self> {
        let dir = config.data.dir.join("recordings");
        process::private_dirs(&dir)?;
        Ok(Self(Arc::new(Inner {
            store,
            storage,
            told,
            ahead_from: u64::from(config.storage.ahead_mib) << 20,
            recording: config.recording.clone(),
            presence: config.presence.rule(&config.meeting),
            browser: config.browser.options(),
            egress: egress(config),
            page: config.page.clone(),
            dir: dir.canonicalize()?,
            min_free: config.data.min_free,
            program: config.recorder_program.clone().unwrap_or_else(process::this_program),
            slots: Arc::new(Semaphore::new(config.recording.slots().min(Semaphore::MAX_PERMITS))),
            live: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        })))
    }

    /// Accepts a recording and starts its recorder behind the caller's back;
    /// what becomes of it is told by the store.
    pub async fn start(&self, wanted: Wanted) -> Result<Recording, StartError> {
        let node = Arc::clone(&self.0);
        whole(async move { node.start(wanted).await }).await?
    }

    /// Asks a recording to stop. One that is stopping already stays so.
    pub async fn stop(&self, id: Id) -> Result<Recording, StopError> {
        self.stop_because(id, CLIENT).await
    }

    /// The same, for another reason than that somebody asked.
    pub async fn stop_because(&self, id: Id, reason: StopReason) -> Result<Recording, StopError> {
        let node = Arc::clone(&self.0);
        whole(async move { node.stop(id, reason).await }).await?
    }

    /// Asks whatever records the room to stop.
    pub async fn stop_room(&self, room_id: &str) -> Result<Vec<Recording>, StopError> {
        let holder = self.0.store.holder(room_id).await?.ok_or(StopError::NotActive)?;
        Ok(vec![self.stop(holder.id).await?])
    }

    /// Uploads the file of a recording that failed because no storage took it; one
    /// that is being uploaded already stays so.
    pub async fn upload(&self, id: Id) -> Result<Recording, UploadError> {
        let node = Arc::clone(&self.0);
        whole(async move { node.upload(id).await }).await?
    }

    /// Leaves time out of the room's recording until it is resumed; one that is
    /// paused already stays so.
    pub async fn pause_room(&self, room_id: &str) -> Result<Recording, StopError> {
        self.set_paused(room_id, true).await
    }

    /// Goes on recording the room; a recording that runs already stays so.
    pub async fn resume_room(&self, room_id: &str) -> Result<Recording, StopError> {
        self.set_paused(room_id, false).await
    }

    async fn set_paused(&self, room_id: &str, paused: bool) -> Result<Recording, StopError> {
        let holder = self.0.store.holder(room_id).await?.ok_or(StopError::NotActive)?;
        let node = Arc::clone(&self.0);
        whole(async move { node.set_paused(holder.id, paused).await }).await?
    }

    /// How many others the page of the recording shows; `None` while nothing is
    /// known of that.
    pub fn others(&self, id: Id) -> Option<u32> {
        self.0.live().seen.get(&id)?.others
    }

    /// How the recordings are that run here.
    pub async fn vitals(&self) -> Vec<Vitals> {
        // Walks through every process of the machine.
        let usage = tokio::task::spawn_blocking(vitals::usage).await.unwrap_or_default();
        let seen = self.0.live().seen.clone();
        let mut all: Vec<_> = seen.into_iter().map(|(id, seen)| seen.vitals(id, &usage)).collect();
        all.sort_by_key(|vitals| vitals.id);
        all
    }

    /// How much more this node takes on.
    pub fn capacity(&self) -> Capacity {
        let (slots, free) = (self.0.recording.slots(), self.0.slots.available_permits());
        Capacity { slots, free: if self.0.closing.is_cancelled() { 0 } else { free } }
    }

    /// Takes nothing on any more, asks every recording to stop and waits for
    /// the files, at most for the grace. A recorder that is not done by then
    /// goes on without this process.
    pub async fn shutdown(&self) {
        let node = &self.0;
        node.closing.cancel();
        let ids: Vec<Id> = {
            let mut live = node.live();
            live.closed = true;
            // Told before the store, so that one just being inserted hears it too.
            live.orders.values().for_each(|orders| orders.send_modify(|o| o.stop = Some(CLIENT)));
            live.orders.keys().copied().collect()
        };
        if !ids.is_empty() {
            tracing::info!(recordings = ids.len(), "waiting for recordings to finish");
        }
        for id in ids {
            // One that has ended meanwhile needs no stop.
            _ = self.stop(id).await;
        }
        node.tasks.close();
        if tokio::time::timeout(node.recording.stop_grace, node.tasks.wait()).await.is_err() {
            let left = node.tasks.len();
            tracing::warn!(recordings = left, "leaving recorders that have not finished");
        }
    }
}

/// Why recordings end that somebody stops.
const CLIENT: StopReason = StopReason::ClientRequest;

/// Runs `work` to its end even if the caller goes away, as an HTTP client may
/// at any moment: a start or a stop is done whole or not at all.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Unavailable> {
    tokio::spawn(work).await.map_err(|e| Unavailable(format!("a task was lost: {e}")))
}

/// The page of a stored recording; what was stored was parsed before.
fn page_of(recording: &Recording) -> Option<Url> {
    match RecordingSpec::parse_meeting_url(recording.meeting_url.expose_secret()) {
        Ok(page) => Some(page),
        Err(error) => {
            tracing::error!(id = %recording.id, %error, "a stored recording has no usable meeting URL");
            None
        }
    }
}

impl Inner {
    fn live(&self) -> MutexGuard<'_, Live> {
        // No code can panic between two writes under this lock.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(self: Arc<Self>, wanted: Wanted) -> Result<Recording, StartError> {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            // That the room is taken is the better answer, if both are true.
            let held = self.store.holder(&wanted.room_id).await?.is_some();
            let slots = self.recording.slots();
            return Err(if held { StartError::RoomHeld } else { StartError::Full { slots } });
        };
        self.check_space()?;
        let destination = self.storage.choose(wanted.destination.as_deref())?.to_owned();
        let terms = self.terms(&wanted);
        let mut recording =
            Recording::new(wanted.room_id.clone(), wanted.meeting_url.clone(), terms, Utc::now());
        if let Some(session) = wanted.session.clone() {
            recording.session_id = session;
            recording.session_is_made_up = false;
        }
        recording.destination = destination;
        recording.webhook = wanted.webhook.clone();
        recording.page = wanted.page_options.clone();
        recording.warnings = wanted.warnings.clone();
        let id = recording.id;
        // In the list before it is in the store: whoever finds it there can stop it.
        let (seat, orders) = self.enter(id, Some(slot), Orders::default())?;
        self.store.insert(recording.clone()).await.map_err(|e| match e {
            InsertError::RoomHeld(_) => StartError::RoomHeld,
            InsertError::Unavailable(e) => e.into(),
        })?;
        tracing::info!(%id, room_id = %wanted.room_id, "recording accepted");
        self.supervise(&recording, wanted.page, seat, orders, Start::Fresh);
        Ok(recording)
    }

    /// Refuses while there is still room to finish what is running. A disk that
    /// cannot be asked is left to say so itself.
    fn check_space(&self) -> Result<(), StartError> {
        let needed = self.min_free;
        match rustix::fs::statvfs(&self.dir) {
            Ok(disk) if disk.f_bavail.saturating_mul(disk.f_frsize) < needed => {
                let free = disk.f_bavail * disk.f_frsize;
                Err(StartError::NoSpace { free, needed })
            }
            _ => Ok(()),
        }
    }

    /// Sees a recording to its end, behind everybody's back.
    fn supervise(
        self: &Arc<Self>,
        recording: &Recording,
        page: Url,
        seat: Seat,
        orders: watch::Receiver<Orders>,
        start: Start,
    ) {
        let id = recording.id;
        let spec = self.spec(recording, page);
        let dir = self.dir.join(id.to_string());
        let destination = recording.destination.clone();
        let node = Arc::clone(self);
        let supervisor = Supervisor { node, id, spec, destination, dir, orders, start };
        let of = tracing::info_span!("recording", %id, room_id = recording.room_id);
        self.tasks.spawn(supervisor.run(seat).instrument(of));
    }

    fn enter(
        self: &Arc<Self>,
        id: Id,
        slot: Option<OwnedSemaphorePermit>,
        orders: Orders,
    ) -> Result<(Seat, watch::Receiver<Orders>), StartError> {
        let mut live = self.live();
        if live.closed {
            return Err(StartError::Closing);
        }
        let (sender, receiver) = watch::channel(orders);
        live.orders.insert(id, sender);
        Ok((Seat { node: Arc::clone(self), id, slot }, receiver))
    }

    fn terms(&self, wanted: &Wanted) -> Terms {
        let default = &self.recording;
        Terms {
            resolution: wanted.resolution.unwrap_or(default.resolution),
            fps: wanted.fps.unwrap_or(default.fps),
            join: wanted.join.unwrap_or(default.join),
            max_duration_s: wanted.max_duration.unwrap_or(default.max_duration).as_secs_f64(),
            audio_only: wanted.audio_only,
            presence: wanted.presence.clone().unwrap_or_else(|| self.presence.clone()),
        }
    }

    fn spec(&self, recording: &Recording, page: Url) -> RecordingSpec {
        let Terms { resolution, fps, join, max_duration_s, audio_only, presence } =
            recording.terms.clone();
        RecordingSpec {
            id: recording.id.to_string(),
            room_id: recording.room_id.clone(),
            page: recording.page.clone().over(self.page.options(&page)),
            meeting_url: page,
            resolution,
            video: Video { fps, crf: self.recording.crf },
            audio_only,
            join,
            join_timeout_s: self.recording.join_timeout.as_secs_f64(),
            join_reloads: self.recording.join_reloads,
            max_duration_s,
            copy_max: self.goes_ahead(&recording.destination).then_some(self.ahead_from),
            browser: self.browser.clone(),
            egress: self.egress.clone(),
            presence,
        }
    }

    /// True if recordings for this destination are uploaded while they go on.
    fn goes_ahead(&self, destination: &str) -> bool {
        let bucket = |name| self.storage.get(name).is_ok_and(|found| found.kind() != Kind::Fs);
        self.ahead_from > 0 && bucket(destination)
    }

    async fn stop(&self, id: Id, reason: StopReason) -> Result<Recording, StopError> {
        let stopping = match self.store.advance(id, Step::Stop { reason }, Utc::now()).await {
            Ok(recording) => recording,
            Err(AdvanceError::Illegal(illegal)) if illegal.from == State::Stopping => {
                return self.store.get(id).await?.ok_or(StopError::NotActive);
            }
            Err(AdvanceError::Illegal(_) | AdvanceError::NotFound) => {
                return Err(StopError::NotActive);
            }
            Err(AdvanceError::Unavailable(e)) => return Err(e.into()),
        };
        tracing::info!(%id, room_id = %stopping.room_id, reason = reason.text(), "stop asked for");
        self.order(id, |orders| orders.stop = Some(reason));
        Ok(stopping)
    }

    async fn upload(self: Arc<Self>, id: Id) -> Result<Recording, UploadError> {
        let known = self.store.get(id).await?.ok_or(UploadError::NotFound)?;
        if known.state == State::PostProcessing {
            return Ok(known);
        }
        if !known.can_upload() {
            return Err(UploadError::NothingKept);
        }
        let recording = match self.store.advance(id, Step::Upload, Utc::now()).await {
            Ok(recording) => recording,
            Err(AdvanceError::Unavailable(e)) => return Err(e.into()),
            Err(AdvanceError::Illegal(_) | AdvanceError::NotFound) => {
                return Err(UploadError::NothingKept);
            }
        };
        tracing::info!(%id, room_id = %recording.room_id, "upload asked for");
        // While the service shuts down nobody enters: the next start takes it up.
        if let Ok((seat, orders)) = self.enter(id, None, Orders::default())
            && let Some(page) = page_of(&recording)
        {
            self.supervise(&recording, page, seat, orders, Start::Upload);
        }
        Ok(recording)
    }

    async fn set_paused(&self, id: Id, paused: bool) -> Result<Recording, StopError> {
        let step = if paused { Step::Pause } else { Step::Resume };
        let recording = match self.store.advance(id, step, Utc::now()).await {
            Ok(recording) => recording,
            Err(AdvanceError::Illegal(_) | AdvanceError::NotFound) => {
                return Err(StopError::NotActive);
            }
            Err(AdvanceError::Unavailable(e)) => return Err(e.into()),
        };
        tracing::info!(%id, room_id = %recording.room_id, paused, "pause or resume asked for");
        self.order(id, |orders| orders.paused = paused);
        Ok(recording)
    }

    fn order(&self, id: Id, change: impl FnOnce(&mut Orders)) {
        if let Some(orders) = self.live().orders.get(&id) {
            orders.send_modify(change);
        }
    }
}

/// Public addresses, what the configuration allows, and never this service.
fn egress(config: &Config) -> Egress {
    Egress::Guarded {
        networks: config.net.allow.clone(),
        sockets: config.net.sockets.clone(),
        closed_ports: vec![config.server.listen.port()],
    }
}

#[cfg(test)]
mod tests;
