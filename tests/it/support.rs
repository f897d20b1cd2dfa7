//! What the integration tests stand on: pages, processes, meetings, and judges of files.
//!
//! The judges trust nothing of the crate under test: they run ffmpeg, ffprobe and
//! mediainfo and do their own arithmetic, and each has tests of its own with
//! planted faults.

// A test binary has no public API: `pub` marks here what other modules may use.
#![allow(unreachable_pub)]

pub mod archive;
pub mod browser;
pub mod certs;
pub mod hooks;
pub mod janus;
pub mod judge;
pub mod media;
pub mod middle;
pub mod pages;
pub mod process;
pub mod recorder;
pub mod relay;
pub mod roomreel;
pub mod serve;
pub mod stores;
pub mod tools;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Held by a test that records in real time, so that no other one does meanwhile.
///
/// A test that fails poisons the lock; that is no reason for the others to fail.
pub fn quiet() -> MutexGuard<'static, ()> {
    static MACHINE: Mutex<()> = Mutex::new(());
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True when `scripts/test --long` asks for the longer proofs.
pub fn long() -> bool {
    std::env::var_os("ROOMREEL_LONG").is_some_and(|v| v == "1")
}

/// `short` in an ordinary run, `full` in a long one.
pub fn by_length<T>(short: T, full: T) -> T {
    if long() { full } else { short }
}

/// An empty directory of its own for a test, removed with the value.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("roomreel-it-").tempdir().unwrap()
}

/// Asks `question` every 50 ms until it answers, and panics with `what` after `patience`.
pub fn until<T>(what: &str, patience: Duration, mut question: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(begun.elapsed() < patience, "not within {patience:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
