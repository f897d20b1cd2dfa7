//! A part file as it lies on disk: its head, and one fragment after the other.
//!
//! Read by `salvage` once it is nobody's any more, and by `follow` while it grows.

use mp4_atom::{Atom, Decode, Free, Ftyp, Mdat, Moof, Moov};

use super::MuxError;
use super::disk::QUEUE_BYTES;
use super::reader::{BoxAt, Reader};

/// No `moof` of ours comes near this; a length beyond it is garbage.
const MOOF_MAX: u64 = 16 << 20;
/// Nor does half a second of media: more than this never waits for the disk.
const MDAT_MAX: u64 = QUEUE_BYTES as u64;
/// No growing `moov` of ours comes near this.
const HEAD_MAX: u64 = 1 << 20;

/// What a part file begins with.
#[derive(Debug)]
pub(super) struct PartHead {
    /// The `moov` that describes the tracks.
    pub(super) moov: Moov,
    /// Where that is.
    pub(super) growing: BoxAt,
    /// The `free` box behind it; fragments begin where it ends.
    pub(super) reserve: BoxAt,
}

/// A fragment that is wholly there.
#[derive(Debug)]
pub(super) struct PartFragment {
    pub(super) moof: Moof,
    /// Where its `moof` begins.
    pub(super) start: u64,
    pub(super) mdat: BoxAt,
}

/// The box behind `ftyp`: of a part file, or of one that was turned over.
pub(super) fn second(file: &Reader) -> Result<BoxAt, MuxError> {
    let ftyp = file.box_at(0)?.filter(|found| found.kind == Ftyp::KIND);
    let ftyp = ftyp.ok_or(MuxError::NotPart("it does not begin with ftyp"))?;
    file.box_at(ftyp.end)?.ok_or(MuxError::Empty)
}

/// The head whose `moov` is `growing`.
pub(super) fn head(file: &Reader, growing: BoxAt) -> Result<PartHead, MuxError> {
    if growing.end - growing.start > HEAD_MAX {
        return Err(MuxError::NotPart("its moov is too large"));
    }
    let moov = file.read(growing.start, growing.end - growing.start)?;
    let moov = Moov::decode(&mut moov.as_slice())?;
    let reserve = file.box_at(growing.end)?.ok_or(MuxError::Empty)?;
    if reserve.kind != Free::KIND {
        return Err(MuxError::NotPart("no reserve follows its moov"));
    }
    Ok(PartHead { moov, growing, reserve })
}

/// The fragment at `start`, if a complete one lies there.
pub(super) fn fragment(file: &Reader, start: u64) -> Result<Option<PartFragment>, MuxError> {
    let Some(moof) = file.box_at(start)?.filter(|found| found.kind == Moof::KIND) else {
        return Ok(None);
    };
    let Some(mdat) = file.box_at(moof.end)?.filter(|found| found.kind == Mdat::KIND) else {
        return Ok(None);
    };
    if moof.end - moof.start > MOOF_MAX || mdat.end - mdat.start > MDAT_MAX {
        return Ok(None);
    }
    let bytes = file.read(moof.start, moof.end - moof.start)?;
    Ok(Moof::decode(&mut bytes.as_slice()).ok().map(|moof| PartFragment { moof, start, mdat }))
}
