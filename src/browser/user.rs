//! Who Chromium runs as.
//!
//! Chromium's sandbox refuses to work for root, and a browser has no business
//! being root. A recorder that runs as root therefore hands it to an
//! unprivileged user id that nobody else has, so that two recordings cannot
//! touch each other either.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};

use super::BrowserError;

/// Ids that distributions keep for services without an account (the range that
/// systemd uses for `DynamicUser=`).
const IDS: RangeInclusive<u32> = 61184..=65519;

/// An unprivileged user and group of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User(u32);

impl User {
    /// A free id when this process is root; `None` when it is not, and Chromium
    /// can run as whoever runs this.
    pub(super) fn pick() -> Option<Self> {
        rustix::process::geteuid().is_root().then(|| Self(free(std::process::id(), &in_use())))
    }

    pub(super) fn id(self) -> u32 {
        self.0
    }

    /// Makes `path` the user's own; a symbolic link is not followed.
    pub(super) fn give(self, path: &Path) -> Result<(), BrowserError> {
        let (uid, gid) = (Uid::from_raw(self.0), Gid::from_raw(self.0));
        chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| BrowserError::Directory { path: path.to_path_buf(), source: e.into() })
    }

    /// Checks that every directory above `path` lets the user through.
    pub(super) fn check_reach(self, path: &Path) -> Result<(), BrowserError> {
        for dir in path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()) {
            let meta = fs::metadata(dir)
                .map_err(|source| BrowserError::Directory { path: dir.to_path_buf(), source })?;
            let own = meta.uid() == self.0 && meta.mode() & 0o100 != 0;
            if !own && meta.mode() & 0o001 == 0 {
                return Err(BrowserError::Closed {
                    path: path.to_path_buf(),
                    dir: dir.to_path_buf(),
                    user: self.0,
                });
            }
        }
        Ok(())
    }
}

/// The first free id at or after a place that depends on `seed`.
fn free(seed: u32, taken: &BTreeSet<u32>) -> u32 {
    let (first, count) = (*IDS.start(), IDS.end() - IDS.start() + 1);
    let start = seed % count;
    (0..count)
        .map(|step| first + (start + step) % count)
        .find(|id| !taken.contains(id))
        .unwrap_or(first + start)
}

/// Owners of all running processes.
fn in_use() -> BTreeSet<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let processes = entries.flatten().filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()))
    });
    processes.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.uid()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_is_in_range_and_free_while_there_is_one(
            seed in any::<u32>(),
            taken in proptest::collection::btree_set(61184_u32..=61300, 0..100),
        ) {
            let id = free(seed, &taken);
            prop_assert!(IDS.contains(&id));
            prop_assert!(!taken.contains(&id));
        }
    }

    #[test]
    fn a_full_range_still_gives_an_id() {
        assert!(IDS.contains(&free(7, &IDS.collect())));
    }

    #[test]
    fn a_closed_directory_is_named() {
        use std::os::unix::fs::PermissionsExt;
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let error = User(61184).check_reach(&inner).unwrap_err().to_string();
        assert!(error.contains(&outer.path().display().to_string()), "{error}");
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o711)).unwrap();
        User(61184).check_reach(&inner).unwrap();
    }
}
