//! Where every sample lies: kept in memory while recording, rebuilt by a
//! salvage, turned into the final `moov` at the end.
//!
//! Pure. Both finalisers and the verification read it.

use mp4_atom::{Co64, Moov, Stco, Stsc, StscEntry, Stss, Stsz, StszSamples, Stts, SttsEntry, Trak};

use super::MuxError;
use super::boxes::edit;

/// A file has at most this many tracks.
pub(super) const TRACKS: usize = 2;

/// Everything about a recording but its media bytes.
#[derive(Debug, Clone)]
pub struct Index {
    /// The `moov` the file began with: it describes the tracks.
    growing: Moov,
    /// Where the growing `moov` begins: after `ftyp`.
    pub(super) moov_at: u64,
    /// Where the reserve begins: the `free` box behind the growing `moov`.
    pub(super) reserve_at: u64,
    /// Where the reserve ends and the first fragment begins.
    pub(super) media_at: u64,
    /// Where the last fragment ends.
    pub(super) end: u64,
    /// In the order of `growing.trak`.
    pub(super) tracks: Vec<Track>,
    /// In file order.
    pub(super) fragments: Vec<Fragment>,
    /// Real samples of sound, priming and the encoder's padding not counted.
    sound: u64,
    /// Something was left out at the end.
    trimmed: bool,
}

/// The samples of one track.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) id: u32,
    pub(super) video: bool,
    /// Ticks per second.
    timescale: u32,
    /// Ticks of every sample.
    pub(super) delta: u32,
    /// Ticks at the start that are not shown.
    priming: u64,
    /// Bytes of every sample.
    pub(super) sizes: Vec<u32>,
    /// Sync samples of the video, counted from 1 as `stss` does.
    pub(super) keys: Vec<u32>,
}

/// One fragment's media: the first track's samples, then the second's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Where its `mdat`'s first byte of media lies.
    pub(super) payload: u64,
    /// Samples of each track.
    pub(super) counts: [u32; TRACKS],
    /// Bytes of each track.
    pub(super) bytes: [u64; TRACKS],
}

impl Fragment {
    /// Bytes of media.
    pub(super) fn len(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

impl Track {
    /// Ticks of all samples so far: the decode time of the next one.
    pub(super) fn duration(&self) -> u64 {
        self.sizes.len() as u64 * u64::from(self.delta)
    }
}

impl Index {
    /// An empty index for the file that begins with `growing`, at `moov_at`,
    /// and whose first fragment will be at `media_at`.
    pub(super) fn new(
        growing: Moov,
        moov_at: u64,
        reserve_at: u64,
        media_at: u64,
    ) -> Result<Self, MuxError> {
        let trex = growing.mvex.as_ref().ok_or(MuxError::NotPart("its moov has no mvex"))?;
        let mut tracks = Vec::new();
        for trak in &growing.trak {
            let id = trak.tkhd.track_id;
            let trex = trex.trex.iter().find(|trex| trex.track_id == id);
            let entry = trak.edts.as_ref().and_then(|edts| edts.elst.as_ref()?.entries.first());
            tracks.push(Track {
                id,
                video: trak.mdia.minf.vmhd.is_some(),
                timescale: trak.mdia.mdhd.timescale,
                delta: trex
                    .ok_or(MuxError::NotPart("a track has no trex"))?
                    .default_sample_duration,
                priming: entry.and_then(|entry| entry.media_time).unwrap_or(0),
                sizes: Vec::new(),
                keys: Vec::new(),
            });
        }
        if !(1..=TRACKS).contains(&tracks.len())
            || tracks.iter().any(|track| track.timescale == 0 || track.delta == 0)
        {
            return Err(MuxError::NotPart("its tracks are not ours"));
        }
        let (end, fragments, sound) = (media_at, Vec::new(), u64::MAX);
        let trimmed = false;
        Ok(Self { growing, moov_at, reserve_at, media_at, end, tracks, fragments, sound, trimmed })
    }

    /// Forgets the last fragment, which began at `start`.
    pub(super) fn pop(&mut self, start: u64) {
        if let Some(fragment) = self.fragments.pop() {
            for (track, count) in self.tracks.iter_mut().zip(fragment.counts) {
                let left = track.sizes.len() - count as usize;
                track.sizes.truncate(left);
                track.keys.retain(|&key| key as usize <= left);
            }
            self.end = start;
        }
    }

    /// Leaves out all but the first `frames` of the picture and `sound` real samples,
    /// as if nothing had come after them. A fragment that holds both kinds is
    /// entered once for each track of it that stays.
    pub(crate) fn cut(&mut self, frames: u64, sound: u64) {
        let mut left: Vec<usize> = self
            .tracks
            .iter()
            .map(|track| {
                let samples = match track.video {
                    true => frames,
                    false => (track.priming + sound).div_ceil(u64::from(track.delta)),
                };
                usize::try_from(samples).unwrap_or(usize::MAX).min(track.sizes.len())
            })
            .collect();
        let keep = left.clone();
        let mut seen = [0; TRACKS];
        for fragment in std::mem::take(&mut self.fragments) {
            let counts = fragment.counts.map(|count| count as usize);
            let whole = left.iter().zip(counts).all(|(left, count)| *left >= count);
            let mut at = fragment.payload;
            for (number, track) in self.tracks.iter().enumerate() {
                let kept = left[number].min(counts[number]);
                left[number] -= kept;
                if kept > 0 && !whole {
                    let mut part =
                        Fragment { payload: at, counts: [0; TRACKS], bytes: [0; TRACKS] };
                    let sizes = &track.sizes[seen[number]..seen[number] + kept];
                    part.counts[number] = kept as u32;
                    part.bytes[number] = sizes.iter().map(|&size| u64::from(size)).sum();
                    self.fragments.push(part);
                }
                seen[number] += counts[number];
                at += fragment.bytes[number];
            }
            if whole && fragment.len() > 0 {
                self.fragments.push(fragment);
            }
        }
        for (track, keep) in self.tracks.iter_mut().zip(keep) {
            track.sizes.truncate(keep);
            track.keys.retain(|&key| key as usize <= keep);
        }
        self.end =
            self.fragments.iter().map(|f| f.payload + f.len()).max().unwrap_or(self.media_at);
        self.sound = self.sound.min(sound);
        self.trimmed = true;
    }

    /// The same for a file that is to last `seconds`.
    pub(super) fn cut_to(&mut self, seconds: f64) {
        let ticks = |track: &Track| (seconds * f64::from(track.timescale)).round().max(0.0) as u64;
        let video = self.tracks.iter().find(|track| track.video);
        let frames = video.map_or(0, |track| ticks(track).div_ceil(u64::from(track.delta)));
        let sound = self.tracks.iter().find(|track| !track.video).map_or(0, ticks);
        self.cut(frames, sound);
    }

    /// Something was left out by [`cut`](Self::cut): bytes between what stays have
    /// to go.
    pub(super) fn is_trimmed(&self) -> bool {
        self.trimmed
    }

    /// Ends the sound after `samples` real ones; without this it lasts as long
    /// as its packets.
    pub(super) fn end_sound(&mut self, samples: u64) {
        self.sound = samples;
    }

    /// Bytes of media, without any box.
    pub(super) fn media_bytes(&self) -> u64 {
        self.fragments.iter().map(Fragment::len).sum()
    }

    /// Ticks per second of `mvhd`, `tkhd` and edits.
    pub(super) fn timescale(&self) -> u32 {
        self.growing.mvhd.timescale
    }

    /// What the file shows, in the movie timescale: as long as the picture, or
    /// as the sound where there is no picture.
    pub(super) fn duration(&self) -> u64 {
        let shown = |track: &Track| self.available(track);
        match self.tracks.iter().find(|track| track.video && !track.sizes.is_empty()) {
            Some(video) => shown(video),
            None => self.tracks.iter().map(shown).max().unwrap_or(0),
        }
    }

    /// Ticks of a track that can be shown, in the movie timescale.
    fn available(&self, track: &Track) -> u64 {
        let mut ticks = track.duration().saturating_sub(track.priming);
        if !track.video {
            ticks = ticks.min(self.sound);
        }
        let scaled = u128::from(ticks) * u128::from(self.timescale()) / u128::from(track.timescale);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }

    /// Where each fragment's media lies in a file that keeps them in place.
    pub(super) fn payloads(&self) -> Vec<u64> {
        self.fragments.iter().map(|fragment| fragment.payload).collect()
    }

    /// Where each fragment's media lies when they follow one another from `first`.
    pub(super) fn contiguous_payloads(&self, first: u64) -> Vec<u64> {
        let mut at = first;
        let place = |fragment: &Fragment| {
            let here = at;
            at += fragment.len();
            here
        };
        self.fragments.iter().map(place).collect()
    }

    /// Offset and sample count of each chunk of track `number`; one chunk per
    /// fragment that has samples of it.
    pub(super) fn chunks<'a>(
        &'a self,
        number: usize,
        payloads: &'a [u64],
    ) -> impl Iterator<Item = (u64, u32)> + 'a {
        self.fragments.iter().zip(payloads).filter_map(move |(fragment, payload)| {
            let before: u64 = fragment.bytes[..number].iter().sum();
            let count = fragment.counts[number];
            (count > 0).then_some((payload + before, count))
        })
    }

    /// The final `moov` for media at `payloads`. Tracks of which nothing is to
    /// be shown are left out.
    pub(super) fn moov(&self, payloads: &[u64]) -> Moov {
        let mut moov = Moov { mvex: None, trak: Vec::new(), ..self.growing.clone() };
        let duration = self.duration();
        moov.mvhd.duration = duration;
        let seconds = duration / u64::from(self.timescale().max(1));
        moov.mvhd.modification_time = moov.mvhd.creation_time.saturating_add(seconds);
        for (number, track) in self.tracks.iter().enumerate() {
            let shown = self.available(track).min(duration);
            if shown > 0 {
                let mut trak = self.growing.trak[number].clone();
                trak.tkhd.duration = shown;
                trak.tkhd.modification_time = moov.mvhd.modification_time;
                trak.mdia.mdhd.modification_time = moov.mvhd.modification_time;
                trak.mdia.mdhd.duration = track.duration();
                trak.edts = Some(edit(shown, track.priming));
                fill_tables(&mut trak, track, self.chunks(number, payloads));
                moov.trak.push(trak);
            }
        }
        moov
    }
}

/// The sample tables (ISO/IEC 14496-12, 8.6 and 8.7).
fn fill_tables(trak: &mut Trak, track: &Track, chunks: impl Iterator<Item = (u64, u32)>) {
    let stbl = &mut trak.mdia.minf.stbl;
    let count = track.sizes.len() as u32;
    stbl.stts =
        Stts { entries: vec![SttsEntry { sample_count: count, sample_delta: track.delta }] };
    stbl.stsz = Stsz { samples: StszSamples::Different { sizes: track.sizes.clone() } };
    stbl.stss = track.video.then(|| Stss { entries: track.keys.clone() });
    let mut offsets = Vec::new();
    let mut runs: Vec<StscEntry> = Vec::new();
    for (offset, count) in chunks {
        offsets.push(offset);
        if runs.last().is_none_or(|run| run.samples_per_chunk != count) {
            runs.push(StscEntry {
                first_chunk: offsets.len() as u32,
                samples_per_chunk: count,
                sample_description_index: 1,
            });
        }
    }
    stbl.stsc = Stsc { entries: runs };
    let narrow: Result<Vec<u32>, _> = offsets.iter().map(|&offset| offset.try_into()).collect();
    (stbl.stco, stbl.co64) = match narrow {
        Ok(entries) => (Some(Stco { entries }), None),
        Err(_) => (None, Some(Co64 { entries: offsets })),
    };
}
