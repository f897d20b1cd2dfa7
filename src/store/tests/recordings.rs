//! Recordings and assets.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use secrecy::ExposeSecret;

use super::*;
use crate::job::{EncoderWish, Occurrence, Rate};

/// Two recordings are the same if all that can be shown of them is, and the
/// secrets that cannot.
#[track_caller]
fn same(one: &Recording, other: &Recording) {
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    assert_eq!(one.meeting_url.expose_secret(), other.meeting_url.expose_secret());
}

pub(super) async fn a_life_is_found_again(bench: Bench) {
    let done = bench.after("a", life()).await;
    let bench = bench.again().await;
    let found = bench.found(done.id).await;
    same(&found, &done);
    assert_eq!((found.state, found.assets.len()), (State::Completed, 1));
    assert_eq!((found.warnings.as_slice(), found.paused), (&["odd".to_owned()][..], false));
    assert_eq!(found.stop_reason, Some(StopReason::ClientRequest));
    assert!(bench.store.unfinished().await.unwrap().is_empty());
}

pub(super) async fn every_field_comes_back_as_it_went_in(bench: Bench) {
    let odd = "é\"'\\ \u{1F3A5}\n--; DROP TABLE recordings";
    let mut new = recording("Room_1.a-b");
    new.terms.quality = Quality {
        resolution: Resolution::new(720, 1280).unwrap(),
        fps: 25,
        rate: Rate::Bitrate(2500),
        keyframe_interval_s: 2.5,
        audio_bitrate: 96,
        encoder: EncoderWish::Auto,
    };
    new.terms.join = JoinRule::Media;
    (new.terms.max_duration_s, new.terms.audio_only) = (1.5, true);
    new.warnings = vec![odd.into(), String::new()];
    new.destination = odd.into();
    new.meeting_url = format!("https://meet.example/?q={odd}").into();
    new.webhook = Some(WebhookTarget {
        url: "https://app.example/hook?k=1".into(),
        headers: BTreeMap::from([("X-Key".to_owned(), "s3cret".into())]),
    });
    assert!(!format!("{new:?}").contains("s3cret"));
    bench.store.insert(new.clone()).await.unwrap();
    let bench = bench.again().await;
    let found = bench.found(new.id).await;
    same(&found, &new);
    let webhook = found.webhook.unwrap();
    assert_eq!(webhook.url.expose_secret(), "https://app.example/hook?k=1");
    assert_eq!(webhook.headers["X-Key"].expose_secret(), "s3cret");

    let started_at = DateTime::from_timestamp_nanos(1_700_000_000_123_456_789);
    bench.store.advance(new.id, Step::Run { started_at }, started_at).await.unwrap();
    let mut made = asset(true);
    (made.path, made.size, made.duration_s) = (odd.into(), 5_000_000_000, 14_399.967);
    made.audio_only = true;
    let failure = Failure { kind: FailureKind::BlankRecordingError, message: odd.into() };
    let step = Step::Fail { failure: failure.clone(), file: Some(made.clone()) };
    let failed = bench.store.advance(new.id, step, Utc::now()).await.unwrap();
    let found = bench.again().await.found(new.id).await;
    same(&found, &failed);
    assert_eq!((found.failure, found.assets), (Some(failure), vec![made]));
    assert_eq!(found.started_at, Some(started_at));
}

pub(super) async fn a_room_is_held_once_however_many_want_it(bench: Bench) {
    let tries: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&bench.store);
            tokio::spawn(async move { store.insert(recording("a")).await })
        })
        .collect();
    let (mut taken, mut holders) = (0, Vec::new());
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(()) => taken += 1,
            Err(InsertError::RoomHeld(id)) => holders.push(id),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(taken, 1);
    let holder = bench.store.holder("a").await.unwrap().unwrap();
    assert!(holders.iter().all(|id| *id == holder.id));
    assert_eq!(bench.store.list(&Query { limit: 99, ..Query::default() }).await.unwrap().len(), 1);
    bench.store.insert(recording("b")).await.unwrap();
    // The same one again, as after an answer that was lost, is no second one.
    bench.store.insert(holder.clone()).await.unwrap();
    same(&bench.found(holder.id).await, &holder);
}

pub(super) async fn a_room_is_free_from_post_processing_on(bench: Bench) {
    let first = bench.after("a", vec![run(), STOP]).await;
    assert_eq!(bench.store.insert(recording("a")).await, Err(InsertError::RoomHeld(first.id)));
    bench.store.advance(first.id, end(), Utc::now()).await.unwrap();
    assert!(bench.store.holder("a").await.unwrap().is_none());
    let second = bench.after("a", vec![]).await;
    // The end of the first must not free the room of the second.
    bench.store.advance(first.id, complete(), Utc::now()).await.unwrap();
    assert_eq!(bench.store.holder("a").await.unwrap().map(|r| r.id), Some(second.id));
    bench.store.advance(second.id, fail(), Utc::now()).await.unwrap();
    assert!(bench.store.holder("a").await.unwrap().is_none());
    bench.store.insert(recording("a")).await.unwrap();
}

pub(super) async fn an_illegal_step_changes_and_tells_nothing(bench: Bench) {
    let new = bench.after("a", vec![]).await;
    for step in [Step::Pause, Step::Resume, end(), complete()] {
        let refused = bench.store.advance(new.id, step, Utc::now()).await;
        assert!(matches!(refused, Err(AdvanceError::Illegal(_))), "{refused:?}");
    }
    same(&bench.found(new.id).await, &new);
    assert!(bench.told().await.is_empty());
    let done = bench.after("b", life()).await;
    for step in [run(), STOP, end(), complete(), fail()] {
        assert!(bench.store.advance(done.id, step, Utc::now()).await.is_err());
    }
    same(&bench.found(done.id).await, &done);
    assert_eq!(bench.told().await, LIFE);
}

/// Whatever order steps come in: a refused one changes nothing, and the room is
/// held as the state says.
pub(super) async fn any_order_of_steps_keeps_the_rules(bench: Bench) {
    let steps = || [run(), STOP, end(), complete(), fail(), Step::Pause, Step::Resume];
    let mut runner = TestRunner::deterministic();
    let orders = prop::collection::vec(0..steps().len(), 0..12);
    for n in 0..24 {
        let order = orders.new_tree(&mut runner).unwrap().current();
        let room = format!("room-{n}");
        let mut before = bench.after(&room, vec![]).await;
        for step in &order {
            let step = steps()[*step].clone();
            let mut alone = before.clone();
            let now = Utc::now();
            let legal = alone.take(step.clone(), now).is_ok();
            let taken = bench.store.advance(before.id, step, now).await;
            assert_eq!(taken.is_ok(), legal, "{order:?}: {taken:?}");
            let after = bench.found(before.id).await;
            if legal {
                same(&after, &alone_or(taken, &alone));
            } else {
                same(&after, &before);
            }
            let held = bench.store.holder(&room).await.unwrap().map(|r| r.id);
            assert_eq!(held, after.state.holds_room().then_some(after.id), "{order:?}");
            before = after;
        }
    }
}

/// What the store answered, which is what the rules alone say.
fn alone_or(taken: Result<Recording, AdvanceError>, alone: &Recording) -> Recording {
    let taken = taken.unwrap();
    same(&taken, alone);
    taken
}

pub(super) async fn of_steps_that_race_one_is_taken(bench: Bench) {
    let new = bench.after("a", vec![run()]).await;
    let tries: Vec<_> = (0..16)
        .map(|n| {
            let (store, id) = (Arc::clone(&bench.store), new.id);
            let step = if n % 2 == 0 { end() } else { STOP };
            tokio::spawn(async move { store.advance(id, step, Utc::now()).await })
        })
        .collect();
    let mut taken = Vec::new();
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(recording) => taken.push(recording.state),
            Err(AdvanceError::Illegal(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    // A stop may have come before the end, neither comes twice.
    let ends = taken.iter().filter(|state| **state == State::PostProcessing).count();
    assert!(ends == 1 && taken.len() <= 2, "{taken:?}");
    assert_eq!(bench.told().await, LIFE[..2]);
}

pub(super) async fn nobody_has_an_unknown_id(bench: Bench) {
    let id = Id::new(Utc::now());
    assert!(bench.store.get(id).await.unwrap().is_none());
    assert!(bench.store.asset(id).await.unwrap().is_none());
    assert!(bench.store.remove_asset(id).await.unwrap().is_none());
    assert!(bench.store.holder("nowhere").await.unwrap().is_none());
    let step = bench.store.advance(id, STOP, Utc::now()).await;
    assert_eq!(step.unwrap_err(), AdvanceError::NotFound);
    assert_eq!(bench.store.remove(id).await.unwrap_err(), RemoveError::NotFound);
}

pub(super) async fn who_was_told_of_a_start_is_told_of_the_stop(bench: Bench) {
    bench.after("a", vec![fail()]).await;
    assert_eq!(bench.told().await, ["beam.failure"]);
    let failed = bench.after("b", vec![run(), Step::Pause, fail()]).await;
    assert!(!failed.paused && failed.stopped_at.is_some());
    let events = bench.store.new_events(100).await.unwrap();
    let Occurrence::Stopped { ended, duration } = &events[2].occurrence else { panic!() };
    assert_eq!((ended.text().as_str(), *duration), ("failure: INTERNAL_ERROR", 3));
    assert_eq!(events[3].occurrence.name(), "beam.failure");
}

pub(super) async fn pages_follow_each_other_newest_first(bench: Bench) {
    let mut ids = Vec::new();
    for n in 0..25 {
        ids.push(bench.after(["a", "b"][n % 2], vec![fail()]).await.id);
    }
    ids.sort();
    ids.reverse();
    let mut query = Query { limit: 10, ..Query::default() };
    let mut seen = Vec::new();
    loop {
        let page = bench.store.list(&query).await.unwrap();
        seen.extend(page.iter().map(|r| r.id));
        // What comes in between is newer than every page to come.
        bench.after("c", vec![fail()]).await;
        if page.len() < 10 {
            break;
        }
        query.before = page.last().map(|r| r.id);
    }
    assert_eq!(seen, ids);
    // A page that begins nowhere in particular, and one after the last.
    let before = Some(Id::new(later(Utc::now(), 60)));
    let all = Query { before, limit: 100, ..Query::default() };
    assert_eq!(bench.store.list(&all).await.unwrap().len(), 28);
    let none = Query { before: ids.last().copied(), limit: 10, ..Query::default() };
    assert!(bench.store.list(&none).await.unwrap().is_empty());
}

pub(super) async fn filters_hold_together(bench: Bench) {
    let done = bench.after("a", life()).await;
    let failed = bench.after("a", vec![fail()]).await;
    let running = bench.after("a", vec![run()]).await;
    let other = bench.after("b", vec![]).await;
    let all = [&done, &failed, &running, &other];
    let rooms = [None, Some("a"), Some("b"), Some("c")];
    let sessions = [None, Some(running.session_id.to_string()), Some("none".to_owned())];
    let states = [None, Some(State::Starting), Some(State::Running), Some(State::Completed)];
    for room in rooms {
        for session_id in &sessions {
            for state in states {
                for before in [None, Some(running.id)] {
                    let (room_id, session_id) = (room.map(str::to_owned), session_id.clone());
                    let query = Query { room_id, session_id, state, before, limit: 10 };
                    let found = bench.store.list(&query).await.unwrap();
                    let found: Vec<_> = found.iter().map(|r| r.id).collect();
                    let mut wanted: Vec<_> =
                        all.iter().filter(|r| query.matches(r)).map(|r| r.id).collect();
                    wanted.reverse();
                    assert_eq!(found, wanted, "{query:?}");
                }
            }
        }
    }
}

pub(super) async fn what_is_unfinished_comes_oldest_first(bench: Bench) {
    let steps = [
        vec![],
        life(),
        vec![run()],
        vec![run(), Step::Pause],
        vec![STOP],
        vec![fail()],
        vec![run(), end()],
    ];
    let mut wanted = Vec::new();
    for (n, steps) in steps.into_iter().enumerate() {
        let recording = bench.after(&n.to_string(), steps).await;
        wanted.extend((!recording.state.is_final()).then_some((recording.id, recording.paused)));
    }
    let bench = bench.again().await;
    let found = bench.store.unfinished().await.unwrap();
    assert_eq!(found.iter().map(|r| (r.id, r.paused)).collect::<Vec<_>>(), wanted);
}

pub(super) async fn assets_are_found_by_what_they_are(bench: Bench) {
    let done = bench.after("a", life()).await;
    let failed = bench.after("a", vec![fail()]).await;
    let other = bench.after("b", life()).await;
    let owned: Vec<OwnedAsset> = [&done, &failed, &other]
        .map(|r| OwnedAsset {
            recording_id: r.id,
            room_id: r.room_id.clone(),
            session_id: r.session_id.clone(),
            asset: r.assets[0].clone(),
        })
        .to_vec();
    let made = owned[1].asset.created_at;
    for room_id in [None, Some("a".to_owned()), Some("c".to_owned())] {
        for session_id in [None, Some(failed.session_id.to_string())] {
            for only_failed in [None, Some(true), Some(false)] {
                for before in [None, Some(owned[2].asset.id)] {
                    for made_before in [None, Some(made), Some(later(made, 60))] {
                        let (room_id, session_id) = (room_id.clone(), session_id.clone());
                        let query = AssetQuery {
                            room_id,
                            session_id,
                            destination: None,
                            failed: only_failed,
                            before,
                            made_before,
                            limit: 10,
                        };
                        let mut wanted: Vec<_> =
                            owned.iter().filter(|o| query.matches(o)).cloned().collect();
                        wanted.reverse();
                        assert_eq!(bench.store.assets(&query).await.unwrap(), wanted, "{query:?}");
                    }
                }
            }
        }
    }
    for (name, wanted) in [("default", 3), ("elsewhere", 0)] {
        let destination = Some(name.to_owned());
        let query = AssetQuery { destination, limit: 10, ..AssetQuery::default() };
        assert_eq!(bench.store.assets(&query).await.unwrap().len(), wanted, "{name}");
    }
    let few = AssetQuery { limit: 2, ..AssetQuery::default() };
    assert_eq!(bench.store.assets(&few).await.unwrap().len(), 2);
    assert_eq!(bench.store.asset(owned[0].asset.id).await.unwrap().as_ref(), Some(&owned[0]));
}

pub(super) async fn what_is_removed_takes_everything_with_it(bench: Bench) {
    let new = bench.after("a", vec![]).await;
    let refused = bench.store.remove(new.id).await.unwrap_err();
    assert_eq!(refused, RemoveError::Active(State::Starting));
    let done = bench.store.advance(new.id, fail(), Utc::now()).await.unwrap();
    for event in bench.store.new_events(10).await.unwrap() {
        bench.store.fan_out(event.id, vec!["x".into()], Utc::now()).await.unwrap();
    }
    let all = DeliveryQuery { limit: 10, ..DeliveryQuery::default() };
    assert_eq!(bench.store.deliveries(&all).await.unwrap().len(), 1);
    let kept = done.assets[0].id;
    assert!(bench.store.asset(kept).await.unwrap().is_some());
    same(&bench.store.remove(new.id).await.unwrap(), &done);
    let bench = bench.again().await;
    assert!(bench.store.asset(kept).await.unwrap().is_none() && bench.told().await.is_empty());
    assert!(bench.store.deliveries(&all).await.unwrap().is_empty());
    assert!(bench.store.next_due().await.unwrap().is_none());
    assert_eq!(bench.store.remove(new.id).await.unwrap_err(), RemoveError::NotFound);

    let other = bench.after("b", vec![fail()]).await;
    let gone = bench.store.remove_asset(other.assets[0].id).await.unwrap().unwrap();
    assert_eq!(gone.recording_id, other.id);
    assert!(bench.found(other.id).await.assets.is_empty());
}

pub(super) async fn what_there_is_is_counted(bench: Bench) {
    assert_eq!(bench.store.tally().await.unwrap(), Tally::default());
    for room in ["a", "b"] {
        bench.after(room, vec![]).await;
    }
    bench.after("c", vec![fail()]).await;
    let events = bench.store.new_events(10).await.unwrap();
    let tally = bench.store.tally().await.unwrap();
    let mut recordings = tally.recordings.clone();
    recordings.sort_by_key(|(state, _)| format!("{state:?}"));
    assert_eq!(recordings, [(State::Failed, 1), (State::Starting, 2)]);
    assert!(tally.deliveries.is_empty() && !events.is_empty());
    // Untold while nobody was found to tell it, and while it is on its way.
    assert_eq!(tally.untold_since, events.iter().map(|event| event.at).min());
    for event in &events {
        bench.store.fan_out(event.id, vec!["x".into()], Utc::now()).await.unwrap();
    }
    let bench = bench.again().await;
    let tally = bench.store.tally().await.unwrap();
    let waiting = u64::try_from(events.len()).unwrap();
    assert_eq!(tally.deliveries, [(DeliveryState::Pending, waiting)]);
    assert_eq!(tally.untold_since, events.iter().map(|event| event.at).min());
    let all = DeliveryQuery { limit: 10, ..DeliveryQuery::default() };
    for delivery in bench.store.deliveries(&all).await.unwrap() {
        let outcome = Outcome::Delivered { status: 200 };
        bench.store.settle(delivery.id, outcome, Utc::now()).await.unwrap();
    }
    let tally = bench.store.tally().await.unwrap();
    assert_eq!(tally.deliveries, [(DeliveryState::Delivered, waiting)]);
    assert_eq!(tally.untold_since, None);
}
