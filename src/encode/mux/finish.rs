//! From part file to final file: which way, and what comes last.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mp4_atom::Moov;

use super::index::Index;
use super::{MuxError, compact, in_place};

/// Up to this many bytes of media are copied into a new file, in a second or two;
/// the result carries no reserve and no fragment headers, which for a short
/// recording would be most of the file. Beyond it the copy's time and its second
/// helping of disk space count for more than a few megabytes of zeros.
pub const COMPACT_MAX: u64 = 256 << 20;

/// How a file was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Its media were copied into a new file.
    Compact,
    /// It was turned over where it lies.
    InPlace,
}

/// A final file: complete, verified, on disk under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// How long it plays.
    pub duration: Duration,
    /// Frames of video, 0 in a file of sound alone.
    pub frames: u64,
    /// How it was made.
    pub method: Method,
}

/// Turns the part file into an ordinary fast-start MP4 at `out` (same file
/// system) and removes the part file.
///
/// The part file must hold everything in `index`; [`Disk::close`](super::Disk::close)
/// says so. If the machine dies in here, [`salvage`](super::salvage()) with the same
/// paths completes the work.
///
/// # Errors
/// [`MuxError::Short`] if the part file misses something; otherwise whatever
/// failed. The part file is then still there and can be salvaged.
pub fn finalise(part: &Path, out: &Path, index: &Index) -> Result<Finished, MuxError> {
    finalise_by(part, out, index, COMPACT_MAX)
}

/// The same, copying up to `copy_max` bytes of media instead of [`COMPACT_MAX`].
///
/// # Errors
/// As [`finalise`].
pub fn finalise_by(
    part: &Path,
    out: &Path,
    index: &Index,
    copy_max: u64,
) -> Result<Finished, MuxError> {
    let have = fs::metadata(part).map_err(MuxError::io("look at", part))?.len();
    if have < index.end {
        return Err(MuxError::Short { have, need: index.end });
    }
    if index.duration() == 0 {
        return Err(MuxError::Empty);
    }
    let compact =
        || -> Result<_, MuxError> { Ok((compact::finish(part, out, index)?, Method::Compact)) };
    let in_place = || -> Result<_, MuxError> {
        Ok(in_place::finish(part, index)?.map(|moov| (moov, Method::InPlace)))
    };
    let (moov, method) = if index.media_bytes() > copy_max {
        in_place()?.map_or_else(compact, Ok)?
    } else {
        match compact() {
            // No room for a copy: what there is will do.
            Err(error) if error.is_disk_full() => in_place()?.ok_or(error)?,
            result => result?,
        }
    };
    conclude(part, out, &moov, method)
}

/// Puts the verified file under its name for good, then lets the part file go.
pub(super) fn conclude(
    part: &Path,
    out: &Path,
    moov: &Moov,
    method: Method,
) -> Result<Finished, MuxError> {
    if method == Method::InPlace {
        fs::rename(part, out).map_err(MuxError::io("rename", part))?;
    }
    sync_directory_of(out)?;
    if method == Method::Compact {
        fs::remove_file(part).map_err(MuxError::io("remove", part))?;
    }
    finished(out, moov, method)
}

/// Describes the final file at `path`.
pub(super) fn finished(path: &Path, moov: &Moov, method: Method) -> Result<Finished, MuxError> {
    let bytes = fs::metadata(path).map_err(MuxError::io("look at", path))?.len();
    let video = moov.trak.iter().find(|trak| trak.mdia.minf.vmhd.is_some());
    let frames = video.map_or(0, |trak| {
        trak.mdia.minf.stbl.stts.entries.iter().map(|entry| u64::from(entry.sample_count)).sum()
    });
    let timescale = u64::from(moov.mvhd.timescale.max(1));
    let (seconds, ticks) = (moov.mvhd.duration / timescale, moov.mvhd.duration % timescale);
    let duration =
        Duration::from_secs(seconds) + Duration::from_nanos(ticks * 1_000_000_000 / timescale);
    Ok(Finished { path: path.to_owned(), bytes, duration, frames, method })
}

/// A rename or a new name is on disk only when its directory is.
pub(super) fn sync_directory_of(path: &Path) -> Result<(), MuxError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(MuxError::io("sync", directory))
}
