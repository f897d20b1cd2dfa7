//! A part file while it grows: its newest picture, and a stream of it that a
//! player can open in the middle (ISO/IEC 14496-12, 8.8).
//!
//! Reading takes nothing from the recording: what was just written is in the page
//! cache. Called by the service, whose recorder is another process.

use std::fs::File;
use std::path::{Path, PathBuf};

use mp4_atom::{Atom, Encode, Header, Mdat, Moov, Traf, TrunEntry, TrunSamples};

use super::MuxError;
use super::boxes::{SYNC, encode, ftyp};
use super::film::access_unit;
use super::part::{self, PartFragment, PartHead};
use super::reader::Reader;

/// Finds the newest keyframe of a part file, from where it looked last.
#[derive(Debug)]
pub struct Scout {
    file: File,
    path: PathBuf,
    moov: Moov,
    /// Where the fragment will begin that was not looked at yet.
    at: u64,
    /// Where the fragment of the newest keyframe begins; of sound alone, the newest.
    newest: Option<u64>,
}

impl Scout {
    /// Opens the part file of a recording that has begun.
    ///
    /// # Errors
    /// [`MuxError::NotPart`] if it is something else, [`MuxError::Empty`] if its head
    /// is not written yet; what the operating system says.
    pub fn open(path: &Path) -> Result<Self, MuxError> {
        let file = File::open(path).map_err(MuxError::io("open", path))?;
        let reader = Reader::new(&file, path)?;
        let second = part::second(&reader)?;
        if second.kind != Moov::KIND {
            return Err(MuxError::NotPart("no moov follows its ftyp"));
        }
        let PartHead { moov, reserve, .. } = part::head(&reader, second)?;
        Ok(Self { file, path: path.to_owned(), moov, at: reserve.end, newest: None })
    }

    /// Whether there is a picture track.
    pub fn has_video(&self) -> bool {
        self.moov.trak.iter().any(|trak| trak.mdia.minf.vmhd.is_some())
    }

    /// The newest keyframe on disk as an Annex B access unit with its parameter sets
    /// (ITU-T H.264, Annex B), which a decoder needs nothing else for. `None` before
    /// the first fragment, and for a file of sound alone.
    ///
    /// # Errors
    /// What the operating system says; [`MuxError::Box`] for a fragment that lies
    /// about itself.
    pub fn keyframe(&mut self) -> Result<Option<Vec<u8>>, MuxError> {
        self.look()?;
        let file = Reader::new(&self.file, &self.path)?;
        let Some(start) = self.newest else { return Ok(None) };
        let Some(found) = part::fragment(&file, start)? else { return Ok(None) };
        let Some(key) = keyframe_in(&self.moov, &found) else { return Ok(None) };
        let entries = entries(&found.moof.traf[key.traf]).unwrap_or_default();
        let at = found.start + offset(&found.moof.traf[key.traf]) + bytes(&entries[..key.sample]);
        let size = entries[key.sample].size.unwrap_or(0).into();
        if at < found.mdat.body || at + size > found.mdat.end {
            return Err(MuxError::Box("a keyframe lies outside its fragment".into()));
        }
        let sample = file.read(at, size)?;
        let video = self.moov.trak.iter().find(|trak| trak.mdia.minf.vmhd.is_some());
        Ok(video.and_then(|trak| access_unit(trak, &sample)))
    }

    /// Everything from the newest keyframe on, and all that is still to come.
    ///
    /// # Errors
    /// Those of [`keyframe`](Self::keyframe).
    pub fn follow(mut self) -> Result<Follower, MuxError> {
        self.look()?;
        let at = self.newest.unwrap_or(self.at);
        Ok(Follower { file: self.file, path: self.path, moov: self.moov, at, zero: None })
    }

    /// Walks over what was written since the last time.
    fn look(&mut self) -> Result<(), MuxError> {
        let sound_alone = !self.has_video();
        let file = Reader::new(&self.file, &self.path)?;
        while let Some(found) = part::fragment(&file, self.at)? {
            if sound_alone || keyframe_in(&self.moov, &found).is_some() {
                self.newest = Some(found.start);
            }
            self.at = found.mdat.end;
        }
        Ok(())
    }
}

/// A part file as a stream that begins with its newest keyframe, at time zero.
#[derive(Debug)]
pub struct Follower {
    file: File,
    path: PathBuf,
    moov: Moov,
    /// Where the next fragment will begin.
    at: u64,
    /// Decode time of each track, by its id, at which the stream begins; `None`
    /// until its first fragment is there.
    zero: Option<Vec<(u32, u64)>>,
}

impl Follower {
    /// What the stream begins with: `ftyp` and the `moov` that describes the tracks.
    ///
    /// # Errors
    /// [`MuxError::Box`] if a box outgrows its length field.
    pub fn head(&self) -> Result<Vec<u8>, MuxError> {
        let mut bytes = encode(&ftyp())?;
        bytes.extend(encode(&self.moov)?);
        Ok(bytes)
    }

    /// The next fragment, as long as at most half a second of the recording; `None`
    /// if it is not on disk yet, or there is none any more.
    ///
    /// # Errors
    /// Those of [`Scout::keyframe`].
    pub fn next_fragment(&mut self) -> Result<Option<Vec<u8>>, MuxError> {
        loop {
            let file = Reader::new(&self.file, &self.path)?;
            let Some(found) = part::fragment(&file, self.at)? else { return Ok(None) };
            self.at = found.mdat.end;
            let zero = match &self.zero {
                Some(zero) => zero.clone(),
                None => match begin(&self.moov, &found) {
                    Some(zero) => self.zero.insert(zero).clone(),
                    // Sound that came before the first picture.
                    None => continue,
                },
            };
            if let Some(bytes) = shifted(&self.moov, &file, found, &zero)? {
                return Ok(Some(bytes));
            }
        }
    }
}

/// A sample of a fragment.
struct SampleAt {
    /// Position of its track's box.
    traf: usize,
    /// Position in that.
    sample: usize,
}

/// The first keyframe of the picture track in a fragment.
fn keyframe_in(moov: &Moov, found: &PartFragment) -> Option<SampleAt> {
    let is_video = |traf: &Traf| {
        let mut traks = moov.trak.iter();
        traks.any(|t| t.tkhd.track_id == traf.tfhd.track_id && t.mdia.minf.vmhd.is_some())
    };
    let traf = found.moof.traf.iter().position(is_video)?;
    let sample =
        entries(&found.moof.traf[traf])?.iter().position(|entry| entry.flags == Some(SYNC))?;
    Some(SampleAt { traf, sample })
}

/// Samples as `fragment` writes them: one run for each track.
fn entries(traf: &Traf) -> Option<&[TrunEntry]> {
    match &traf.trun.first()?.samples {
        TrunSamples::Explicit(entries) => Some(entries),
        _ => None,
    }
}

/// Where the samples of a track begin, from the start of the `moof`.
fn offset(traf: &Traf) -> u64 {
    let at = traf.trun.first().and_then(|trun| trun.data_offset).unwrap_or(0);
    u64::try_from(at).unwrap_or(0)
}

fn bytes(entries: &[TrunEntry]) -> u64 {
    entries.iter().map(|entry| u64::from(entry.size.unwrap_or(0))).sum()
}

fn decode_time(traf: &Traf) -> u64 {
    traf.tfdt.as_ref().map_or(0, |tfdt| tfdt.base_media_decode_time)
}

/// Ticks of every sample of the track, and of a second.
fn clock(moov: &Moov, id: u32) -> Option<(u64, u64)> {
    let trex = moov.mvex.as_ref()?.trex.iter().find(|trex| trex.track_id == id)?;
    let trak = moov.trak.iter().find(|trak| trak.tkhd.track_id == id)?;
    let (delta, scale) = (trex.default_sample_duration, trak.mdia.mdhd.timescale);
    (delta > 0 && scale > 0).then_some((delta.into(), scale.into()))
}

/// The decode times of all tracks at the moment the stream begins: that of the
/// first keyframe, or of the first sound of a file that holds nothing else.
fn begin(moov: &Moov, found: &PartFragment) -> Option<Vec<(u32, u64)>> {
    let has_video = moov.trak.iter().any(|trak| trak.mdia.minf.vmhd.is_some());
    let (traf, sample) = match keyframe_in(moov, found) {
        Some(key) => (key.traf, key.sample),
        None if has_video => return None,
        None => (0, 0),
    };
    let traf = found.moof.traf.get(traf)?;
    let (delta, scale) = clock(moov, traf.tfhd.track_id)?;
    let zero = decode_time(traf).saturating_add(sample as u64 * delta);
    let of = |id: u32| {
        let (_, other) = clock(moov, id)?;
        let ticks = u128::from(zero) * u128::from(other) / u128::from(scale);
        Some((id, u64::try_from(ticks).ok()?))
    };
    moov.trak.iter().map(|trak| of(trak.tkhd.track_id)).collect()
}

/// The fragment with its times counted from `zero`, without what comes before.
/// `None` if nothing of it is left.
fn shifted(
    moov: &Moov,
    file: &Reader,
    found: PartFragment,
    zero: &[(u32, u64)],
) -> Result<Option<Vec<u8>>, MuxError> {
    let PartFragment { mut moof, start, mdat } = found;
    let mut media = Vec::new();
    for traf in &mut moof.traf {
        let id = traf.tfhd.track_id;
        let zero = zero.iter().find(|(track, _)| *track == id).map(|(_, zero)| *zero);
        let (Some(zero), Some((delta, _))) = (zero, clock(moov, id)) else {
            return Err(MuxError::Box("a fragment of an unknown track".into()));
        };
        let all = entries(traf).unwrap_or_default();
        let missing = zero.saturating_sub(decode_time(traf)).div_ceil(delta);
        let dropped = usize::try_from(missing).unwrap_or(usize::MAX).min(all.len());
        let (before, kept) = all.split_at(dropped);
        let (at, size) = (start + offset(traf) + bytes(before), bytes(kept));
        if at < mdat.body || at.checked_add(size).is_none_or(|end| end > mdat.end) {
            return Err(MuxError::Box("samples lie outside their fragment".into()));
        }
        media.push(file.read(at, size)?);
        let time = decode_time(traf) + dropped as u64 * delta;
        let kept = kept.to_vec();
        if let Some(tfdt) = &mut traf.tfdt {
            tfdt.base_media_decode_time = time.saturating_sub(zero);
        }
        if let Some(trun) = traf.trun.first_mut() {
            trun.samples = TrunSamples::Explicit(kept);
        }
    }
    let left: Vec<bool> = media.iter().map(|media| !media.is_empty()).collect();
    let mut left = left.into_iter();
    moof.traf.retain(|_| left.next().unwrap_or(false));
    media.retain(|media| !media.is_empty());
    if moof.traf.is_empty() {
        return Ok(None);
    }
    let total = media.iter().map(Vec::len).sum();
    let header = encode(&Header { kind: Mdat::KIND, size: Some(total) })?;
    // As long whatever the offsets are.
    let mut offset = encode(&moof)?.len() + header.len();
    for (traf, media) in moof.traf.iter_mut().zip(&media) {
        if let Some(trun) = traf.trun.first_mut() {
            let fits = i32::try_from(offset);
            trun.data_offset = Some(fits.map_err(|_| MuxError::Track("a fragment over 2 GiB"))?);
        }
        offset += media.len();
    }
    let mut out = Vec::with_capacity(offset);
    moof.encode(&mut out)?;
    out.extend_from_slice(&header);
    out.extend(media.into_iter().flatten());
    Ok(Some(out))
}
