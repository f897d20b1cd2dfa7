//! What is not needed any more: files that were kept long enough, directories
//! of recordings that are over, and recordings that somebody wants gone.
//!
//! Media that was never made into a file is never deleted by itself, whatever
//! the store says.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Inner, Node};
use crate::storage::Trouble;
use crate::store::{Asset, AssetQuery, Id, OwnedAsset, Recording, RemoveError, Unavailable};

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(3600);
/// Assets looked at in one go.
const BATCH: usize = 100;

impl Node {
    /// Removes a recording that is over, with its files, events and deliveries.
    /// The files go first: what fails half-way can be asked for again.
    pub async fn remove(&self, id: Id) -> Result<Recording, RemoveError> {
        let node = &self.0;
        let recording = node.store.get(id).await?.ok_or(RemoveError::NotFound)?;
        if !recording.state.is_final() {
            return Err(RemoveError::Active(recording.state));
        }
        for asset in &recording.assets {
            node.delete_file(asset).await?;
        }
        let dir = node.dir.join(id.to_string());
        node.storage.abandon_uploads(&dir).await;
        off_runtime(move || match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await?;
        let removed = node.store.remove(id).await?;
        let files = removed.assets.len();
        tracing::info!(%id, room_id = %removed.room_id, files, "recording removed on request");
        Ok(removed)
    }

    /// Sweeps now and every hour until the service shuts down.
    pub async fn keep_clean(&self) {
        let mut hours = tokio::time::interval(EVERY);
        let mut strays = BTreeSet::new();
        loop {
            tokio::select! {
                () = self.0.closing.cancelled() => return,
                _ = hours.tick() => {}
            }
            if let Err(error) = self.sweep(Utc::now()).await {
                tracing::error!(%error, "old recordings could not be swept, will try again");
            }
            if let Err(error) = self.tell_strays(&mut strays).await {
                tracing::warn!(%error, "cannot look for files that nobody knows, will try again");
            }
        }
    }

    /// Deletes files that were finished longer than the retention before `now`,
    /// and directories of recordings that ended before it and hold no media.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<(), Unavailable> {
        let node = &self.0;
        for destination in node.storage.all() {
            if let Some(before) = before(now, destination.retention())
                && let Err(error) = node.sweep_files(destination.name(), before).await
            {
                // A bucket that is away must not hold up the others.
                let destination = destination.name();
                tracing::warn!(destination, %error, "old files could not be removed, will try again");
            }
        }
        let Some(before) = before(now, node.storage.built_in().retention()) else {
            return Ok(());
        };
        for id in node.directories() {
            let over = node.store.get(id).await?.is_some_and(|recording| {
                recording.state.is_final() && recording.updated_at < before
            });
            if over {
                node.clear_directory(id).await;
            }
        }
        Ok(())
    }
}

/// When a file was made that is just old enough; `None` if none ever is.
fn before(now: DateTime<Utc>, retention: Duration) -> Option<DateTime<Utc>> {
    if retention.is_zero() {
        return None;
    }
    now.checked_sub_signed(TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX))
}

impl Inner {
    async fn sweep_files(
        &self,
        destination: &str,
        before: DateTime<Utc>,
    ) -> Result<(), Unavailable> {
        let query = AssetQuery {
            destination: Some(destination.to_owned()),
            made_before: Some(before),
            limit: BATCH,
            ..AssetQuery::default()
        };
        loop {
            let old = self.store.assets(&query).await?;
            for OwnedAsset { recording_id, asset, .. } in &old {
                self.delete_file(asset).await?;
                self.store.remove_asset(asset.id).await?;
                tracing::info!(%recording_id, asset = %asset.id, destination, path = asset.path,
                    bytes = asset.size, made = %asset.created_at,
                    "removed a file that was kept as long as the storage's retention says");
            }
            if old.len() < BATCH {
                return Ok(());
            }
        }
    }

    async fn delete_file(&self, asset: &Asset) -> Result<(), Unavailable> {
        match self.storage.delete(&asset.destination, &asset.path).await {
            // Nobody can reach it any more, and that must not keep it for ever.
            Err(error) if error.trouble == Trouble::NoDestination => {
                let (destination, path) = (&asset.destination, &asset.path);
                tracing::warn!(asset = %asset.id, destination, path, "forgotten, not deleted: {error}");
                Ok(())
            }
            deleted => deleted.map_err(|error| Unavailable(error.to_string())),
        }
    }

    /// Removes the directory of a recording that is over, unless it holds media.
    async fn clear_directory(&self, id: Id) {
        let dir = self.dir.join(id.to_string());
        let looked = dir.clone();
        let cleared = match off_runtime(move || holds_media(&looked)).await {
            Ok(true) => Ok(false),
            Ok(false) => {
                self.storage.abandon_uploads(&dir).await;
                off_runtime(move || std::fs::remove_dir_all(dir).map(|()| true)).await
            }
            Err(error) => Err(error),
        };
        match cleared {
            Ok(true) => tracing::info!(%id, "removed the journal and log of an old recording"),
            Ok(false) => {
                tracing::warn!(%id, "the directory of an old recording holds media, kept");
            }
            Err(error) => tracing::warn!(%id, %error, "cannot remove an old directory"),
        }
    }
}

fn holds_media(dir: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(dir)? {
        if entry?.path().extension().is_some_and(|extension| extension == "mp4") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// File work, away from the threads that answer requests.
pub(super) async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Unavailable> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| Unavailable(error.to_string())),
        Err(error) => Err(Unavailable(error.to_string())),
    }
}
