//! Collects samples, cuts them into fragments, keeps the index.
//!
//! Pure: bytes in, bytes out. The caller hands every buffer to
//! [`Disk`](super::Disk) in the order it got them.

use mp4_atom::{Atom, Free, Header};

use super::boxes::{AAC_PACKET, encode, ftyp, growing_moov, reserve};
use super::fragment::{Pending, cut};
use super::index::Index;
use super::nal::units;
use super::{MuxError, Settings};

/// The reserve ends on a page boundary, so that fragments begin on one.
const PAGE: u64 = 4096;

/// What a part file begins with.
#[derive(Debug, Clone)]
pub struct Head {
    /// To be written at offset 0.
    pub bytes: Vec<u8>,
    /// Where the first fragment goes. From `bytes` to there the file is a hole.
    pub media_at: u64,
}

/// Makes the bytes of a part file, one fragment after the other.
///
/// A fragment is cut when half a second of video waits; it takes along what
/// sound has come. Sound that runs late never holds a fragment back.
#[derive(Debug)]
pub struct Muxer {
    index: Index,
    /// One for each track of the index.
    pending: Vec<Pending>,
    /// Number of the next fragment, from 1.
    sequence: u32,
    /// Position of the video track, if there is one.
    video: Option<usize>,
    /// Position of the sound track.
    audio: usize,
    /// How many waiting samples of each track make a fragment.
    full: [usize; 2],
}

impl Muxer {
    /// A muxer and the head of its file.
    ///
    /// # Errors
    /// [`MuxError::Track`] for settings that no file can carry.
    pub fn new(settings: &Settings) -> Result<(Self, Head), MuxError> {
        let growing = growing_moov(settings)?;
        let mut bytes = encode(&ftyp())?;
        let moov_at = bytes.len() as u64;
        bytes.extend(encode(&growing)?);
        let reserve_at = bytes.len() as u64;
        let media_at = (reserve_at + reserve(settings, &growing)?).next_multiple_of(PAGE);
        let body = (media_at - reserve_at) as usize - 8;
        bytes.extend(encode(&Header { kind: Free::KIND, size: Some(body) })?);

        let index = Index::new(growing, moov_at, reserve_at, media_at)?;
        let video = settings.video.as_ref().map(|_| 0);
        let audio = usize::from(video.is_some());
        let packets = usize::from(settings.audio.sample_rate) / 2 / AAC_PACKET as usize;
        let full = match &settings.video {
            // Sound cuts a fragment of its own only if video stays away twice as long.
            Some(video) => [(video.fps as usize / 2).max(1), 2 * packets.max(1)],
            None => [packets.max(1); 2],
        };
        let pending = index.tracks.iter().map(|_| Pending::default()).collect();
        let muxer = Self { index, pending, sequence: 1, video, audio, full };
        Ok((muxer, Head { bytes, media_at }))
    }

    /// Takes the next frame: one access unit, its NAL units each behind a
    /// 4-byte length (ISO/IEC 14496-15, 5.3.4.2) and without zeros after their
    /// end. Returns a fragment when one is full.
    ///
    /// # Errors
    /// [`MuxError::Track`] if the file has no video track, the sample is not
    /// one of such NAL units, or the first one is not a keyframe.
    pub fn video(&mut self, sample: &[u8], keyframe: bool) -> Result<Option<Vec<u8>>, MuxError> {
        let number = self.video.ok_or(MuxError::Track("a frame for a file without video"))?;
        if units(sample).is_none() {
            return Err(MuxError::Track("a frame is not length-prefixed NAL units"));
        }
        let first =
            self.pending[number].samples.is_empty() && self.index.tracks[number].sizes.is_empty();
        if first && !keyframe {
            return Err(MuxError::Track("the first frame must be a keyframe"));
        }
        self.push(number, sample, keyframe)
    }

    /// Takes the next packet of 1024 samples per channel, without ADTS header.
    /// Returns a fragment when one is full.
    ///
    /// # Errors
    /// [`MuxError::Track`] if the packet is empty.
    pub fn audio(&mut self, sample: &[u8]) -> Result<Option<Vec<u8>>, MuxError> {
        self.push(self.audio, sample, true)
    }

    /// Frames that are missing until a fragment is full; packets, without video.
    pub fn missing(&self) -> usize {
        self.full[0].saturating_sub(self.pending[0].samples.len())
    }

    /// The samples that still wait, as a fragment of their own, however short;
    /// `None` if there are none. For a pause: nothing else would bring them to disk.
    ///
    /// # Errors
    /// [`MuxError::Box`] if a box outgrows its length field.
    pub fn flush(&mut self) -> Result<Option<Vec<u8>>, MuxError> {
        if self.pending.iter().all(|pending| pending.samples.is_empty()) {
            return Ok(None);
        }
        let bytes = cut(&mut self.index, self.sequence, &mut self.pending)?;
        self.sequence += 1;
        Ok(Some(bytes))
    }

    /// The last fragment, if samples wait, and the index for
    /// [`finalise`](super::finalise). `sound` is how many real samples (per
    /// channel) the audio encoder was fed: what its last packet holds beyond them
    /// is not shown, nor is sound that outlasts the video.
    ///
    /// # Errors
    /// [`MuxError::Box`] if a box outgrows its length field.
    pub fn finish(mut self, sound: u64) -> Result<(Option<Vec<u8>>, Index), MuxError> {
        let last = self.flush()?;
        self.index.end_sound(sound);
        Ok((last, self.index))
    }

    fn push(
        &mut self,
        number: usize,
        sample: &[u8],
        keyframe: bool,
    ) -> Result<Option<Vec<u8>>, MuxError> {
        let size =
            u32::try_from(sample.len()).map_err(|_| MuxError::Track("a sample over 4 GiB"))?;
        if size == 0 {
            return Err(MuxError::Track("an empty sample"));
        }
        let pending = &mut self.pending[number];
        pending.media.extend_from_slice(sample);
        pending.samples.push((size, keyframe));
        if pending.samples.len() < self.full[number] { Ok(None) } else { self.flush() }
    }
}
