//! How long to wait before the next attempt. Pure but for its dice.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Doubles from a second to a minute, each a quarter more or less, so that many
/// recordings do not come back to a storage at one moment.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// How long to wait this time.
    pub(super) fn next(&mut self) -> Duration {
        let wait = self.0.mul_f64(rand::random_range(0.75..1.25));
        self.0 = (self.0 * 2).min(LONGEST);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.next().as_secs_f64()).collect();
        for (wait, about) in waits.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]) {
            assert!((about * 0.75..=about * 1.25).contains(wait), "{waits:?}");
        }
        assert!(waits[7..].iter().all(|wait| (45.0..=75.0).contains(wait)), "{waits:?}");
    }
}
