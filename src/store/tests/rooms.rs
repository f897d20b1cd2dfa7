//! The promises about what rooms told.

use super::*;
use crate::session::{Happening, Peer, RoomEvent, Session};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 5).unwrap()
}

fn peer(name: &str, joined: i64) -> Peer {
    Peer {
        joined_at: at(joined),
        id: format!("peer-{name}"),
        name: name.into(),
        user_id: format!("user-{name}"),
        metadata: "{}".into(),
        role: "host".into(),
    }
}

fn event(id: &str, seconds: i64, happening: Happening) -> RoomEvent {
    RoomEvent {
        id: id.into(),
        room_id: "room".into(),
        room_name: "Standup".into(),
        session_id: "session-1".parse().unwrap(),
        opened_at: at(0),
        at: at(seconds),
        happening,
    }
}

fn joins(id: &str, name: &str, seconds: i64) -> RoomEvent {
    event(id, seconds, Happening::Joined { peer: peer(name, seconds) })
}

fn leaves(id: &str, name: &str, joined: i64, seconds: i64) -> RoomEvent {
    event(id, seconds, Happening::Left { peer: peer(name, joined) })
}

impl Bench {
    async fn take_in(&self, events: &[RoomEvent]) {
        for event in events {
            assert!(self.store.take_in(event, at(100)).await.unwrap(), "{event:?}");
        }
    }

    async fn newest(&self) -> Attended {
        self.store.newest_session("room").await.unwrap().unwrap()
    }

    async fn present(&self) -> Vec<String> {
        self.newest().await.peers.into_iter().map(|peer| peer.name).collect()
    }
}

pub(super) async fn a_session_is_what_its_events_add_up_to(bench: Bench) {
    let events = [
        leaves("4", "Ann", 1, 9),
        joins("3", "Bob", 2),
        event("1", 0, Happening::Opened),
        joins("2", "Ann", 1),
        joins("5", "Cid", 4),
    ];
    bench.take_in(&events).await;
    let bench = bench.again().await;
    // What was told before is known to have been.
    for event in &events {
        assert!(!bench.store.take_in(event, at(200)).await.unwrap());
    }
    assert_eq!(bench.present().await, ["Bob", "Cid"]);
    let Attended { session, hands_off, peers } = bench.newest().await;
    assert_eq!(peers[0], peer("Bob", 2));
    let wanted = Session {
        room_id: "room".into(),
        id: "session-1".parse().unwrap(),
        room_name: "Standup".into(),
        opened_at: at(0),
        opening_told: true,
        closed_at: None,
    };
    assert_eq!((session, hands_off), (wanted, false));
    assert_eq!(bench.store.newest_session("other").await.unwrap(), None);
    bench.take_in(&[event("6", 20, Happening::Closed)]).await;
    assert_eq!(bench.newest().await.session.closed_at, Some(at(20)));
}

pub(super) async fn an_older_session_never_takes_the_place_of_a_newer_one(bench: Bench) {
    let newer = |event: RoomEvent| RoomEvent {
        session_id: "session-2".parse().unwrap(),
        opened_at: at(50),
        ..event
    };
    bench.take_in(&[newer(joins("1", "Bob", 60)), joins("2", "Ann", 5)]).await;
    bench.take_in(&[event("3", 0, Happening::Opened), leaves("4", "Bob", 5, 70)]).await;
    assert_eq!(bench.newest().await.session.id.to_string(), "session-2");
    assert_eq!(bench.present().await, ["Bob"]);
    bench.take_in(&[newer(event("5", 80, Happening::Ended))]).await;
    assert_eq!(bench.newest().await.session.closed_at, Some(at(80)));
}

pub(super) async fn events_wait_in_their_order_until_they_are_settled(bench: Bench) {
    let events = [joins("b", "Bob", 9), joins("a", "Ann", 1), event("c", 3, Happening::Closed)];
    bench.take_in(&events).await;
    let bench = bench.again().await;
    let waiting = async || {
        let received = bench.store.unsettled(10).await.unwrap();
        received.into_iter().map(|received| received.event).collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, events);
    let first = &bench.store.unsettled(1).await.unwrap();
    assert_eq!((first.len(), first[0].at), (1, at(100)));
    bench.store.settle_event("a").await.unwrap();
    assert_eq!(waiting().await, [events[0].clone(), events[2].clone()]);
    // It is settled, and known to have been there.
    assert!(!bench.store.take_in(&events[1], at(200)).await.unwrap());
    bench.store.settle_event("none").await.unwrap();
}

pub(super) async fn many_deliveries_of_one_event_are_taken_in_once(bench: Bench) {
    let (event, now) = (joins("1", "Ann", 1), at(100));
    let tries = (0..20).map(|_| bench.store.take_in(&event, now));
    let taken = futures::future::join_all(tries).await;
    assert_eq!(taken.into_iter().filter(|taken| *taken == Ok(true)).count(), 1);
}

pub(super) async fn a_recording_takes_the_session_that_it_is_of_once(bench: Bench) {
    let made = bench.after("room", vec![run()]).await;
    let failed = bench.after("other", vec![run(), fail()]).await;
    let one = "session-1".parse().unwrap();
    for id in [made.id, failed.id] {
        let adopted = bench.store.adopt_session(id, &one).await.unwrap().unwrap();
        assert_eq!((&adopted.session_id, adopted.session_is_made_up), (&one, false));
    }
    let two = "session-2".parse().unwrap();
    let same = bench.store.adopt_session(made.id, &two).await.unwrap().unwrap();
    assert_eq!(same.session_id, one);
    assert_eq!(bench.found(made.id).await.session_id, one);
    let asset = bench.store.asset(failed.assets[0].id).await.unwrap().unwrap();
    assert_eq!(asset.session_id, one);
    let nobody = Id::new(Utc::now());
    assert!(bench.store.adopt_session(nobody, &one).await.unwrap().is_none());
}

pub(super) async fn a_page_names_the_session_of_its_recording_once(bench: Bench) {
    let made = bench.after("room", vec![run()]).await;
    let in_session = |id: &str| Step::InSession { session: id.parse().unwrap() };
    for (said, is) in [("one", "one"), ("two", "one")] {
        let updated = bench.store.advance(made.id, in_session(said), Utc::now()).await.unwrap();
        assert_eq!((updated.session_id.to_string(), updated.state), (is.into(), State::Running));
    }
    let query = |id: &str| Query { session_id: Some(id.into()), limit: 9, ..Query::default() };
    assert_eq!(bench.store.list(&query("one")).await.unwrap().len(), 1);
    assert!(bench.store.list(&query("two")).await.unwrap().is_empty());
    // What the webhooks say came too late, or came first.
    let late = bench.store.adopt_session(made.id, &"hook".parse().unwrap()).await.unwrap();
    assert_eq!(late.unwrap().session_id.to_string(), "one");
    let over = bench.after("over", vec![run(), fail()]).await;
    assert!(bench.store.advance(over.id, in_session("one"), Utc::now()).await.is_err());
}

pub(super) async fn who_comes_and_goes_is_told_with_the_look_that_shows_it(bench: Bench) {
    let mut wanted = recording("room");
    wanted.attendance = Some(Attendance::default());
    let id = wanted.id;
    bench.store.insert(wanted).await.unwrap();
    let look = |number: u64, count: u32| {
        let look = Look { number, count: Some(count), peers: Vec::new() };
        Step::Attend { look }
    };
    for step in [look(1, 0), look(2, 2), run(), look(3, 1)] {
        bench.store.advance(id, step, Utc::now()).await.unwrap();
    }
    // A service that comes back reads them again.
    let bench = bench.again().await;
    for step in [look(1, 0), look(2, 2), look(3, 1), look(4, 0), end()] {
        bench.store.advance(id, step, Utc::now()).await.unwrap();
    }
    let (join, leave) = ("peer.join.success", "peer.leave.success");
    let expected = [
        "session.open.success",
        join,
        join,
        "beam.started.success",
        leave,
        leave,
        "session.close.success",
        "beam.stopped.success",
    ];
    assert_eq!(bench.told().await, expected);
    // Where the room has webhooks, nothing is told in their place.
    let mut other = recording("other");
    other.attendance = Some(Attendance::default());
    bench.store.insert(other.clone()).await.unwrap();
    bench.store.adopt_session(other.id, &"hook".parse().unwrap()).await.unwrap();
    bench.store.advance(other.id, look(1, 2), Utc::now()).await.unwrap();
    assert_eq!(bench.told().await.len(), expected.len());
}

pub(super) async fn hands_stay_off_a_session_whatever_comes(bench: Bench) {
    let session = "session-1".parse().unwrap();
    bench.store.keep_hands_off("room", &session).await.unwrap();
    assert_eq!(bench.store.newest_session("room").await.unwrap(), None);
    bench.take_in(&[joins("1", "Ann", 1)]).await;
    assert!(!bench.newest().await.hands_off);
    bench.store.keep_hands_off("room", &session).await.unwrap();
    bench.take_in(&[joins("2", "Bob", 2)]).await;
    assert!(bench.again().await.newest().await.hands_off);
}

pub(super) async fn what_is_old_is_forgotten_and_what_is_unsettled_is_not(bench: Bench) {
    bench.take_in(&[joins("1", "Ann", 1), joins("2", "Bob", 2)]).await;
    bench.store.settle_event("1").await.unwrap();
    let long_after = later(at(100), 86_400);
    assert_eq!(bench.store.forget_rooms(at(0), long_after).await.unwrap(), 0);
    assert_eq!(bench.present().await, ["Ann", "Bob"]);
    assert!(bench.store.take_in(&joins("1", "Ann", 1), at(101)).await.unwrap());
    assert!(!bench.store.take_in(&joins("2", "Bob", 2), at(101)).await.unwrap());
    assert_eq!(bench.store.forget_rooms(at(1), long_after).await.unwrap(), 1);
    assert_eq!(bench.store.newest_session("room").await.unwrap(), None);
}
