//! The grid of ticks: pure arithmetic from a tick's number to its time and back.

use crate::clock::Mono;

const SECOND: u128 = 1_000_000_000;

/// Tick `n` is at `base + n / fps` seconds. Every time is computed from `n`
/// itself, so no rounding error adds up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    base: Mono,
    fps: u32,
}

impl Grid {
    /// `fps` must not be zero.
    pub(super) fn new(base: Mono, fps: u32) -> Self {
        Self { base, fps }
    }

    /// The ideal time of tick `n`, rounded down to a nanosecond.
    pub(super) fn at(self, n: u64) -> Mono {
        let offset = u128::from(n) * SECOND / u128::from(self.fps);
        Mono(self.base.0.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX)))
    }

    /// The last tick at or before `t`; 0 if `t` is before the base.
    pub(super) fn index_at(self, t: Mono) -> u64 {
        let offset = u128::from(t.0.saturating_sub(self.base.0));
        // n ticks have begun when floor(n * SECOND / fps) <= offset.
        let n = ((offset + 1) * u128::from(self.fps) - 1) / SECOND;
        u64::try_from(n).unwrap_or(u64::MAX)
    }

    /// The refresh rate as wl_output.mode has it.
    pub(super) fn millihertz(self) -> i32 {
        i32::try_from(self.fps).unwrap_or(i32::MAX).saturating_mul(1000)
    }

    /// The frame period in nanoseconds, rounded.
    pub(super) fn period(self) -> u32 {
        (1_000_000_000 + self.fps / 2) / self.fps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thirty_hertz_does_not_drift() {
        let grid = Grid::new(Mono(7), 30);
        let table = [(0, 7), (1, 33_333_340), (2, 66_666_673), (3, 100_000_007)];
        for (n, at) in table {
            assert_eq!(grid.at(n), Mono(at), "tick {n}");
        }
        // A year later a whole second is still a whole second.
        let year = 365 * 24 * 3600;
        assert_eq!(grid.at(year * 30), Mono(7 + year * 1_000_000_000));
        assert_eq!(grid.period(), 33_333_333);
    }

    #[test]
    fn before_the_base_is_tick_zero() {
        assert_eq!(Grid::new(Mono(100), 30).index_at(Mono(3)), 0);
    }

    proptest! {
        #[test]
        fn index_and_time_are_inverse(
            base in 0..u64::MAX / 4,
            fps in 1u32..=1000,
            n in 0u64..10_000_000_000,
            within in 0.0f64..1.0,
        ) {
            let grid = Grid::new(Mono(base), fps);
            let (this, next) = (grid.at(n).0, grid.at(n + 1).0);
            prop_assert_eq!(grid.index_at(Mono(this)), n);
            prop_assert_eq!(grid.index_at(Mono(next - 1)), n);
            let between = this + ((next - 1 - this) as f64 * within) as u64;
            prop_assert_eq!(grid.index_at(Mono(between)), n);
            let step = next - this;
            prop_assert!(step.abs_diff(u64::from(grid.period())) <= 1);
        }
    }
}
