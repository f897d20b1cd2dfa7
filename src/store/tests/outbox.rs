//! Events and deliveries.

use super::*;

impl Bench {
    /// Fans out everything new to `endpoints`, due at `now`.
    async fn fan_out(&self, endpoints: &[&str], now: DateTime<Utc>) {
        for event in self.store.new_events(100).await.unwrap() {
            let endpoints = endpoints.iter().map(ToString::to_string).collect();
            self.store.fan_out(event.id, endpoints, now).await.unwrap();
        }
    }

    /// Id, endpoint and name of what is due.
    async fn due(&self, at: DateTime<Utc>, patience: u32) -> Vec<(i64, String, &'static str)> {
        let due = self.store.due(at, patience, 100).await.unwrap();
        due.iter().map(|d| (d.id, d.endpoint.clone(), d.event.occurrence.name())).collect()
    }

    async fn history(&self) -> Vec<Delivery> {
        self.store.deliveries(&all()).await.unwrap()
    }

    async fn settle(&self, delivery: i64, outcome: Outcome) {
        assert!(self.store.settle(delivery, outcome, Utc::now()).await.unwrap());
    }
}

fn all() -> DeliveryQuery {
    DeliveryQuery { limit: 100, ..DeliveryQuery::default() }
}

fn retry(at: DateTime<Utc>) -> Outcome {
    Outcome::Retry { at, status: Some(500), error: "answered 500".into() }
}

const TAKEN: Outcome = Outcome::Delivered { status: 204 };

pub(super) async fn events_are_there_with_their_step(bench: Bench) {
    let mut recording = bench.after("a", vec![]).await;
    let mut told = Vec::new();
    for (step, new) in life().into_iter().zip([&LIFE[..1], &[], &LIFE[1..2], &LIFE[2..]]) {
        recording = bench.store.advance(recording.id, step, Utc::now()).await.unwrap();
        told.extend(new.iter().copied());
        assert_eq!(bench.told().await, told);
    }
    let events = bench.store.new_events(100).await.unwrap();
    assert!(events.iter().all(|event| event.recording_id == recording.id));
    let mut ids: Vec<_> = events.iter().flat_map(|e| [e.id, e.metadata_id]).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    // They are the same events whoever asks, however often.
    assert_eq!(bench.store.new_events(100).await.unwrap(), events);
    assert_eq!(bench.store.new_events(2).await.unwrap(), events[..2]);
}

pub(super) async fn an_event_is_fanned_out_once(bench: Bench) {
    bench.after("a", life()).await;
    let now = Utc::now();
    let events = bench.store.new_events(10).await.unwrap();
    bench.store.fan_out(events[0].id, vec!["x".into(), "y".into()], now).await.unwrap();
    bench.store.fan_out(events[0].id, vec!["z".into()], now).await.unwrap();
    // Nobody wants the second; nobody knows the third.
    bench.store.fan_out(events[1].id, vec![], now).await.unwrap();
    bench.store.fan_out(uuid::Uuid::new_v4(), vec!["x".into()], now).await.unwrap();
    assert_eq!(bench.told().await, [LIFE[2]]);
    let made = bench.history().await;
    let endpoints: Vec<_> = made.iter().map(|d| d.endpoint.as_str()).collect();
    assert_eq!(endpoints, ["y", "x"]);
    for delivery in made {
        assert_eq!((delivery.attempts, delivery.state), (0, DeliveryState::Pending));
        assert_eq!((delivery.event, delivery.is_replay), (events[0].clone(), false));
    }
}

pub(super) async fn deliveries_come_in_the_order_of_life(bench: Bench) {
    bench.after("a", life()).await;
    let now = Utc::now();
    bench.fan_out(&["x"], now).await;
    assert!(bench.due(later(now, -1), 4).await.is_empty());
    for name in LIFE {
        let due = bench.due(now, 4).await;
        assert_eq!(due.iter().map(|d| d.2).collect::<Vec<_>>(), [name]);
        let id = due[0].0;
        bench.settle(id, retry(later(now, 60))).await;
        // It is not due, and the ones behind it wait for it.
        assert!(bench.due(now, 4).await.is_empty());
        let (next, due) = (bench.store.next_due().await.unwrap(), bench.due(later(now, 60), 4));
        assert_eq!((next.is_some(), due.await[0].0), (true, id));
        bench.settle(id, TAKEN).await;
    }
    assert_eq!(bench.store.next_due().await.unwrap(), None);
}

pub(super) async fn patience_ends(bench: Bench) {
    bench.after("a", life()).await;
    let now = Utc::now();
    bench.fan_out(&["x"], now).await;
    let first = bench.due(now, 2).await[0].0;
    bench.settle(first, retry(later(now, 60))).await;
    assert!(bench.due(now, 2).await.is_empty());
    bench.settle(first, retry(later(now, 60))).await;
    // Tried twice, it holds up nobody; the next one does.
    assert_eq!(bench.due(now, 2).await.iter().map(|d| d.2).collect::<Vec<_>>(), [LIFE[1]]);
    assert_eq!(bench.store.next_due().await.unwrap(), Some(now));
    let give_up = Outcome::GiveUp { status: None, error: "nobody there".into() };
    bench.settle(first, give_up).await;
    assert!(bench.due(later(now, 600), 2).await.iter().all(|d| d.0 != first));
}

pub(super) async fn nobody_waits_for_another(bench: Bench) {
    bench.after("a", vec![run(), fail()]).await;
    bench.after("b", vec![run()]).await;
    let now = Utc::now();
    bench.fan_out(&["x", "y"], now).await;
    let due = bench.due(now, 4).await;
    assert_eq!(due.len(), 4, "{due:?}");
    // "x" fails for "a": "y" and the recording of "b" go on.
    bench.settle(due[0].0, retry(later(now, 60))).await;
    bench.settle(due[1].0, TAKEN).await;
    let due = bench.due(now, 4).await;
    let ends: Vec<_> = due.iter().map(|d| (d.1.as_str(), d.2)).collect();
    assert_eq!(ends, [("y", LIFE[1]), ("x", LIFE[0]), ("y", LIFE[0])]);
    assert_eq!(bench.store.due(now, 4, 1).await.unwrap().len(), 1);
}

pub(super) async fn a_delivery_remembers_its_newest_attempt(bench: Bench) {
    bench.after("a", vec![run()]).await;
    let now = Utc::now();
    bench.fan_out(&["x"], now).await;
    let id = bench.history().await[0].id;
    let at = later(now, 3);
    assert!(bench.store.settle(id, retry(at), later(now, 2)).await.unwrap());
    let bench = bench.again().await;
    let delivery = bench.history().await.remove(0);
    assert_eq!((delivery.attempts, delivery.state), (1, DeliveryState::Pending));
    assert_eq!((delivery.due_at, delivery.updated_at), (at, later(now, 2)));
    assert_eq!(
        (delivery.last_status, delivery.last_error.as_deref()),
        (Some(500), Some("answered 500"))
    );
    assert!(bench.store.settle(id, TAKEN, later(now, 4)).await.unwrap());
    let delivery = bench.history().await.remove(0);
    assert_eq!((delivery.attempts, delivery.state), (2, DeliveryState::Delivered));
    assert_eq!((delivery.last_status, delivery.last_error), (Some(204), None));
    assert!(!bench.store.settle(id + 1, TAKEN, now).await.unwrap());
}

pub(super) async fn a_replay_tells_the_same_again(bench: Bench) {
    bench.after("a", life()).await;
    let now = Utc::now();
    bench.fan_out(&["x"], now).await;
    let mut made = bench.history().await;
    made.reverse();
    // Pending ones are told anyway.
    assert_eq!(bench.store.replay(&all(), now).await.unwrap(), 0);
    for delivery in &made[..2] {
        bench.settle(delivery.id, TAKEN).await;
    }
    assert_eq!(bench.store.replay(&all(), now).await.unwrap(), 2);
    let again = bench.history().await;
    assert_eq!(again.len(), 5);
    assert!(again[..2].iter().all(|d| d.is_replay && d.state == DeliveryState::Pending));
    assert_eq!(again[..2].iter().map(|d| d.attempts).collect::<Vec<_>>(), [0, 0]);
    // Oldest first, and the same event.
    assert_eq!((&again[1].event, &again[0].event), (&made[0].event, &made[1].event));
    let newest = DeliveryQuery { limit: 1, ..all() };
    assert_eq!(bench.store.replay(&newest, now).await.unwrap(), 1);
}

pub(super) async fn history_is_found_by_what_it_is(bench: Bench) {
    let done = bench.after("a", life()).await;
    bench.after("b", vec![fail()]).await;
    let now = Utc::now();
    bench.fan_out(&["x", "y"], now).await;
    let history = bench.history().await;
    assert_eq!(history.len(), 8);
    assert!(history.is_sorted_by(|newer, older| newer.id > older.id));
    bench.settle(history[7].id, TAKEN).await;
    bench.settle(history[6].id, Outcome::GiveUp { status: None, error: "gone".into() }).await;
    let event = history[7].event.id;
    for (query, wanted) in [
        (DeliveryQuery { event_id: Some(event), ..all() }, 2),
        (DeliveryQuery { recording_id: Some(done.id), ..all() }, 6),
        (DeliveryQuery { room_id: Some("b".into()), ..all() }, 2),
        (DeliveryQuery { name: Some("beam.failure".into()), ..all() }, 2),
        (DeliveryQuery { endpoint: Some("x".into()), ..all() }, 4),
        (DeliveryQuery { state: Some(DeliveryState::Pending), ..all() }, 6),
        (DeliveryQuery { state: Some(DeliveryState::Failed), ..all() }, 1),
        (DeliveryQuery { before: Some(history[3].id), ..all() }, 4),
        (DeliveryQuery { limit: 3, ..all() }, 3),
        (DeliveryQuery { room_id: Some("b".into()), endpoint: Some("y".into()), ..all() }, 1),
        (DeliveryQuery { room_id: Some("c".into()), ..all() }, 0),
    ] {
        assert_eq!(bench.store.deliveries(&query).await.unwrap().len(), wanted, "{query:?}");
    }
}

pub(super) async fn what_is_settled_is_forgotten_in_time(bench: Bench) {
    bench.after("a", life()).await;
    let now = Utc::now();
    bench.fan_out(&["x"], now).await;
    let history = bench.history().await;
    assert!(bench.store.settle(history[2].id, TAKEN, now).await.unwrap());
    assert!(bench.store.settle(history[1].id, TAKEN, later(now, 60)).await.unwrap());
    assert_eq!(bench.store.prune(later(now, -1)).await.unwrap(), 0);
    // The newer one is still history, the pending one still has to be told.
    assert_eq!(bench.store.prune(later(now, 30)).await.unwrap(), 1);
    let left: Vec<_> = bench.history().await.iter().map(|d| d.id).collect();
    assert_eq!(left, [history[0].id, history[1].id]);
    assert_eq!(bench.store.prune(later(now, 3600)).await.unwrap(), 1);
    assert_eq!(bench.due(later(now, 3600), 4).await.len(), 1);
}

pub(super) async fn an_outbox_is_found_again(bench: Bench) {
    bench.after("a", vec![run()]).await;
    let event = bench.store.new_events(10).await.unwrap();
    let bench = bench.again().await;
    assert_eq!(bench.store.new_events(10).await.unwrap(), event);
    bench.fan_out(&["x"], Utc::now()).await;
    let history = bench.history().await;
    let bench = bench.again().await;
    assert!(bench.told().await.is_empty());
    assert_eq!(bench.history().await, history);
    assert_eq!(bench.due(later(Utc::now(), 1), 4).await.len(), 1);
}
