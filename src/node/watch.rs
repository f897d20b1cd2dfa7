//! Looking at a recording while it goes on: a stream of it, and its newest picture.
//! Both are read from its part file, a few seconds behind, at no cost to its
//! recorder.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit};

use super::retention::off_runtime;
use super::stills::{QUALITY, draw};
use super::{Inner, Node};
use crate::encode::Sheet;
use crate::encode::mux::{Follower, MuxError, Scout};
use crate::recorder::place::{LOCK, PART, is_locked};
use crate::store::{Id, Unavailable};

/// Who may watch at once, of all recordings together.
pub(super) const WATCHERS: usize = 32;
/// How often a part file is looked at for the next fragment, which is half a second.
const POLL: Duration = Duration::from_millis(200);
/// Longer edge of the picture of a recording that goes on, in pixels.
const EDGE: u32 = 640;

/// Why a recording cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It is not going on here, or has no frame yet.
    #[error("nothing is being recorded")]
    NotRecording,
    /// It has no picture.
    #[error("it is recorded without a picture")]
    SoundAlone,
    /// As many as may are watching.
    #[error("{WATCHERS} are watching already")]
    TooMany,
    /// Its file cannot be read, or its picture not be drawn.
    #[error("{0}")]
    Failed(String),
}

impl From<MuxError> for WatchError {
    fn from(error: MuxError) -> Self {
        match error {
            MuxError::Empty => Self::NotRecording,
            MuxError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                Self::NotRecording
            }
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<Unavailable> for WatchError {
    fn from(error: Unavailable) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What is known of the newest pictures of recordings.
#[derive(Default)]
pub(super) struct Glimpses(Mutex<HashMap<Id, Arc<AsyncMutex<Glimpse>>>>);

#[derive(Default)]
struct Glimpse {
    /// Remembers how far it looked.
    scout: Option<Scout>,
    /// The newest keyframe that was drawn, and its JPEG.
    drawn: Option<(Vec<u8>, Bytes)>,
}

impl Glimpses {
    fn of(&self, id: Id) -> Arc<AsyncMutex<Glimpse>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(id).or_default())
    }

    pub(super) fn forget(&self, id: Id) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

impl Node {
    /// The newest keyframe of a recording that goes on, as a JPEG of at most 640 pixels;
    /// little more than the keyframe interval old.
    ///
    /// # Errors
    /// [`WatchError`].
    pub async fn picture(&self, id: Id) -> Result<Bytes, WatchError> {
        let node = &self.0;
        let part = node.part(id)?;
        // Who asks meanwhile gets the same.
        let glimpse = node.glimpses.of(id);
        let mut glimpse = glimpse.lock().await;
        let scout = glimpse.scout.take();
        let (scout, found) = blocking(move || {
            let mut scout = scout.map_or_else(|| Scout::open(&part), Ok)?;
            let found = scout.keyframe()?;
            Ok((scout, found))
        })
        .await?;
        let sound_alone = !scout.has_video();
        glimpse.scout = Some(scout);
        let Some(frame) = found else {
            return Err(if sound_alone {
                WatchError::SoundAlone
            } else {
                WatchError::NotRecording
            });
        };
        if let Some((known, jpeg)) = &glimpse.drawn
            && *known == frame
        {
            return Ok(jpeg.clone());
        }
        let sheet = Sheet { edge: EDGE, columns: 1, quality: QUALITY };
        let drawn = draw(&node.program, vec![frame.clone()], sheet).await;
        let jpeg = drawn.map_err(|error| WatchError::Failed(error.to_string()))?;
        glimpse.drawn = Some((frame, jpeg.clone()));
        Ok(jpeg)
    }

    /// A recording that goes on as a fragmented MP4, from its newest keyframe on.
    ///
    /// # Errors
    /// [`WatchError`].
    pub async fn watch(&self, id: Id) -> Result<Watch, WatchError> {
        let node = Arc::clone(&self.0);
        let part = node.part(id)?;
        let turn = Arc::clone(&node.watchers).try_acquire_owned();
        let turn = turn.map_err(|_| WatchError::TooMany)?;
        let follower = blocking(move || Scout::open(&part)?.follow()).await?;
        let head = follower.head()?;
        let lock = node.dir.join(id.to_string()).join(LOCK);
        let follower = Some(follower);
        Ok(Watch { node, follower, head: Some(head.into()), lock, _turn: turn })
    }

    /// Where a picture of a finished recording would be.
    pub fn still(&self, id: Id, name: &str) -> PathBuf {
        self.0.dir.join(id.to_string()).join(name)
    }
}

impl Inner {
    /// The part file of a recording that goes on.
    fn part(&self, id: Id) -> Result<PathBuf, WatchError> {
        let dir = self.dir.join(id.to_string());
        // A recording that is being finished is not watched.
        let goes_on = self.live().seen.contains_key(&id) && is_locked(&dir.join(LOCK));
        if goes_on { Ok(dir.join(PART)) } else { Err(WatchError::NotRecording) }
    }
}

/// A recording that somebody watches.
pub struct Watch {
    node: Arc<Inner>,
    /// `None` only while it reads.
    follower: Option<Follower>,
    /// What the stream begins with.
    head: Option<Bytes>,
    /// Held by the recorder.
    lock: PathBuf,
    _turn: OwnedSemaphorePermit,
}

impl Watch {
    /// The next bytes of the stream, as soon as they are there; `None` at the end of
    /// the recording, and when the service shuts down.
    ///
    /// # Errors
    /// As the disk says.
    pub async fn next(&mut self) -> Option<std::io::Result<Bytes>> {
        if let Some(head) = self.head.take() {
            return Some(Ok(head));
        }
        loop {
            // Before the look, so that what was written last is not missed.
            let goes_on = is_locked(&self.lock);
            let mut follower = self.follower.take()?;
            let read = blocking(move || Ok((follower.next_fragment()?, follower))).await;
            match read {
                Ok((found, follower)) => {
                    self.follower = Some(follower);
                    if let Some(fragment) = found {
                        return Some(Ok(fragment.into()));
                    }
                }
                Err(error) => return Some(Err(std::io::Error::other(error.to_string()))),
            }
            if !goes_on {
                return None;
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.node.closing.cancelled() => return None,
            }
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MuxError> + Send + 'static,
) -> Result<T, WatchError> {
    Ok(off_runtime(move || Ok(work())).await??)
}
