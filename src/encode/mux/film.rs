//! A finished file, opened for its keyframes: what posters are made of.
//!
//! Called by the service; reads, and decodes nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mp4_atom::{Codec, Trak};

use super::MuxError;
use super::nal::units;
use super::reader::Reader;
use super::verify::{layout, listed, ordinary};

/// No `moov` of ours comes near this, nor a keyframe near the other: a recorder that a
/// page has taken over must not fill the memory of who reads its file.
const MOOV_MAX: u64 = 256 << 20;
const KEYFRAME_MAX: u32 = 16 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub struct Film {
    file: File,
    path: PathBuf,
    video: Trak,
    /// Where each keyframe lies, its bytes, and when it is shown.
    keyframes: Vec<(u64, u32, Duration)>,
    /// How long the picture lasts.
    duration: Duration,
}

impl Film {
    /// Reads the tables of `file`, which `path` names in errors. `None` for a file
    /// of sound alone.
    ///
    /// # Errors
    /// [`MuxError::Verify`] if it is not a file that was finished here; what the
    /// operating system says.
    pub fn open(file: File, path: &Path) -> Result<Option<Self>, MuxError> {
        let reader = Reader::new(&file, path)?;
        let found = layout(&reader)?.moov;
        if found.end - found.start > MOOV_MAX {
            return Err(MuxError::Verify("its moov is too large"));
        }
        let (moov, _) = ordinary(&reader)?;
        let Some(video) = moov.trak.into_iter().find(|trak| trak.mdia.minf.vmhd.is_some()) else {
            return Ok(None);
        };
        let stbl = &video.mdia.minf.stbl;
        let samples = listed(&video).ok_or(MuxError::Verify("its samples are not listed"))?;
        let scale = u64::from(video.mdia.mdhd.timescale.max(1));
        let delta = stbl.stts.entries.first().map_or(0, |entry| u64::from(entry.sample_delta));
        let time = |ticks: u64| {
            Duration::from_nanos_u128(u128::from(ticks) * 1_000_000_000 / u128::from(scale))
        };
        let keys = stbl.stss.as_ref().map(|stss| stss.entries.as_slice()).unwrap_or_default();
        let keyframes = keys
            .iter()
            .filter_map(|&key| {
                let number = usize::try_from(key.checked_sub(1)?).ok()?;
                let &(at, size) = samples.get(number)?;
                Some((at, size, time(number as u64 * delta)))
            })
            .collect();
        let duration = time(video.mdia.mdhd.duration);
        Ok(Some(Self { file, path: path.to_owned(), video, keyframes, duration }))
    }

    /// How long the picture lasts.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// When each keyframe is shown and how many bytes it takes, in order.
    pub fn keyframes(&self) -> impl ExactSizeIterator<Item = (Duration, u32)> {
        self.keyframes.iter().map(|&(_, size, at)| (at, size))
    }

    /// Keyframe `number`, counted from 0, as an Annex B access unit with its parameter
    /// sets; `None` if there is none or it is not what it should be.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read(&self, number: usize) -> Result<Option<Vec<u8>>, MuxError> {
        let Some(&(at, size, _)) = self.keyframes.get(number) else { return Ok(None) };
        if size > KEYFRAME_MAX {
            return Ok(None);
        }
        let sample = Reader::new(&self.file, &self.path)?.read(at, size.into())?;
        Ok(access_unit(&self.video, &sample))
    }
}

/// A sample of the track behind its parameter sets, with start codes (ITU-T H.264,
/// Annex B).
pub(super) fn access_unit(trak: &Trak, sample: &[u8]) -> Option<Vec<u8>> {
    let avcc = trak.mdia.minf.stbl.stsd.codecs.iter().find_map(|codec| match codec {
        Codec::Avc1(avc1) => Some(&avc1.avcc),
        _ => None,
    })?;
    let sets = avcc.sequence_parameter_sets.iter().chain(&avcc.picture_parameter_sets);
    let mut stream = Vec::with_capacity(sample.len() + 64);
    for unit in sets.map(Vec::as_slice).chain(units(sample)?) {
        stream.extend([0, 0, 0, 1]);
        stream.extend_from_slice(unit);
    }
    Some(stream)
}
