//! The rule of joining: when may recording begin, is the page still in the meeting,
//! and is that over? Pure.

use std::time::Duration;

use super::probes::name_of;
use super::{Over, Reading, Sight, Token};
use crate::clock::Mono;
use crate::job::JoinRule;

/// How long a page that shows neither a signal nor a peer connection is watched
/// before it counts as joined by having loaded.
pub const QUIET_PAGE: Duration = Duration::from_secs(10);

/// How long a page that has left the meeting may take to enter it again.
pub const LEFT_GRACE: Duration = Duration::from_secs(3);

/// What showed that the meeting was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The page's own word or a probe, by its name.
    Said(&'static str),
    /// A connected peer connection, or media from one.
    Media,
    /// Nothing but the load of the page.
    Load,
}

impl How {
    /// As the journal says it: `signal` (`window.roomreel`), the name of a probe,
    /// `media` or `load`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Said(probe) => probe,
            Self::Media => "media",
            Self::Load => "load",
        }
    }
}

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
    /// A probe has known the page: nothing else is believed any more.
    has_sight: bool,
    /// The page has made a peer connection: it has to connect.
    has_webrtc: bool,
    /// The page said on the console that it has joined.
    announced: bool,
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
            has_sight: false,
            has_webrtc: false,
            announced: false,
            was_in: false,
            away_since: None,
            left_since: None,
        }
    }

    /// Takes a word of the console in; the next reading brings what follows.
    pub fn hear(&mut self, token: Token) {
        match token {
            Token::Start => self.announced = true,
            Token::End => self.ended = self.ended.or(Some(Over::Ended)),
        }
    }

    /// Takes a reading in; `None` when the page gave no answer.
    pub fn feed(&mut self, at: Mono, reading: Option<&Reading>) -> Verdict {
        let sight = reading.and_then(|reading| reading.sight.as_ref());
        self.has_sight |= sight.is_some();
        self.has_webrtc |=
            reading.and_then(|reading| reading.webrtc).is_some_and(|webrtc| webrtc.connections > 0);
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
        if let Some(how) = self.shown_by(reading, waited) {
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

    fn shown_by(&self, reading: Option<&Reading>, waited: Duration) -> Option<How> {
        let sight = reading.and_then(|reading| reading.sight.as_ref());
        let said = match sight {
            Some(sight) if sight.joined => Some(How::Said(name_of(&sight.probe))),
            // Only LiveKit's templates speak on the console.
            _ => self.announced.then_some(How::Said("livekit")),
        };
        let answered = reading.and_then(|reading| reading.webrtc);
        let webrtc = answered.unwrap_or_default();
        match self.rule {
            JoinRule::Load => Some(How::Load),
            JoinRule::Signal => said,
            JoinRule::Media => {
                (webrtc.connected > 0 && webrtc.inbound_bytes > 0).then_some(How::Media)
            }
            JoinRule::Auto if said.is_some() => said,
            JoinRule::Auto if self.has_sight => None,
            JoinRule::Auto if self.has_webrtc => (webrtc.connected > 0).then_some(How::Media),
            JoinRule::Auto => {
                // A page that does not answer has not shown that it is quiet.
                let quiet = answered.is_some() && waited >= QUIET_PAGE.min(self.timeout);
                quiet.then_some(How::Load)
            }
        }
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
mod tests {
    use proptest::prelude::*;

    use super::Verdict::{Away, Ended, Expired, Joined, Lost, Present, Refused, Waiting};
    use super::*;
    use crate::room::Webrtc;
    use crate::room::probes::SIGNAL;

    const START: Mono = Mono(5_000_000_000);
    const TIMEOUT: Duration = Duration::from_secs(30);

    const NO_WEBRTC: Option<Webrtc> =
        Some(Webrtc { connections: 0, connected: 0, live_remote_tracks: 0, inbound_bytes: 0 });

    fn quiet() -> Option<Reading> {
        Some(Reading { sight: None, webrtc: NO_WEBRTC })
    }

    /// A reading that the scripts could not take part in.
    fn bare() -> Option<Reading> {
        Some(Reading::default())
    }

    fn by_probe(probe: &str, joined: bool, over: Option<Over>) -> Option<Reading> {
        let sight = Sight { probe: probe.into(), joined, over, ..Sight::default() };
        Some(Reading { sight: Some(sight), webrtc: NO_WEBRTC })
    }

    fn says(joined: bool, over: Option<Over>) -> Option<Reading> {
        by_probe(SIGNAL, joined, over)
    }

    fn hears(connections: u32, connected: u32, inbound_bytes: u64) -> Option<Reading> {
        let live_remote_tracks = connected;
        let webrtc = Webrtc { connections, connected, live_remote_tracks, inbound_bytes };
        Some(Reading { sight: None, webrtc: Some(webrtc) })
    }

    fn by(how: How) -> Verdict {
        Joined { how }
    }

    const BY_SIGNAL: Verdict = Joined { how: How::Said(SIGNAL) };
    const ENDED: Verdict = Ended { over: Over::Ended };

    #[test]
    fn each_rule_joins_by_what_it_names() {
        use JoinRule::{Auto, Load, Media, Signal as BySignal};
        type Steps = Vec<(u64, Option<Reading>, Verdict)>;
        let table: Vec<(&str, JoinRule, Steps)> = vec![
            ("a page is loaded when it is loaded", Load, vec![(0, None, by(How::Load))]),
            (
                "a signal is waited for",
                BySignal,
                vec![
                    (1, quiet(), Waiting),
                    (2, hears(1, 1, 99), Waiting),
                    (15, says(false, None), Waiting),
                    (16, says(true, None), BY_SIGNAL),
                    (17, says(true, None), Present),
                ],
            ),
            (
                "media must arrive",
                Media,
                vec![
                    (1, says(true, None), Waiting),
                    (2, hears(1, 1, 0), Waiting),
                    (3, hears(1, 0, 7), Waiting),
                    (12, quiet(), Waiting),
                    (13, hears(1, 1, 7), by(How::Media)),
                    (14, hears(1, 0, 7), Present),
                ],
            ),
            (
                "auto believes a probe, whose name is told",
                Auto,
                vec![
                    (1, says(false, None), Waiting),
                    (2, by_probe("janus", true, None), by(How::Said("janus"))),
                ],
            ),
            (
                "auto judges a page that a probe knows by it alone, even when it goes away",
                Auto,
                vec![
                    (1, says(false, None), Waiting),
                    (2, hears(1, 1, 99), Waiting),
                    (15, quiet(), Waiting),
                    (30, quiet(), Expired),
                ],
            ),
            (
                "auto takes a connected peer connection",
                Auto,
                vec![
                    (1, quiet(), Waiting),
                    (2, hears(1, 0, 0), Waiting),
                    (3, hears(1, 1, 0), by(How::Media)),
                ],
            ),
            (
                "auto does not fall back to the load once a connection was tried",
                Auto,
                vec![
                    (2, hears(1, 0, 0), Waiting),
                    (11, hears(1, 0, 0), Waiting),
                    (29, quiet(), Waiting),
                    (30, hears(2, 0, 0), Expired),
                    (31, hears(2, 1, 0), by(How::Media)),
                ],
            ),
            (
                "auto takes a quiet page after ten seconds and not before",
                Auto,
                vec![(0, quiet(), Waiting), (9, quiet(), Waiting), (10, quiet(), by(How::Load))],
            ),
            (
                "a page without our scripts, or without an answer, is not quiet",
                Auto,
                vec![(10, bare(), Waiting), (20, None, Waiting), (30, None, Expired)],
            ),
            (
                "the end is believed before and after joining, and for good",
                Auto,
                vec![(1, says(false, Some(Over::Ended)), ENDED), (2, quiet(), ENDED)],
            ),
            (
                "being put out is an end",
                Auto,
                vec![
                    (1, says(true, None), BY_SIGNAL),
                    (2, says(false, Some(Over::Removed)), Ended { over: Over::Removed }),
                ],
            ),
            (
                "leaving is one after some seconds, unless it was to come back",
                Auto,
                vec![
                    (1, says(true, None), BY_SIGNAL),
                    (2, says(false, Some(Over::Left)), Away),
                    (4, says(true, None), Present),
                    (5, says(false, Some(Over::Left)), Away),
                    (6, says(false, None), Away),
                    (7, says(false, Some(Over::Left)), Away),
                    (9, says(false, Some(Over::Left)), Away),
                    (10, says(false, Some(Over::Left)), Ended { over: Over::Left }),
                    (11, says(true, None), Ended { over: Over::Left }),
                ],
            ),
            (
                "a page that has never been in has not left",
                Auto,
                vec![
                    (1, says(false, Some(Over::Left)), Waiting),
                    (9, says(false, Some(Over::Left)), Waiting),
                ],
            ),
            (
                "who is out for as long as joining may take is lost",
                Auto,
                vec![
                    (1, says(true, None), BY_SIGNAL),
                    (2, says(false, None), Away),
                    (20, None, Away),
                    (31, bare(), Away),
                    (
                        32,
                        says(false, None),
                        Lost { why: "the page was out of the meeting for 30 s".into() },
                    ),
                ],
            ),
            (
                "a page that no probe has seen in the meeting cannot fall out of it",
                Load,
                vec![
                    (0, quiet(), by(How::Load)),
                    (60, says(false, Some(Over::Left)), Present),
                    (99, None, Present),
                ],
            ),
        ];
        for (name, rule, steps) in table {
            let mut watch = JoinWatch::new(rule, START, TIMEOUT);
            for (second, reading, expected) in steps {
                let at = START + Duration::from_secs(second);
                assert_eq!(watch.feed(at, reading.as_ref()), expected, "{name}, at {second} s");
            }
        }
    }

    #[test]
    fn the_console_s_words_join_and_end() {
        for rule in [JoinRule::Auto, JoinRule::Signal] {
            let mut watch = JoinWatch::new(rule, START, TIMEOUT);
            assert_eq!(watch.feed(START, quiet().as_ref()), Waiting);
            watch.hear(Token::Start);
            assert_eq!(watch.feed(START, quiet().as_ref()), by(How::Said("livekit")));
            assert_eq!(watch.feed(START + TIMEOUT * 9, quiet().as_ref()), Present);
            watch.hear(Token::End);
            assert_eq!(watch.feed(START, None), ENDED);
        }
    }

    #[test]
    fn a_refusal_is_not_waited_for_and_only_its_code_is_told() {
        let mut watch = JoinWatch::new(JoinRule::Auto, START, TIMEOUT);
        let error = Some("2003 ServerErrors?token=\"abc\"".to_owned());
        let sight =
            Sight { probe: "100ms".into(), over: Some(Over::Failed), error, ..Sight::default() };
        let reading = Reading { sight: Some(sight), webrtc: None };
        let why = " (100ms: 2003 ServerErrors token  abc)".to_owned();
        assert_eq!(watch.feed(START, Some(&reading)), Refused { why });
        // Once in, the same is given some seconds, and then the page is lost.
        watch.feed(START, by_probe("100ms", true, None).as_ref());
        assert_eq!(watch.feed(START, Some(&reading)), Away);
        assert!(matches!(watch.feed(START + LEFT_GRACE, Some(&reading)), Lost { .. }));
    }

    #[test]
    fn a_short_time_out_shortens_the_watch_of_a_quiet_page() {
        let mut watch = JoinWatch::new(JoinRule::Auto, START, Duration::from_secs(3));
        assert_eq!(watch.feed(START + Duration::from_secs(2), quiet().as_ref()), Waiting);
        assert_eq!(watch.feed(START + Duration::from_secs(3), quiet().as_ref()), by(How::Load));
    }

    fn any_reading() -> impl Strategy<Value = Option<Reading>> {
        let over = proptest::option::weighted(
            0.1,
            prop_oneof![
                Just(Over::Ended),
                Just(Over::Removed),
                Just(Over::Left),
                Just(Over::Failed)
            ],
        );
        let sight = (any::<bool>(), over).prop_map(|(joined, over)| Sight {
            probe: SIGNAL.into(),
            joined,
            over,
            ..Sight::default()
        });
        let webrtc = (0_u32..3, 0_u32..3, 0_u64..2).prop_map(|(connections, connected, bytes)| {
            let connected = connected.min(connections);
            Webrtc { connections, connected, live_remote_tracks: connected, inbound_bytes: bytes }
        });
        let reading =
            (proptest::option::weighted(0.3, sight), proptest::option::weighted(0.9, webrtc))
                .prop_map(|(sight, webrtc)| Reading { sight, webrtc });
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
            let mut seen_in = false;
            let mut over = None;
            for (later, reading) in steps {
                at = at + Duration::from_millis(later);
                let verdict = watch.feed(at, reading.as_ref());
                let sight = reading.as_ref().and_then(|r| r.sight.clone());
                if let Some(over) = &over {
                    prop_assert_eq!(&verdict, over);
                }
                match &verdict {
                    Ended { over: how } => {
                        prop_assert!(*how != Over::Left || (joined && seen_in));
                        over = Some(verdict.clone());
                    }
                    Joined { how } => {
                        prop_assert!(!joined, "joined twice");
                        joined = true;
                        match (rule, how) {
                            (JoinRule::Media, How::Media)
                            | (JoinRule::Load, How::Load) | (JoinRule::Auto, How::Media) => {}
                            (JoinRule::Auto | JoinRule::Signal, How::Said(_)) => {
                                prop_assert!(sight.as_ref().unwrap().joined);
                            }
                            (JoinRule::Auto, How::Load) => {
                                prop_assert!(at.since(START) >= QUIET_PAGE);
                            }
                            other => prop_assert!(false, "{:?}", other),
                        }
                    }
                    Present => prop_assert!(joined && (!seen_in || sight.clone().unwrap().joined)),
                    Away | Lost { .. } => prop_assert!(joined && seen_in),
                    Waiting => prop_assert!(!joined && at.since(START) < TIMEOUT),
                    Refused { .. } => prop_assert!(!joined),
                    Expired => prop_assert!(!joined && at.since(START) >= TIMEOUT),
                }
                seen_in |= joined && sight.is_some_and(|sight| sight.joined);
            }
        }
    }
}
