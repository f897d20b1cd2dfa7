//! Whether the visiting browser has its speaker. A pure rule over what the speaker
//! tells and the clock.
//!
//! Chromium connects when it plays its first sound and never comes back to a
//! server it lost: a browser without a control connection stays silent to its end.

use std::time::Duration;

use crate::clock::Mono;

/// By when a browser has found its speaker.
const DUE: Duration = Duration::from_secs(15);

/// By when one that lost it is back, or has ended itself.
const BACK: Duration = Duration::from_secs(2);

/// Makes Chromium look for its speaker now: its audio service starts with the
/// first sound, and a page may be silent for long.
pub(super) const WAKE: &str = "(new AudioContext(), true)";

/// What is known of the connection between browser and speaker.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Control connections that are open; one of an earlier browser may linger.
    open: u32,
    /// A browser is there whose loss of them matters.
    visiting: bool,
    /// When there has to be a connection, while there is none.
    due: Option<Mono>,
    /// The browser that visits, or visited last, was given up for that.
    deaf: bool,
}

impl Hearing {
    /// A browser has started.
    pub(super) fn begin(&mut self, now: Mono) {
        let due = (self.open == 0).then(|| now + DUE);
        *self = Self { open: self.open, visiting: true, due, deaf: false };
    }

    /// It is let go.
    pub(super) fn end(&mut self) {
        self.visiting = false;
        self.due = None;
    }

    /// A control connection came.
    pub(super) fn connected(&mut self) {
        self.open += 1;
        self.due = None;
    }

    /// One went.
    pub(super) fn lost(&mut self, now: Mono) {
        self.open = self.open.saturating_sub(1);
        if self.visiting && self.open == 0 && self.due.is_none() {
            self.due = Some(now + BACK);
        }
    }

    /// True, once, when the browser has gone without for too long.
    pub(super) fn is_overdue(&mut self, now: Mono) -> bool {
        let overdue = self.due.take_if(|due| now > *due).is_some();
        self.deaf |= overdue;
        overdue
    }

    /// True if the last browser was given up for that.
    pub(super) fn was_deaf(&self) -> bool {
        self.deaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(seconds * 1_000_000_000)
    }

    #[test]
    fn a_browser_that_does_not_come_is_told_once() {
        let mut hearing = Hearing::default();
        hearing.begin(at(100));
        assert!(!hearing.is_overdue(at(115)) && !hearing.was_deaf());
        assert!(hearing.is_overdue(at(116)) && hearing.was_deaf());
        assert!(!hearing.is_overdue(at(117)));
        hearing.end();
        hearing.begin(at(120));
        assert!(!hearing.was_deaf());
    }

    #[test]
    fn one_that_loses_it_has_a_moment_to_end_or_to_come_back() {
        let mut hearing = Hearing::default();
        hearing.begin(at(0));
        hearing.connected();
        assert!(!hearing.is_overdue(at(500)));
        hearing.lost(at(500));
        assert!(!hearing.is_overdue(at(502)));
        hearing.connected();
        assert!(!hearing.is_overdue(at(510)));
        hearing.lost(at(600));
        assert!(hearing.is_overdue(at(603)));
    }

    #[test]
    fn what_an_earlier_browser_leaves_is_not_held_against_the_next() {
        let mut hearing = Hearing::default();
        hearing.begin(at(0));
        hearing.connected();
        hearing.end();
        // Its connection goes while the next one starts, or after that.
        hearing.lost(at(10));
        assert!(!hearing.is_overdue(at(20)));
        hearing.begin(at(20));
        hearing.lost(at(21));
        assert!(!hearing.is_overdue(at(35)));
        hearing.connected();
        assert!(!hearing.is_overdue(at(60)));
    }
}
