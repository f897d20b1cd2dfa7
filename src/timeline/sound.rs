//! The sound track of the timeline: cuts the speaker's blocks so that they fit
//! the frames, sample for sample.
//!
//! Called by the timeline alone, which tells where pauses cut the file.

use std::collections::VecDeque;

use super::Action;
use super::grid::{samples, samples_between};
use crate::clock::Mono;
use crate::media::{Block, SAMPLE_RATE};

/// Sample frames kept while the picture is behind (60 s); older ones become
/// silence. Only a stuck screen gets there.
const KEPT: u64 = 60 * SAMPLE_RATE as u64;

/// Sample frames kept before T0 is known: sound comes later than the picture,
/// so what T0 needs is rarely among them.
const KEPT_BEFORE: u64 = 2 * SAMPLE_RATE as u64;

/// A stretch of the file without a pause in it.
#[derive(Debug)]
struct Cut {
    /// Position on the clock (samples since T0) minus position in the file.
    offset: i64,
    /// First frame of the file after the stretch; `None` while it grows.
    end: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Sound {
    fps: u32,
    t0: Option<Mono>,
    /// Stretches that are not all written, oldest first.
    cuts: VecDeque<Cut>,
    /// Blocks that are not all used, oldest first.
    blocks: VecDeque<Block>,
    /// Sample frames in `blocks`.
    kept: u64,
    /// Sample frames handed to the file.
    written: u64,
}

fn length(block: &Block) -> u64 {
    block.samples.len() as u64 / 2
}

impl Sound {
    pub(super) fn new(fps: u32) -> Self {
        Self { fps, t0: None, cuts: VecDeque::new(), blocks: VecDeque::new(), kept: 0, written: 0 }
    }

    /// T0 is known.
    pub(super) fn begin(&mut self, t0: Mono) {
        self.t0 = Some(t0);
    }

    /// Frame `frame` of the file is grid tick `tick`: a stretch begins.
    pub(super) fn open(&mut self, tick: u64, frame: u64) {
        let offset = samples(tick - frame, self.fps) as i64;
        self.cuts.push_back(Cut { offset, end: None });
    }

    /// The stretch ends before frame `frame` of the file.
    pub(super) fn close(&mut self, frame: u64) {
        if let Some(cut) = self.cuts.back_mut() {
            cut.end = Some(frame);
        }
    }

    pub(super) fn push(&mut self, block: Block) {
        self.kept += length(&block);
        self.blocks.push_back(block);
        let limit = if self.t0.is_some() { KEPT } else { KEPT_BEFORE };
        while self.kept > limit {
            self.drop_block();
        }
    }

    /// Sample frames handed to the file so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Hands out what the blocks give for the first `frames` frames of the
    /// file. `next` is the first undecided grid tick: in a pause, sound before
    /// it is not needed any more.
    pub(super) fn settle(&mut self, next: u64, frames: u64, out: &mut VecDeque<Action>) {
        let Some(t0) = self.t0 else { return };
        loop {
            let Some(cut) = self.cuts.front() else {
                let unneeded = samples(next, self.fps) as i64 - 1;
                while self
                    .blocks
                    .front()
                    .is_some_and(|b| start(b, t0) + length(b) as i64 <= unneeded)
                {
                    self.drop_block();
                }
                return;
            };
            let end = samples(cut.end.unwrap_or(frames), self.fps);
            if self.written >= end {
                if cut.end.is_none() {
                    return;
                }
                self.cuts.pop_front();
                continue;
            }
            let Some(block) = self.blocks.front() else { return };
            let first = start(block, t0) - cut.offset;
            let skip = self.written as i64 - first;
            if skip >= length(block) as i64 {
                self.drop_block();
            } else if skip < 0 {
                // The speaker began later, or lost something.
                let hole = skip.unsigned_abs().min(end - self.written);
                out.push_back(Action::Silence(hole));
                self.written += hole;
            } else {
                let skip = skip as u64;
                let take = (length(block) - skip).min(end - self.written);
                let range = 2 * skip as usize..2 * (skip + take) as usize;
                out.push_back(Action::Samples(block.samples[range].to_vec()));
                self.written += take;
            }
        }
    }

    /// Fills the sound track with silence up to the end of frame `frames - 1`,
    /// after what the blocks still give.
    pub(super) fn fill(&mut self, frames: u64, out: &mut VecDeque<Action>) {
        // Blocks for a later stretch of the file are used only when all before
        // it is written; so fill stretch by stretch.
        while self.written < samples(frames, self.fps) {
            self.settle(0, frames, out);
            let end = self.cuts.front().and_then(|cut| cut.end).unwrap_or(frames);
            let hole = samples(end, self.fps).saturating_sub(self.written);
            if hole > 0 {
                out.push_back(Action::Silence(hole));
                self.written += hole;
            }
        }
    }

    fn drop_block(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.kept -= length(&block);
        }
    }
}

/// Position of the block's first sample frame, counted from T0.
fn start(block: &Block, t0: Mono) -> i64 {
    block.position as i64 - samples_between(block.epoch, t0)
}
