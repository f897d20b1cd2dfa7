//! The rule of the empty room: looks with their times in, a verdict out. Pure.
//!
//! Only time that is known to be empty counts: between two looks that both showed
//! nobody and are not far apart. A look that showed nothing (unknown) therefore
//! stops the clock and does not turn it back; one that showed somebody does.

use std::time::Duration;

use super::Presence;
use crate::clock::Mono;

/// Two looks further apart say nothing of the time between them: the machine was
/// asleep, or the page hung.
pub const UNSEEN_GAP: Duration = Duration::from_secs(10);

/// When a room has been empty for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After somebody was there.
    pub empty: Duration,
    /// Before anybody has come.
    pub nobody: Duration,
    /// Without a byte of media; `None`: that decides nothing.
    pub no_media: Option<Duration>,
}

/// What follows from the looks so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vacant {
    /// The recording goes on.
    No,
    /// All have left, long enough ago.
    LastLeft,
    /// Nobody has come for long enough.
    NobodyCame,
    /// No media has come for long enough.
    NoMedia,
}

/// Watches a room from the moment of joining, over reloads of the page.
#[derive(Debug, Clone)]
pub struct Vacancy {
    limits: Limits,
    /// Somebody was there.
    occupied: bool,
    /// Time known to be empty since somebody was last seen, or since the beginning.
    empty: Duration,
    /// The first look of those that show nobody, without any other after it.
    since: Option<Mono>,
    /// Time known to be without media.
    silent: Duration,
    /// The last look.
    last: Option<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Mono,
    presence: Presence,
    /// Bytes received so far, on a page that has peer connections.
    media: Option<u64>,
}

impl Vacancy {
    /// A watch that begins with its first look.
    pub fn new(limits: Limits) -> Self {
        let (empty, silent) = (Duration::ZERO, Duration::ZERO);
        Self { limits, occupied: false, empty, since: None, silent, last: None }
    }

    /// Takes a look in. `media`: bytes received so far, if the page has peer
    /// connections.
    pub fn look(&mut self, at: Mono, presence: Presence, media: Option<u64>) -> Vacant {
        let last = self.last.replace(Look { at, presence, media });
        let step = last.map_or(Duration::ZERO, |last| at.since(last.at));
        let known = step <= UNSEEN_GAP;
        match presence {
            Presence::Occupied { .. } => {
                self.occupied = true;
                self.empty = Duration::ZERO;
                self.since = None;
            }
            Presence::Unknown => self.since = None,
            Presence::Empty => {
                let was_empty = known && last.is_some_and(|l| l.presence == Presence::Empty);
                if was_empty {
                    self.empty += step;
                } else {
                    self.since = None;
                }
                self.since.get_or_insert(at);
            }
        }
        match (last.and_then(|last| last.media), media) {
            (Some(before), Some(now)) if now <= before && known => self.silent += step,
            (Some(before), Some(now)) if now > before => self.silent = Duration::ZERO,
            _ => {}
        }
        self.verdict()
    }

    fn verdict(&self) -> Vacant {
        let now_empty = self.since.is_some();
        if now_empty && self.occupied && self.empty >= self.limits.empty {
            Vacant::LastLeft
        } else if now_empty && !self.occupied && self.empty >= self.limits.nobody {
            Vacant::NobodyCame
        } else if self.limits.no_media.is_some_and(|limit| self.silent >= limit) {
            Vacant::NoMedia
        } else {
            Vacant::No
        }
    }

    /// Since when the room is known to be empty without a doubt in between. What
    /// was recorded later shows nobody.
    pub fn empty_since(&self) -> Option<Mono> {
        self.since
    }

    /// Somebody was there.
    pub fn was_occupied(&self) -> bool {
        self.occupied
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Presence::{Empty, Occupied, Unknown};
    use super::*;

    const START: Mono = Mono(5_000_000_000);
    const LIMITS: Limits =
        Limits { empty: Duration::from_secs(30), nobody: Duration::from_secs(20), no_media: None };
    const SOMEBODY: Presence = Occupied { count: None };

    fn at(second: f64) -> Mono {
        START + Duration::from_secs_f64(second)
    }

    /// Looks every second at what `room` shows; the first end and its second.
    fn end(limits: Limits, room: impl Fn(u64) -> Presence) -> Option<(u64, Vacant)> {
        let mut watch = Vacancy::new(limits);
        (0..200).find_map(|second| {
            let verdict = watch.look(START + Duration::from_secs(second), room(second), None);
            (verdict != Vacant::No).then_some((second, verdict))
        })
    }

    #[test]
    fn a_room_is_empty_for_as_long_as_is_known() {
        type Case = (&'static str, fn(u64) -> Presence, Option<(u64, Vacant)>);
        let table: &[Case] = &[
            ("somebody stays", |_| SOMEBODY, None),
            ("nothing is ever known", |_| Unknown, None),
            ("nobody ever comes", |_| Empty, Some((20, Vacant::NobodyCame))),
            (
                "nobody, known late",
                |s| if s < 50 { Unknown } else { Empty },
                Some((70, Vacant::NobodyCame)),
            ),
            ("all leave", |s| if s < 10 { SOMEBODY } else { Empty }, Some((40, Vacant::LastLeft))),
            (
                "a count that reads 0 for a second",
                |s| if s % 20 == 7 { Empty } else { SOMEBODY },
                None,
            ),
            (
                "somebody returns in time",
                |s| if s < 10 || s == 39 { SOMEBODY } else { Empty },
                Some((70, Vacant::LastLeft)),
            ),
            (
                "ten unknown seconds stop the clock",
                |s| match s {
                    0..10 => SOMEBODY,
                    15..25 => Unknown,
                    _ => Empty,
                },
                // 10 to 14 and 25 to 51 are known: 4 and 26 seconds.
                Some((51, Vacant::LastLeft)),
            ),
            (
                "it ends in a look that shows nobody",
                |s| {
                    if s < 5 {
                        SOMEBODY
                    } else if s < 34 {
                        Empty
                    } else {
                        Unknown
                    }
                },
                None,
            ),
        ];
        for (name, room, expected) in table {
            assert_eq!(end(LIMITS, room), *expected, "{name}");
        }
    }

    #[test]
    fn a_machine_that_slept_has_not_seen_an_empty_room() {
        let mut watch = Vacancy::new(LIMITS);
        watch.look(at(0.0), SOMEBODY, None);
        watch.look(at(1.0), Empty, None);
        assert_eq!(watch.look(at(3600.0), Empty, None), Vacant::No);
        assert_eq!(watch.empty_since(), Some(at(3600.0)));
        assert!(watch.was_occupied());
    }

    #[test]
    fn silence_of_all_media_counts_only_when_asked_for_and_known() {
        let limits = Limits { no_media: Some(Duration::from_secs(5)), ..LIMITS };
        let run = |limits: Limits, bytes: fn(u64) -> Option<u64>| {
            let mut watch = Vacancy::new(limits);
            (0..60).find(|s| {
                watch.look(START + Duration::from_secs(*s), SOMEBODY, bytes(*s)) == Vacant::NoMedia
            })
        };
        assert_eq!(run(limits, |s| Some(s.min(10))), Some(15));
        assert_eq!(run(LIMITS, |s| Some(s.min(10))), None);
        assert_eq!(run(limits, |_| None), None);
        // A connection that was replaced counts from zero again.
        assert_eq!(run(limits, |s| Some(s % 10)), None);
    }

    fn any_presence() -> impl Strategy<Value = Presence> {
        prop_oneof![3 => Just(Empty), 1 => Just(SOMEBODY), 1 => Just(Unknown)]
    }

    fn any_looks() -> impl Strategy<Value = Vec<(u64, Presence)>> {
        let step = prop_oneof![9 => 0_u64..4000, 1 => 0_u64..60_000];
        proptest::collection::vec((step, any_presence()), 1..60)
    }

    /// The first end of a row of looks, as its number.
    fn first_end(looks: &[(u64, Presence)]) -> Option<(usize, Vacant)> {
        let (mut watch, mut now) = (Vacancy::new(LIMITS), START);
        looks.iter().enumerate().find_map(|(number, (step, presence))| {
            now = now + Duration::from_millis(*step);
            let verdict = watch.look(now, *presence, None);
            (verdict != Vacant::No).then_some((number, verdict))
        })
    }

    proptest! {
        /// An end needs as much known emptiness since somebody was last seen.
        #[test]
        fn an_end_is_earned(looks in any_looks()) {
            let Some((number, verdict)) = first_end(&looks) else { return Ok(()) };
            let seen = looks[..=number].iter().rposition(|(_, p)| *p == SOMEBODY);
            let (limit, expected) = match seen {
                Some(_) => (LIMITS.empty, Vacant::LastLeft),
                None => (LIMITS.nobody, Vacant::NobodyCame),
            };
            prop_assert_eq!(verdict, expected);
            prop_assert_eq!(looks[number].1, Empty);
            let from = seen.map_or(0, |seen| seen + 1);
            let known: u64 = (from.max(1)..=number)
                .filter(|n| looks[*n].1 == Empty && looks[*n - 1].1 == Empty)
                .map(|n| looks[n].0)
                .filter(|step| u128::from(*step) <= UNSEEN_GAP.as_millis())
                .sum();
            prop_assert!(u128::from(known) >= limit.as_millis(), "{known} ms");
        }

        /// Knowing less never ends it sooner.
        #[test]
        fn doubt_never_ends_a_recording(
            looks in any_looks(),
            doubts in proptest::collection::vec(any::<bool>(), 60),
        ) {
            let doubted: Vec<_> = looks
                .iter()
                .zip(&doubts)
                // Who was seen stays seen: forgetting people may end it sooner.
                .map(|((step, p), doubt)| (*step, if *doubt && *p == Empty { Unknown } else { *p }))
                .collect();
            let (sure, unsure) = (first_end(&looks), first_end(&doubted));
            if let Some((later, _)) = unsure {
                prop_assert!(sure.is_some_and(|(first, _)| first <= later));
            }
        }

        /// A look that shows nothing does not turn the clock back: the end comes, as
        /// soon as the rest of the emptiness is known.
        #[test]
        fn doubt_only_stops_the_clock(pieces in proptest::collection::vec((1_u64..9, 0_u64..9), 1..20)) {
            let (mut watch, mut now, mut known) = (Vacancy::new(LIMITS), START, 0);
            watch.look(now, SOMEBODY, None);
            for (empty, unknown) in pieces {
                // One look opens the stretch, each further one a second later adds to it.
                for second in 0..=empty {
                    now = now + Duration::from_secs(1);
                    known += u64::from(second > 0);
                    let ends = watch.look(now, Empty, None) == Vacant::LastLeft;
                    prop_assert_eq!(ends, known >= 30);
                }
                for _ in 0..=unknown {
                    now = now + Duration::from_secs(1);
                    prop_assert_eq!(watch.look(now, Unknown, None), Vacant::No);
                }
            }
        }

        /// What may be cut off was looked at and showed nobody, all of it.
        #[test]
        fn only_what_was_seen_empty_may_be_cut(looks in any_looks()) {
            let (mut watch, mut now) = (Vacancy::new(LIMITS), START);
            let mut times = Vec::new();
            for (step, presence) in looks {
                now = now + Duration::from_millis(step);
                watch.look(now, presence, None);
                times.push((now, presence));
                if let Some(since) = watch.empty_since() {
                    let later: Vec<_> = times.iter().filter(|(t, _)| *t > since).collect();
                    prop_assert!(later.iter().all(|(_, p)| *p == Empty));
                    prop_assert!(times.iter().any(|(t, p)| *t == since && *p == Empty));
                } else {
                    prop_assert!(presence != Empty);
                }
            }
        }
    }
}
