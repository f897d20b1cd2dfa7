//! The studio of one recording: screen, speaker and encoder, wired together.
//!
//! It is open before a browser starts and outlives every browser of the
//! recording, so that a crash leaves a gap and not a second file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::error::RecordError;
use super::place::Output;
use crate::clock::Mono;
use crate::display::{Screen, ScreenConfig, ScreenEvent};
use crate::encode::{EncodeConfig, EncodeError, EncodeEvent, Encoder, ErrorKind};
use crate::job::{EncoderKind, RecordingSpec, Stats, Summary};
use crate::speaker::{Speaker, SpeakerConfig, SpeakerEvent};

/// Encoding gives way to painting: nobody sees a frame that was encoded late,
/// everybody one that was painted late.
const ENCODER_NICE: i32 = 10;

/// Sound is handed on this long after it was heard, or later on a stalled machine.
const SPEAKER_GRACE: Duration = Duration::from_millis(300);

/// The first frame of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FirstFrame {
    /// Milliseconds since the Unix epoch.
    pub(super) epoch_ms: i64,
}

/// Where the file ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileEnd {
    /// On the clock.
    pub(super) at: Mono,
    /// Frames in the file.
    pub(super) frames: u64,
    /// Frames recorded after its end, which are left out.
    pub(super) trimmed: u64,
}

pub(super) struct Studio {
    /// What the screen tells: mapped, gone, unresponsive.
    pub(super) screen_events: UnboundedReceiver<ScreenEvent>,
    /// What the speaker tells: connected, lost.
    pub(super) speaker_events: UnboundedReceiver<SpeakerEvent>,
    /// What the encoder tells: first frame, end of the file, failed, drained.
    pub(super) encode_events: UnboundedReceiver<EncodeEvent>,
    screen: Screen,
    speaker: Speaker,
    encoder: Encoder,
    first_frame: Option<FirstFrame>,
    /// Known once the encoder has told.
    end: Option<FileEnd>,
    /// That another encoder had to take over.
    fallback: Option<String>,
    /// Where the file grows.
    part: PathBuf,
    /// Sockets, profile and home of the browser; removed last.
    runtime: TempDir,
}

impl Studio {
    /// Opens everything, the cheapest failure first: output, encoder, devices.
    pub(super) fn open(
        spec: &RecordingSpec,
        kind: EncoderKind,
        output: &Output,
        runtime: TempDir,
    ) -> Result<Self, RecordError> {
        let (encode_tx, encode_events) = unbounded_channel();
        let (screen_tx, screen_events) = unbounded_channel();
        let (speaker_tx, speaker_events) = unbounded_channel();

        let encoder = Encoder::start(
            EncodeConfig {
                quality: spec.quality,
                encoder: kind,
                audio_only: spec.audio_only,
                part: output.part(),
                max_duration: spec.max_duration(),
                copy_max: spec.copy_max,
                nice: ENCODER_NICE,
            },
            encode_tx,
        )?;
        let device = |what: &str, error: &dyn std::fmt::Display| {
            RecordError::Device(format!("the {what} could not be opened: {error}"))
        };

        let intake = encoder.intake();
        let speaker = Speaker::open(
            SpeakerConfig { socket: runtime.path().join("pulse"), grace: SPEAKER_GRACE },
            Box::new(move |block| intake.block(block)),
            speaker_tx,
        )
        .map_err(|e| device("speaker", &e))?;

        let intake = encoder.intake();
        let screen = Screen::open(
            ScreenConfig {
                width: spec.quality.resolution.width(),
                height: spec.quality.resolution.height(),
                fps: spec.quality.fps,
                blind: spec.audio_only,
                runtime_dir: runtime.path().to_path_buf(),
            },
            Box::new(move |tick| intake.tick(tick)),
            screen_tx,
        )
        .map_err(|e| device("screen", &e))?;

        Ok(Self {
            screen_events,
            speaker_events,
            encode_events,
            screen,
            speaker,
            encoder,
            first_frame: None,
            end: None,
            fallback: None,
            part: output.part(),
            runtime,
        })
    }

    /// Where the browser finds its screen.
    pub(super) fn wayland_socket(&self) -> &Path {
        self.screen.socket()
    }

    /// Where the browser finds its speaker.
    pub(super) fn pulse_socket(&self) -> &Path {
        self.speaker.socket()
    }

    /// The private directory for whatever the browser writes.
    pub(super) fn runtime_dir(&self) -> &Path {
        self.runtime.path()
    }

    /// Recording begins with what the screen shows at `at` or first after it.
    pub(super) fn begin(&self, at: Mono) {
        self.encoder.begin(at);
    }

    /// Leaves the time from `at` on out of the file. Before the first frame: the
    /// file begins when it is resumed.
    pub(super) fn pause(&self, at: Mono) {
        self.encoder.pause(at);
    }

    /// Takes frames again from `at` on.
    pub(super) fn resume(&self, at: Mono) {
        self.encoder.resume(at);
    }

    /// What is recorded from `at` on is left out if the file ends while this holds.
    pub(super) fn trim(&self, at: Option<Mono>) {
        self.encoder.trim(at);
    }

    /// The file ends with what the screen shows at `at`.
    pub(super) fn stop(&self, at: Mono) {
        self.encoder.stop(at);
    }

    /// The encoder took its first frame.
    pub(super) fn note_first_frame(&mut self, t0: Mono) -> FirstFrame {
        let ago = Mono::now().since(t0);
        let epoch_ms =
            chrono::Utc::now().timestamp_millis() - i64::try_from(ago.as_millis()).unwrap_or(0);
        *self.first_frame.insert(FirstFrame { epoch_ms })
    }

    /// The first frame, once there is one.
    pub(super) fn t0(&self) -> Option<FirstFrame> {
        self.first_frame
    }

    /// The encoder took its last frame.
    pub(super) fn note_end(&mut self, end: FileEnd) {
        self.end = Some(end);
    }

    /// Where the file ends, after a stop: the encoder knows as soon as the clock
    /// has come there. `None` if it failed.
    pub(super) async fn end(&mut self) -> Option<FileEnd> {
        while self.end.is_none() {
            match self.encode_events.recv().await? {
                EncodeEvent::Ended { end: at, frames, trimmed, .. } => {
                    self.note_end(FileEnd { at, frames, trimmed });
                }
                EncodeEvent::Failed(_) => return None,
                EncodeEvent::FellBack { from, why } => {
                    self.note_fallback(from, &why);
                }
                EncodeEvent::FirstFrame { .. } | EncodeEvent::Drained { .. } => {}
            }
        }
        self.end
    }

    /// The encoder of the picture failed, and x264 took over; as a sentence.
    pub(super) fn note_fallback(&mut self, from: EncoderKind, why: &str) -> String {
        let told = format!("{from} failed, and x264 makes the picture from there on: {why}");
        self.fallback.insert(told).clone()
    }

    /// The same for whoever has the file.
    pub(super) fn fallback(&self) -> Option<String> {
        self.fallback.clone()
    }

    /// Counters now.
    pub(super) fn stats(&self) -> Stats {
        self.encoder.stats()
    }

    /// The file does not grow, and the browser is not to blame.
    pub(super) fn waits_for_disk(&self) -> bool {
        self.encoder.waits_for_disk()
    }

    /// Bytes that the file's disk has left, if it tells.
    pub(super) fn disk_left(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.part).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Waits for the last sound and finishes the file, which was stopped or ends
    /// with its newest frame, as `out`.
    pub(super) async fn finish(self, out: &Path) -> Result<Summary, RecordError> {
        let Self { encoder, screen, speaker, runtime, .. } = self;
        let out = out.to_path_buf();
        let finished = tokio::task::spawn_blocking(move || encoder.finish(&out)).await;
        // The speaker had to live until its last block was taken.
        drop((screen, speaker, runtime));
        match finished {
            Ok(summary) => Ok(summary?),
            Err(panic) => Err(RecordError::Encoder(format!("finishing the file failed: {panic}"))),
        }
    }
}

impl From<EncodeError> for RecordError {
    fn from(error: EncodeError) -> Self {
        match error.kind() {
            ErrorKind::Disk => Self::Disk(error.to_string()),
            ErrorKind::Encoder => Self::Encoder(error.to_string()),
            ErrorKind::Empty => Self::Browser(error.to_string()),
        }
    }
}
