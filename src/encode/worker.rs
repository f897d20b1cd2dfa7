//! The encode thread: takes from the intake, asks the timeline, drives both
//! codecs and hands fragments to the disk.
//!
//! It takes all its time from the stamps of what it is given. The one thing it
//! measures by waiting is how long sound may be missing after the end; how long
//! coding takes is for the statistics alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::EncodeEvent;
use super::audio::{AudioEncoder, PACKET};
use super::coder::Coders;
use super::error::EncodeError;
use super::intake::{Intake, Item, Next};
use super::level::Level;
use super::mux::{Disk, DiskError, Index, Muxer};
use super::uniform::is_uniform;
use crate::clock::Mono;
use crate::job::{EncoderKind, Stats};
use crate::media::SAMPLE_RATE;
use crate::timeline::{Action, Cut, Timeline};

/// How long after the end ticks and sound up to it may still arrive; what has
/// not come by then is repeated or silent. Well above the speaker's patience.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a fragment is offered again to a disk that is far behind.
const RETRY: Duration = Duration::from_millis(10);

/// A packet's worth of silence.
static SILENCE: [f32; 2 * PACKET] = [0.0; 2 * PACKET];

/// What the thread leaves behind: a complete part file and where all is in it.
pub(super) struct Finished {
    pub index: Index,
    pub stats: Stats,
    /// Seconds at the end that the index leaves out.
    pub trimmed_s: f64,
    /// What made the picture, in this order.
    pub encoders: Vec<EncoderKind>,
}

pub(super) struct Worker {
    intake: Intake,
    events: UnboundedSender<EncodeEvent>,
    /// The newest counters, for whoever asks.
    stats: Arc<Mutex<Stats>>,
    timeline: Timeline,
    /// `None` for a file of sound alone.
    video: Option<Coders>,
    audio: AudioEncoder,
    muxer: Muxer,
    disk: Disk,
    fps: u32,
    /// Frames at which the file ends by itself.
    limit: u64,
    /// What made the picture so far.
    encoders: Vec<EncoderKind>,
    /// Time that coding the picture took.
    coding: Duration,
    level: Level,
    /// Every picture so far was one colour, or there was none.
    uniform: bool,
    /// The last frame that is not a repeat.
    changed: u64,
    /// All that came before the pause under way is with the disk.
    flushed: bool,
    /// `Ended` was told.
    ended: bool,
    /// What comes from there on is to be left out, if the file ends now.
    trim: Option<Mono>,
    /// Where the finished file ends, if before its last frame; decided with `ended`.
    cut: Option<Cut>,
    /// Sample frames given to the audio encoder.
    sound: u64,
    /// The newest tick: where a file ends that nobody stopped.
    newest: Mono,
    /// When patience ends; `None` before a stop.
    deadline: Option<Instant>,
}

/// What [`Worker`] is made of.
pub(super) struct Parts {
    pub intake: Intake,
    pub events: UnboundedSender<EncodeEvent>,
    pub stats: Arc<Mutex<Stats>>,
    pub video: Option<Coders>,
    pub audio: AudioEncoder,
    pub muxer: Muxer,
    pub disk: Disk,
    pub fps: u32,
    pub limit: u64,
}

impl Worker {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { intake, events, stats, video, audio, muxer, disk, fps, limit } = parts;
        let encoders = video.iter().map(Coders::kind).collect();
        Self {
            intake,
            events,
            stats,
            timeline: Timeline::new(fps, Some(limit)),
            video,
            audio,
            muxer,
            disk,
            fps,
            limit,
            encoders,
            coding: Duration::ZERO,
            level: Level::new(),
            uniform: true,
            changed: 0,
            flushed: false,
            ended: false,
            trim: None,
            cut: None,
            sound: 0,
            newest: Mono(0),
            deadline: None,
        }
    }

    /// The whole life of the thread. `None` if it was abandoned.
    pub(super) fn run(mut self) -> Result<Option<Finished>, EncodeError> {
        let events = self.events.clone();
        let ended = self.work();
        self.intake.close();
        let result = match ended {
            Ok(Some(end)) => self.conclude(end).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            // Whoever listened may be gone; `finish` tells it as well.
            let _ = events.send(EncodeEvent::Failed(error.clone()));
        }
        result
    }

    /// Works until the file is complete; says where it ends. `None`: abandoned.
    fn work(&mut self) -> Result<Option<Mono>, EncodeError> {
        loop {
            // The first frame is told at once.
            let begun = self.timeline.counters().recorded > 0;
            let wanted = if begun { self.muxer.missing() } else { 1 };
            match self.intake.next(wanted, self.deadline) {
                Next::Abandoned => return Ok(None),
                Next::Idle => self.timeline.fill_silence(),
                Next::Item(item) => self.take(item),
            }
            while let Some(action) = self.timeline.next_action() {
                if let Action::Done { end } = action {
                    self.tell_end();
                    return Ok(Some(end));
                }
                self.act(action)?;
            }
            self.tell_end();
            if self.timeline.rests() && !self.flushed {
                // Nothing else would bring it to disk for as long as the pause lasts.
                let fragment = self.muxer.flush()?;
                append(&self.disk, &self.intake, fragment)?;
                self.flushed = true;
            }
            self.publish(self.disk.synced());
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Tick(tick) => {
                self.newest = tick.at;
                self.timeline.tick(tick);
            }
            Item::Block(block) => self.timeline.block(block),
            Item::Begin(at) => self.timeline.begin(at),
            Item::Pause(at) => self.timeline.pause(at),
            Item::Resume(at) => self.timeline.resume(at),
            Item::Stop(at) => {
                self.timeline.stop(at);
                self.expect_end();
            }
            Item::Trim(at) => self.trim = at,
            Item::Finish => {
                if self.deadline.is_none() {
                    self.timeline.stop(self.newest);
                    self.timeline.fill_silence();
                }
            }
        }
    }

    /// Tells once where the file ends, as soon as that is decided.
    fn tell_end(&mut self) {
        let Some(end) = self.timeline.end() else { return };
        if !std::mem::replace(&mut self.ended, true) {
            let all = self.timeline.counters().recorded;
            self.cut = self.trim.and_then(|at| self.timeline.cut(at));
            let (frames, end) = self.cut.map_or((all, end), |cut| (cut.frames, cut.at));
            let (trimmed, full) = (all - frames, all == self.limit);
            self.tell(EncodeEvent::Ended { end, frames, trimmed, full });
            self.expect_end();
        }
    }

    /// From now on patience is limited.
    fn expect_end(&mut self) {
        self.deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
    }

    fn act(&mut self, action: Action) -> Result<(), EncodeError> {
        match action {
            Action::Begun { t0 } => self.tell(EncodeEvent::FirstFrame { t0 }),
            Action::Frame { index, picture, repeat } => {
                self.flushed = false;
                if !repeat {
                    self.changed = index;
                }
                let Some(video) = &mut self.video else { return Ok(()) };
                // Looked at until one is not: ordinary recordings pay for one look.
                self.uniform = self.uniform && (repeat || is_uniform(&picture));
                let (began, from) = (Instant::now(), video.kind());
                let (frame, failed) = video.encode(&picture, repeat)?;
                self.coding += began.elapsed();
                if let Some(why) = failed {
                    self.encoders.push(video.kind());
                    self.tell(EncodeEvent::FellBack { from, why });
                }
                let fragment = self.muxer.video(&frame.data, frame.keyframe)?;
                append(&self.disk, &self.intake, fragment)?;
            }
            Action::Samples(samples) => {
                self.level.add(&samples);
                self.sound(&samples)?;
            }
            Action::Silence(frames) => {
                self.level.add_silence(frames);
                let mut left = frames as usize * 2;
                while left > 0 {
                    let step = left.min(SILENCE.len());
                    self.sound(&SILENCE[..step])?;
                    left -= step;
                }
            }
            Action::Done { .. } => {}
        }
        Ok(())
    }

    fn sound(&mut self, samples: &[f32]) -> Result<(), EncodeError> {
        self.sound += samples.len() as u64 / 2;
        let packets = self.audio.encode(samples)?;
        self.mux_sound(packets)
    }

    fn mux_sound(&mut self, packets: Vec<Vec<u8>>) -> Result<(), EncodeError> {
        for packet in packets {
            let fragment = self.muxer.audio(&packet)?;
            append(&self.disk, &self.intake, fragment)?;
        }
        Ok(())
    }

    /// Both tracks are complete: what the codecs and the muxer still hold goes
    /// to disk, and only then is the end told.
    fn conclude(mut self, end: Mono) -> Result<Finished, EncodeError> {
        let packets = self.audio.finish()?;
        self.mux_sound(packets)?;
        self.publish(self.disk.synced());
        let (last, mut index) = self.muxer.finish(self.sound)?;
        append(&self.disk, &self.intake, last)?;
        let all = self.timeline.counters().recorded;
        let (frames, end) = self.cut.map_or((all, end), |cut| (cut.frames, cut.at));
        if let Some(cut) = self.cut {
            index.cut(cut.frames, cut.samples);
        }
        let trimmed_s = (all - frames) as f64 / f64::from(self.fps);
        let bytes = self.disk.close()?;
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.bytes = bytes;
        let stats = *stats;
        // Whoever listened may be gone; `finish` hands out the same.
        let _ = self.events.send(EncodeEvent::Drained { end, frames });
        Ok(Finished { index, stats, trimmed_s, encoders: self.encoders })
    }

    fn publish(&self, bytes: u64) {
        let counters = self.timeline.counters();
        let elapsed_s = counters.recorded as f64 / f64::from(self.fps);
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = Stats {
            elapsed_s,
            painted: counters.painted,
            recorded: counters.recorded,
            repeated: counters.repeated,
            late: counters.late,
            superseded: counters.superseded,
            audio_dbfs: self.level.dbfs(),
            loudest_dbfs: self.level.loudest_dbfs(),
            uniform: self.uniform,
            changed_s: self.changed as f64 / f64::from(self.fps),
            bytes,
            coding_s: self.coding.as_secs_f64(),
            sound_lag_s: elapsed_s - self.sound as f64 / f64::from(SAMPLE_RATE),
            // Filled in for whoever asks.
            backlog: 0,
        };
    }

    fn tell(&self, event: EncodeEvent) {
        // Nobody listening is no reason to stop recording.
        let _ = self.events.send(event);
    }
}

/// Hands a fragment to the disk. While that is far behind, this thread waits
/// and the intake gives up pictures.
fn append(disk: &Disk, intake: &Intake, fragment: Option<Vec<u8>>) -> Result<(), EncodeError> {
    let Some(mut fragment) = fragment else { return Ok(()) };
    let mut waits = false;
    loop {
        match disk.append(fragment) {
            Err(DiskError::Behind(back)) if !intake.abandoned() => {
                fragment = back;
                if !std::mem::replace(&mut waits, true) {
                    intake.hold_up(true);
                    tracing::warn!(
                        "the disk takes nothing: {} MiB wait for it, and pictures are given up",
                        disk.waiting() >> 20
                    );
                }
                std::thread::sleep(RETRY);
            }
            result => {
                if waits {
                    intake.hold_up(false);
                }
                return Ok(result?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::mux::QUEUE_BYTES;

    #[test]
    fn a_disk_that_takes_nothing_is_told_and_no_longer_once_it_goes_on() {
        let (disk, intake) = (Disk::stuck(), Intake::default());
        append(&disk, &intake, Some(vec![1; QUEUE_BYTES])).unwrap();
        assert!(!intake.is_held_up());
        std::thread::scope(|scope| {
            let behind = scope.spawn(|| append(&disk, &intake, Some(vec![2])));
            let began = Instant::now();
            while !intake.is_held_up() {
                assert!(began.elapsed() < PATIENCE, "it is not told");
                std::thread::sleep(RETRY);
            }
            intake.abandon();
            assert!(behind.join().unwrap().is_err());
        });
        assert!(!intake.is_held_up());
    }
}
