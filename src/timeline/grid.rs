//! The tick grid: exact conversions between the clock, ticks and samples.

use std::time::Duration;

use crate::clock::Mono;
use crate::media::SAMPLE_RATE;

const SECOND: u128 = 1_000_000_000;

/// Tick times are whole nanoseconds of an exact grid; a time this little after
/// a tick still means that tick.
const SLACK: Duration = Duration::from_micros(1);

/// Ticks `0, 1, 2 ...` at `t0 + n / fps` seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    t0: Mono,
    fps: u32,
}

impl Grid {
    pub(super) fn new(t0: Mono, fps: u32) -> Self {
        Self { t0, fps }
    }

    /// The tick nearest to `at`; 0 for everything before T0.
    pub(super) fn nearest(self, at: Mono) -> u64 {
        let scaled = at.since(self.t0).as_nanos() * u128::from(self.fps);
        ((scaled + SECOND / 2) / SECOND) as u64
    }

    /// The first tick at or after `at`.
    pub(super) fn first_from(self, at: Mono) -> u64 {
        let scaled = (at - SLACK).since(self.t0).as_nanos() * u128::from(self.fps);
        scaled.div_ceil(SECOND) as u64
    }

    /// When tick `number` is, to the nanosecond.
    pub(super) fn time(self, number: u64) -> Mono {
        let nanos = u128::from(number) * SECOND / u128::from(self.fps);
        self.t0 + Duration::from_nanos(nanos as u64)
    }
}

/// How many samples `frames` frames last, to the nearest: exact whenever the
/// rate divides by `fps`, and never off by more than half a sample.
pub(super) fn samples(frames: u64, fps: u32) -> u64 {
    let scaled = u128::from(frames) * u128::from(SAMPLE_RATE);
    ((scaled + u128::from(fps) / 2) / u128::from(fps)) as u64
}

/// The distance from `from` to `to` in samples, to the nearest; negative if
/// `to` is earlier.
pub(super) fn samples_between(from: Mono, to: Mono) -> i64 {
    let scaled = (i128::from(to.0) - i128::from(from.0)) * i128::from(SAMPLE_RATE);
    (scaled + SECOND as i128 / 2).div_euclid(SECOND as i128) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_rounded_either_way_is_itself() {
        for fps in 10..=60 {
            let grid = Grid::new(Mono(7_123_456_789), fps);
            for number in [0, 1, 2, 59, 1_000_003, 864_000] {
                let exact = grid.time(number);
                for at in [exact, Mono(exact.0 + 1)] {
                    assert_eq!(grid.nearest(at), number, "fps {fps}");
                    assert_eq!(grid.first_from(at), number, "fps {fps}");
                }
                assert_eq!(grid.first_from(Mono(exact.0 + 5_000)), number + 1, "fps {fps}");
            }
        }
    }

    #[test]
    fn samples_are_exact_over_hours() {
        assert_eq!(samples(4 * 3600 * 30, 30), 4 * 3600 * 48_000);
        assert_eq!(samples(4 * 3600 * 11, 11), 4 * 3600 * 48_000);
        assert_eq!([samples(1, 11), samples(2, 11)], [4364, 8727]);
        assert_eq!(samples_between(Mono(5_000_000_000), Mono(4_000_000_000)), -48_000);
        assert_eq!(samples_between(Mono(0), Mono(31_250)), 2);
    }
}
