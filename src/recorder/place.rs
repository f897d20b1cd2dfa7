//! Where one recording keeps its files, and the lock that makes it the only
//! writer there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use tempfile::TempDir;

/// What the finished file will be called.
#[derive(Debug, Clone)]
pub enum Output {
    /// Exactly this.
    File(PathBuf),
    /// `Rec-<room_id>-<epoch_ms>.mp4` in this directory, the contract's name;
    /// the time is that of T0, so it is known only then.
    InDirectory {
        /// The recording's directory.
        dir: PathBuf,
        /// Part of the name.
        room_id: String,
    },
}

impl Output {
    /// The growing file beside it.
    pub fn part(&self) -> PathBuf {
        match self {
            Self::File(path) => path.with_extension("part.mp4"),
            Self::InDirectory { dir, .. } => dir.join(PART),
        }
    }

    /// The finished file's path, for a recording whose T0 was `epoch_ms`.
    pub fn path(&self, epoch_ms: i64) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::InDirectory { dir, room_id } => dir.join(format!("Rec-{room_id}-{epoch_ms}.mp4")),
        }
    }

    /// Refuses an output that could not be written at the end, before anything
    /// is started for it. Names what is wrong.
    pub fn check(&self) -> io::Result<()> {
        let Self::File(path) = self else { return Ok(()) };
        let named = |kind, what: &str| io::Error::new(kind, format!("{}: {what}", path.display()));
        if path.is_dir() {
            return Err(named(io::ErrorKind::IsADirectory, "is a directory, not a file"));
        }
        let dir = directory_of(path);
        let about =
            fs::metadata(dir).map_err(|e| named(e.kind(), &format!("its directory: {e}")))?;
        if !about.is_dir() {
            return Err(named(io::ErrorKind::NotADirectory, "its parent is no directory"));
        }
        if path.exists() && !path.is_file() {
            return Err(named(io::ErrorKind::InvalidInput, "is something else than a file"));
        }
        let part = self.part();
        if part.symlink_metadata().is_ok() {
            let part = part.display();
            return Err(named(
                io::ErrorKind::AlreadyExists,
                &format!(
                    "{part} is there, of a recording that goes on or that was killed: \
                     `roomreel salvage {part}` makes an MP4 of it"
                ),
            ));
        }
        Ok(())
    }

    /// Gives a file that has the output's name another one, `NAME.1.mp4` or the next that
    /// is free, which it returns: a recording replaces none.
    pub fn make_room(&self) -> io::Result<Option<PathBuf>> {
        let Self::File(path) = self else { return Ok(None) };
        if !path.is_file() {
            return Ok(None);
        }
        for number in 1_u32.. {
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            let aside = path.with_extension(format!("{number}.{extension}"));
            match renameat_with(CWD, path, CWD, &aside, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(Some(aside)),
                Err(Errno::EXIST) => {}
                Err(error) => {
                    let what = format!("{}: cannot be renamed: {error}", path.display());
                    return Err(io::Error::new(io::Error::from(error).kind(), what));
                }
            }
        }
        Ok(None)
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The growing file's name in a recording's directory.
pub const PART: &str = "media.part.mp4";

/// The lock file's name in a recording's directory.
pub const LOCK: &str = "lock";

/// True while a living process records in the directory of this lock file.
pub fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => false,
        Err(error) => error == Errno::WOULDBLOCK,
    }
}

/// The exclusive lock on a recording's directory; released when dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the descriptor")] File);

impl Lock {
    /// Takes the lock of `dir`, or says that another process records there.
    pub fn take(dir: &Path) -> io::Result<Self> {
        let path = dir.join(LOCK);
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("{}: another process records here", dir.display()),
            )
        })?;
        Ok(Self(file))
    }
}

/// A private directory (0700) with a short path, for sockets and the browser's
/// profile; removed when dropped.
pub fn runtime_dir() -> io::Result<TempDir> {
    let base = std::env::temp_dir();
    let dir = tempfile::Builder::new().prefix("roomreel-").tempdir_in(base)?;
    Ok(dir)
}

/// Makes a recording's directory with mode 0700, parents as usual.
pub fn create_private(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_directory_has_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        assert!(Lock::take(dir.path()).unwrap_err().to_string().contains("another process"));
        assert!(is_locked(&dir.path().join(LOCK)));
        drop(first);
        assert!(!is_locked(&dir.path().join(LOCK)));
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn names_follow_the_contract() {
        let out = Output::InDirectory { dir: "/d".into(), room_id: "6110".into() };
        assert_eq!(out.path(1_626_898_422_000), Path::new("/d/Rec-6110-1626898422000.mp4"));
        assert_eq!(Output::File("a/out.mp4".into()).part(), Path::new("a/out.part.mp4"));
    }

    #[test]
    fn an_impossible_output_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Output::File(dir.path().join("no/such/out.mp4"));
        assert!(missing.check().unwrap_err().to_string().contains("out.mp4"));
        assert!(Output::File(dir.path().to_path_buf()).check().is_err());
        Output::File("/dev/null".into()).check().unwrap_err();
        let output = Output::File(dir.path().join("out.mp4"));
        output.check().unwrap();
        fs::write(output.part(), "x").unwrap();
        assert!(output.check().unwrap_err().to_string().contains("roomreel salvage"));
    }

    #[test]
    fn a_file_that_is_there_is_kept_under_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let output = Output::File(at("out.mp4"));
        assert_eq!(output.make_room().unwrap(), None);
        for (number, words) in [(1, "first"), (2, "second")] {
            fs::write(at("out.mp4"), words).unwrap();
            output.check().unwrap();
            let aside = at(&format!("out.{number}.mp4"));
            assert_eq!(output.make_room().unwrap(), Some(aside.clone()));
            assert_eq!(fs::read_to_string(aside).unwrap(), words);
        }
        assert!(!at("out.mp4").exists());
    }
}
