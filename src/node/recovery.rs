//! What an earlier run of the service left unfinished: each recording is found
//! again and brought to an end that is true.
//!
//! A recorder that still lives is gone on with. What a dead one left is saved.
//! A recording whose recorder was never started is started, if that is not too
//! late. A directory without a recording in the store becomes one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::orders::Orders;
use super::supervisor::Start;
use super::{CLIENT, Inner, Node, page_of};
use crate::job::{Event, JoinRule, Quality, State, What};
use crate::recorder::journal::{self, JOURNAL};
use crate::storage;
use crate::store::{Id, InsertError, Recording, Terms, Unavailable};

/// A recording that was accepted longer ago is not started any more.
const TOO_LATE: Duration = Duration::from_secs(60);
/// Stands for the page of a recording whose request is not known any more; a
/// name that leads nowhere (RFC 2606, section 2).
const UNKNOWN_PAGE: &str = "https://unknown.invalid/";

impl Node {
    /// Takes up everything unfinished; to be called once, before anything is
    /// started. What comes of it is told by the store.
    pub async fn recover(&self) -> Result<(), Unavailable> {
        let node = &self.0;
        for recording in node.store.unfinished().await? {
            node.take_up(&recording);
        }
        for id in node.directories() {
            match node.store.get(id).await? {
                None => node.adopt(id).await?,
                // The service ended between the last step and the clearing up.
                Some(recording) if recording.state == State::Completed => {
                    storage::clear_uploaded(&node.dir.join(id.to_string()));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Sees a recording to its end that an earlier run of the service began.
    fn take_up(self: &Arc<Self>, recording: &Recording) {
        let Recording { id, state, paused, .. } = *recording;
        tracing::info!(%id, room_id = %recording.room_id, ?state, "taking up a recording");
        let stop = (state == State::Stopping)
            .then(|| recording.stop_asked.map_or(CLIENT, |asked| asked.reason));
        let orders = Orders { stop, paused };
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok();
        // Nobody has closed the node before it was open.
        let Ok((seat, orders)) = self.enter(id, slot, orders) else { return };
        let age = (Utc::now() - recording.created_at).to_std().unwrap_or_default();
        let accepted = state == State::Starting && age < TOO_LATE;
        let start = match recording.kept() {
            Some(_) if state == State::PostProcessing => Start::Upload,
            _ if accepted => Start::Accepted,
            _ => Start::Found,
        };
        let Some(page) = page_of(recording) else { return };
        self.supervise(recording, page, seat, orders, start);
    }

    /// The ids of all directories of recordings, oldest first.
    pub(super) fn directories(&self) -> Vec<Id> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "cannot read the directory of the recordings");
                return Vec::new();
            }
        };
        let mut ids: Vec<Id> =
            entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
        ids.sort();
        ids
    }

    /// Makes a recording of a directory that no recording is known for, if there
    /// is anything in it to save.
    async fn adopt(self: &Arc<Self>, id: Id) -> Result<(), Unavailable> {
        let Some((what, started_at)) = begun(&self.dir.join(id.to_string())) else {
            tracing::warn!(%id, "a directory without a recording holds no journal of one; left alone");
            return Ok(());
        };
        let terms = Terms {
            quality: Quality { resolution: what.resolution, ..self.recording.quality() },
            join: JoinRule::default(),
            max_duration_s: self.recording.max_duration.as_secs_f64(),
            audio_only: what.audio_only,
            presence: self.presence.clone(),
        };
        let mut found = Recording::new(what.room_id, UNKNOWN_PAGE.into(), terms, id.created_at());
        found.id = id;
        // Of several, nobody knows which was meant; the failure names them all.
        if let Ok(only) = self.storage.choose(None) {
            found.destination = only.to_owned();
        }
        // It must not hold its room, which may be recorded by another by now.
        found.state = State::PostProcessing;
        found.started_at = Some(started_at);
        found.warnings.push("this recording was found on disk without its request".to_owned());
        tracing::warn!(%id, room_id = %found.room_id, "adopting a recording that nobody knows");
        match self.store.insert(found.clone()).await {
            Ok(()) => self.take_up(&found),
            Err(InsertError::RoomHeld(_)) => {}
            Err(InsertError::Unavailable(error)) => return Err(error),
        }
        Ok(())
    }
}

/// What the journal in `dir` says that is recorded there, once a frame was taken.
fn begun(dir: &Path) -> Option<(What, DateTime<Utc>)> {
    let events = journal::read(&dir.join(JOURNAL)).ok()?;
    let what = events.iter().find_map(|event| match event {
        Event::Started { what, .. } => what.clone(),
        _ => None,
    })?;
    let started_at = events.iter().find_map(|event| match event {
        Event::FirstFrame { epoch_ms, .. } => DateTime::from_timestamp_millis(*epoch_ms),
        _ => None,
    })?;
    Some((what, started_at))
}
