//! Reads a file back and compares it with the index, before anything that could
//! still replace it is given up.

use std::ops::Range;

use mp4_atom::{Atom, Decode, Free, Ftyp, Mdat, Moov, StszSamples, Trak};

use super::MuxError;
use super::finish::Method;
use super::index::Index;
use super::nal;
use super::reader::{BoxAt, Reader};

/// The boxes that make an ordinary fast-start file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) moov: BoxAt,
    pub(super) mdat: BoxAt,
    /// By the room it left: turned over in place, or written anew.
    pub(super) method: Method,
}

/// Walks the whole file: `ftyp`, `moov`, `mdat` in that order, `free` anywhere
/// between, nothing else, the end of the `mdat` at the end of the file.
pub(super) fn layout(file: &Reader) -> Result<Layout, MuxError> {
    let (mut at, mut ftyp, mut moov, mut mdat) = (0, None, None, None);
    let mut method = Method::Compact;
    while at < file.len {
        let found = file.box_at(at)?.ok_or(MuxError::Verify("a box is cut off"))?;
        match found.kind {
            Free::KIND => method = Method::InPlace,
            Ftyp::KIND if at == 0 => ftyp = Some(found),
            Moov::KIND if ftyp.is_some() && moov.is_none() => moov = Some(found),
            Mdat::KIND if moov.is_some() && mdat.is_none() => mdat = Some(found),
            _ => return Err(MuxError::Verify("a box is out of place")),
        }
        at = found.end;
    }
    match (moov, mdat) {
        (Some(moov), Some(mdat)) => Ok(Layout { moov, mdat, method }),
        _ => Err(MuxError::Verify("a box is missing")),
    }
}

/// Reads the `moov` at `start` back and compares every table with the index,
/// whose fragments' media lie at `payloads`.
pub(super) fn tables(
    file: &Reader,
    start: u64,
    index: &Index,
    payloads: &[u64],
) -> Result<Moov, MuxError> {
    let moov = file.box_at(start)?.ok_or(MuxError::Verify("the moov is cut off"))?;
    let moov = decode(file, &moov)?;
    if moov.mvex.is_some() || moov.mvhd.duration != index.duration() || moov.trak.is_empty() {
        return Err(MuxError::Verify("the movie header differs"));
    }
    for trak in &moov.trak {
        let number = index.tracks.iter().position(|track| track.id == trak.tkhd.track_id);
        let number = number.ok_or(MuxError::Verify("an unknown track"))?;
        let track = &index.tracks[number];
        if listed(trak) != Some(positions(index, number, payloads)) {
            return Err(MuxError::Verify("the sample positions differ"));
        }
        let stbl = &trak.mdia.minf.stbl;
        let ticks: u64 = stbl
            .stts
            .entries
            .iter()
            .map(|e| u64::from(e.sample_count) * u64::from(e.sample_delta))
            .sum();
        if ticks != track.duration() || ticks != trak.mdia.mdhd.duration {
            return Err(MuxError::Verify("the sample times differ"));
        }
        if track.video && stbl.stss.as_ref().is_none_or(|stss| stss.entries != track.keys) {
            return Err(MuxError::Verify("the keyframes differ"));
        }
    }
    Ok(moov)
}

/// The first and the last sample of each track, as they lie in the file; a frame
/// must look like one.
pub(super) fn ends(
    file: &Reader,
    index: &Index,
    payloads: &[u64],
) -> Result<Vec<Vec<u8>>, MuxError> {
    let mut samples = Vec::new();
    for (number, track) in index.tracks.iter().enumerate() {
        let positions = positions(index, number, payloads);
        for &(at, size) in positions.first().into_iter().chain(positions.last()) {
            let sample = file.read(at, size.into())?;
            if track.video && nal::units(&sample).is_none() {
                return Err(MuxError::Verify("a sample is not where it should be"));
            }
            samples.push(sample);
        }
    }
    Ok(samples)
}

/// The `moov` of a file that is an ordinary one already, by its own account: all
/// its samples lie in its `mdat`.
pub(super) fn ordinary(file: &Reader) -> Result<(Moov, Method), MuxError> {
    let Layout { moov, mdat, method } = layout(file)?;
    let moov = decode(file, &moov)?;
    let inside = |(at, size): (u64, u32)| at >= mdat.body && at + u64::from(size) <= mdat.end;
    let whole = |trak: &Trak| listed(trak).is_some_and(|list| list.into_iter().all(inside));
    if moov.mvex.is_some() || moov.trak.is_empty() || !moov.trak.iter().all(whole) {
        return Err(MuxError::Verify("its tables do not fit its media"));
    }
    Ok((moov, method))
}

/// The bytes of a file of `len` bytes that lie behind the last frame and belong to
/// no sample.
pub(super) fn holes(len: u64, moov: &Moov) -> Vec<Range<u64>> {
    let end = |&(at, size): &(u64, u32)| at + u64::from(size);
    let is_video = |trak: &&Trak| trak.mdia.minf.vmhd.is_some();
    let samples = |trak: &Trak| listed(trak).unwrap_or_default();
    let frames = moov.trak.iter().filter(is_video).flat_map(samples);
    let Some(mut at) = frames.map(|sample| end(&sample)).max() else { return Vec::new() };
    let mut behind: Vec<(u64, u32)> =
        moov.trak.iter().flat_map(samples).filter(|sample| sample.0 >= at).collect();
    behind.sort_unstable();
    let mut holes = Vec::new();
    for sample in behind.into_iter().chain([(len, 0)]) {
        if sample.0 > at {
            holes.push(at..sample.0);
        }
        at = at.max(end(&sample));
    }
    holes
}

fn decode(file: &Reader, moov: &BoxAt) -> Result<Moov, MuxError> {
    let bytes = file.read(moov.start, moov.end - moov.start)?;
    Ok(Moov::decode(&mut bytes.as_slice())?)
}

/// Offset and size of every sample, by the index.
fn positions(index: &Index, number: usize, payloads: &[u64]) -> Vec<(u64, u32)> {
    let mut sizes = index.tracks[number].sizes.iter();
    let mut list = Vec::with_capacity(sizes.len());
    for (mut at, count) in index.chunks(number, payloads) {
        for &size in sizes.by_ref().take(count as usize) {
            list.push((at, size));
            at += u64::from(size);
        }
    }
    list
}

/// Offset and size of every sample, by the tables of a file.
pub(super) fn listed(trak: &Trak) -> Option<Vec<(u64, u32)>> {
    let stbl = &trak.mdia.minf.stbl;
    let StszSamples::Different { sizes } = &stbl.stsz.samples else { return None };
    let chunks: Vec<u64> = match (&stbl.stco, &stbl.co64) {
        (Some(stco), None) => stco.entries.iter().map(|&offset| offset.into()).collect(),
        (None, Some(co64)) => co64.entries.clone(),
        _ => return None,
    };
    let mut sizes = sizes.iter();
    let mut list = Vec::with_capacity(sizes.len());
    let mut runs = stbl.stsc.entries.iter().peekable();
    let mut count = 0;
    for (chunk, mut at) in (1..).zip(chunks) {
        while let Some(run) = runs.next_if(|run| run.first_chunk == chunk) {
            count = run.samples_per_chunk;
        }
        for _ in 0..count {
            let &size = sizes.next()?;
            list.push((at, size));
            at = at.checked_add(size.into())?;
        }
    }
    (sizes.next().is_none() && runs.next().is_none()).then_some(list)
}
