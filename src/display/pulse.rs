//! Is the browser alive? When to ask, and when silence has lasted too long. Pure.

use std::time::Duration;

use crate::clock::Mono;

/// Counted in ticks served, not in time passed: while this process is stopped
/// (and perhaps the browser with it) nobody's silence grows.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Ticks from an answer to the next question.
    rest: u64,
    /// Ticks without an answer that make a client unresponsive.
    patience: u64,
    /// Ticks since the question, or since the answer if none is open.
    ticks: u64,
    /// The open question: its serial, and when it was asked.
    open: Option<(u32, Mono)>,
}

/// What to do at a tick.
#[derive(Debug, PartialEq)]
pub(super) enum Beat {
    Rest,
    /// Ping, and say so with [`Pulse::asked`].
    Ask,
    /// The client has just become unresponsive; it has not answered for this long.
    Silent(Duration),
}

impl Pulse {
    pub(super) fn new(rest: u64, patience: u64) -> Self {
        Self { rest, patience, ticks: 0, open: None }
    }

    /// To be called at every tick while there is a client to ask.
    pub(super) fn beat(&mut self, at: Mono) -> Beat {
        self.ticks += 1;
        match self.open {
            None if self.ticks >= self.rest => Beat::Ask,
            Some((_, asked)) if self.ticks == self.patience => Beat::Silent(at.since(asked)),
            _ => Beat::Rest,
        }
    }

    /// The ping with this serial was sent.
    pub(super) fn asked(&mut self, serial: u32, at: Mono) {
        self.open = Some((serial, at));
        self.ticks = 0;
    }

    /// A pong came. True if it ends a silence.
    pub(super) fn answered(&mut self, serial: u32) -> bool {
        let expected = self.open.is_some_and(|(open, _)| open == serial);
        expected && {
            let was_silent = self.ticks >= self.patience;
            self.reset();
            was_silent
        }
    }

    /// Another client is to be asked from now on.
    pub(super) fn reset(&mut self) {
        self.open = None;
        self.ticks = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beats until something is to be done; panics after 100.
    fn next(pulse: &mut Pulse, at: u64) -> (Beat, u64) {
        (1..=100).map(|n| (pulse.beat(Mono(at)), n)).find(|(beat, _)| *beat != Beat::Rest).unwrap()
    }

    #[test]
    fn asks_again_some_time_after_an_answer() {
        let mut pulse = Pulse::new(5, 10);
        assert_eq!(next(&mut pulse, 0), (Beat::Ask, 5));
        pulse.asked(1, Mono(0));
        assert!(!pulse.answered(1), "an answer in time is nothing to tell");
        assert_eq!(next(&mut pulse, 0), (Beat::Ask, 5));
    }

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let mut pulse = Pulse::new(5, 10);
        next(&mut pulse, 0);
        pulse.asked(7, Mono(1_000));
        assert_eq!(next(&mut pulse, 4_000), (Beat::Silent(Duration::from_nanos(3_000)), 10));
        assert!((0..1000).all(|_| pulse.beat(Mono(0)) == Beat::Rest));
        assert!(!pulse.answered(6), "not the open question");
        assert!(pulse.answered(7));
        assert!(!pulse.answered(7));
        assert_eq!(next(&mut pulse, 0), (Beat::Ask, 5));
    }

    #[test]
    fn another_client_starts_afresh() {
        let mut pulse = Pulse::new(2, 3);
        next(&mut pulse, 0);
        pulse.asked(1, Mono(0));
        pulse.reset();
        assert!(!pulse.answered(1));
        assert_eq!(next(&mut pulse, 0), (Beat::Ask, 2));
    }
}
