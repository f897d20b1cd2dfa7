//! How a recording begins: what is wanted, why it is refused, and what its recorder
//! is told of it.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use secrecy::SecretString;
use url::Url;

use super::orders::Orders;
use super::supervisor::Start;
use super::{Inner, Node, whole};
use crate::config::{Config, Kind};
use crate::job::{Egress, JoinRule, PageOptions, PresenceRule, Quality, RecordingSpec};
use crate::session::SessionId;
use crate::storage::ChoiceError;
use crate::store::{Attendance, InsertError, Recording, Terms, Unavailable, WebhookTarget};

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
    /// What it is encoded to; as configured when absent.
    pub quality: Option<Quality>,
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

impl Node {
    /// Accepts a recording and starts its recorder behind the caller's back;
    /// what becomes of it is told by the store.
    pub async fn start(&self, wanted: Wanted) -> Result<Recording, StartError> {
        let node = Arc::clone(&self.0);
        whole(async move { node.start(wanted).await }).await?
    }
}

/// The share of `data.min_free` that a recording that runs leaves for its own end
/// and that of others.
const KEPT_FREE: u64 = 8;

impl Inner {
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
        } else if self.tells_rooms {
            recording.attendance = Some(Attendance::default());
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

    fn terms(&self, wanted: &Wanted) -> Terms {
        let default = &self.recording;
        Terms {
            quality: wanted.quality.unwrap_or_else(|| default.quality()),
            join: wanted.join.unwrap_or(default.join),
            max_duration_s: wanted.max_duration.unwrap_or(default.max_duration).as_secs_f64(),
            audio_only: wanted.audio_only,
            presence: wanted.presence.clone().unwrap_or_else(|| self.presence.clone()),
        }
    }

    pub(super) fn spec(&self, recording: &Recording, page: Url) -> RecordingSpec {
        let Terms { quality, join, max_duration_s, audio_only, presence } = recording.terms.clone();
        RecordingSpec {
            id: recording.id.to_string(),
            room_id: recording.room_id.clone(),
            page: recording.page.clone().over(self.page.options(&page)),
            meeting_url: page,
            quality,
            audio_only,
            join,
            join_timeout_s: self.recording.join_timeout.as_secs_f64(),
            join_reloads: self.recording.join_reloads,
            max_duration_s,
            copy_max: self.goes_ahead(&recording.destination).then_some(self.ahead_from),
            keep_free: self.min_free / KEPT_FREE,
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
}

/// Public addresses, what the configuration allows, and never this service.
pub(super) fn egress(config: &Config) -> Egress {
    Egress::Guarded {
        networks: config.net.allow.clone(),
        sockets: config.net.sockets.clone(),
        closed_ports: vec![config.server.listen.port()],
    }
}
