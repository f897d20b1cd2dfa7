//! One fragment on its way to disk: `moof` and `mdat` of up to half a second
//! (ISO/IEC 14496-12, 8.8).
//!
//! Pure. [`Muxer`](super::Muxer) fills it, [`salvage`](super::salvage()) reads it back.

use mp4_atom::{
    Atom, Encode, Header, Mdat, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry, TrunSamples,
};

use super::MuxError;
use super::boxes::{NOT_SYNC, SYNC, encode};
use super::index::{Fragment, Index, TRACKS};

/// Samples of one track that wait for their fragment.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Media bytes, one sample after the other.
    pub(super) media: Vec<u8>,
    /// Bytes and keyframe flag of each sample.
    pub(super) samples: Vec<(u32, bool)>,
}

/// Encodes the pending samples as fragment `sequence`, to be written at
/// `index.end`, and enters them in the index. Leaves `pending` empty.
pub(super) fn cut(
    index: &mut Index,
    sequence: u32,
    pending: &mut [Pending],
) -> Result<Vec<u8>, MuxError> {
    let mut moof = Moof { mfhd: Mfhd { sequence_number: sequence }, traf: Vec::new() };
    let mut lengths = Vec::new();
    for (track, pending) in index.tracks.iter().zip(&*pending) {
        if !pending.samples.is_empty() {
            lengths.push(pending.media.len());
            moof.traf.push(Traf {
                tfhd: Tfhd { track_id: track.id, default_base_is_moof: true, ..Tfhd::default() },
                tfdt: Some(Tfdt { base_media_decode_time: track.duration() }),
                trun: vec![Trun {
                    data_offset: Some(0),
                    samples: entries(track.video, &pending.samples),
                }],
                ..Traf::default()
            });
        }
    }
    let header = encode(&Header { kind: Mdat::KIND, size: Some(lengths.iter().sum()) })?;
    // The offsets count from the start of the moof, whose length does not
    // depend on their values: encode once to measure, once for good.
    let mut offset = encode(&moof)?.len() + header.len();
    for (traf, length) in moof.traf.iter_mut().zip(lengths) {
        for trun in &mut traf.trun {
            let fits = i32::try_from(offset);
            trun.data_offset = Some(fits.map_err(|_| MuxError::Track("a fragment over 2 GiB"))?);
        }
        offset += length;
    }
    let mut out = Vec::with_capacity(offset);
    moof.encode(&mut out)?;
    out.extend_from_slice(&header);
    let mut fragment =
        Fragment { payload: index.end + out.len() as u64, counts: [0; TRACKS], bytes: [0; TRACKS] };
    for (number, (track, pending)) in index.tracks.iter_mut().zip(pending).enumerate() {
        out.extend_from_slice(&pending.media);
        fragment.counts[number] = pending.samples.len() as u32;
        fragment.bytes[number] = pending.media.len() as u64;
        for (size, key) in pending.samples.drain(..) {
            track.sizes.push(size);
            if track.video && key {
                track.keys.push(track.sizes.len() as u32);
            }
        }
        pending.media.clear();
    }
    index.fragments.push(fragment);
    index.end += out.len() as u64;
    Ok(out)
}

/// Durations and the flags of sound come from `trex`; a keyframe may lie
/// anywhere in a fragment, so video samples carry theirs.
fn entries(video: bool, samples: &[(u32, bool)]) -> TrunSamples {
    let entry = |&(size, key): &(u32, bool)| TrunEntry {
        size: Some(size),
        flags: video.then_some(if key { SYNC } else { NOT_SYNC }),
        ..TrunEntry::default()
    };
    TrunSamples::Explicit(samples.iter().map(entry).collect())
}

/// The inverse of [`cut`]: enters the fragment whose `moof` lies at `index.end`
/// and is followed by an `mdat` with `media` bytes from `payload` on. `None`,
/// and the index as it was, unless it is exactly what [`cut`] would have written
/// next.
pub(super) fn enter(
    index: &mut Index,
    sequence: u32,
    moof: &Moof,
    payload: u64,
    media: u64,
) -> Option<()> {
    if moof.mfhd.sequence_number != sequence {
        return None;
    }
    let mut fragment = Fragment { payload, counts: [0; TRACKS], bytes: [0; TRACKS] };
    let mut offset = payload.checked_sub(index.end)?;
    let mut number = 0;
    let mut found = Vec::new();
    for traf in &moof.traf {
        // In the order of the tracks, each at most once.
        number += index.tracks[number..].iter().position(|t| t.id == traf.tfhd.track_id)?;
        let track = &index.tracks[number];
        let [Trun { data_offset: Some(at), samples: TrunSamples::Explicit(entries) }] =
            traf.trun.as_slice()
        else {
            return None;
        };
        if u64::try_from(*at).ok()? != offset
            || traf.tfdt.as_ref()?.base_media_decode_time != track.duration()
            || entries.is_empty()
        {
            return None;
        }
        let sizes: Option<Vec<u32>> = entries.iter().map(|entry| entry.size).collect();
        let sizes = sizes?;
        fragment.counts[number] = u32::try_from(sizes.len()).ok()?;
        fragment.bytes[number] = sizes.iter().map(|&size| u64::from(size)).sum();
        offset += fragment.bytes[number];
        let first = track.sizes.len() as u32 + 1;
        let keys = (first..).zip(entries).filter(|(_, entry)| entry.flags == Some(SYNC));
        found.push((number, sizes, keys.map(|(key, _)| key).collect::<Vec<_>>()));
        number += 1;
    }
    if found.is_empty() || fragment.bytes.iter().sum::<u64>() != media {
        return None;
    }
    for (number, sizes, keys) in found {
        let track = &mut index.tracks[number];
        track.sizes.extend(sizes);
        track.keys.extend(keys);
    }
    index.fragments.push(fragment);
    index.end = payload + media;
    Some(())
}
