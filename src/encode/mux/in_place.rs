//! Finishing a long file where it lies: the final `moov` goes into the reserve,
//! the fragments become the body of one `mdat`, and a write of eight bytes turns
//! the one kind of file into the other.
//!
//! ```text
//! growing   ftyp | moov  | free ......................... | moof mdat moof mdat …
//! prepared  ftyp | moov  | free [moov | free | mdat head] | moof mdat moof mdat …
//! finished  ftyp | free ....... | moov | free | mdat ..........................
//! ```
//! Until the eight bytes are written the reserve is still a `free` box, whatever
//! it holds. They lie in the first sector of the file, which disks write whole.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mp4_atom::{Atom, Encode, Free, Header, Moov};

use super::boxes::encode;
use super::index::Index;
use super::reader::Reader;
use super::{MuxError, verify};

/// Bytes of a box header with a 32-bit size, and with a 64-bit one.
const HEADER: u64 = 8;
const LARGE_HEADER: u64 = 16;

/// Zeros written at once.
const ZEROS: u64 = 1 << 20;

/// One positioned write.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

impl Write {
    pub(super) fn apply(&self, file: &File) -> std::io::Result<()> {
        file.write_all_at(&self.bytes, self.at)
    }
}

/// What finishing in place writes, in order.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Into the reserve; must be on disk before `flip`.
    pub(super) prepare: [Write; 2],
    /// Turns the file over.
    pub(super) flip: Write,
    /// Where the final `moov` begins.
    pub(super) moov_at: u64,
}

/// What to write; `None` if the final `moov` does not fit into the reserve.
pub(super) fn plan(index: &Index) -> Result<Option<Plan>, MuxError> {
    let moov_at = index.reserve_at + HEADER;
    let mdat_at = index.media_at - LARGE_HEADER;
    let mut tail = encode(&index.moov(&index.payloads()))?;
    // A filler of at least its own header lies between moov and mdat.
    let filler = mdat_at.checked_sub(moov_at + tail.len() as u64 + HEADER);
    let Some(filler) = filler.and_then(|size| usize::try_from(size).ok()) else {
        return Ok(None);
    };
    Header { kind: Free::KIND, size: Some(filler) }.encode(&mut tail)?;

    let mut mdat = 1_u32.to_be_bytes().to_vec(); // "the size follows as 64 bits"
    mdat.extend(b"mdat");
    mdat.extend((index.end - mdat_at).to_be_bytes());

    let hidden = usize::try_from(index.reserve_at - index.moov_at)
        .map_err(|_| MuxError::NotPart("its moov is too large"))?;
    let flip = encode(&Header { kind: Free::KIND, size: Some(hidden) })?;
    Ok(Some(Plan {
        prepare: [Write { at: moov_at, bytes: tail }, Write { at: mdat_at, bytes: mdat }],
        flip: Write { at: index.moov_at, bytes: flip },
        moov_at,
    }))
}

/// Turns `part` into an ordinary file under its own name. `None`, with nothing
/// changed, if the reserve is too small.
pub(super) fn finish(part: &Path, index: &Index) -> Result<Option<Moov>, MuxError> {
    let Some(plan) = plan(index)? else { return Ok(None) };
    let file =
        File::options().read(true).write(true).open(part).map_err(MuxError::io("open", part))?;
    // Drops what a torn write left behind the last complete fragment, or what is
    // to be left out of the file.
    file.set_len(index.end).map_err(MuxError::io("shorten", part))?;
    for write in &plan.prepare {
        write.apply(&file).map_err(MuxError::io("write", part))?;
    }
    file.sync_all().map_err(MuxError::io("sync", part))?;
    let reader = Reader::new(&file, part)?;
    let moov = verify::tables(&reader, plan.moov_at, index, &index.payloads())?;
    verify::ends(&reader, index, &index.payloads())?;

    plan.flip.apply(&file).map_err(MuxError::io("write", part))?;
    file.sync_all().map_err(MuxError::io("sync", part))?;
    if verify::layout(&reader)?.moov.start != plan.moov_at {
        return Err(MuxError::Verify("the moov is not where it was put"));
    }
    if index.is_trimmed() {
        scrub(&file, part, &moov)?;
    }
    Ok(Some(moov))
}

/// Overwrites with zeros what lies behind the last frame and belongs to no sample:
/// pictures that were left out, where sound of the time before came to lie behind
/// them. Doing it twice is harmless.
pub(super) fn scrub(file: &File, path: &Path, moov: &Moov) -> Result<(), MuxError> {
    for hole in verify::holes(file.metadata().map_err(MuxError::io("look at", path))?.len(), moov) {
        let mut at = hole.start;
        while at < hole.end {
            let zeros = vec![0; (hole.end - at).min(ZEROS) as usize];
            file.write_all_at(&zeros, at).map_err(MuxError::io("write", path))?;
            at += zeros.len() as u64;
        }
    }
    file.sync_all().map_err(MuxError::io("sync", path))
}
