//! The encoder: ticks and sound blocks go in, a growing MP4 is on disk.
//!
//! `recorder` starts one [`Encoder`] per recording and gives its [`Intake`] to
//! screen and speaker, which never wait for it. One thread, `encode`, runs the
//! timeline, H.264, AAC and the muxer; a second one, `disk`, writes and syncs.
//! What happens is told by [`EncodeEvent`]s. This module knows nothing of
//! browsers, rooms or jobs beyond their settings and counters.

mod audio;
mod coder;
mod error;
mod ffi;
mod hardware;
mod intake;
mod level;
mod limits;
pub mod mux;
mod nal;
mod offer;
mod quantiser;
mod selftest;
mod sheet;
mod still;
#[cfg(test)]
mod tests;
mod uniform;
mod video;
mod watched;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc::UnboundedSender;

use coder::Coders;
pub use error::{EncodeError, ErrorKind};
pub use intake::Intake;
use intake::Item;
pub use offer::{REQUIRED, offered};
pub use selftest::check_encoder;
pub use sheet::{Sheet, sheet};
use worker::{Finished, Parts, Worker};

use crate::clock::Mono;
use crate::job::{EncoderKind, Quality, Stats, Summary};
use crate::media::SAMPLE_RATE;

/// What one recording is encoded to.
#[derive(Debug, Clone)]
pub struct EncodeConfig {
    /// Size, rates and keyframes. The frame rate paces a file of sound alone, too.
    pub quality: Quality,
    /// What makes the picture; x264 if that cannot be opened.
    pub encoder: EncoderKind,
    /// The file holds no picture, and none is encoded.
    pub audio_only: bool,
    /// The growing file; must not exist yet.
    pub part: PathBuf,
    /// The file ends by itself at this length.
    pub max_duration: Duration,
    /// Bytes of media up to which the finished file is a copy;
    /// [`COMPACT_MAX`](mux::COMPACT_MAX) when absent.
    pub copy_max: Option<u64>,
    /// Niceness of the encode thread, 0 to 19: the page's own work comes first.
    pub nice: i32,
}

/// What the encoder tells its owner. After `Drained` or `Failed` the channel
/// closes; if it closes without either, the encode thread has died.
#[derive(Debug, Clone)]
pub enum EncodeEvent {
    /// The file has its first frame.
    FirstFrame {
        /// T0: the zero of both tracks on the clock.
        t0: Mono,
    },
    /// The encoder of the picture failed; x264 makes all further frames of the same
    /// file. None is lost.
    FellBack {
        /// What failed.
        from: EncoderKind,
        /// How.
        why: String,
    },
    /// The file ends here and takes no more frames: it was stopped, or it is full;
    /// `Drained` follows.
    Ended {
        /// The end of the file on the clock, after trimming.
        end: Mono,
        /// Frames in the file, pauses not counted.
        frames: u64,
        /// Frames that were recorded after its end and are left out.
        trimmed: u64,
        /// It has reached its maximum duration.
        full: bool,
    },
    /// Both tracks are complete up to the end, and on disk.
    Drained {
        /// The end of the file on the clock.
        end: Mono,
        /// Frames in the file.
        frames: u64,
    },
    /// Encoding or writing failed and has ended. What is on disk stays valid.
    Failed(EncodeError),
}

/// One recording's encoder. Dropped without [`finish`](Self::finish) it leaves
/// the part file as a crash would: decodable up to its last fragment.
#[derive(Debug)]
pub struct Encoder {
    intake: Intake,
    stats: Arc<Mutex<Stats>>,
    part: PathBuf,
    /// Bytes of media up to which the finished file is a copy.
    copy_max: u64,
    /// Width and height of the picture; zeros without one.
    size: (u32, u32),
    /// `None` once joined.
    thread: Option<JoinHandle<Result<Option<Finished>, EncodeError>>>,
}

impl Encoder {
    /// Opens both codecs, creates the part file and starts the threads. Frames
    /// are taken from [`begin`](Self::begin) on.
    ///
    /// # Errors
    /// A codec that is missing or refuses the settings, a part file that exists
    /// or cannot be created.
    pub fn start(
        config: EncodeConfig,
        events: UnboundedSender<EncodeEvent>,
    ) -> Result<Self, EncodeError> {
        // The codecs' own chatter goes to standard error, past our log.
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Error);
        let quality = config.quality.check().map_err(EncodeError::Settings)?;
        let video = match config.audio_only {
            true => None,
            false => {
                let (coders, why) = Coders::open(config.encoder, quality, config.nice)?;
                if let Some(why) = why {
                    // The owner has the other end, or nobody does.
                    let _ = events.send(EncodeEvent::FellBack { from: config.encoder, why });
                }
                Some(coders)
            }
        };
        Self::start_with(config, video, events)
    }

    /// The same with the encoder of the picture open.
    fn start_with(
        config: EncodeConfig,
        video: Option<Coders>,
        events: UnboundedSender<EncodeEvent>,
    ) -> Result<Self, EncodeError> {
        let Quality { resolution, fps, .. } = config.quality;
        let quality = config.quality;
        let audio_bitrate = quality.audio_bitrate * 1000;
        let audio = audio::AudioEncoder::open(audio_bitrate)?;
        let track = video.as_ref().map(|video| {
            let sets = video.parameter_sets().into_iter().map(|set| (set.sps, set.pps)).collect();
            let (width, height) = (resolution.width() as u16, resolution.height() as u16);
            mux::VideoTrack { width, height, fps, sets }
        });
        let size = track.as_ref().map_or((0, 0), |_| (resolution.width(), resolution.height()));
        let settings = mux::Settings {
            video: track,
            audio: mux::AudioTrack {
                sample_rate: SAMPLE_RATE as u16,
                channels: 2,
                bitrate: audio_bitrate,
                asc: audio.config(),
                priming: audio.priming(),
            },
            max_duration: config.max_duration,
            created: SystemTime::now(),
        };
        let (muxer, head) = mux::Muxer::new(&settings)?;
        let disk = mux::Disk::create(&config.part, &head)?;
        let intake = Intake::default();
        let stats = Arc::new(Mutex::new(Stats {
            audio_dbfs: level::SILENCE,
            loudest_dbfs: level::SILENCE,
            uniform: true,
            ..Stats::default()
        }));
        let limit = config.max_duration.as_nanos() * u128::from(fps) / 1_000_000_000;
        let worker = Worker::new(Parts {
            intake: intake.clone(),
            events,
            stats: Arc::clone(&stats),
            video,
            audio,
            muxer,
            disk,
            fps,
            limit: (limit as u64).max(1),
        });
        let nice = config.nice;
        let thread = thread::Builder::new()
            .name("encode".to_owned())
            .spawn(move || {
                // With the priority it has it works as well, only less politely.
                if let Err(error) = rustix::process::setpriority_process(None, nice) {
                    tracing::warn!(%error, nice, "cannot set the encoder's priority");
                }
                worker.run()
            })
            .map_err(|error| EncodeError::Thread(format!("cannot start: {error}")))?;
        let copy_max = config.copy_max.unwrap_or(mux::COMPACT_MAX);
        Ok(Self { intake, stats, part: config.part, copy_max, size, thread: Some(thread) })
    }

    /// The door for screen and speaker.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Recording begins with the first tick at or after `at` that comes after
    /// this call and at which the screen shows a picture.
    pub fn begin(&self, at: Mono) {
        self.intake.command(Item::Begin(at));
    }

    /// Takes the time from `at` on out of the file, until [`resume`](Self::resume);
    /// before the first frame, the file begins when it is resumed.
    pub fn pause(&self, at: Mono) {
        self.intake.command(Item::Pause(at));
    }

    /// Goes on recording at the first tick at or after `at`.
    pub fn resume(&self, at: Mono) {
        self.intake.command(Item::Resume(at));
    }

    /// From `at` on nothing is worth keeping: if the file comes to its end while
    /// this holds, by a stop or by itself, the finished file ends at `at` if that is
    /// earlier. Nothing is encoded again; what comes after is in none of its bytes.
    /// `None` takes it back. A crash leaves a part file that holds all of it.
    pub fn trim(&self, at: Option<Mono>) {
        self.intake.command(Item::Trim(at));
    }

    /// Ends the file at the first tick at or after `at` (now, or earlier).
    /// [`EncodeEvent::Drained`] tells when all sound up to there is in it; what
    /// has not come after some seconds is not waited for.
    pub fn stop(&self, at: Mono) {
        self.intake.command(Item::Stop(at));
    }

    /// The newest counters.
    pub fn stats(&self) -> Stats {
        let stats = *self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        Stats { backlog: self.intake.backlog() as u32, ..stats }
    }

    /// The file stands still because the disk takes nothing, not for want of pictures.
    pub fn waits_for_disk(&self) -> bool {
        self.intake.is_held_up()
    }

    /// Makes the finished MP4 at `out` (same file system as the part file) and
    /// removes the part file. Blocks until the file is drained and on disk; a
    /// file that nobody stopped ends with its newest frame.
    ///
    /// # Errors
    /// What went wrong while recording or while finishing; the part file is then
    /// still there. [`EncodeError::Empty`] without a single frame.
    pub fn finish(mut self, out: &Path) -> Result<Summary, EncodeError> {
        self.intake.command(Item::Finish);
        let Some(thread) = self.thread.take() else {
            return Err(EncodeError::Thread("is gone".into()));
        };
        let Finished { index, stats, trimmed_s, encoders } = thread
            .join()
            .map_err(|_| EncodeError::Thread("panicked".into()))??
            .ok_or_else(|| EncodeError::Thread("was abandoned".into()))?;
        if stats.recorded == 0 {
            return Err(EncodeError::Empty);
        }
        let file = mux::finalise_by(&self.part, out, &index, self.copy_max)?;
        Ok(Summary {
            duration_s: file.duration.as_secs_f64(),
            bytes: file.bytes,
            width: self.size.0,
            height: self.size.1,
            stats: Stats { bytes: file.bytes, ..stats },
            trimmed_s,
            encoders,
            warnings: Vec::new(),
        })
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.intake.abandon();
            // It leaves within a frame; its result is nobody's any more.
            let _ = thread.join();
        }
    }
}
