//! The mix: a sum for each position between what was handed on and the clock.
//!
//! Streams add what has become due, in any order; [`Bus::emit`] hands on what
//! the card declares final. Knows neither streams nor time.

use std::collections::VecDeque;

use crate::clock::Mono;
use crate::media::Block;

/// Frames in every emitted block: 10 ms.
pub(super) const BLOCK: i64 = 480;

/// Positions are frames since the epoch, as in [`Block`], but signed: a stream
/// may count from before it.
pub(super) struct Bus {
    epoch: Mono,
    /// Position after the last emitted frame; the first one in `sums`.
    emitted: i64,
    sums: VecDeque<[f32; 2]>,
}

impl Bus {
    pub(super) fn new(epoch: Mono) -> Self {
        Self { epoch, emitted: 0, sums: VecDeque::new() }
    }

    /// Everything before this position has been handed on.
    pub(super) fn emitted(&self) -> i64 {
        self.emitted
    }

    /// Adds `frames`, scaled by `gain`, from position `at` on. Returns how many
    /// came too late: their position was handed on before.
    pub(super) fn add(
        &mut self,
        at: i64,
        frames: impl ExactSizeIterator<Item = [f32; 2]>,
        gain: [f32; 2],
    ) -> u64 {
        let count = frames.len();
        let late = usize::try_from(self.emitted - at).unwrap_or(0).min(count);
        if late < count {
            let first = usize::try_from(at - self.emitted).unwrap_or(0);
            let end = first + count - late;
            if self.sums.len() < end {
                self.sums.resize(end, [0.0; 2]);
            }
            for (sum, frame) in self.sums.range_mut(first..end).zip(frames.skip(late)) {
                sum[0] += frame[0] * gain[0];
                sum[1] += frame[1] * gain[1];
            }
        }
        late as u64
    }

    /// Hands on whole blocks up to `end` at most; where nothing was added they
    /// are silence.
    pub(super) fn emit(&mut self, end: i64, mut sink: impl FnMut(Block)) {
        while self.emitted + BLOCK <= end {
            let known = self.sums.len().min(BLOCK as usize);
            let mut samples: Vec<f32> = Vec::with_capacity(2 * BLOCK as usize);
            samples.extend(self.sums.drain(..known).flatten());
            samples.resize(2 * BLOCK as usize, 0.0);
            sink(Block { epoch: self.epoch, position: self.emitted.unsigned_abs(), samples });
            self.emitted += BLOCK;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(from: i64, len: i64) -> impl ExactSizeIterator<Item = [f32; 2]> {
        (0..len as usize).map(move |i| [(from + i as i64) as f32, 1.0])
    }

    fn collect(bus: &mut Bus, end: i64) -> Vec<Block> {
        let mut blocks = Vec::new();
        bus.emit(end, |block| blocks.push(block));
        blocks
    }

    #[test]
    fn silence_is_written_in_whole_blocks() {
        let mut bus = Bus::new(Mono(7));
        let blocks = collect(&mut bus, 3 * BLOCK - 1);
        assert_eq!(blocks.iter().map(|b| b.position).collect::<Vec<_>>(), [0, 480]);
        assert!(blocks.iter().all(|b| b.epoch == Mono(7) && b.samples == vec![0.0; 960]));
        assert_eq!(bus.emitted(), 960);
    }

    #[test]
    fn overlapping_adds_are_summed_with_their_gain() {
        let mut bus = Bus::new(Mono(0));
        assert_eq!(bus.add(100, ramp(100, 200), [1.0, 0.5]), 0);
        assert_eq!(bus.add(0, ramp(0, 150), [2.0, 1.0]), 0);
        let block = collect(&mut bus, BLOCK).remove(0);
        for i in 0..480_u16 {
            let f = f32::from(i);
            let expected = match i {
                0..100 => [2.0 * f, 1.0],
                100..150 => [3.0 * f, 1.5],
                150..300 => [f, 0.5],
                _ => [0.0, 0.0],
            };
            let i = usize::from(i);
            assert_eq!(block.samples[2 * i..2 * i + 2], expected, "frame {i}");
        }
    }

    #[test]
    fn late_frames_are_counted_and_the_rest_kept() {
        let mut bus = Bus::new(Mono(0));
        collect(&mut bus, BLOCK);
        assert_eq!(bus.add(470, ramp(470, 30), [1.0, 1.0]), 10);
        assert_eq!(bus.add(-5, ramp(-5, 20), [1.0, 1.0]), 20);
        let block = collect(&mut bus, 2 * BLOCK).remove(0);
        assert_eq!(block.samples[0], 480.0);
        assert_eq!(block.samples[2 * 19], 499.0);
        assert_eq!(block.samples[2 * 20], 0.0);
    }
}
