//! Tables and properties of joining, staying and leaving.

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
        prop_oneof![Just(Over::Ended), Just(Over::Removed), Just(Over::Left), Just(Over::Failed)],
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
    let reading = (proptest::option::weighted(0.3, sight), proptest::option::weighted(0.9, webrtc))
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
