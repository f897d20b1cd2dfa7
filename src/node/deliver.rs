//! A finished file on its way to where it belongs: its destination, tried for
//! hours, then the backup, then this machine's disk, where it waits for somebody
//! to try again. Only a verified object lets the file go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::backoff::Backoff;
use super::stills::Finished;
use super::supervisor::{Start, Supervisor};
use crate::storage::{Destination, Health, Storage, StorageError, Trouble, Upload};

/// Where a file is now.
pub(super) struct Placed {
    /// Name of the destination.
    pub(super) destination: String,
    /// What it is called there.
    pub(super) key: String,
    /// Bytes.
    pub(super) size: u64,
    /// Why it is not where it should be.
    pub(super) refused: Option<String>,
    /// What is left to do once the store knows.
    pub(super) rest: Rest,
}

/// What may go once the store knows where the file is.
#[derive(Default)]
pub(super) struct Rest {
    file: Option<PathBuf>,
    upload: Option<Upload>,
    /// What a poster can be made of.
    pub(super) finished: Option<Finished>,
}

/// Why a file is nowhere.
pub(super) enum NotPlaced {
    /// The service is shutting down; the next start goes on.
    Left,
    /// Not even this machine's disk has taken it.
    Lost(String),
}

/// What came of one destination.
enum Tried {
    Done(u64, Option<Upload>),
    Refused(StorageError, Option<Upload>),
    Left,
}

impl Rest {
    /// Removes what is not needed any more.
    pub(super) fn clear(self) {
        if let Some(file) = self.file
            && let Err(error) = std::fs::remove_file(&file)
        {
            tracing::warn!(file = %file.display(), %error, "an uploaded file cannot be removed");
        }
        if let Some(upload) = self.upload {
            upload.forget();
        }
    }
}

impl Supervisor {
    /// Brings `file` to the recording's destination, or to what stands in for it.
    pub(super) async fn deliver(
        &self,
        file: &Path,
        started_at: DateTime<Utc>,
    ) -> Result<Placed, NotPlaced> {
        let storage = Arc::clone(&self.node.storage);
        let room_id = &self.spec.room_id;
        let mut refusals = Vec::new();
        let mut unfinished = Vec::new();
        for name in chain(&storage, &self.destination) {
            let destination = match storage.get(&name) {
                Ok(destination) => destination,
                Err(error) => {
                    refusals.push(error.to_string());
                    continue;
                }
            };
            let key = destination.key_for(room_id, started_at);
            match self.try_at(destination, file, &key).await {
                Tried::Left => return Err(NotPlaced::Left),
                Tried::Done(size, upload) => {
                    for other in unfinished {
                        Upload::abandon(other).await;
                    }
                    if !refusals.is_empty() {
                        tracing::warn!(id = %self.id, destination = name, "the backup has the file");
                    }
                    let file = upload.is_some().then(|| file.to_owned());
                    let rest = Rest { file, upload, finished: None };
                    return Ok(Placed { destination: name, key, size, refused: None, rest });
                }
                Tried::Refused(error, upload) => {
                    refusals.push(format!("{name}: {error}"));
                    unfinished.extend(upload);
                }
            }
        }
        let why = format!("the finished file could not be uploaded: {}", refusals.join("; "));
        let (name, key) = (storage.built_in().name().to_owned(), {
            storage.built_in().key_for(room_id, started_at)
        });
        match take_in(&storage, &name, file, &key).await {
            Ok(size) => {
                let (refused, rest) = (Some(why), Rest::default());
                Ok(Placed { destination: name, key, size, refused, rest })
            }
            Err(error) => Err(NotPlaced::Lost(format!("{why}; {error}"))),
        }
    }

    /// Tries one destination for as long as it is worth.
    async fn try_at(&self, destination: &Destination, file: &Path, key: &str) -> Tried {
        let mut upload = destination.upload(key, self.media_type(), &self.dir);
        if let Some(upload) = upload.as_mut().filter(|_| self.start == Start::Upload) {
            upload.forgive();
        }
        let all = std::fs::metadata(file).map_or(0, |file| file.len());
        self.see_upload(upload.as_ref().map(|upload| (all, upload.sent())));
        let tried = self.try_until(destination, file, key, upload).await;
        self.see_upload(None);
        tried
    }

    async fn try_until(
        &self,
        destination: &Destination,
        file: &Path,
        key: &str,
        mut upload: Option<Upload>,
    ) -> Tried {
        let (id, name) = (self.id, destination.name());
        let mut backoff = Backoff::default();
        let mut known: Option<Trouble> = None;
        let mut since = None;
        loop {
            let done = match &mut upload {
                Some(upload) => upload.finish(file).await,
                None => take_in(&self.node.storage, name, file, key).await,
            };
            let error = match done {
                Ok(size) => {
                    if destination.note(Health::Good) && known.is_some() {
                        tracing::info!(%id, destination = name, "the destination is back");
                    }
                    if upload.is_some() {
                        tracing::info!(%id, destination = name, key, size, "uploaded and verified");
                    }
                    return Tried::Done(size, upload);
                }
                Err(error) => error,
            };
            destination.note(Health::Bad(error.trouble));
            let now = Utc::now();
            let since = match &mut upload {
                Some(upload) => upload.failing_since(now),
                None => *since.get_or_insert(now),
            };
            let patience = TimeDelta::from_std(destination.retry_for()).unwrap_or(TimeDelta::MAX);
            if now - since >= patience {
                tracing::error!(%id, destination = name, %error, "given up on a destination");
                return Tried::Refused(error, upload);
            }
            if known != Some(error.trouble) {
                tracing::warn!(%id, destination = name, %error, "not uploaded, will try again");
            }
            known = Some(error.trouble);
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = self.node.closing.cancelled() => return Tried::Left,
            }
        }
    }

    fn media_type(&self) -> &'static str {
        if self.spec.audio_only { "audio/mp4" } else { "video/mp4" }
    }

    /// What sends parts of this recording ahead, if it goes where that is of use.
    pub(super) fn upload_ahead(&self, started_at: DateTime<Utc>) -> Option<Upload> {
        let destination = self.node.storage.get(&self.destination).ok()?;
        let key = destination.key_for(&self.spec.room_id, started_at);
        destination.upload(&key, self.media_type(), &self.dir)
    }
}

/// The destination, its backup, that one's backup: each once.
fn chain(storage: &Storage, first: &str) -> Vec<String> {
    let mut names = vec![first.to_owned()];
    while let Some(next) = names
        .last()
        .and_then(|last| storage.get(last).ok()?.backup())
        .filter(|next| !names.iter().any(|name| name == next))
    {
        names.push(next.to_owned());
    }
    names
}

/// Moves the file into the directory that the destination is.
async fn take_in(
    storage: &Arc<Storage>,
    destination: &str,
    file: &Path,
    key: &str,
) -> Result<u64, StorageError> {
    let (storage, file) = (Arc::clone(storage), file.to_owned());
    let (destination, key) = (destination.to_owned(), key.to_owned());
    let moved = tokio::task::spawn_blocking(move || {
        let moved = storage.get(&destination)?.take_in(&file, &key);
        moved.map_err(|e| StorageError::disk("move the file", &e))
    });
    moved.await.unwrap_or_else(|e| Err(StorageError::disk("move the file", &e.into())))
}
