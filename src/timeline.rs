//! The timeline: ticks and sound blocks on the monotonic clock become file
//! time, constant-rate frames and gapless 48 kHz sound from the same zero.
//!
//! Called by `encode`'s worker, one item at a time; it answers with
//! [`Action`]s. Pure: it reads no clock, owns no thread and knows neither
//! codecs nor files, so the same input always gives the same file.

mod grid;
mod sound;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use grid::Grid;
use sound::Sound;

use crate::clock::Mono;
use crate::media::{Block, Picture, Tick};

/// What the file needs next, in order.
#[derive(Debug, Clone)]
pub enum Action {
    /// The time of the file's first frame; comes once, right before that frame.
    Begun {
        /// T0, the zero of both tracks.
        t0: Mono,
    },
    /// The next frame of the video track.
    Frame {
        /// Number of the frame: 0, 1, 2 ... without a hole.
        index: u64,
        /// What the screen shows.
        picture: Arc<Picture>,
        /// The picture is the one of the frame before.
        repeat: bool,
    },
    /// The next samples of the sound track: interleaved stereo, two values a frame.
    Samples(Vec<f32>),
    /// So many sample frames of silence come next in the sound track.
    Silence(u64),
    /// Both tracks are complete and equally long; nothing follows.
    Done {
        /// The end of the file on the clock: a tick boundary.
        end: Mono,
    },
}

/// What happened to the pictures so far. Always:
/// `painted - superseded == recorded - repeated`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pictures painted while recording.
    pub painted: u64,
    /// Frames in the file.
    pub recorded: u64,
    /// Of those, repeats of the frame before.
    pub repeated: u64,
    /// Of those, repeats because a tick was missing.
    pub late: u64,
    /// Painted pictures that a newer one replaced before they were shown.
    pub superseded: u64,
}

/// Where a file that ends early ends, in all its measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Frames before it.
    pub frames: u64,
    /// Sample frames of sound before it.
    pub samples: u64,
    /// The tick of the first frame after it.
    pub at: Mono,
}

/// A wish with its time on the clock; wishes take effect in the order they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Pause,
    Resume,
    Stop,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Timeline {
    fps: u32,
    /// The file ends by itself with this many frames.
    limit: Option<u64>,
    /// Recording may begin from here on; `None` until `begin`.
    begin: Option<Mono>,
    /// Known from T0 on.
    grid: Option<Grid>,
    /// The first grid tick that is not decided yet.
    next: u64,
    /// False before T0, in a pause and after the end.
    running: bool,
    /// Tick and frame at which each stretch without a pause begins.
    stretches: Vec<(u64, u64)>,
    wishes: VecDeque<(Mono, Wish)>,
    /// The newest picture of the screen.
    screen: Option<Arc<Picture>>,
    /// `screen` is in no frame yet.
    fresh: bool,
    /// When `screen` was last looked at, to refuse an older picture.
    seen: Option<Mono>,
    sound: Sound,
    counters: Counters,
    /// The video track is complete and ends here.
    end: Option<Mono>,
    /// `Done` was said.
    done: bool,
    actions: VecDeque<Action>,
}

impl Timeline {
    /// A timeline of `fps` frames per second (10 to 60). With `limit` the file
    /// ends by itself after so many frames.
    pub fn new(fps: u32, limit: Option<u64>) -> Self {
        Self {
            fps,
            limit,
            begin: None,
            grid: None,
            next: 0,
            running: false,
            stretches: Vec::new(),
            wishes: VecDeque::new(),
            screen: None,
            fresh: false,
            seen: None,
            sound: Sound::new(fps),
            counters: Counters::default(),
            end: None,
            done: false,
            actions: VecDeque::new(),
        }
    }

    /// Recording may begin: T0 is the first tick from now on that is not before
    /// `at` and at which the screen shows a picture, however old.
    pub fn begin(&mut self, at: Mono) {
        self.begin.get_or_insert(at);
    }

    /// Takes the time from `at` on out of both tracks, from the first tick at or
    /// after `at` that is not in the file yet, until `resume`. A pause that holds
    /// when recording could begin moves the beginning: T0 is then the first tick
    /// that is resumed at.
    pub fn pause(&mut self, at: Mono) {
        self.wish(at, Wish::Pause);
    }

    /// Ends a pause at the first tick at or after `at`.
    pub fn resume(&mut self, at: Mono) {
        self.wish(at, Wish::Resume);
    }

    /// Ends the file at the first tick at or after `at`, or after its newest
    /// frame if that is later; then waits for the sound up to there.
    pub fn stop(&mut self, at: Mono) {
        // What was wished for a later time no longer happens.
        self.wishes.retain(|(time, _)| *time <= at);
        self.wish(at, Wish::Stop);
        if self.grid.is_none() {
            self.finish_at(at);
        }
        self.settle();
    }

    fn wish(&mut self, at: Mono, wish: Wish) {
        self.wishes.push_back((at, wish));
        self.obey();
        self.settle();
    }

    /// The screen's next tick. One that is not later than the newest frame makes
    /// no frame, but its picture is still what the screen shows from then on.
    pub fn tick(&mut self, tick: Tick) {
        if self.end.is_some() {
            return;
        }
        let number = match self.grid {
            Some(grid) => grid.nearest(tick.at),
            None => 0,
        };
        while self.grid.is_some() && self.next < number && self.end.is_none() {
            self.step(true);
        }
        self.look(&tick);
        if self.grid.is_none() {
            let due = self.begin.is_some_and(|begin| begin <= tick.at);
            if !due || self.screen.is_none() {
                return;
            }
            self.grid = Some(Grid::new(tick.at, self.fps));
            self.sound.begin(tick.at);
            self.set_running(true);
            self.obey();
        }
        if self.next == number && self.end.is_none() {
            self.step(false);
        }
        self.settle();
    }

    /// The next stretch of sound.
    pub fn block(&mut self, block: Block) {
        if !self.done {
            self.sound.push(block);
            self.settle();
        }
    }

    /// After `stop`: waits no longer. Missing frames repeat the last one, missing
    /// sound is silence, and the timeline is done. Without a stop, nothing.
    pub fn fill_silence(&mut self) {
        if !self.wishes.iter().any(|(_, wish)| *wish == Wish::Stop) && self.end.is_none() {
            return;
        }
        while self.end.is_none() {
            self.step(true);
        }
        self.sound.fill(self.counters.recorded, &mut self.actions);
        self.settle();
    }

    /// The next thing to do for the file.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Where the file ends on the clock, once that is decided; its sound may still
    /// be on the way.
    pub fn end(&self) -> Option<Mono> {
        self.end
    }

    /// True in a pause, once the sound before it is handed out: nothing follows
    /// until the pause ends.
    pub fn rests(&self) -> bool {
        self.grid.is_some()
            && !self.running
            && self.sound.written() == grid::samples(self.counters.recorded, self.fps)
    }

    /// Where the file would end that ended at the first tick at or after `at`;
    /// `None` if nothing comes after that. It keeps at least its first frame.
    pub fn cut(&self, at: Mono) -> Option<Cut> {
        let grid = self.grid?;
        let tick = grid.first_from(at);
        let after = self.stretches.partition_point(|(first, _)| *first < tick);
        let (first, frame) = *self.stretches.get(after.saturating_sub(1))?;
        let end = self.stretches.get(after).map_or(self.counters.recorded, |(_, frame)| *frame);
        let frames = (frame + tick.saturating_sub(first)).min(end).max(1);
        (frames < self.counters.recorded).then(|| Cut {
            frames,
            samples: grid::samples(frames, self.fps),
            at: grid.time(first + frames.saturating_sub(frame)),
        })
    }

    /// Takes note of what the screen shows at `tick`.
    fn look(&mut self, tick: &Tick) {
        if self.running {
            self.counters.painted += u64::from(tick.superseded);
            self.counters.superseded += u64::from(tick.superseded);
        }
        let Some(picture) = &tick.picture else { return };
        if self.seen.is_some_and(|seen| tick.at < seen) {
            return;
        }
        if self.running && self.fresh {
            self.counters.painted += 1;
            self.counters.superseded += 1;
        }
        self.screen = Some(picture.clone());
        self.seen = Some(tick.at);
        self.fresh = true;
    }

    /// Decides the grid tick `next`: a frame, or nothing in a pause.
    fn step(&mut self, missing: bool) {
        let (Some(grid), Some(picture)) = (self.grid, self.screen.clone()) else { return };
        if self.running {
            let index = self.counters.recorded;
            if index == 0 {
                self.actions.push_back(Action::Begun { t0: grid.time(self.next) });
            }
            // The first frame is never a repeat: a screen is fresh until shown.
            let repeat = !self.fresh;
            self.fresh = false;
            self.counters.recorded += 1;
            self.counters.painted += u64::from(!repeat);
            self.counters.repeated += u64::from(repeat);
            self.counters.late += u64::from(repeat && missing);
            self.actions.push_back(Action::Frame { index, picture, repeat });
        }
        self.next += 1;
        if self.limit == Some(self.counters.recorded) {
            self.finish_at(grid.time(self.next));
        }
        self.obey();
    }

    /// Carries out the wishes that are due at the grid tick `next`.
    fn obey(&mut self) {
        let Some(grid) = self.grid else { return };
        while let Some(&(at, wish)) = self.wishes.front() {
            if self.end.is_some() || grid.first_from(at) > self.next {
                return;
            }
            self.wishes.pop_front();
            match wish {
                Wish::Pause => self.set_running(false),
                Wish::Resume => self.set_running(true),
                Wish::Stop => self.finish_at(grid.time(self.next)),
            }
        }
    }

    fn set_running(&mut self, running: bool) {
        if running && !self.running {
            self.stretches.push((self.next, self.counters.recorded));
            self.sound.open(self.next, self.counters.recorded);
        } else if !running && self.running {
            self.sound.close(self.counters.recorded);
        }
        self.running = running;
    }

    fn finish_at(&mut self, end: Mono) {
        self.set_running(false);
        self.end = Some(end);
    }

    /// Lets the sound catch up with the picture, never beyond it: whatever pause
    /// or end comes next can still be cut at the same instant in both tracks.
    fn settle(&mut self) {
        self.sound.settle(self.next, self.counters.recorded, &mut self.actions);
        if let Some(end) = self.end
            && !self.done
            && self.sound.written() == grid::samples(self.counters.recorded, self.fps)
        {
            self.done = true;
            self.actions.push_back(Action::Done { end });
        }
    }
}
