//! Who is in the room of a recording, as its page shows it, for those who are to be
//! told of it as the room's own webhooks would tell. Pure.
//!
//! `Recording::take` feeds it. Looks are numbered as they stand in the journal, so that
//! one that is read again after a restart tells nothing twice.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::job::{Peer, RoomNews};

/// One look at the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Which one it is in the journal, from 1 on.
    pub number: u64,
    /// How many others there are; `None`: that cannot be told now.
    pub count: Option<u32>,
    /// Those of them whom the page names.
    pub peers: Vec<Peer>,
}

/// What was told of a room so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attendance {
    /// The newest look that was taken in.
    looks: u64,
    /// When somebody was there first.
    opened_at: Option<DateTime<Utc>>,
    /// Since when nobody is, if that is known.
    empty_since: Option<DateTime<Utc>>,
    /// Who is.
    present: Vec<Present>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Present {
    peer: Peer,
    joined_at: DateTime<Utc>,
}

impl Attendance {
    /// Takes in what a look at `now` shows; who came and who went by it.
    pub fn take(&mut self, look: &Look, now: DateTime<Utc>) -> Vec<RoomNews> {
        if look.number <= self.looks {
            return Vec::new();
        }
        self.looks = look.number;
        let Some(count) = look.count else {
            self.empty_since = None;
            return Vec::new();
        };
        let shown = shown(count, &look.peers);
        let mut told = Vec::new();
        if self.opened_at.is_none() && !shown.is_empty() {
            told.push(RoomNews::Opened { opened_at: now });
        }
        let opened_at = match self.opened_at {
            None if shown.is_empty() => return told,
            known => *self.opened_at.insert(known.unwrap_or(now)),
        };
        let is_shown = |present: &Present| shown.iter().any(|peer| peer.id == present.peer.id);
        let (stay, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.present).into_iter().partition(is_shown);
        self.present = stay;
        told.extend(left.into_iter().map(|Present { peer, joined_at }| RoomNews::Left {
            opened_at,
            peer,
            joined_at,
            left_at: now,
        }));
        for peer in shown {
            if self.present.iter().all(|present| present.peer.id != peer.id) {
                told.push(RoomNews::Joined { opened_at, peer: peer.clone(), joined_at: now });
                self.present.push(Present { peer, joined_at: now });
            }
        }
        self.empty_since = self.present.is_empty().then(|| self.empty_since.unwrap_or(now));
        told
    }

    /// Nobody looks any more. The session is over if nobody was left in it; of
    /// whoever was, nothing more is known.
    pub fn end(&mut self) -> Option<RoomNews> {
        let opened_at = self.opened_at?;
        let closed_at = self.empty_since.take()?;
        Some(RoomNews::Closed { opened_at, closed_at })
    }
}

/// As many as there are, each with an id of its own: those whom the page does not name,
/// or not apart from another, are `unknown-1`, `unknown-2` and so on.
fn shown(count: u32, peers: &[Peer]) -> Vec<Peer> {
    let mut shown: Vec<Peer> = Vec::new();
    for peer in peers {
        let id = if peer.id.is_empty() { &peer.name } else { &peer.id };
        if !id.is_empty() && shown.iter().all(|known| known.id != *id) {
            shown.push(Peer { id: id.clone(), ..peer.clone() });
        }
    }
    let named = u32::try_from(shown.len()).unwrap_or(u32::MAX);
    let unknown = 1..=count.saturating_sub(named);
    shown.extend(unknown.map(|n| Peer { id: format!("unknown-{n}"), ..Peer::default() }));
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + second.cast_signed(), 0).unwrap()
    }

    fn peer(id: &str) -> Peer {
        Peer { id: id.into(), name: id.to_uppercase(), role: "host".into() }
    }

    /// One look a second; what each told, in short.
    fn run(attendance: &mut Attendance, looks: &[(Option<u32>, &[&str])]) -> Vec<String> {
        let mut told = Vec::new();
        for (number, (count, ids)) in (1..).zip(looks) {
            let peers = ids.iter().map(|id| peer(id)).collect();
            let look = Look { number, count: *count, peers };
            for news in attendance.take(&look, at(number)) {
                told.push(match news {
                    RoomNews::Opened { .. } => format!("{number} open"),
                    RoomNews::Joined { peer, .. } => format!("{number} +{}", peer.id),
                    RoomNews::Left { peer, joined_at, left_at, .. } => {
                        format!("{number} -{} {}", peer.id, (left_at - joined_at).num_seconds())
                    }
                    other => panic!("{other:?}"),
                });
            }
        }
        told
    }

    #[test]
    fn who_comes_and_goes_is_told_and_nobody_is_made_up() {
        let mut room = Attendance::default();
        let looks: &[(Option<u32>, &[&str])] = &[
            (Some(0), &[]),
            (Some(2), &["ada", "bo"]),
            // A page that cannot tell has lost nobody.
            (None, &[]),
            (Some(1), &["bo"]),
            // One whom it does not name.
            (Some(3), &["bo"]),
            (Some(2), &["bo"]),
            (Some(0), &[]),
        ];
        let told = run(&mut room, looks);
        let expected = [
            "2 open",
            "2 +ada",
            "2 +bo",
            "4 -ada 2",
            "5 +unknown-1",
            "5 +unknown-2",
            "6 -unknown-2 1",
            "7 -bo 5",
            "7 -unknown-1 2",
        ];
        assert_eq!(told, expected);
        // Read again, it says nothing.
        assert!(run(&mut room, looks).is_empty());
        let closed = RoomNews::Closed { opened_at: at(2), closed_at: at(7) };
        assert_eq!((room.end(), room.end()), (Some(closed), None));
    }

    #[test]
    fn a_session_is_over_only_if_nobody_is_known_to_be_in_it() {
        for (last, over) in
            [((Some(0), &[][..]), true), ((Some(1), &["a"]), false), ((None, &[]), false)]
        {
            let mut room = Attendance::default();
            run(&mut room, &[(Some(1), &["a"]), (Some(0), &[]), last]);
            assert_eq!(room.end().is_some(), over, "{last:?}");
        }
        assert_eq!(Attendance::default().end(), None);
    }

    #[test]
    fn two_of_one_name_are_two() {
        let nameless = |name: &str| Peer { name: name.into(), ..Peer::default() };
        let ids = |peers: &[Peer]| shown(3, peers).into_iter().map(|p| p.id).collect::<Vec<_>>();
        assert_eq!(
            ids(&[nameless("Eve"), nameless("Eve"), nameless("")]),
            ["Eve", "unknown-1", "unknown-2"]
        );
    }

    proptest! {
        /// Everybody comes before they go, once, and as many are there as are shown.
        #[test]
        fn the_books_balance(looks in prop::collection::vec(
            (prop::option::weighted(0.8, 0_u32..5), prop::collection::vec(0_u8..6, 0..4)), 1..30,
        )) {
            let mut room = Attendance::default();
            let mut there = std::collections::BTreeSet::new();
            for (number, (count, ids)) in (1..).zip(looks) {
                let peers: Vec<Peer> = ids.iter().map(|id| peer(&id.to_string())).collect();
                let look = Look { number, count, peers };
                for news in room.take(&look, at(number)) {
                    match news {
                        RoomNews::Joined { peer, .. } => prop_assert!(there.insert(peer.id)),
                        RoomNews::Left { peer, .. } => prop_assert!(there.remove(&peer.id)),
                        RoomNews::Opened { .. } => prop_assert!(there.is_empty()),
                        other => prop_assert!(false, "{other:?}"),
                    }
                }
                if let Some(count) = look.count {
                    let shown = shown(count, &look.peers);
                    prop_assert_eq!(there.len(), shown.len());
                    prop_assert_eq!(room.empty_since.is_some(), there.is_empty() && room.opened_at.is_some());
                }
            }
        }
    }
}
