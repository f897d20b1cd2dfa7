//! Saves what a crash left: finds the complete fragments of a part file and
//! finishes it as if the recording had ended there.

use std::fs::File;
use std::io;
use std::path::Path;

use mp4_atom::{Atom, Decode, Free, Ftyp, Mdat, Moof, Moov};

use super::disk::QUEUE_BYTES;
use super::finish::{COMPACT_MAX, Finished, Method, conclude, finalise_by, finished};
use super::fragment::enter;
use super::index::Index;
use super::nal::{audio_is_intact, video_is_intact};
use super::reader::{BoxAt, Reader};
use super::{MuxError, in_place, verify};

/// No `moof` of ours comes near this; a length beyond it is garbage.
const MOOF_MAX: u64 = 16 << 20;
/// No growing `moov` of ours comes near this.
const HEAD_MAX: u64 = 1 << 20;

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
    let ftyp = file.box_at(0)?.filter(|found| found.kind == Ftyp::KIND);
    let ftyp = ftyp.ok_or(MuxError::NotPart("it does not begin with ftyp"))?;
    let second = file.box_at(ftyp.end)?.ok_or(MuxError::Empty)?;
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
    if growing.end - growing.start > HEAD_MAX {
        return Err(MuxError::NotPart("its moov is too large"));
    }
    let moov = file.read(growing.start, growing.end - growing.start)?;
    let moov = Moov::decode(&mut moov.as_slice())?;
    let reserve = file.box_at(growing.end)?.ok_or(MuxError::Empty)?;
    if reserve.kind != Free::KIND {
        return Err(MuxError::NotPart("no reserve follows its moov"));
    }
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
    let Some(moof) = file.box_at(index.end)?.filter(|found| found.kind == Moof::KIND) else {
        return Ok(false);
    };
    let Some(mdat) = file.box_at(moof.end)?.filter(|found| found.kind == Mdat::KIND) else {
        return Ok(false);
    };
    if moof.end - moof.start > MOOF_MAX {
        return Ok(false);
    }
    let bytes = file.read(moof.start, moof.end - moof.start)?;
    let Ok(moof) = Moof::decode(&mut bytes.as_slice()) else { return Ok(false) };
    Ok(enter(index, sequence, &moof, mdat.body, mdat.end - mdat.body).is_some())
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
