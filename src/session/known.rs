//! What the events of a session add up to, whatever order they came in.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Happening, RoomEvent, SessionId};

/// One session of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub room_id: String,
    /// The meeting software's id of it.
    pub id: SessionId,
    /// The room's name for people; empty if it was not told.
    pub room_name: String,
    /// When it began: the earliest time that was told.
    pub opened_at: DateTime<Utc>,
    /// Its beginning was told, so that everybody who came was told, too.
    pub opening_told: bool,
    /// When it was over: the earliest time that was told.
    pub closed_at: Option<DateTime<Utc>>,
}

impl Session {
    /// As the first event that came shows it.
    pub fn of(event: &RoomEvent) -> Self {
        let mut session = Self {
            room_id: event.room_id.clone(),
            id: event.session_id.clone(),
            room_name: String::new(),
            opened_at: event.opened_at,
            opening_told: false,
            closed_at: None,
        };
        session.take(event);
        session
    }

    /// Takes in one more event of the same session, or the same one again.
    pub fn take(&mut self, event: &RoomEvent) {
        self.opened_at = self.opened_at.min(event.opened_at);
        // Of two names the order must not decide; an empty one is none.
        self.room_name = std::mem::take(&mut self.room_name).max(event.room_name.clone());
        match event.happening {
            Happening::Opened => self.opening_told = true,
            Happening::Closed | Happening::Ended => {
                self.closed_at = Some(self.closed_at.map_or(event.at, |at| at.min(event.at)));
            }
            Happening::Joined { .. } | Happening::Left { .. } => {}
        }
    }

    /// True unless it is over, or began so long before `now` that its end must
    /// have been missed.
    pub fn is_active(&self, now: DateTime<Utc>, longest: TimeDelta) -> bool {
        self.closed_at.is_none() && now.signed_duration_since(self.opened_at) < longest
    }
}

/// A participant as the meeting software tells it. The newest one of two is the
/// greater one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Peer {
    /// When it came.
    pub joined_at: DateTime<Utc>,
    /// Its id in the session; another one after a re-join, usually.
    pub id: String,
    /// Its name for people; empty if it was not told, like all that follows.
    pub name: String,
    /// Whom it is in the caller's system.
    pub user_id: String,
    /// What the caller's system attached to it.
    pub metadata: String,
    /// Its role.
    pub role: String,
}

/// What is known of one peer's coming and going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Who it is, as of its newest coming.
    pub peer: Peer,
    /// When it came last, as far as its coming was told.
    pub joined_at: Option<DateTime<Utc>>,
    /// The newest leave that was told: when it went, and when it had come.
    pub left: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Presence {
    /// As the first event that came shows it; `None` if the event is of no peer.
    pub fn of(event: &RoomEvent) -> Option<Self> {
        let (Happening::Joined { peer } | Happening::Left { peer }) = &event.happening else {
            return None;
        };
        let mut presence = Self { peer: peer.clone(), joined_at: None, left: None };
        presence.take(event);
        Some(presence)
    }

    /// Takes in one more event of the same peer, or the same one again.
    pub fn take(&mut self, event: &RoomEvent) {
        match &event.happening {
            Happening::Joined { peer } => {
                self.peer = self.peer.clone().max(peer.clone());
                self.joined_at = self.joined_at.max(Some(peer.joined_at));
            }
            Happening::Left { peer } => {
                self.peer = self.peer.clone().max(peer.clone());
                self.left = self.left.max(Some((event.at, peer.joined_at)));
            }
            Happening::Opened | Happening::Closed | Happening::Ended => {}
        }
    }

    /// True if it is in the session: it has come, and not gone since.
    pub fn is_present(&self) -> bool {
        let since = |joined: DateTime<Utc>| {
            self.left.is_none_or(|(left, of)| joined > of && joined >= left)
        };
        self.joined_at.is_some_and(since)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn peer(joined: i64) -> Peer {
        Peer {
            joined_at: at(joined),
            id: "p".into(),
            name: format!("Ann {joined}"),
            user_id: String::new(),
            metadata: String::new(),
            role: "host".into(),
        }
    }

    fn event(seconds: i64, happening: Happening) -> RoomEvent {
        RoomEvent {
            id: format!("{seconds} {}", happening.name()),
            room_id: "r".into(),
            room_name: String::new(),
            session_id: "s".parse().unwrap(),
            opened_at: at(0),
            at: at(seconds),
            happening,
        }
    }

    fn joins(seconds: i64) -> RoomEvent {
        event(seconds, Happening::Joined { peer: peer(seconds) })
    }

    fn leaves(joined: i64, seconds: i64) -> RoomEvent {
        event(seconds, Happening::Left { peer: peer(joined) })
    }

    fn known(events: &[RoomEvent]) -> (Session, Option<Presence>) {
        let mut session = Session::of(&events[0]);
        let mut presence: Option<Presence> = None;
        for event in events {
            session.take(event);
            match &mut presence {
                Some(presence) => presence.take(event),
                none => *none = Presence::of(event),
            }
        }
        (session, presence)
    }

    #[test]
    fn who_came_and_did_not_go_is_present() {
        for (events, present) in [
            (vec![joins(1)], true),
            (vec![joins(1), leaves(1, 5)], false),
            // The leave came first.
            (vec![leaves(1, 5), joins(1)], false),
            // A leave alone tells of nobody who is there.
            (vec![leaves(1, 5)], false),
            // It came again, within the second in which it went.
            (vec![joins(1), leaves(1, 5), joins(5)], true),
            (vec![joins(5), leaves(1, 5), joins(1)], true),
            (vec![joins(1), leaves(1, 5), joins(9), leaves(9, 12)], false),
            (vec![leaves(9, 12), joins(9), joins(1), leaves(1, 5)], false),
            // It came and went within one second.
            (vec![joins(1), leaves(1, 1)], false),
        ] {
            assert_eq!(known(&events).1.unwrap().is_present(), present, "{events:?}");
        }
    }

    #[test]
    fn a_session_ends_by_its_close_by_its_end_and_by_its_age() {
        let longest = TimeDelta::hours(12);
        let open = Session::of(&joins(1));
        assert!(open.is_active(at(2), longest) && open.is_active(at(12 * 3600 - 1), longest));
        assert!(!open.is_active(at(12 * 3600), longest));
        for end in [Happening::Closed, Happening::Ended] {
            let over = known(&[event(9, end), joins(1), event(0, Happening::Opened)]).0;
            assert!(!over.is_active(at(2), longest));
            assert_eq!((over.closed_at, over.opening_told), (Some(at(9)), true));
        }
    }

    fn any_event() -> impl Strategy<Value = RoomEvent> {
        let named = (0..3_u8, 0..3_i64, 0..5_i64);
        (0..5_u8, 0..9_i64, 0..5_i64, named).prop_map(|(kind, joined, later, named)| {
            let (name, opened, _) = named;
            let mut event = match kind {
                0 => event(joined, Happening::Opened),
                1 => event(joined, Happening::Closed),
                2 => event(joined, Happening::Ended),
                3 => joins(joined),
                _ => leaves(joined, joined + later),
            };
            event.room_name = ["", "standup", "retro"][usize::from(name)].into();
            event.opened_at = at(opened);
            event
        })
    }

    proptest! {
        #[test]
        fn neither_order_nor_repetition_matters(
            events in prop::collection::vec(any_event(), 1..12),
            moves in prop::collection::vec((any::<Index>(), any::<Index>()), 0..12),
            again in prop::collection::vec(any::<Index>(), 0..6),
        ) {
            let mut shuffled = events.clone();
            shuffled.extend(again.iter().map(|index| index.get(&events).clone()));
            for (from, to) in moves {
                let length = shuffled.len();
                shuffled.swap(from.index(length), to.index(length));
            }
            prop_assert_eq!(known(&events), known(&shuffled));
        }
    }
}
