use std::sync::Arc;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::job::{FailureKind, JoinRule, Resolution, State, StopReason};
use crate::store::{Asset, Failure, Terms};

fn recording(room: &str) -> Recording {
    Recording::new(room.into(), "https://meet.example/?token=t".into(), terms(), Utc::now())
}

fn terms() -> Terms {
    let (resolution, join) = (Resolution::HD, JoinRule::Auto);
    Terms { resolution, fps: 30, join, max_duration_s: 60.0, audio_only: false }
}

fn asset() -> Asset {
    Asset {
        id: Id::new(Utc::now()),
        path: "file:///x.mp4".into(),
        size: 1,
        duration_s: 1.0,
        created_at: Utc::now(),
        resolution: Resolution::HD,
        audio_only: false,
        failed: false,
    }
}

fn steps() -> [Step; 5] {
    let now = Utc::now();
    let reason = StopReason::RoomEnded;
    [
        Step::Run { started_at: now },
        Step::Stop { reason: StopReason::ClientRequest },
        Step::PostProcess { started_at: Some(now), stopped_at: now, recorded_s: 0.0, reason },
        Step::Complete { asset: asset(), warnings: Vec::new() },
        Step::Fail {
            failure: Failure { kind: FailureKind::InternalError, message: "broken".into() },
            file: None,
        },
    ]
}

#[tokio::test]
async fn a_life_leaves_its_traces() {
    let store = MemoryStore::default();
    let new = recording("a");
    store.insert(new.clone()).await.unwrap();
    let later = new.created_at + TimeDelta::seconds(5);
    let [run, stop, post, complete, _] = steps();

    let running = store.advance(new.id, run, later).await.unwrap();
    assert_eq!((running.state, running.updated_at), (State::Running, later));
    assert!(running.started_at.is_some() && running.stopped_at.is_none());
    store.advance(new.id, stop, later).await.unwrap();
    let done = store.advance(new.id, post, later).await.unwrap();
    assert!(done.stopped_at.is_some());
    assert_eq!(done.stop_reason, Some(StopReason::RoomEnded));
    store.advance(new.id, complete, later).await.unwrap();
    let kept = store.get(new.id).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.assets.len()), (State::Completed, 1));
    assert_eq!(kept.created_at, new.created_at);
}

#[tokio::test]
async fn one_recording_holds_a_room_however_many_ask() {
    let store = Arc::new(MemoryStore::default());
    let starts: Vec<_> = (0..64)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.insert(recording("a")).await })
        })
        .collect();
    let mut accepted = 0;
    for start in starts {
        match start.await.unwrap() {
            Ok(()) => accepted += 1,
            Err(error) => assert!(matches!(error, InsertError::RoomHeld(_))),
        }
    }
    assert_eq!(accepted, 1);
    store.insert(recording("b")).await.unwrap();
}

#[tokio::test]
async fn a_room_is_free_again_from_post_processing_on() {
    let store = MemoryStore::default();
    let (first, second) = (recording("a"), recording("a"));
    let [run, _, post, complete, fail] = steps();
    store.insert(first.clone()).await.unwrap();
    store.advance(first.id, run, Utc::now()).await.unwrap();
    assert_eq!(store.holder("a").await.unwrap().map(|r| r.id), Some(first.id));
    assert_eq!(store.insert(second.clone()).await, Err(InsertError::RoomHeld(first.id)));

    store.advance(first.id, post, Utc::now()).await.unwrap();
    assert!(store.holder("a").await.unwrap().is_none());
    store.insert(second.clone()).await.unwrap();
    // The end of the first must not free the room of the second.
    store.advance(first.id, complete, Utc::now()).await.unwrap();
    assert_eq!(store.holder("a").await.unwrap().map(|r| r.id), Some(second.id));
    store.advance(second.id, fail, Utc::now()).await.unwrap();
    assert!(store.holder("a").await.unwrap().is_none());
}

#[tokio::test]
async fn an_unknown_id_is_nobody() {
    let store = MemoryStore::default();
    let id = Id::new(Utc::now());
    assert!(store.get(id).await.unwrap().is_none());
    let step =
        store.advance(id, Step::Stop { reason: StopReason::ClientRequest }, Utc::now()).await;
    assert_eq!(step.unwrap_err(), AdvanceError::NotFound);
}

#[tokio::test]
async fn pages_follow_each_other_newest_first_and_filters_apply() {
    let store = MemoryStore::default();
    let mut ids = Vec::new();
    for n in 0..30 {
        let new = recording(&format!("room-{n}"));
        ids.push(new.id);
        store.insert(new).await.unwrap();
    }
    ids.reverse();
    let mut query = Query { limit: 10, ..Query::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.list(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.before = Some(last.id);
        seen.extend(page.iter().map(|r| r.id));
    }
    assert_eq!(seen, ids);

    let [_, stop, ..] = steps();
    let stopped = store.advance(ids[3], stop, Utc::now()).await.unwrap();
    let session = stopped.session_id.to_string();
    for query in [
        Query { state: Some(State::Stopping), limit: 10, ..Query::default() },
        Query { room_id: Some(stopped.room_id.clone()), limit: 10, ..Query::default() },
        Query { session_id: Some(session), limit: 10, ..Query::default() },
    ] {
        let found: Vec<_> = store.list(&query).await.unwrap().iter().map(|r| r.id).collect();
        assert_eq!(found, [stopped.id], "{query:?}");
    }
}

proptest! {
    /// Whatever order steps arrive in: a refused step changes nothing, and the
    /// holder table says what the states say.
    #[test]
    fn any_order_of_steps_keeps_the_rules(order in prop::collection::vec(0..5_usize, 0..12)) {
        let mut tables = Tables::default();
        let new = recording("a");
        let id = new.id;
        tables.insert(new).unwrap();
        for step in order {
            let before = format!("{:?}", tables.recordings[&id]);
            let legal = tables.recordings[&id].state.advance(steps()[step].target()).is_ok();
            let taken = tables.advance(id, steps()[step].clone(), Utc::now());
            prop_assert_eq!(taken.is_ok(), legal);
            let now = &tables.recordings[&id];
            if !legal {
                prop_assert_eq!(format!("{now:?}"), before);
            }
            prop_assert_eq!(tables.holders.contains_key("a"), now.state.holds_room());
        }
    }
}

#[test]
fn a_recording_can_be_logged_without_its_token() {
    assert!(!format!("{:?}", recording("a")).contains("token"));
}
