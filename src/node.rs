//! This machine: how many recordings it takes on, and the recorder processes
//! behind them.
//!
//! `http` calls it. It writes every step of a recording to the store, and
//! leaves what happens inside a recording to the recorder process. It knows no
//! HTTP and no browser.

mod ahead;
mod backoff;
mod claim;
mod conclusion;
mod control;
mod deliver;
mod journal;
mod load;
mod orders;
mod process;
mod recovery;
mod redact;
mod report;
mod requests;
mod retention;
mod seat;
mod start;
mod stills;
mod strays;
mod supervisor;
mod told;
mod vitals;
mod watch;
mod witness;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use secrecy::ExposeSecret;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

pub use self::claim::Claim;
pub use self::load::{Load, Machine, Space, Working};
pub use self::report::report;
pub use self::requests::{StopError, UploadError};
use self::seat::Live;
use self::start::egress;
pub use self::start::{StartError, Wanted};
pub use self::vitals::{Capacity, Usage, Vitals};
use self::watch::{Glimpses, WATCHERS};
pub use self::watch::{Watch, WatchError};
use crate::config::{self, Config};
use crate::job::{BrowserOptions, Egress, PresenceRule, RecordingSpec, StopReason};
use crate::storage::Storage;
use crate::store::{Id, Recording, Store, Unavailable};

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
    /// Who comes and goes is told in place of rooms that do not tell it themselves.
    tells_rooms: bool,
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
    /// The newest pictures of recordings that somebody looked at.
    glimpses: Glimpses,
    /// Who may watch recordings that go on.
    watchers: Arc<Semaphore>,
    /// One task for each recorder process.
    tasks: TaskTracker,
    /// Cancelled once the service shuts down.
    closing: CancellationToken,
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
            tells_rooms: config.webhooks.room_events,
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
            glimpses: Glimpses::default(),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        })))
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

#[cfg(test)]
mod tests;
