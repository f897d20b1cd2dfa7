//! Files in a directory of this machine.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use url::Url;

/// See the module's documentation.
pub(super) struct Local {
    /// Absolute.
    root: PathBuf,
}

impl Local {
    /// Opens the directory, which is made if it is missing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root)?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// Where the file with this key is.
    pub(super) fn file(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// The same as a URI.
    pub(super) fn uri(&self, key: &str) -> String {
        Url::from_file_path(self.file(key)).map_or_else(|()| key.to_owned(), String::from)
    }

    /// Moves a finished file to `key`, durably; returns its size in bytes. A file
    /// that was moved already counts as moved. On another file system it is
    /// copied, read back, compared and only then removed.
    pub(super) fn take_in(&self, from: &Path, key: &str) -> io::Result<u64> {
        let to = self.file(key);
        if !from.exists() && to.exists() {
            return Ok(fs::metadata(to)?.len());
        }
        let dir = to.parent().unwrap_or(&self.root);
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let copied = match fs::rename(from, &to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                copy(from, &to)?;
                true
            }
            renamed => {
                renamed?;
                false
            }
        };
        sync(dir)?;
        // The directories above may be new as well.
        let above = dir.ancestors().skip(1).take_while(|above| above.starts_with(&self.root));
        above.into_iter().try_for_each(sync)?;
        if copied {
            fs::remove_file(from)?;
        }
        Ok(fs::metadata(to)?.len())
    }
}

/// Deletes a file; one that is not there counts as deleted. Says whether it was
/// there.
pub(super) fn delete(file: &Path) -> io::Result<bool> {
    match fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let draft = to.with_extension("draft");
    let copied = (|| {
        fs::copy(from, &draft)?;
        File::open(&draft)?.sync_all()?;
        if !same(&mut File::open(from)?, &mut File::open(&draft)?)? {
            return Err(io::Error::other("the copy does not read back as it was written"));
        }
        fs::rename(&draft, to)
    })();
    if copied.is_err() {
        // It may not exist; the original is what counts.
        _ = fs::remove_file(draft);
    }
    copied
}

fn same(one: &mut File, other: &mut File) -> io::Result<bool> {
    use std::io::Read;
    const STEP: u64 = 1 << 20;
    loop {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        one.take(STEP).read_to_end(&mut a)?;
        other.take(STEP).read_to_end(&mut b)?;
        if a != b {
            return Ok(false);
        }
        if a.is_empty() {
            return Ok(true);
        }
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_in_once_and_out() {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::open(&dir.path().join("files")).unwrap();
        let from = dir.path().join("done.mp4");
        fs::write(&from, "film").unwrap();
        let (one, two) = ("beam/r/20260101/Rec-r-1.mp4", "beam/r/20260101/Rec-r-2.mp4");
        assert_eq!(local.take_in(&from, one).unwrap(), 4);
        assert!(!from.exists());
        assert_eq!(fs::read(local.file(one)).unwrap(), b"film");
        assert_eq!(local.take_in(&from, one).unwrap(), 4);
        assert!(local.take_in(&from, two).is_err());
        assert!(delete(&local.file(one)).unwrap());
        assert!(!delete(&local.file(one)).unwrap());
    }

    #[test]
    fn another_file_system_gets_a_copy() {
        let (dir, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
        let local = Local::open(far.path()).unwrap();
        let from = dir.path().join("done.mp4");
        fs::write(&from, vec![7; 3 << 20]).unwrap();
        assert_eq!(local.take_in(&from, "beam/r/d/f.mp4").unwrap(), 3 << 20);
        assert!(!from.exists() && fs::read(local.file("beam/r/d/f.mp4")).unwrap() == [7; 3 << 20]);
        assert_eq!(fs::read_dir(far.path().join("beam/r/d")).unwrap().count(), 1);
    }

    #[test]
    fn a_copy_that_differs_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let film = |name: &str, bytes: &[u8]| {
            fs::write(dir.path().join(name), bytes).unwrap();
            File::open(dir.path().join(name)).unwrap()
        };
        let long = vec![1; (1 << 20) + 1];
        assert!(same(&mut film("a", &long), &mut film("b", &long)).unwrap());
        assert!(!same(&mut film("a", &long), &mut film("b", &long[1..])).unwrap());
        let mut other = long.clone();
        other[1 << 20] = 2;
        assert!(!same(&mut film("a", &long), &mut film("b", &other)).unwrap());
    }
}
