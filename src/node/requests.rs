//! What is asked of a recording that there is: to stop, to pause, to go on, to be
//! uploaded after all.

use std::sync::Arc;

use chrono::Utc;

use super::orders::Orders;
use super::supervisor::Start;
use super::{CLIENT, Inner, Node, page_of, whole};
use crate::job::{State, StopReason};
use crate::store::{AdvanceError, Id, Recording, Step, Unavailable};

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

impl Node {
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
        let id = self.holder(room_id).await?;
        self.pause(id).await
    }

    /// Goes on recording the room; a recording that runs already stays so.
    pub async fn resume_room(&self, room_id: &str) -> Result<Recording, StopError> {
        let id = self.holder(room_id).await?;
        self.resume(id).await
    }

    /// The same as [`pause_room`](Self::pause_room), of a recording.
    pub async fn pause(&self, id: Id) -> Result<Recording, StopError> {
        self.set_paused(id, true).await
    }

    /// The same as [`resume_room`](Self::resume_room), of a recording.
    pub async fn resume(&self, id: Id) -> Result<Recording, StopError> {
        self.set_paused(id, false).await
    }

    async fn holder(&self, room_id: &str) -> Result<Id, StopError> {
        let holder = self.0.store.holder(room_id).await?;
        holder.map(|recording| recording.id).ok_or(StopError::NotActive)
    }

    async fn set_paused(&self, id: Id, paused: bool) -> Result<Recording, StopError> {
        let node = Arc::clone(&self.0);
        whole(async move { node.set_paused(id, paused).await }).await?
    }
}

impl Inner {
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
