//! Notices that the browser has a frame too many on its way, and lets it go.
//!
//! A browser that is held up for a moment may come out of it with one finished
//! frame waiting for the next callback, for ever: everything it shows is then a
//! tick late, and only what it shows, so picture and sound part. Such a browser
//! commits the instant it may, nearly every time. One callback out of turn makes
//! it commit the waiting frame, too, and the older one is superseded. A browser
//! that is merely quick has nothing waiting and loses nothing by it.
//!
//! Pure; `state` asks it at each commit of the recorded surface.

use std::time::Duration;

use crate::clock::Mono;

/// A frame that was waiting is committed within this (0.3 to 0.7 ms were seen).
/// One that is only begun at the callback takes longer (4 to 8 ms).
const PROMPT: Duration = Duration::from_millis(2);

/// So many of the last [`u32::BITS`] commits being prompt are a habit. Not all:
/// what held the browser up is often still there.
const HABIT: u32 = 22;

/// Ticks until the next try after one that showed nothing waiting.
const REST: u64 = 300;

/// What the commits of the recorded surface look like.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// When callbacks last fired, and at which tick.
    fired: Option<(Mono, u64)>,
    /// The last commits, the newest in the lowest bit; set: it was prompt.
    prompt: u32,
    /// A callback out of turn was given since the last tick.
    tried: bool,
    /// No try before this tick.
    rest_until: u64,
}

impl Backlog {
    /// Callbacks fire at tick `index`; `now` is the time it really is.
    pub(super) fn fired(&mut self, index: u64, now: Mono) {
        if std::mem::take(&mut self.tried) {
            // Nothing was waiting.
            self.rest_until = index + REST;
        }
        self.fired = Some((now, index));
    }

    /// New content came at `now`. True if its callback should fire at once.
    pub(super) fn committed(&mut self, now: Mono) -> bool {
        if std::mem::take(&mut self.tried) {
            // The frame that was waiting.
            return false;
        }
        let Some((fired, index)) = self.fired else { return false };
        self.prompt = self.prompt << 1 | u32::from(now.since(fired) < PROMPT);
        self.tried = self.prompt.count_ones() >= HABIT && index >= self.rest_until;
        if self.tried {
            self.prompt = 0;
        }
        self.tried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 33_333_333;

    /// Commits `after` each of `ticks`; the ticks at which a try was made. With
    /// `waiting`, a second commit follows each try.
    fn tries(ticks: u64, after: Duration, waiting: bool) -> Vec<u64> {
        let mut backlog = Backlog::default();
        let mut found = Vec::new();
        for index in 0..ticks {
            let at = Mono(1_000_000_000 + index * TICK);
            backlog.fired(index, at);
            if backlog.committed(at + after) {
                found.push(index);
                if waiting {
                    assert!(!backlog.committed(at + after + after));
                }
            }
        }
        found
    }

    #[test]
    fn a_browser_that_paints_after_the_callback_is_left_alone() {
        assert!(tries(3000, Duration::from_millis(6), false).is_empty());
    }

    #[test]
    fn a_frame_that_waits_is_let_go_within_a_second() {
        assert_eq!(tries(40, Duration::from_millis(1), true), [21]);
    }

    #[test]
    fn a_quick_browser_is_rarely_tried() {
        let found = tries(1000, Duration::from_millis(1), false);
        assert_eq!(found, [21, 322, 623, 924]);
    }

    #[test]
    fn a_frame_that_waits_is_found_among_hold_ups() {
        let mut backlog = Backlog::default();
        let tried = (0..60).find(|&index| {
            let at = Mono(1_000_000_000 + index * TICK);
            backlog.fired(index, at);
            // Every fourth commit is held up by somebody else.
            let after = Duration::from_millis(if index % 4 == 0 { 9 } else { 1 });
            backlog.committed(at + after)
        });
        assert_eq!(tried, Some(29));
    }
}
