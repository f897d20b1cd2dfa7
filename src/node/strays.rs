//! Files in the storage of this machine that no recording is known for: left by a
//! database that was lost or put back from a backup, or put there by hand. They
//! are told in the log and left alone.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Node;
use super::retention::off_runtime;
use crate::storage::Beside;
use crate::store::{AssetQuery, Unavailable};

/// A younger file may be one that was placed and whose last step is not stored yet.
const SETTLED: Duration = Duration::from_secs(3600);
/// Assets looked at in one go.
const BATCH: usize = 1000;
/// How many are told one by one.
const NAMED: usize = 100;

impl Node {
    /// Tells of the files that nobody knows and that were not told of before;
    /// `told` remembers which were.
    pub(super) async fn tell_strays(
        &self,
        told: &mut BTreeSet<PathBuf>,
    ) -> Result<(), Unavailable> {
        let strays = self.strays(SystemTime::now()).await?;
        let fresh: Vec<_> = strays.into_iter().filter(|path| !told.contains(path)).collect();
        for path in fresh.iter().take(NAMED) {
            let path = path.display();
            tracing::warn!(%path, "no recording is known for this file; it is left alone");
        }
        if fresh.len() > NAMED {
            let files = fresh.len();
            tracing::warn!(files, "no recording is known for many files; they are left alone");
        }
        told.extend(fresh);
        Ok(())
    }

    /// Files that were finished long before `now` and that no asset names, by their
    /// paths within the storage.
    async fn strays(&self, now: SystemTime) -> Result<BTreeSet<PathBuf>, Unavailable> {
        let Some(root) = self.0.storage.built_in().file("") else { return Ok(BTreeSet::new()) };
        let mut strays = off_runtime(move || {
            let mut found = BTreeSet::new();
            files_below(&root, Path::new(""), now, &mut found).map(|()| found)
        })
        .await?;
        let mut query = AssetQuery { limit: BATCH, ..AssetQuery::default() };
        while !strays.is_empty() {
            let known = self.0.store.assets(&query).await?;
            for owned in &known {
                let path = &owned.asset.path;
                strays.remove(Path::new(path));
                for beside in Beside::ALL {
                    strays.remove(Path::new(&beside.key(path)));
                }
            }
            query.before = known.last().map(|owned| owned.asset.id);
            if known.len() < BATCH {
                break;
            }
        }
        Ok(strays)
    }
}

/// Follows no link.
fn files_below(
    root: &Path,
    within: &Path,
    now: SystemTime,
    found: &mut BTreeSet<PathBuf>,
) -> io::Result<()> {
    for entry in std::fs::read_dir(root.join(within))? {
        let entry = entry?;
        let path = within.join(entry.file_name());
        let about = match entry.metadata() {
            Ok(about) => about,
            // Removed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if about.is_dir() {
            files_below(root, &path, now, found)?;
        } else if now.duration_since(about.modified()?).is_ok_and(|age| age >= SETTLED) {
            found.insert(path);
        }
    }
    Ok(())
}
