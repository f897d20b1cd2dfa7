//! What the traits promise, held by the file.

use chrono::{TimeDelta, Utc};

use super::*;
use crate::job::{FailureKind, JoinRule, Occurrence, Resolution, State, StopReason};
use crate::store::{
    AdvanceError, Asset, AssetQuery, DeliveryQuery, DeliveryState, Failure, Id, InsertError,
    Outbox, Outcome, Query, Recording, RemoveError, Step, Store, Terms,
};

struct Bench {
    dir: tempfile::TempDir,
    store: SqliteStore,
}

const CLIENT_STOP: Step = Step::Stop { reason: StopReason::ClientRequest };

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&dir.path().join("test.db")).await.unwrap();
    Bench { dir, store }
}

fn recording(room: &str) -> Recording {
    let terms = Terms {
        resolution: Resolution::HD,
        fps: 30,
        join: JoinRule::Auto,
        max_duration_s: 60.0,
        audio_only: false,
    };
    Recording::new(room.into(), "https://meet.example/?token=t".into(), terms, Utc::now())
}

fn asset(failed: bool) -> Asset {
    Asset {
        id: Id::new(Utc::now()),
        path: "beam/a/20260101/Rec-a-1.mp4".into(),
        size: 7,
        duration_s: 2.5,
        created_at: Utc::now(),
        resolution: Resolution::HD,
        audio_only: false,
        failed,
    }
}

fn stop() -> Step {
    let (started_at, stopped_at) = (None, Utc::now());
    let reason = StopReason::ClientRequest;
    Step::PostProcess { started_at, stopped_at, recorded_s: 2.5, reason }
}

fn fail() -> Step {
    let failure = Failure { kind: FailureKind::InternalError, message: "broken".into() };
    Step::Fail { failure, file: Some(asset(true)) }
}

impl Bench {
    /// A recording that took all of these steps.
    async fn after(&self, room: &str, steps: Vec<Step>) -> Recording {
        let mut recording = recording(room);
        self.store.insert(recording.clone()).await.unwrap();
        for step in steps {
            recording = self.store.advance(recording.id, step, Utc::now()).await.unwrap();
        }
        recording
    }

    async fn told(&self) -> Vec<&'static str> {
        let events = self.store.new_events(100).await.unwrap();
        events.iter().map(|event| event.occurrence.name()).collect()
    }
}

fn life() -> Vec<Step> {
    let complete = Step::Complete { asset: asset(false), warnings: vec!["odd".into()] };
    vec![Step::Run { started_at: Utc::now() }, CLIENT_STOP, stop(), complete]
}

#[tokio::test]
async fn a_life_is_found_again_with_its_events() {
    let Bench { dir, store } = bench().await;
    let bench = Bench { dir, store };
    let done = bench.after("a", life()).await;
    bench.store.close().await;
    let store = SqliteStore::open(&bench.dir.path().join("test.db")).await.unwrap();
    let found = store.get(done.id).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{done:?}"));
    assert_eq!((found.state, found.assets.len()), (State::Completed, 1));
    assert_eq!(found.warnings, ["odd"]);
    let bench = Bench { store, ..bench };
    let names = ["beam.started.success", "beam.stopped.success", "beam.recording.success"];
    assert_eq!(bench.told().await, names);
    assert!(bench.store.unfinished().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_room_is_held_once_however_many_want_it() {
    let bench = bench().await;
    let tries: Vec<_> = (0..8)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move { store.insert(recording("a")).await })
        })
        .collect();
    let mut taken = 0;
    for attempt in tries {
        match attempt.await.unwrap() {
            Ok(()) => taken += 1,
            Err(InsertError::RoomHeld(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(taken, 1);
    let holder = bench.store.holder("a").await.unwrap().unwrap();
    bench.store.advance(holder.id, CLIENT_STOP, Utc::now()).await.unwrap();
    assert!(bench.store.insert(recording("a")).await.is_err());
    bench.store.advance(holder.id, fail(), Utc::now()).await.unwrap();
    assert!(bench.store.holder("a").await.unwrap().is_none());
    bench.store.insert(recording("a")).await.unwrap();
}

#[tokio::test]
async fn an_illegal_step_changes_and_tells_nothing() {
    let bench = bench().await;
    let new = bench.after("a", vec![]).await;
    for step in [Step::Pause, Step::Resume, stop()] {
        let refused = bench.store.advance(new.id, step, Utc::now()).await;
        assert!(matches!(refused, Err(AdvanceError::Illegal(_))), "{refused:?}");
    }
    let found = bench.store.get(new.id).await.unwrap().unwrap();
    assert_eq!(format!("{found:?}"), format!("{new:?}"));
    assert!(bench.told().await.is_empty());
    let nobody = bench.store.advance(Id::new(Utc::now()), CLIENT_STOP, Utc::now()).await;
    assert_eq!(nobody.unwrap_err(), AdvanceError::NotFound);
}

#[tokio::test]
async fn who_was_told_of_a_start_is_told_of_the_stop_of_a_failure() {
    let bench = bench().await;
    bench.after("a", vec![fail()]).await;
    assert_eq!(bench.told().await, ["beam.failure"]);
    let run = Step::Run { started_at: Utc::now() };
    let failed = bench.after("b", vec![run, Step::Pause, fail()]).await;
    assert!(!failed.paused && failed.stopped_at.is_some());
    let events = bench.store.new_events(100).await.unwrap();
    let Occurrence::Stopped { ended, duration } = &events[2].occurrence else { panic!() };
    assert_eq!((ended.text().as_str(), *duration), ("failure: INTERNAL_ERROR", 3));
    assert_eq!(events[3].occurrence.name(), "beam.failure");
}

#[tokio::test]
async fn deliveries_come_in_the_order_of_life_until_patience_ends() {
    let bench = bench().await;
    bench.after("a", life()).await;
    let now = Utc::now();
    for event in bench.store.new_events(10).await.unwrap() {
        bench.store.fan_out(event.id, vec!["x".into(), "y".into()], now).await.unwrap();
        bench.store.fan_out(event.id, vec!["z".into()], now).await.unwrap();
    }
    assert!(bench.told().await.is_empty());
    let due = async |at| {
        let due = bench.store.due(at, 2, 10).await.unwrap();
        due.iter()
            .map(|d| (d.id, d.endpoint.clone(), d.event.occurrence.name()))
            .collect::<Vec<_>>()
    };
    let first = due(now).await;
    assert_eq!(first.iter().map(|d| d.1.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    let later = now + TimeDelta::seconds(60);
    let retry = || Outcome::Retry { at: later, status: Some(500), error: "500".into() };
    assert!(bench.store.settle(first[0].0, retry(), now).await.unwrap());
    // It is not due, and the ones behind it wait for it.
    assert_eq!(due(now).await, first[1..]);
    assert_eq!(bench.store.next_due().await.unwrap(), Some(now));
    bench.store.settle(first[0].0, retry(), now).await.unwrap();
    // Tried twice, it holds nobody up.
    assert!(due(now).await.iter().any(|d| d.1 == "x" && d.2 == "beam.stopped.success"));
    let give_up = Outcome::GiveUp { status: None, error: "nobody there".into() };
    bench.store.settle(first[0].0, give_up, now).await.unwrap();
    bench.store.settle(first[1].0, Outcome::Delivered { status: 204 }, now).await.unwrap();

    let failed =
        DeliveryQuery { state: Some(DeliveryState::Failed), limit: 10, ..DeliveryQuery::default() };
    let found = bench.store.deliveries(&failed).await.unwrap();
    assert_eq!((found.len(), found[0].attempts), (1, 3));
    assert_eq!(bench.store.replay(&failed, now).await.unwrap(), 1);
    let again = DeliveryQuery { event_id: Some(found[0].event.id), ..failed.clone() };
    let again = DeliveryQuery { state: Some(DeliveryState::Pending), ..again };
    assert!(bench.store.deliveries(&again).await.unwrap()[0].is_replay);
    assert_eq!(bench.store.prune(later).await.unwrap(), 2);
}

#[tokio::test]
async fn lists_are_newest_first_paged_and_filtered() {
    let bench = bench().await;
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
        if page.len() < 10 {
            break;
        }
        query.before = page.last().map(|r| r.id);
    }
    assert_eq!(seen, ids);
    let of_b = Query { room_id: Some("b".into()), limit: 100, ..Query::default() };
    assert_eq!(bench.store.list(&of_b).await.unwrap().len(), 12);
    let running = Query { state: Some(State::Running), limit: 100, ..Query::default() };
    assert!(bench.store.list(&running).await.unwrap().is_empty());
    let assets = AssetQuery { failed: Some(true), limit: 100, ..AssetQuery::default() };
    assert_eq!(bench.store.assets(&assets).await.unwrap().len(), 25);
    let whole = AssetQuery { failed: Some(false), limit: 100, ..AssetQuery::default() };
    assert!(bench.store.assets(&whole).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_removed_takes_everything_with_it() {
    let bench = bench().await;
    let new = bench.after("a", vec![]).await;
    let refused = bench.store.remove(new.id).await.unwrap_err();
    assert_eq!(refused, RemoveError::Active(State::Starting));
    let done = bench.store.advance(new.id, fail(), Utc::now()).await.unwrap();
    let kept = done.assets[0].id;
    assert!(bench.store.asset(kept).await.unwrap().is_some());
    assert_eq!(bench.store.remove(new.id).await.unwrap().assets.len(), 1);
    assert!(bench.store.asset(kept).await.unwrap().is_none() && bench.told().await.is_empty());
    assert_eq!(bench.store.remove(new.id).await.unwrap_err(), RemoveError::NotFound);

    let other = bench.after("b", vec![fail()]).await;
    let gone = bench.store.remove_asset(other.assets[0].id).await.unwrap().unwrap();
    assert_eq!(gone.recording_id, other.id);
    assert!(bench.store.get(other.id).await.unwrap().unwrap().assets.is_empty());
}
