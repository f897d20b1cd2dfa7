//! Whose a data directory is.
//!
//! `http` takes it before it opens anything there. Two services over one
//! directory would take up each other's recordings, and a newer one would change
//! the tables of an older one that runs.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{io, thread};

use super::process::private_dirs;
use crate::recorder::place::Lock;

/// How long one that is about to end may hold it: a child that it has just forked has
/// its descriptors until it runs its own program.
const PATIENCE: Duration = Duration::from_secs(1);

/// The right to use a data directory, which one process at a time has.
#[derive(Debug)]
pub struct Claim {
    _lock: Lock,
}

impl Claim {
    /// Takes `data`, which is created if it is missing; the end of the process, too,
    /// gives it back. Blocks for a second if another has it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] while another service has it.
    pub fn take(data: &Path) -> io::Result<Self> {
        private_dirs(data)?;
        let patience = Instant::now() + PATIENCE;
        let taken = loop {
            match Lock::take(data) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < patience =>
                {
                    thread::sleep(PATIENCE / 20);
                }
                taken => break taken,
            }
        };
        let lock = taken.map_err(|error| match error.kind() {
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
