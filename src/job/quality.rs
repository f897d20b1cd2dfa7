//! What a recording is encoded to: size, rates, keyframes; and the presets that
//! people ask for by name.
//!
//! Made of what is configured and what a request or the command line wants
//! besides. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::encoder::EncoderWish;
use super::spec::{BadSpec, Resolution};

/// Frames per second of screen and file.
const FPS: std::ops::RangeInclusive<u32> = 10..=60;

/// The x264 constant rate factor that ends the scale.
const WORST_CRF: u8 = 51;

/// The highest bitrate of the picture, kb/s. With the room that a burst is given
/// (half as much again) it is what H.264's level 4.2 carries, and that is the level
/// of 1920x1080 at 60 fps (ITU-T H.264, table A-1).
const MOST_BITRATE: u32 = 40_000;

/// The lowest, kb/s.
const LEAST_BITRATE: u32 = 100;

/// Below this many thousandths of a bit per pixel x264 at its coarsest cannot keep
/// a moving picture to a bitrate.
const LEAST_MILLIBITS: u64 = 5;

/// Seconds from keyframe to keyframe at most: a seek decodes no longer than that. The
/// reserve of the growing file has room for one in each fragment on average.
const KEYFRAME_INTERVAL: std::ops::RangeInclusive<f64> = 0.5..=20.0;

/// Bitrate of the sound, kb/s over both channels.
const AUDIO_BITRATE: std::ops::RangeInclusive<u32> = 32..=320;

/// What decides how many bits a picture gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// The same quality all along, on the scale of x264's constant rate factor: 0 (best)
    /// to 51.
    Crf(u8),
    /// This many kilobits (1000 bits) a second on average while the picture moves;
    /// less while it does not.
    Bitrate(u32),
}

/// What one recording is encoded to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Plain", into = "Plain")]
pub struct Quality {
    /// Size of the picture.
    pub resolution: Resolution,
    /// Frames per second of screen and file, 10 to 60.
    pub fps: u32,
    /// How many bits a picture gets.
    pub rate: Rate,
    /// Seconds from keyframe to keyframe, 0.5 to 20.
    pub keyframe_interval_s: f64,
    /// Bitrate of the sound in kilobits a second over both channels, 32 to 320.
    pub audio_bitrate: u32,
    /// What is to make the picture.
    pub encoder: EncoderWish,
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            resolution: Resolution::HD,
            fps: 30,
            rate: Rate::Crf(Self::DEFAULT_CRF),
            keyframe_interval_s: 4.0,
            audio_bitrate: 128,
            encoder: EncoderWish::default(),
        }
    }
}

/// [`Quality`] as it is written down; what is missing is as usual.
#[derive(Serialize, Deserialize)]
#[serde(default)]
struct Plain {
    resolution: Resolution,
    fps: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    crf: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bitrate: Option<u32>,
    keyframe_interval_s: f64,
    audio_bitrate: u32,
    encoder: EncoderWish,
}

impl Default for Plain {
    fn default() -> Self {
        let mut usual = Self::from(Quality::default());
        // It would clash with a bitrate.
        usual.crf = None;
        usual
    }
}

impl From<Quality> for Plain {
    fn from(quality: Quality) -> Self {
        let Quality { resolution, fps, rate, keyframe_interval_s, audio_bitrate, encoder } =
            quality;
        let (crf, bitrate) = match rate {
            Rate::Crf(crf) => (Some(crf), None),
            Rate::Bitrate(bitrate) => (None, Some(bitrate)),
        };
        Self { resolution, fps, crf, bitrate, keyframe_interval_s, audio_bitrate, encoder }
    }
}

impl TryFrom<Plain> for Quality {
    type Error = BadSpec;
    fn try_from(plain: Plain) -> Result<Self, BadSpec> {
        let Plain { resolution, fps, crf, bitrate, keyframe_interval_s, audio_bitrate, encoder } =
            plain;
        let rate = rate(crf, bitrate)?.unwrap_or(Self::default().rate);
        Self { resolution, fps, rate, keyframe_interval_s, audio_bitrate, encoder }.check()
    }
}

/// One of the two, or neither.
fn rate(crf: Option<u8>, bitrate: Option<u32>) -> Result<Option<Rate>, BadSpec> {
    match (crf, bitrate) {
        (Some(_), Some(_)) => {
            let why = "cannot be given together with crf: give crf for constant quality, or \
                       bitrate for a size that is known beforehand";
            Err(BadSpec::new("bitrate", why))
        }
        (Some(crf), None) => Ok(Some(Rate::Crf(crf))),
        (None, bitrate) => Ok(bitrate.map(Rate::Bitrate)),
    }
}

impl Quality {
    /// The rate factor where nobody says otherwise.
    pub const DEFAULT_CRF: u8 = 25;

    /// Refuses what screen or encoder cannot do; names the first field at fault.
    pub fn check(self) -> Result<Self, BadSpec> {
        match self.faults().into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(self),
        }
    }

    /// Everything about it that screen or encoder cannot do.
    fn faults(self) -> Vec<BadSpec> {
        let mut faults = Vec::new();
        let mut must = |good: bool, field, value: &dyn fmt::Display, limits: String| {
            if !good {
                let problem = format!("{value} is out of range: {field} must be {limits}");
                faults.push(BadSpec::new(field, problem));
            }
        };
        must(FPS.contains(&self.fps), "fps", &self.fps, between(&FPS, ""));
        match self.rate {
            Rate::Crf(crf) => {
                must(crf <= WORST_CRF, "crf", &crf, format!("0 to {WORST_CRF}"));
            }
            Rate::Bitrate(bitrate) => {
                let Self { resolution, fps, .. } = self;
                let least = least_bitrate(resolution, fps);
                let limits =
                    format!("{least} to {MOST_BITRATE} kb/s for {resolution} at {fps} fps");
                must((least..=MOST_BITRATE).contains(&bitrate), "bitrate", &bitrate, limits);
            }
        }
        let interval = self.keyframe_interval_s;
        must(
            KEYFRAME_INTERVAL.contains(&interval),
            "keyframe_interval",
            &interval,
            between(&KEYFRAME_INTERVAL, " seconds"),
        );
        let sound = self.audio_bitrate;
        must(
            AUDIO_BITRATE.contains(&sound),
            "audio_bitrate",
            &sound,
            between(&AUDIO_BITRATE, " kb/s"),
        );
        faults
    }

    /// Frames from keyframe to keyframe, at least one.
    pub fn gop(self) -> u32 {
        ((self.keyframe_interval_s * f64::from(self.fps)).round() as u32).max(1)
    }
}

fn between<T: fmt::Display>(range: &std::ops::RangeInclusive<T>, unit: &str) -> String {
    format!("{} to {}{unit}", range.start(), range.end())
}

/// The lowest bitrate that such a picture can be kept to, kb/s.
fn least_bitrate(resolution: Resolution, fps: u32) -> u32 {
    let pixels = u64::from(resolution.width()) * u64::from(resolution.height()) * u64::from(fps);
    let least = (pixels * LEAST_MILLIBITS).div_ceil(1_000_000);
    u32::try_from(least).unwrap_or(MOST_BITRATE).clamp(LEAST_BITRATE, MOST_BITRATE)
}

/// A size and a frame rate by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// For example `720p30`.
    pub name: &'static str,
    width: u32,
    height: u32,
    /// Frames per second.
    pub fps: u32,
}

impl Preset {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::new("480p30", 854, 480, 30),
        Self::new("720p30", 1280, 720, 30),
        Self::new("720p60", 1280, 720, 60),
        Self::new("1080p30", 1920, 1080, 30),
        Self::new("1080p60", 1920, 1080, 60),
        Self::new("portrait-720p30", 720, 1280, 30),
        Self::new("portrait-720p60", 720, 1280, 60),
        Self::new("portrait-1080p30", 1080, 1920, 30),
        Self::new("portrait-1080p60", 1080, 1920, 60),
    ];

    const fn new(name: &'static str, width: u32, height: u32, fps: u32) -> Self {
        Self { name, width, height, fps }
    }

    /// Its size.
    pub fn resolution(self) -> Resolution {
        // All of them are good, and a test says so.
        Resolution::new(self.width, self.height).unwrap_or(Resolution::HD)
    }
}

impl Default for Preset {
    fn default() -> Self {
        Self::new("720p30", 1280, 720, 30)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Preset {
    type Err = BadSpec;
    fn from_str(text: &str) -> Result<Self, BadSpec> {
        Self::ALL.into_iter().find(|preset| preset.name == text).ok_or_else(|| {
            let names = Self::ALL.map(|preset| preset.name).join(", ");
            BadSpec::new("preset", format!("{text:?} is unknown: give one of {names}"))
        })
    }
}

/// What somebody wants of the quality; the rest is as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QualityWish {
    /// Size and frame rate by name; what is given beside it wins.
    pub preset: Option<Preset>,
    /// Size of the picture.
    pub resolution: Option<Resolution>,
    /// Frames per second.
    pub fps: Option<u32>,
    /// Constant quality; excludes `bitrate`.
    pub crf: Option<u8>,
    /// Kilobits a second of the picture; excludes `crf`.
    pub bitrate: Option<u32>,
    /// Seconds from keyframe to keyframe.
    pub keyframe_interval_s: Option<f64>,
    /// Kilobits a second of the sound.
    pub audio_bitrate: Option<u32>,
    /// What is to make the picture.
    pub encoder: Option<EncoderWish>,
}

impl QualityWish {
    /// The wish before what is configured.
    ///
    /// # Errors
    /// Everything that is wrong with it, each by its field.
    pub fn over(self, configured: Quality) -> Result<Quality, Vec<BadSpec>> {
        let size = self.resolution.or(self.preset.map(Preset::resolution));
        let (rate, clash) = match rate(self.crf, self.bitrate) {
            Ok(rate) => (rate, None),
            Err(clash) => (None, Some(clash)),
        };
        let quality = Quality {
            resolution: size.unwrap_or(configured.resolution),
            fps: self.fps.or(self.preset.map(|preset| preset.fps)).unwrap_or(configured.fps),
            rate: rate.unwrap_or(configured.rate),
            keyframe_interval_s: self.keyframe_interval_s.unwrap_or(configured.keyframe_interval_s),
            audio_bitrate: self.audio_bitrate.unwrap_or(configured.audio_bitrate),
            encoder: self.encoder.unwrap_or(configured.encoder),
        };
        let faults: Vec<BadSpec> = clash.into_iter().chain(quality.faults()).collect();
        if faults.is_empty() { Ok(quality) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests;
