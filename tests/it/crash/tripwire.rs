//! A store that ends its process at one call.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use roomreel::store::{
    AdvanceError, AssetQuery, Delivery, DeliveryQuery, Id, InsertError, Outbox, OutboxEvent,
    Outcome, OwnedAsset, Query, Recording, RemoveError, Replayed, Step, Store, Tally, Unavailable,
};
use rustix::process::{Signal, getpid, kill_process};
use uuid::Uuid;

/// Passes every call on, and counts those that change something.
pub(super) struct Tripwire {
    pub(super) inner: Arc<dyn Store>,
    /// The call that ends it, as `calls` names it, and whether right before it.
    pub(super) at: Option<(String, bool)>,
    /// Where each call's name is written.
    pub(super) log: PathBuf,
    /// How often each was called.
    pub(super) calls: Mutex<HashMap<String, usize>>,
}

impl Tripwire {
    async fn pass<T>(&self, name: &str, call: impl Future<Output = T>) -> T {
        let name = {
            let mut calls = self.calls.lock().unwrap();
            let count = calls.entry(name.to_owned()).or_default();
            *count += 1;
            format!("{name} {count}")
        };
        let mut log =
            std::fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        writeln!(log, "{name}").unwrap();
        let hit = self.at.as_ref().filter(|(at, _)| *at == name);
        if hit.is_some_and(|(_, before)| *before) {
            die();
        }
        let answer = call.await;
        if hit.is_some() {
            die();
        }
        answer
    }
}

fn die() -> ! {
    kill_process(getpid(), Signal::KILL).unwrap();
    loop {
        std::thread::park();
    }
}

impl Store for Tripwire {
    fn insert(&self, recording: Recording) -> BoxFuture<'_, Result<(), InsertError>> {
        Box::pin(self.pass("insert", self.inner.insert(recording)))
    }

    fn advance(
        &self,
        id: Id,
        step: Step,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<Recording, AdvanceError>> {
        Box::pin(async move {
            let text = format!("{step:?}");
            let name = text.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
            self.pass(name, self.inner.advance(id, step, now)).await
        })
    }

    fn get(&self, id: Id) -> BoxFuture<'_, Result<Option<Recording>, Unavailable>> {
        self.inner.get(id)
    }

    fn holder<'a>(
        &'a self,
        room_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Recording>, Unavailable>> {
        self.inner.holder(room_id)
    }

    fn list<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Recording>, Unavailable>> {
        self.inner.list(query)
    }

    fn tally(&self) -> BoxFuture<'_, Result<Tally, Unavailable>> {
        self.inner.tally()
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Recording>, Unavailable>> {
        self.inner.unfinished()
    }

    fn remove(&self, id: Id) -> BoxFuture<'_, Result<Recording, RemoveError>> {
        Box::pin(self.pass("remove", self.inner.remove(id)))
    }

    fn assets<'a>(
        &'a self,
        query: &'a AssetQuery,
    ) -> BoxFuture<'a, Result<Vec<OwnedAsset>, Unavailable>> {
        self.inner.assets(query)
    }

    fn asset(&self, id: Id) -> BoxFuture<'_, Result<Option<OwnedAsset>, Unavailable>> {
        self.inner.asset(id)
    }

    fn remove_asset(&self, id: Id) -> BoxFuture<'_, Result<Option<OwnedAsset>, Unavailable>> {
        Box::pin(self.pass("remove_asset", self.inner.remove_asset(id)))
    }
}

impl Outbox for Tripwire {
    fn new_events(&self, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxEvent>, Unavailable>> {
        self.inner.new_events(limit)
    }

    fn fan_out(
        &self,
        event: Uuid,
        endpoints: Vec<String>,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        Box::pin(self.pass("fan_out", self.inner.fan_out(event, endpoints, now)))
    }

    fn due(
        &self,
        now: DateTime<Utc>,
        patience: u32,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, Unavailable>> {
        self.inner.due(now, patience, limit)
    }

    fn next_due(&self) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, Unavailable>> {
        self.inner.next_due()
    }

    fn settle(
        &self,
        delivery: i64,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(self.pass("settle", self.inner.settle(delivery, outcome, now)))
    }

    fn deliveries<'a>(
        &'a self,
        query: &'a DeliveryQuery,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, Unavailable>> {
        self.inner.deliveries(query)
    }

    fn replay<'a>(
        &'a self,
        query: &'a DeliveryQuery,
        now: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<Replayed, Unavailable>> {
        Box::pin(self.pass("replay", self.inner.replay(query, now)))
    }

    fn prune(&self, time: DateTime<Utc>) -> BoxFuture<'_, Result<usize, Unavailable>> {
        Box::pin(self.pass("prune", self.inner.prune(time)))
    }
}
