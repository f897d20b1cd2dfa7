//! Files on the local disk, under `<data>/files`, in the contract's layout:
//! `beam/<room_id>/<YYYYMMDD>/Rec-<room_id>-<epoch_ms>.mp4`.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

use super::sign::{BadLink, Key, Link};

/// The name in the data directory of the key that signs links.
const KEY: &str = "links.key";

/// See the module's documentation.
pub struct Local {
    /// `<data>/files`, absolute.
    root: PathBuf,
    key: Key,
    /// What signed links begin with.
    base: Url,
}

impl Local {
    /// Opens the storage under `data`, which must exist; makes its directory and
    /// its key when they are missing. Links begin with `base`.
    pub fn open(data: &Path, base: Url) -> io::Result<Self> {
        let root = data.join("files");
        DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        let key = Key::load_or_make(&data.join(KEY))?;
        Ok(Self { root: root.canonicalize()?, key, base })
    }

    /// Where a file of this room goes that began at `started_at`.
    pub fn path_for(room_id: &str, started_at: DateTime<Utc>) -> String {
        let day = started_at.format("%Y%m%d");
        format!("beam/{room_id}/{day}/Rec-{room_id}-{}.mp4", started_at.timestamp_millis())
    }

    /// Where the asset with this path is on disk. Only for paths that were made
    /// by [`path_for`](Self::path_for) and come from the store.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The asset's path as a URI.
    pub fn uri(&self, path: &str) -> String {
        Url::from_file_path(self.file(path)).map_or_else(|()| path.to_owned(), String::from)
    }

    /// Moves a finished file of the same file system to `path`, durably. A file
    /// that was moved already counts as moved.
    pub fn take_in(&self, from: &Path, path: &str) -> io::Result<()> {
        let to = self.file(path);
        if !from.exists() && to.exists() {
            return Ok(());
        }
        let dir = to.parent().unwrap_or(&self.root);
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        fs::rename(from, &to)?;
        sync(dir)?;
        // The directories above may be new as well.
        dir.ancestors().skip(1).take_while(|above| above.starts_with(&self.root)).try_for_each(sync)
    }

    /// Deletes the file; one that is not there counts as deleted. Says whether
    /// it was there.
    pub fn delete(&self, path: &str) -> io::Result<bool> {
        match fs::remove_file(self.file(path)) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// A URL under which the asset's file can be had until `now + life` by
    /// whoever knows it.
    pub fn presign(&self, asset: &str, path: &str, life: Duration, now: DateTime<Utc>) -> String {
        let name = path.rsplit('/').next().unwrap_or(path);
        let expires = now.timestamp().saturating_add_unsigned(life.as_secs());
        let link = Link { asset, name, expires };
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["files", asset, name]);
        }
        url.query_pairs_mut()
            .append_pair("expires", &expires.to_string())
            .append_pair("signature", &self.key.sign(&link));
        url.into()
    }

    /// Checks a link that somebody followed, in constant time.
    pub fn check(
        &self,
        link: &Link<'_>,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<(), BadLink> {
        self.key.check(link, signature, now)
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(dir: &Path) -> Local {
        Local::open(dir, Url::parse("https://rec.example/base").unwrap()).unwrap()
    }

    #[test]
    fn paths_follow_the_contract() {
        let at = DateTime::from_timestamp_millis(1_626_898_422_000).unwrap();
        let path = Local::path_for("61101349d0f56e684b608c08", at);
        assert_eq!(
            path,
            "beam/61101349d0f56e684b608c08/20210721/Rec-61101349d0f56e684b608c08-1626898422000.mp4"
        );
    }

    #[test]
    fn files_go_in_once_and_out() {
        let dir = tempfile::tempdir().unwrap();
        let local = storage(dir.path());
        let from = dir.path().join("done.mp4");
        fs::write(&from, "film").unwrap();
        local.take_in(&from, "beam/r/20260101/Rec-r-1.mp4").unwrap();
        assert!(!from.exists());
        assert_eq!(fs::read(local.file("beam/r/20260101/Rec-r-1.mp4")).unwrap(), b"film");
        local.take_in(&from, "beam/r/20260101/Rec-r-1.mp4").unwrap();
        assert!(local.take_in(&from, "beam/r/20260101/Rec-r-2.mp4").is_err());
        assert!(local.delete("beam/r/20260101/Rec-r-1.mp4").unwrap());
        assert!(!local.delete("beam/r/20260101/Rec-r-1.mp4").unwrap());
    }

    #[test]
    fn links_hold_until_they_expire_and_outlive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let now = Utc::now();
        let url =
            storage(dir.path()).presign("a1", "beam/r/d/Rec-r-1.mp4", Duration::from_secs(60), now);
        let url = Url::parse(&url).unwrap();
        assert!(url.as_str().starts_with("https://rec.example/base/files/a1/Rec-r-1.mp4?"));
        let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        let local = storage(dir.path());
        let expires = query["expires"].parse().unwrap();
        let link = Link { asset: "a1", name: "Rec-r-1.mp4", expires };
        let signature = &query["signature"];
        assert_eq!(local.check(&link, signature, now), Ok(()));
        let later = now + chrono::TimeDelta::seconds(61);
        assert_eq!(local.check(&link, signature, later), Err(BadLink::Expired));
        for other in [
            Link { asset: "a2", ..link },
            Link { name: "Rec-r-2.mp4", ..link },
            Link { expires: expires + 1, ..link },
        ] {
            assert_eq!(local.check(&other, signature, now), Err(BadLink::Forged));
        }
        assert_eq!(local.check(&link, "", now), Err(BadLink::Forged));
    }
}
