//! Saves what a crash left: finds the complete fragments of a part file and
//! finishes it as if the recording had ended there.

use std::fs::File;
use std::io;
use std::path::Path;

use mp4_atom::{Atom, Free, Moov};

use super::disk::QUEUE_BYTES;
use super::finish::{COMPACT_MAX, Finished, Method, conclude, finalise_by, finished};
use super::fragment::enter;
use super::index::Index;
use super::nal::{audio_is_intact, video_is_intact};
use super::part::PartHead;
use super::reader::{BoxAt, Reader};
use super::{MuxError, in_place, part as part_file, verify};

/// Turns a part file that nobody finished into an ordinary MP4 at `out`.
///
/// The file may end anywhere, be followed by zeros or garbage, or have been
/// caught in the middle of [`finalise`](super::finalise); everything up to its last complete
/// fragment is kept. Calling this again after it succeeded is harmless. No
/// other process may be writing the file.
///
/// # Errors
/// [`MuxError::Empty`] if there is not one complete fragment,
/// [`MuxError::NotPart`] if the file is something else, [`MuxError::Damaged`] if it
/// broke in its middle. It is kept then, as after any other error.
pub fn salvage(part: &Path, out: &Path) -> Result<Finished, MuxError> {
    salvage_to(part, out, None)
}

/// Like [`salvage`], of a recording that had come to its end and whose file was to
/// last `length_s` seconds: what was to be left out of it is.
///
/// # Errors
/// Those of [`salvage`].
pub fn salvage_to(part: &Path, out: &Path, length_s: Option<f64>) -> Result<Finished, MuxError> {
    salvage_by(part, out, length_s, COMPACT_MAX)
}

/// Like [`salvage_to`], copying up to `copy_max` bytes of media instead of
/// [`COMPACT_MAX`].
///
/// # Errors
/// Those of [`salvage`].
pub fn salvage_by(
    part: &Path,
    out: &Path,
    length_s: Option<f64>,
    copy_max: u64,
) -> Result<Finished, MuxError> {
    let opened = match File::open(part) {
        // Finished and renamed, but nobody heard of it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && out.exists() => {
            let file = File::open(out).map_err(MuxError::io("open", out))?;
            let (moov, method) = verify::ordinary(&Reader::new(&file, out)?)?;
            return finished(out, &moov, method);
        }
        opened => opened.map_err(MuxError::io("open", part))?,
    };
    let file = Reader::new(&opened, part)?;
    let second = part_file::second(&file)?;
    match second.kind {
        Moov::KIND => {
            let mut index = scan(&file, &second)?;
            if let Some(length_s) = length_s {
                index.cut_to(length_s);
            }
            finalise_by(part, out, &index, copy_max)
        }
        // Turned over, not yet renamed.
        Free::KIND => {
            let (moov, _) = verify::ordinary(&file)?;
            // What turned it over may not have reached the disk: not after its name.
            opened.sync_all().map_err(MuxError::io("sync", part))?;
            if length_s.is_some() {
                let file = File::options().write(true).open(part);
                in_place::scrub(&file.map_err(MuxError::io("open", part))?, part, &moov)?;
            }
            conclude(part, out, &moov, Method::InPlace)
        }
        _ => Err(MuxError::NotPart("no moov follows its ftyp")),
    }
}

/// The index of all complete fragments.
fn scan(file: &Reader, growing: &BoxAt) -> Result<Index, MuxError> {
    let PartHead { moov, growing, reserve } = part_file::head(file, *growing)?;
    let mut index = Index::new(moov, growing.start, reserve.start, reserve.end)?;
    for sequence in 1.. {
        let start = index.end;
        if !next(file, &mut index, sequence)? {
            break;
        }
        // Whatever else was queued had reached the disk before.
        if start.saturating_add(QUEUE_BYTES as u64) >= file.len && !intact(file, &index)? {
            index.pop(start);
            break;
        }
    }
    // More than a crash can tear would be thrown away with the tail.
    if file.len - index.end > QUEUE_BYTES as u64 {
        return Err(MuxError::Damaged { at: index.end });
    }
    Ok(index)
}

/// Enters the fragment at the end of the index, if a complete one lies there.
fn next(file: &Reader, index: &mut Index, sequence: u32) -> Result<bool, MuxError> {
    let Some(found) = part_file::fragment(file, index.end)? else { return Ok(false) };
    let mdat = found.mdat;
    Ok(enter(index, sequence, &found.moof, mdat.body, mdat.end - mdat.body).is_some())
}

/// Whether every sample of the last fragment looks like one.
fn intact(file: &Reader, index: &Index) -> Result<bool, MuxError> {
    let Some(fragment) = index.fragments.last() else { return Ok(false) };
    let media = file.read(fragment.payload, fragment.len())?;
    let mut rest = media.as_slice();
    for (track, count) in index.tracks.iter().zip(fragment.counts) {
        for &size in &track.sizes[track.sizes.len() - count as usize..] {
            let Some((sample, tail)) = rest.split_at_checked(size as usize) else {
                return Ok(false);
            };
            let whole = if track.video { video_is_intact } else { audio_is_intact };
            if !whole(sample) {
                return Ok(false);
            }
            rest = tail;
        }
    }
    Ok(true)
}
