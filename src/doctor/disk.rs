//! The data directory: may it be written, has it room, is it fast enough.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Finding;
use crate::config::Config;

/// Bytes of an hour of 1280x720, as `data.min_free` counts.
const HOUR: u64 = 1 << 30;
/// Bytes a second that one recording may write: several times that, for a page full of
/// movement.
const RECORDING: u64 = 2 << 20;
/// What the measurement writes, in pieces of the size of a fragment.
const MEASURED: u64 = 16 << 20;
const PIECE: usize = 256 << 10;
/// A recording syncs twice a second.
const SLOW_SYNC: Duration = Duration::from_millis(250);

/// May the service write here?
pub(super) fn writable(dir: &Path) -> Finding {
    match written(dir) {
        Ok(there) if there == dir => {
            Finding::ok("data", format!("{} can be written", dir.display()))
        }
        Ok(_) => Finding::ok("data", format!("{} will be made", dir.display())),
        Err((place, error)) => Finding::fail(
            "data",
            format!("{} cannot be written: {error}", place.display()),
            format!(
                "give it to the user of the service (uid {}), or set data.dir",
                rustix::process::geteuid().as_raw()
            ),
        ),
    }
}

/// The directory itself or, if it is not there yet, the first one above it that is:
/// a file without a name can be written there.
fn written(dir: &Path) -> Result<PathBuf, (PathBuf, io::Error)> {
    let whole = std::path::absolute(dir).map_err(|error| (dir.to_path_buf(), error))?;
    let there = whole.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
    let tried = || tempfile::tempfile_in(there)?.write_all(b"can this be written?");
    tried().map_err(|error| (there.to_path_buf(), error))?;
    Ok(if there == whole { dir.to_path_buf() } else { there.to_path_buf() })
}

/// The file system that the directory is or will be on.
fn place(dir: &Path) -> PathBuf {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    whole.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/")).to_path_buf()
}

/// Is there room for recordings?
pub(super) fn room(config: &Config) -> Finding {
    let about = place(&config.data.dir);
    let free = match rustix::fs::statvfs(&about) {
        Ok(fs) => fs.f_bavail * fs.f_frsize,
        Err(error) => {
            let found = format!("the free space of {} is unknown: {error}", about.display());
            return Finding::warn("free space", found, "look at it yourself");
        }
    };
    judge_room(free, config.data.min_free, config.recording.slots() as u64)
}

fn judge_room(free: u64, min_free: u64, slots: u64) -> Finding {
    let hours = free.saturating_sub(min_free) / slots.max(1) / HOUR;
    let gigabytes = free as f64 / 1e9;
    let found = format!("{gigabytes:.1} GB: about {hours} h of {slots} recordings at once");
    if free < min_free {
        let found = format!("{gigabytes:.1} GB, less than data.min_free");
        return Finding::fail("free space", found, "make room, or set data.min_free lower");
    }
    match hours {
        0 => Finding::warn("free space", found, "make room, or set storage.retention lower"),
        _ => Finding::ok("free space", found),
    }
}

/// Is it fast enough for as many recordings as may run?
pub(super) async fn speed(config: &Config) -> Finding {
    let (dir, slots) = (place(&config.data.dir), config.recording.slots() as u64);
    let measured = tokio::task::spawn_blocking(move || measure(&dir)).await;
    match measured {
        Ok(Ok((rate, sync))) => judge_speed(rate, sync, slots),
        Ok(Err(error)) => {
            Finding::fail("disk speed", format!("cannot be measured: {error}"), "see `data`")
        }
        Err(error) => Finding::warn("disk speed", error.to_string(), "try again"),
    }
}

/// Bytes a second, each piece synced, and the slowest sync.
fn measure(dir: &Path) -> io::Result<(u64, Duration)> {
    let mut file = tempfile::tempfile_in(dir)?;
    let piece: Vec<u8> = (0..PIECE).map(|n| (n * 31 % 251) as u8).collect();
    let (begun, mut slowest) = (Instant::now(), Duration::ZERO);
    let mut bytes = 0;
    // A disk too slow for this is found out without waiting for its end.
    while bytes < MEASURED && begun.elapsed() < Duration::from_secs(5) {
        file.write_all(&piece)?;
        let synced = Instant::now();
        file.sync_data()?;
        slowest = slowest.max(synced.elapsed());
        bytes += PIECE as u64;
    }
    Ok(((bytes as f64 / begun.elapsed().as_secs_f64()) as u64, slowest))
}

fn judge_speed(rate: u64, sync: Duration, slots: u64) -> Finding {
    let megabytes = rate as f64 / 1e6;
    let found =
        format!("{megabytes:.0} MB/s in synced pieces, the slowest sync {} ms", sync.as_millis());
    if rate < RECORDING * slots {
        let advice = format!(
            "{slots} recordings at once may need more: use a faster disk, or set \
             recording.max_concurrent lower"
        );
        return Finding::warn("disk speed", found, advice);
    }
    if sync > SLOW_SYNC {
        let advice = "a crash may cost more than the last second; is something else busy there?";
        return Finding::warn("disk speed", found, advice);
    }
    Finding::ok("disk speed", found)
}

/// True if anything at all can be made in a directory for temporary files.
pub(super) fn usable(dir: &Path) -> io::Result<()> {
    fs::metadata(dir)?;
    tempfile::tempdir_in(dir).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_directory_that_is_not_there_yet_is_well_if_it_can_be_made() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let finding = writable(&data);
        assert_eq!(finding.level, Level::Ok, "{finding}");
        assert!(finding.found.ends_with("will be made"));
        assert!(!data.exists());
        assert!(writable(dir.path()).found.ends_with("can be written"));
    }

    #[test]
    fn where_nothing_can_be_written_it_says_whose_it_has_to_be() {
        // For root, too: nobody makes files there.
        let finding = writable(Path::new("/proc/sys/roomreel"));
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.advice.unwrap().contains("uid "));
    }

    #[test]
    fn room_is_judged_by_what_the_service_refuses() {
        let gib = 1 << 30;
        assert_eq!(judge_room(gib - 1, gib, 1).level, Level::Fail);
        assert_eq!(judge_room(gib + 1, gib, 1).level, Level::Warn);
        assert_eq!(judge_room(100 * gib, gib, 2).level, Level::Ok);
    }

    #[test]
    fn a_slow_disk_is_told_of() {
        let quick = Duration::from_millis(5);
        assert_eq!(judge_speed(50 << 20, quick, 8).level, Level::Ok);
        assert_eq!(judge_speed(4 << 20, quick, 8).level, Level::Warn);
        assert_eq!(judge_speed(50 << 20, Duration::from_secs(1), 8).level, Level::Warn);
    }

    #[test]
    fn what_is_measured_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        assert!(measure(dir.path()).unwrap().0 > 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
