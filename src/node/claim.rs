//! Whose a data directory is.
//!
//! `http` takes it before it opens anything there. Two services over one
//! directory would take up each other's recordings, and a newer one would change
//! the tables of an older one that runs.

use std::io;
use std::path::Path;

use super::process::private_dirs;
use crate::recorder::place::Lock;

/// The right to use a data directory, which one process at a time has.
#[derive(Debug)]
pub struct Claim {
    _lock: Lock,
}

impl Claim {
    /// Takes `data`, which is created if it is missing; the end of the process, too,
    /// gives it back.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] while another service has it.
    pub fn take(data: &Path) -> io::Result<Self> {
        private_dirs(data)?;
        let lock = Lock::take(data).map_err(|error| match error.kind() {
            kind @ io::ErrorKind::WouldBlock => io::Error::new(
                kind,
                "another roomreel service uses it: stop that one, or give this one a directory \
                 of its own",
            ),
            _ => error,
        })?;
        Ok(Self { _lock: lock })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_at_a_time_has_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let first = Claim::take(&data).unwrap();
        let second = Claim::take(&data).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        assert!(second.to_string().contains("another roomreel service"), "{second}");
        Claim::take(&dir.path().join("c")).unwrap();
        drop(first);
        Claim::take(&data).unwrap();
    }
}
