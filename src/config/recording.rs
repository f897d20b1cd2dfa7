//! `[recording]`: what a recording is when its request does not say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;
use crate::job::{
    BadSpec, DEFAULT_JOIN_TIMEOUT, DEFAULT_MAX_DURATION, EncoderWish, JoinRule, Preset, Quality,
    Rate, Resolution,
};

/// `[recording]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recording {
    /// Recorder processes at once; 0 means one for each core.
    pub max_concurrent: usize,
    /// What counts as joined.
    pub join: JoinRule,
    /// How long one load of the page may take to be joined.
    #[serde(with = "duration")]
    pub join_timeout: Duration,
    /// How often the page is reloaded before giving up.
    pub join_reloads: u32,
    /// When a recording that nobody stops ends by itself.
    #[serde(with = "duration")]
    pub max_duration: Duration,
    /// Size and frame rate by name; gives way to `resolution` and `fps`.
    #[serde(with = "text")]
    pub preset: Preset,
    /// Size of the picture, as `WIDTHxHEIGHT`.
    #[serde(with = "text")]
    pub resolution: Resolution,
    /// Frames per second, 10 to 60.
    pub fps: u32,
    /// x264 constant rate factor, 0 (best) to 51.
    pub crf: u8,
    /// Bitrate of the picture in kb/s, in place of `crf`; 0: by `crf`.
    pub bitrate: u32,
    /// Time from keyframe to keyframe.
    #[serde(with = "duration")]
    pub keyframe_interval: Duration,
    /// Bitrate of the sound in kb/s.
    pub audio_bitrate: u32,
    /// What makes the picture.
    #[serde(with = "text")]
    pub encoder: EncoderWish,
    /// How long a recorder that was told to stop may go on before it is ended
    /// by a signal, and how long a shutdown waits for the files.
    #[serde(with = "duration")]
    pub stop_grace: Duration,
    /// A poster and a sprite sheet are made of every finished file.
    pub posters: bool,
    /// What becomes of a start that asks for a transcript, which is never made.
    pub transcription: Transcription,
    /// How much of a meeting's URL the API shows.
    pub show_meeting_url: ShowMeetingUrl,
}

/// What becomes of a start that asks for a transcript.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transcription {
    /// It is recorded without one, and told so.
    #[default]
    Ignore,
    /// It is refused.
    Refuse,
}

/// How much of a meeting's URL the API shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShowMeetingUrl {
    /// With a mask in place of what looks like a secret.
    #[default]
    Redacted,
    /// As it was given, as the contract's own service does.
    Full,
}

impl Default for Recording {
    fn default() -> Self {
        let Quality { fps, keyframe_interval_s, audio_bitrate, resolution, .. } =
            Quality::default();
        Self {
            max_concurrent: 0,
            join: JoinRule::default(),
            join_timeout: DEFAULT_JOIN_TIMEOUT,
            join_reloads: 3,
            max_duration: DEFAULT_MAX_DURATION,
            preset: Preset::default(),
            resolution,
            fps,
            crf: Quality::DEFAULT_CRF,
            bitrate: 0,
            keyframe_interval: Duration::from_secs_f64(keyframe_interval_s),
            audio_bitrate,
            encoder: EncoderWish::default(),
            stop_grace: Duration::from_secs(30),
            posters: true,
            transcription: Transcription::default(),
            show_meeting_url: ShowMeetingUrl::default(),
        }
    }
}

impl Recording {
    /// How many recorder processes may run at once: `max_concurrent`, or the
    /// number of cores.
    pub fn slots(&self) -> usize {
        match self.max_concurrent {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }

    /// What a recording is encoded to when its request does not say.
    pub fn quality(&self) -> Quality {
        Quality {
            resolution: self.resolution,
            fps: self.fps,
            rate: match self.bitrate {
                0 => Rate::Crf(self.crf),
                bitrate => Rate::Bitrate(bitrate),
            },
            keyframe_interval_s: self.keyframe_interval.as_secs_f64(),
            audio_bitrate: self.audio_bitrate,
            encoder: self.encoder,
        }
    }

    /// Fills in what a preset says, and refuses what excludes each other. `given`
    /// tells of a setting whether somebody wrote it.
    pub(super) fn settle(
        &mut self,
        given: impl Fn(&str) -> bool,
    ) -> Result<(), (&'static str, String)> {
        if !given("resolution") {
            self.resolution = self.preset.resolution();
        }
        if !given("fps") {
            self.fps = self.preset.fps;
        }
        if self.bitrate > 0 && given("crf") {
            let why = "excludes recording.crf: remove one of them, or set bitrate = 0";
            return Err(("recording.bitrate", why.to_owned()));
        }
        Ok(())
    }

    /// Refuses values that cannot work.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let bad = |setting, problem: &str| Err((setting, problem.to_owned()));
        if let Err(BadSpec { field, problem }) = self.quality().check() {
            let own = QUALITY.iter().find(|(name, _)| *name == field);
            return bad(own.map_or("recording", |(_, setting)| setting), &problem);
        }
        if self.join_timeout.is_zero() {
            return bad("recording.join_timeout", "must be longer than zero, like \"30s\"");
        }
        if self.max_duration < Duration::from_secs(1) {
            return bad("recording.max_duration", "must be at least a second, like \"4h\"");
        }
        if self.stop_grace.is_zero() {
            return bad("recording.stop_grace", "must be longer than zero, like \"30s\"");
        }
        Ok(())
    }
}

/// Fields of [`Quality`] and the settings they are made of.
const QUALITY: &[(&str, &str)] = &[
    ("fps", "recording.fps"),
    ("crf", "recording.crf"),
    ("bitrate", "recording.bitrate"),
    ("keyframe_interval", "recording.keyframe_interval"),
    ("audio_bitrate", "recording.audio_bitrate"),
];

/// What is a text in a file (`1280x720`, `720p30`) and checked here.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::job::BadSpec;

    pub(super) fn serialize<T: Display, S: Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(it)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err = BadSpec>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(|e: BadSpec| D::Error::custom(e.problem))
    }
}
