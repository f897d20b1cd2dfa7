//! One named place for files: a directory or a bucket.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::SetupError;
use super::bucket::Bucket;
use super::error::StorageError;
use super::local::Local;
use super::probe::Health;
use super::upload::Upload;
use crate::config::{self, BUILT_IN, Kind, LONGEST_LINK};

/// How long links hold that nobody says more about: the contract's three days,
/// and nine hours on OSS.
const DAYS: Duration = Duration::from_secs(3 * 86_400);
const HOURS: Duration = Duration::from_secs(9 * 3600);
const MIB: u64 = 1 << 20;
/// Bytes of a part: a minute of a usual recording, a second or two on its way.
const PART: u64 = 16 * MIB;

/// See the module's documentation.
pub struct Destination {
    name: String,
    kind: Kind,
    place: Place,
    /// Put before every key, with a slash at its end.
    prefix: String,
    /// What stands before the key in a URI.
    scheme: String,
    backup: Option<String>,
    retention: Duration,
    presign: Option<Duration>,
    retry_for: Duration,
    part_size: u64,
    health: Mutex<Health>,
}

enum Place {
    Disk(Local),
    Bucket(Arc<Bucket>),
}

/// How long a link is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkLife {
    /// Exactly so long.
    Exactly(Duration),
    /// As the destination says, else so long, else as usual for its kind.
    Usual(Option<Duration>),
}

impl Destination {
    /// The disk that is always there.
    pub(super) fn built_in(root: &Path, settings: &config::Storage) -> io::Result<Self> {
        let place = Place::Disk(Local::open(root)?);
        let mut from = config::Destination::new(BUILT_IN, Kind::Fs);
        // What does not work on the disk that all else is on will not soon.
        from.retry_for = Some(Duration::from_secs(10));
        Ok(Self::new(&from, place, settings))
    }

    /// The destination with this name, alone.
    ///
    /// # Errors
    /// [`SetupError`] if the configuration has none, or it cannot be opened.
    pub fn configured(
        name: &str,
        data: &Path,
        settings: &config::Storage,
    ) -> Result<Self, SetupError> {
        let bad = |problem| SetupError::Destination { name: name.to_owned(), problem };
        let found = settings.destinations.iter().find(|destination| destination.name == name);
        let found = found.ok_or_else(|| bad("is not configured".into()))?;
        Self::open(found, data, settings).map_err(bad)
    }

    pub(super) fn open(
        destination: &config::Destination,
        data: &Path,
        settings: &config::Storage,
    ) -> Result<Self, String> {
        let place = match destination.kind {
            Kind::Fs => {
                let default = data.join("files");
                let given = &destination.dir;
                let root = if given.as_os_str().is_empty() { &default } else { given };
                let opened = Local::open(root);
                Place::Disk(opened.map_err(|e| format!("dir: {}: {e}", root.display()))?)
            }
            _ => Place::Bucket(Arc::new(Bucket::open(destination)?)),
        };
        Ok(Self::new(destination, place, settings))
    }

    fn new(from: &config::Destination, place: Place, settings: &config::Storage) -> Self {
        let retention = match place {
            Place::Disk(_) => settings.retention,
            // A bucket is its owner's: nothing is deleted unasked.
            Place::Bucket(_) => Duration::ZERO,
        };
        let part_size = if from.part_mib == 0 { PART } else { u64::from(from.part_mib) * MIB };
        Self {
            name: from.name.clone(),
            kind: from.kind,
            place,
            prefix: if from.prefix.is_empty() { String::new() } else { from.prefix.clone() + "/" },
            scheme: format!("{}://{}/", from.kind.name(), from.bucket),
            backup: (!from.backup.is_empty()).then(|| from.backup.clone()),
            retention: from.retention.unwrap_or(retention),
            presign: from.presign_duration,
            retry_for: from.retry_for.unwrap_or(settings.retry_for),
            part_size,
            health: Mutex::default(),
        }
    }

    /// What a start, logs and assets call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What kind of storage it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where a file goes that it does not take.
    pub fn backup(&self) -> Option<&str> {
        self.backup.as_deref()
    }

    /// How long files are kept in it; zero is for ever.
    pub fn retention(&self) -> Duration {
        self.retention
    }

    /// How long an upload is tried again.
    pub fn retry_for(&self) -> Duration {
        self.retry_for
    }

    /// The key of a file of this room that began at `started_at`, in the
    /// contract's layout: `beam/<room_id>/<YYYYMMDD>/Rec-<room_id>-<epoch_ms>.mp4`
    /// behind the prefix.
    pub fn key_for(&self, room_id: &str, started_at: DateTime<Utc>) -> String {
        let (day, epoch_ms) = (started_at.format("%Y%m%d"), started_at.timestamp_millis());
        format!("{}beam/{room_id}/{day}/Rec-{room_id}-{epoch_ms}.mp4", self.prefix)
    }

    /// The same place as a URI.
    pub fn uri(&self, key: &str) -> String {
        match &self.place {
            Place::Disk(local) => local.uri(key),
            Place::Bucket(_) => format!("{}{key}", self.scheme),
        }
    }

    /// Where the file is, if it is on this machine. Only for keys that were made
    /// by [`key_for`](Self::key_for) and come from the store.
    pub fn file(&self, key: &str) -> Option<PathBuf> {
        match &self.place {
            Place::Disk(local) => Some(local.file(key)),
            Place::Bucket(_) => None,
        }
    }

    /// Moves a file into a directory, durably, and returns its size in bytes. A
    /// file that was moved already counts as moved. Blocks.
    ///
    /// # Errors
    /// As the disk says; [`io::ErrorKind::Unsupported`] by a bucket.
    pub fn take_in(&self, from: &Path, key: &str) -> io::Result<u64> {
        match &self.place {
            Place::Disk(local) => local.take_in(from, key),
            Place::Bucket(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Takes up or begins the upload of a file into a bucket, with its record
    /// beside the file in `dir`; `None` for a directory.
    pub fn upload(&self, key: &str, media_type: &'static str, dir: &Path) -> Option<Upload> {
        let Place::Bucket(bucket) = &self.place else { return None };
        let state = super::record::path(dir, &self.name);
        Some(Upload::open(Arc::clone(bucket), key, media_type, self.part_size, state))
    }

    /// What was begun out of `dir` and is not complete.
    pub(super) fn unfinished(&self, dir: &Path) -> Option<Upload> {
        let Place::Bucket(bucket) = &self.place else { return None };
        Upload::unfinished(Arc::clone(bucket), super::record::path(dir, &self.name))
    }

    /// How long a link holds, at most as long as any provider signs for.
    pub(super) fn life(&self, wish: LinkLife) -> Duration {
        let usual = if self.kind == Kind::Oss { HOURS } else { DAYS };
        let life = match wish {
            LinkLife::Exactly(life) => life,
            LinkLife::Usual(other) => match (self.presign, other) {
                (Some(own), _) => own,
                (None, Some(other)) if self.kind == Kind::Oss => other.min(usual),
                (None, Some(other)) => other,
                (None, None) => usual,
            },
        };
        match self.place {
            Place::Disk(_) => life,
            Place::Bucket(_) => life.min(Duration::from_secs(LONGEST_LINK)),
        }
    }

    /// A URL of the provider; `None` for a directory.
    pub(super) async fn sign(
        &self,
        key: &str,
        life: Duration,
    ) -> Result<Option<String>, StorageError> {
        match &self.place {
            Place::Disk(_) => Ok(None),
            Place::Bucket(bucket) => bucket.sign(key, life).await.map(Some),
        }
    }

    /// Deletes a file; says whether it was there.
    pub(super) async fn delete(&self, key: &str) -> Result<bool, StorageError> {
        match &self.place {
            Place::Disk(local) => {
                let file = local.file(key);
                let deleted = tokio::task::spawn_blocking(move || super::local::delete(&file));
                deleted
                    .await
                    .unwrap_or_else(|e| Err(io::Error::other(e)))
                    .map_err(|e| StorageError::disk("delete the file", &e))
            }
            Place::Bucket(bucket) => bucket.delete(key).await,
        }
    }

    pub(super) fn bucket(&self) -> Option<&Bucket> {
        match &self.place {
            Place::Disk(_) => None,
            Place::Bucket(bucket) => Some(bucket),
        }
    }

    pub(super) fn local(&self) -> Option<&Local> {
        match &self.place {
            Place::Disk(local) => Some(local),
            Place::Bucket(_) => None,
        }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What was last found out about it.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what was just found out about it; says whether that is news.
    pub fn note(&self, health: Health) -> bool {
        let mut known = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let news = *known != health;
        *known = health;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(change: impl FnOnce(&mut config::Destination)) -> Destination {
        let mut from = config::Destination::new("d", Kind::S3);
        from.bucket = "b".into();
        from.region = "cn-x".into();
        (from.key, from.secret) = ("k".into(), "s".into());
        change(&mut from);
        Destination::open(&from, Path::new("/nowhere"), &config::Storage::default()).unwrap()
    }

    #[test]
    fn keys_follow_the_contract_behind_the_prefix() {
        let at = DateTime::from_timestamp_millis(1_626_898_422_000).unwrap();
        let found = bucket(|d| d.prefix = "team/x".into());
        let key = found.key_for("61101349d0f56e684b608c08", at);
        assert_eq!(
            key,
            "team/x/beam/61101349d0f56e684b608c08/20210721/\
             Rec-61101349d0f56e684b608c08-1626898422000.mp4"
        );
        assert_eq!(found.uri("k/f.mp4"), "s3://b/k/f.mp4");
        assert_eq!(bucket(|d| d.kind = Kind::Oss).uri("k"), "oss://b/k");
    }

    #[test]
    fn links_hold_as_long_as_the_contract_says() {
        let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3600));
        let s3 = bucket(|_| {});
        assert_eq!(s3.life(LinkLife::Usual(None)), 3 * day);
        assert_eq!(s3.life(LinkLife::Usual(Some(2 * hour))), 2 * hour);
        assert_eq!(s3.life(LinkLife::Exactly(hour)), hour);
        assert_eq!(s3.life(LinkLife::Usual(Some(30 * day))), 7 * day);
        let oss = bucket(|d| d.kind = Kind::Oss);
        assert_eq!(oss.life(LinkLife::Usual(None)), 9 * hour);
        assert_eq!(oss.life(LinkLife::Usual(Some(3 * day))), 9 * hour);
        let own = bucket(|d| d.presign_duration = Some(5 * hour));
        assert_eq!(own.life(LinkLife::Usual(Some(hour))), 5 * hour);
    }
}
