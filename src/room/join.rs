//! The rule of joining: when may recording begin, and when is it over? Pure.

use std::time::Duration;

use super::Reading;
use crate::clock::Mono;
use crate::job::JoinRule;

/// How long a page that shows neither a signal nor a peer connection is watched
/// before it counts as joined by having loaded.
pub const QUIET_PAGE: Duration = Duration::from_secs(10);

/// What showed that the meeting was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `window.roomreel.joined`.
    Signal,
    /// A connected peer connection, or media from one.
    Media,
    /// Nothing but the load of the page.
    Load,
}

impl How {
    /// `signal`, `media` or `load`, as the journal says it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Media => "media",
            Self::Load => "load",
        }
    }
}

/// What follows from the readings so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not joined, and there is still time.
    Waiting,
    /// Not joined, and the time is up: reload or give up.
    Expired,
    /// Joined by this very reading.
    Joined {
        /// What showed it.
        how: How,
    },
    /// Joined before, and still on.
    Present {
        /// Others in the room; `None` is unknown, which is never empty.
        peers: Option<u32>,
    },
    /// The page said that the meeting is over; it stays so.
    Ended,
}

/// Watches one load of a page. Make a new one after each reload.
#[derive(Debug, Clone)]
pub struct JoinWatch {
    rule: JoinRule,
    loaded: Mono,
    timeout: Duration,
    joined: bool,
    ended: bool,
    /// The page has had `window.roomreel`: nothing else is believed any more.
    has_signal: bool,
    /// The page has made a peer connection: it has to connect.
    has_webrtc: bool,
}

impl JoinWatch {
    /// Begins when the page has loaded; it then has `timeout` to be joined.
    pub fn new(rule: JoinRule, loaded: Mono, timeout: Duration) -> Self {
        Self {
            rule,
            loaded,
            timeout,
            joined: false,
            ended: false,
            has_signal: false,
            has_webrtc: false,
        }
    }

    /// Takes a reading in; `None` when the page gave no answer.
    pub fn feed(&mut self, at: Mono, reading: Option<&Reading>) -> Verdict {
        let reading = reading.copied().unwrap_or_default();
        self.has_signal |= reading.signal.is_some();
        self.has_webrtc |= reading.webrtc.is_some_and(|webrtc| webrtc.connections > 0);
        self.ended |= reading.signal.is_some_and(|signal| signal.ended);
        if self.ended {
            return Verdict::Ended;
        }
        if self.joined {
            return Verdict::Present { peers: reading.signal.and_then(|signal| signal.peers) };
        }
        let waited = at.since(self.loaded);
        if let Some(how) = self.shown_by(&reading, waited) {
            self.joined = true;
            return Verdict::Joined { how };
        }
        if waited >= self.timeout { Verdict::Expired } else { Verdict::Waiting }
    }

    fn shown_by(&self, reading: &Reading, waited: Duration) -> Option<How> {
        let signal = reading.signal.is_some_and(|signal| signal.joined).then_some(How::Signal);
        let webrtc = reading.webrtc.unwrap_or_default();
        match self.rule {
            JoinRule::Load => Some(How::Load),
            JoinRule::Signal => signal,
            JoinRule::Media => {
                (webrtc.connected > 0 && webrtc.inbound_bytes > 0).then_some(How::Media)
            }
            JoinRule::Auto if self.has_signal => signal,
            JoinRule::Auto if self.has_webrtc => (webrtc.connected > 0).then_some(How::Media),
            JoinRule::Auto => {
                // A page that does not answer has not shown that it is quiet.
                let quiet = reading.webrtc.is_some() && waited >= QUIET_PAGE.min(self.timeout);
                quiet.then_some(How::Load)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Verdict::{Ended, Expired, Joined, Present, Waiting};
    use super::*;
    use crate::room::{Signal, Webrtc};

    const START: Mono = Mono(5_000_000_000);
    const TIMEOUT: Duration = Duration::from_secs(30);

    const QUIET: Option<Reading> = Some(Reading {
        signal: None,
        webrtc: Some(Webrtc {
            connections: 0,
            connected: 0,
            live_remote_tracks: 0,
            inbound_bytes: 0,
        }),
    });
    /// A reading that the scripts could not take part in.
    const BARE: Option<Reading> = Some(Reading { signal: None, webrtc: None });

    fn says(joined: bool, peers: Option<u32>, ended: bool) -> Option<Reading> {
        Some(Reading { signal: Some(Signal { joined, peers, ended }), webrtc: QUIET?.webrtc })
    }

    fn hears(connections: u32, connected: u32, inbound_bytes: u64) -> Option<Reading> {
        let live_remote_tracks = connected;
        let webrtc = Webrtc { connections, connected, live_remote_tracks, inbound_bytes };
        Some(Reading { signal: None, webrtc: Some(webrtc) })
    }

    fn by(how: How) -> Verdict {
        Joined { how }
    }

    #[test]
    fn each_rule_joins_by_what_it_names() {
        use JoinRule::{Auto, Load, Media, Signal as BySignal};
        type Steps<'a> = &'a [(u64, Option<Reading>, Verdict)];
        let table: &[(&str, JoinRule, Steps)] = &[
            ("a page is loaded when it is loaded", Load, &[(0, None, by(How::Load))]),
            (
                "a signal is waited for",
                BySignal,
                &[
                    (1, QUIET, Waiting),
                    (2, hears(1, 1, 99), Waiting),
                    (15, says(false, None, false), Waiting),
                    (16, says(true, None, false), by(How::Signal)),
                    (17, says(true, Some(2), false), Present { peers: Some(2) }),
                ],
            ),
            (
                "media must arrive",
                Media,
                &[
                    (1, says(true, Some(1), false), Waiting),
                    (2, hears(1, 1, 0), Waiting),
                    (3, hears(1, 0, 7), Waiting),
                    (12, QUIET, Waiting),
                    (13, hears(1, 1, 7), by(How::Media)),
                    (14, hears(1, 0, 7), Present { peers: None }),
                ],
            ),
            (
                "auto believes the signal",
                Auto,
                &[
                    (1, says(false, None, false), Waiting),
                    (2, says(true, None, false), by(How::Signal)),
                ],
            ),
            (
                "auto judges a page with a signal by it alone, even when it goes away",
                Auto,
                &[
                    (1, says(false, Some(3), false), Waiting),
                    (2, hears(1, 1, 99), Waiting),
                    (15, QUIET, Waiting),
                    (30, QUIET, Expired),
                ],
            ),
            (
                "auto takes a connected peer connection",
                Auto,
                &[
                    (1, QUIET, Waiting),
                    (2, hears(1, 0, 0), Waiting),
                    (3, hears(1, 1, 0), by(How::Media)),
                ],
            ),
            (
                "auto does not fall back to the load once a connection was tried",
                Auto,
                &[
                    (2, hears(1, 0, 0), Waiting),
                    (11, hears(1, 0, 0), Waiting),
                    (29, QUIET, Waiting),
                    (30, hears(2, 0, 0), Expired),
                    (31, hears(2, 1, 0), by(How::Media)),
                ],
            ),
            (
                "auto takes a quiet page after ten seconds and not before",
                Auto,
                &[(0, QUIET, Waiting), (9, QUIET, Waiting), (10, QUIET, by(How::Load))],
            ),
            (
                "a page without our scripts, or without an answer, is not quiet",
                Auto,
                &[(10, BARE, Waiting), (20, None, Waiting), (30, None, Expired)],
            ),
            (
                "the end is believed before and after joining, and for good",
                Auto,
                &[(1, says(false, None, true), Ended), (2, QUIET, Ended)],
            ),
            (
                "nobody there is told, a missing answer is not",
                Auto,
                &[
                    (1, says(true, Some(0), false), by(How::Signal)),
                    (2, says(true, Some(0), false), Present { peers: Some(0) }),
                    (3, None, Present { peers: None }),
                    (99, says(false, None, false), Present { peers: None }),
                    (100, says(true, Some(0), true), Ended),
                ],
            ),
        ];
        for (name, rule, steps) in table {
            let mut watch = JoinWatch::new(*rule, START, TIMEOUT);
            for (second, reading, expected) in *steps {
                let at = START + Duration::from_secs(*second);
                assert_eq!(watch.feed(at, reading.as_ref()), *expected, "{name}, at {second} s");
            }
        }
    }

    #[test]
    fn a_short_time_out_shortens_the_watch_of_a_quiet_page() {
        let mut watch = JoinWatch::new(JoinRule::Auto, START, Duration::from_secs(3));
        assert_eq!(watch.feed(START + Duration::from_secs(2), QUIET.as_ref()), Waiting);
        assert_eq!(watch.feed(START + Duration::from_secs(3), QUIET.as_ref()), by(How::Load));
    }

    fn any_reading() -> impl Strategy<Value = Option<Reading>> {
        let signal =
            (any::<bool>(), proptest::option::of(0_u32..3), proptest::bool::weighted(0.05))
                .prop_map(|(joined, peers, ended)| Signal { joined, peers, ended });
        let webrtc = (0_u32..3, 0_u32..3, 0_u64..2).prop_map(|(connections, connected, bytes)| {
            let connected = connected.min(connections);
            Webrtc { connections, connected, live_remote_tracks: connected, inbound_bytes: bytes }
        });
        let reading =
            (proptest::option::weighted(0.3, signal), proptest::option::weighted(0.9, webrtc))
                .prop_map(|(signal, webrtc)| Reading { signal, webrtc });
        proptest::option::weighted(0.9, reading)
    }

    proptest! {
        #[test]
        fn a_life_goes_one_way(
            rule in prop_oneof![
                Just(JoinRule::Auto), Just(JoinRule::Signal), Just(JoinRule::Media), Just(JoinRule::Load)
            ],
            steps in proptest::collection::vec((0_u64..5000, any_reading()), 1..40),
        ) {
            let mut watch = JoinWatch::new(rule, START, TIMEOUT);
            let mut at = START;
            let mut joined = false;
            let mut over = false;
            for (later, reading) in steps {
                at = at + Duration::from_millis(later);
                let verdict = watch.feed(at, reading.as_ref());
                if over {
                    prop_assert_eq!(verdict, Ended);
                }
                match verdict {
                    Ended => over = true,
                    Joined { how } => {
                        prop_assert!(!joined, "joined twice");
                        joined = true;
                        match (rule, how) {
                            (JoinRule::Signal, How::Signal) | (JoinRule::Media, How::Media)
                            | (JoinRule::Load, How::Load) | (JoinRule::Auto, How::Media) => {}
                            (JoinRule::Auto, How::Signal) => {
                                prop_assert!(reading.unwrap().signal.unwrap().joined);
                            }
                            (JoinRule::Auto, How::Load) => {
                                prop_assert!(at.since(START) >= QUIET_PAGE);
                            }
                            other => prop_assert!(false, "{:?}", other),
                        }
                    }
                    Present { peers } => {
                        prop_assert!(joined);
                        // Empty only if the page said so just now.
                        prop_assert_eq!(peers, reading.and_then(|r| r.signal).and_then(|s| s.peers));
                    }
                    Waiting => prop_assert!(!joined && at.since(START) < TIMEOUT),
                    Expired => prop_assert!(!joined && at.since(START) >= TIMEOUT),
                }
            }
        }
    }
}
