//! The rule of joining: when may recording begin, is the page still in the meeting,
//! and is that over? Pure.

mod how;

use std::time::Duration;

pub use self::how::How;
use self::how::Past;
use super::probes::name_of;
use super::{Over, Reading, Sight, Token};
use crate::clock::Mono;
use crate::job::JoinRule;

/// How long a page that shows neither a signal nor a peer connection is watched
/// before it counts as joined by having loaded.
pub const QUIET_PAGE: Duration = Duration::from_secs(10);

/// How long a page that has left the meeting may take to enter it again.
pub const LEFT_GRACE: Duration = Duration::from_secs(3);

/// What follows from the readings so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not joined, and there is still time.
    Waiting,
    /// Not joined, and the time is up: reload or give up.
    Expired,
    /// Not joined, and the page says that it will not be.
    Refused {
        /// A code of the software's, or nothing.
        why: String,
    },
    /// Joined by this very reading.
    Joined {
        /// What showed it.
        how: How,
    },
    /// Joined before, and still on, as far as the page shows.
    Present,
    /// Joined before, and at the moment not known to be in the meeting.
    Away,
    /// Joined before, and out of the meeting for good unless it is loaded again.
    Lost {
        /// What shows it.
        why: String,
    },
    /// The meeting is over; it stays so.
    Ended {
        /// How.
        over: Over,
    },
}

/// Watches one load of a page. Make a new one after each reload.
#[derive(Debug, Clone)]
pub struct JoinWatch {
    rule: JoinRule,
    loaded: Mono,
    timeout: Duration,
    joined: bool,
    ended: Option<Over>,
    past: Past,
    /// A probe has seen the page in the meeting, so that it can see it out of it.
    was_in: bool,
    /// Since when the page is not seen in the meeting.
    away_since: Option<Mono>,
    /// Since when it says that it has left.
    left_since: Option<Mono>,
}

impl JoinWatch {
    /// Begins when the page has loaded; it then has `timeout` to be joined, and as
    /// long again whenever it falls out of the meeting.
    pub fn new(rule: JoinRule, loaded: Mono, timeout: Duration) -> Self {
        Self {
            rule,
            loaded,
            timeout,
            joined: false,
            ended: None,
            past: Past::default(),
            was_in: false,
            away_since: None,
            left_since: None,
        }
    }

    /// Takes a word of the console in; the next reading brings what follows.
    pub fn hear(&mut self, token: Token) {
        match token {
            Token::Start => self.past.announced = true,
            Token::End => self.ended = self.ended.or(Some(Over::Ended)),
        }
    }

    /// Takes a reading in; `None` when the page gave no answer.
    pub fn feed(&mut self, at: Mono, reading: Option<&Reading>) -> Verdict {
        let sight = reading.and_then(|reading| reading.sight.as_ref());
        self.past.take(reading);
        let over = sight.and_then(|sight| sight.over);
        if let Some(Over::Ended | Over::Removed) = over {
            self.ended = self.ended.or(over);
        }
        if let Some(over) = self.ended {
            return Verdict::Ended { over };
        }
        if self.joined {
            return self.still_in(at, sight);
        }
        let waited = at.since(self.loaded);
        if let Some(how) = self.past.shown(self.rule, reading, waited, self.timeout) {
            self.joined = true;
            self.was_in |= sight.is_some_and(|sight| sight.joined);
            return Verdict::Joined { how };
        }
        if over == Some(Over::Failed) && self.rule != JoinRule::Media {
            return Verdict::Refused { why: reason(sight) };
        }
        if waited >= self.timeout { Verdict::Expired } else { Verdict::Waiting }
    }

    /// A page that a probe has seen in the meeting has to stay in it.
    fn still_in(&mut self, at: Mono, sight: Option<&Sight>) -> Verdict {
        if sight.is_some_and(|sight| sight.joined) || !self.was_in {
            self.was_in |= sight.is_some_and(|sight| sight.joined);
            (self.away_since, self.left_since) = (None, None);
            return Verdict::Present;
        }
        let away = at.since(*self.away_since.get_or_insert(at));
        let over = sight.and_then(|sight| sight.over);
        match over {
            Some(Over::Left | Over::Failed) => {
                let left = at.since(*self.left_since.get_or_insert(at));
                if left >= LEFT_GRACE && over == Some(Over::Failed) {
                    let why = format!("the page gave the meeting up{}", reason(sight));
                    return Verdict::Lost { why };
                }
                if left >= LEFT_GRACE {
                    self.ended = Some(Over::Left);
                    return Verdict::Ended { over: Over::Left };
                }
            }
            _ => self.left_since = None,
        }
        if away >= self.timeout {
            let seconds = self.timeout.as_secs_f64();
            let why = format!("the page was out of the meeting for {seconds} s{}", reason(sight));
            return Verdict::Lost { why };
        }
        Verdict::Away
    }
}

/// The software's own code, in brackets.
fn reason(sight: Option<&Sight>) -> String {
    let error = sight.and_then(|sight| sight.error.as_ref().map(|error| (&sight.probe, error)));
    // Of what a page calls an error no more than a code is repeated.
    error.map_or_else(String::new, |(probe, error)| {
        let code: String = error
            .chars()
            .take(40)
            .map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' })
            .collect();
        format!(" ({}: {})", name_of(probe), code.trim())
    })
}

#[cfg(test)]
mod tests;
