//! A store that lives as long as its process, for tests of what is above a store.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use uuid::Uuid;

use super::{
    AdvanceError, AssetQuery, Delivery, DeliveryQuery, DeliveryState, Id, InsertError, Outbox,
    OutboxEvent, Outcome, OwnedAsset, Query, Recording, RemoveError, Replayed, Step, Store,
    Unavailable,
};

/// Recordings in memory, behind one lock that no call holds across an await.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    /// Ascending ids are ascending age.
    recordings: BTreeMap<Id, Recording>,
    /// Which recording holds a room. Only rooms that are held have an entry.
    holders: HashMap<String, Id>,
    /// Events, and whether they were fanned out.
    events: Vec<(OutboxEvent, bool)>,
    deliveries: Vec<Delivery>,
}

impl MemoryStore {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // No code can panic between two writes under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn insert(&mut self, recording: Recording) -> Result<(), InsertError> {
        if let Some(&holder) = self.holders.get(&recording.room_id) {
            return Err(InsertError::RoomHeld(holder));
        }
        self.holders.insert(recording.room_id.clone(), recording.id);
        self.recordings.insert(recording.id, recording);
        Ok(())
    }

    fn advance(
        &mut self,
        id: Id,
        step: Step,
        now: DateTime<Utc>,
    ) -> Result<Recording, AdvanceError> {
        let recording = self.recordings.get_mut(&id).ok_or(AdvanceError::NotFound)?;
        let held = recording.state.holds_room();
        let told = recording.take(step, now)?;
        self.events.extend(told.into_iter().map(|occurrence| {
            let (event, metadata_id) = (Uuid::new_v4(), Uuid::new_v4());
            let event =
                OutboxEvent { id: event, metadata_id, recording_id: id, occurrence, at: now };
            (event, false)
        }));
        if held && !recording.state.holds_room() {
            self.holders.remove(&recording.room_id);
        }
        Ok(recording.clone())
    }
}

impl Store for MemoryStore {
    fn insert(&self, recording: Recording) -> BoxFuture<'_, Result<(), InsertError>> {
        ready(self.tables().insert(recording)).boxed()
    }

    fn advance(
        &self,
        id: Id,
        step: Step,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<Recording, AdvanceError>> {
        ready(self.tables().advance(id, step, now)).boxed()
    }

    fn get(&self, id: Id) -> BoxFuture<'_, Result<Option<Recording>, Unavailable>> {
        ready(Ok(self.tables().recordings.get(&id).cloned())).boxed()
    }

    fn holder<'a>(
        &'a self,
        room_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Recording>, Unavailable>> {
        let tables = self.tables();
        let holder = tables.holders.get(room_id).and_then(|id| tables.recordings.get(id));
        ready(Ok(holder.cloned())).boxed()
    }

    fn list<'a>(&'a self, query: &'a Query) -> BoxFuture<'a, Result<Vec<Recording>, Unavailable>> {
        let tables = self.tables();
        let newest_first = match query.before {
            Some(before) => tables.recordings.range(..before),
            None => tables.recordings.range(..),
        }
        .rev()
        .map(|(_, recording)| recording);
        let found = newest_first.filter(|r| query.matches(r)).take(query.limit).cloned().collect();
        ready(Ok(found)).boxed()
    }

    fn unfinished(&self) -> BoxFuture<'_, Result<Vec<Recording>, Unavailable>> {
        let tables = self.tables();
        let found = tables.recordings.values().filter(|r| !r.state.is_final()).cloned().collect();
        ready(Ok(found)).boxed()
    }

    fn remove(&self, id: Id) -> BoxFuture<'_, Result<Recording, RemoveError>> {
        let mut tables = self.tables();
        let state = tables.recordings.get(&id).map(|r| r.state);
        let removed = match state {
            None => Err(RemoveError::NotFound),
            Some(state) if !state.is_final() => Err(RemoveError::Active(state)),
            Some(_) => tables.recordings.remove(&id).ok_or(RemoveError::NotFound),
        };
        if removed.is_ok() {
            tables.events.retain(|(event, _)| event.recording_id != id);
            tables.deliveries.retain(|delivery| delivery.event.recording_id != id);
        }
        ready(removed).boxed()
    }

    fn assets<'a>(
        &'a self,
        query: &'a AssetQuery,
    ) -> BoxFuture<'a, Result<Vec<OwnedAsset>, Unavailable>> {
        let mut found: Vec<_> =
            self.tables().owned().filter(|asset| query.matches(asset)).collect();
        found.sort_by_key(|owned| std::cmp::Reverse(owned.asset.id));
        found.truncate(query.limit);
        ready(Ok(found)).boxed()
    }

    fn asset(&self, id: Id) -> BoxFuture<'_, Result<Option<OwnedAsset>, Unavailable>> {
        let found = self.tables().owned().find(|owned| owned.asset.id == id);
        ready(Ok(found)).boxed()
    }

    fn remove_asset(&self, id: Id) -> BoxFuture<'_, Result<Option<OwnedAsset>, Unavailable>> {
        let mut tables = self.tables();
        let found = tables.owned().find(|owned| owned.asset.id == id);
        for recording in tables.recordings.values_mut() {
            recording.assets.retain(|asset| asset.id != id);
        }
        ready(Ok(found)).boxed()
    }
}

impl Tables {
    fn owned(&self) -> impl Iterator<Item = OwnedAsset> {
        self.recordings.values().flat_map(|recording| {
            recording.assets.iter().map(|asset| OwnedAsset {
                recording_id: recording.id,
                room_id: recording.room_id.clone(),
                session_id: recording.session_id.clone(),
                destination: recording.destination.clone(),
                asset: asset.clone(),
            })
        })
    }

    fn matches(&self, query: &DeliveryQuery, delivery: &Delivery) -> bool {
        let event = &delivery.event;
        let room = self.recordings.get(&event.recording_id).map(|r| &r.room_id);
        query.event_id.is_none_or(|id| id == event.id)
            && query.recording_id.is_none_or(|id| id == event.recording_id)
            && query.room_id.as_ref().is_none_or(|id| Some(id) == room)
            && query.name.as_ref().is_none_or(|name| name == event.occurrence.name())
            && query.endpoint.as_ref().is_none_or(|name| *name == delivery.endpoint)
            && query.state.is_none_or(|state| state == delivery.state)
            && query.before.is_none_or(|id| delivery.id < id)
    }

    fn deliver(
        &mut self,
        event: OutboxEvent,
        endpoint: String,
        is_replay: bool,
        now: DateTime<Utc>,
    ) {
        let id = self.deliveries.last().map_or(1, |delivery| delivery.id + 1);
        self.deliveries.push(Delivery {
            id,
            event,
            endpoint,
            attempts: 0,
            state: DeliveryState::Pending,
            due_at: now,
            updated_at: now,
            last_status: None,
            last_error: None,
            is_replay,
        });
    }
}

impl Outbox for MemoryStore {
    fn new_events(&self, limit: usize) -> BoxFuture<'_, Result<Vec<OutboxEvent>, Unavailable>> {
        let tables = self.tables();
        let fresh = tables.events.iter().filter(|(_, told)| !told).take(limit);
        ready(Ok(fresh.map(|(event, _)| event.clone()).collect())).boxed()
    }

    fn fan_out(
        &self,
        event: Uuid,
        endpoints: Vec<String>,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        let mut tables = self.tables();
        let found = tables.events.iter_mut().find(|(e, told)| e.id == event && !told);
        if let Some((event, told)) = found {
            *told = true;
            let event = event.clone();
            for endpoint in endpoints {
                tables.deliver(event.clone(), endpoint, false, now);
            }
        }
        ready(Ok(())).boxed()
    }

    fn due(
        &self,
        now: DateTime<Utc>,
        patience: u32,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Delivery>, Unavailable>> {
        let tables = self.tables();
        let mut found: Vec<Delivery> = Vec::new();
        let mut held: Vec<(Id, &str)> = Vec::new();
        for delivery in tables.deliveries.iter().filter(|d| d.state == DeliveryState::Pending) {
            let line = (delivery.event.recording_id, delivery.endpoint.as_str());
            if delivery.due_at <= now && found.len() < limit && !held.contains(&line) {
                found.push(delivery.clone());
            }
            if delivery.attempts < patience {
                held.push(line);
            }
        }
        ready(Ok(found)).boxed()
    }

    fn next_due(&self) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, Unavailable>> {
        let tables = self.tables();
        let pending = tables.deliveries.iter().filter(|d| d.state == DeliveryState::Pending);
        ready(Ok(pending.map(|d| d.due_at).min())).boxed()
    }

    fn settle(
        &self,
        delivery: i64,
        outcome: Outcome,
        now: DateTime<Utc>,
    ) -> BoxFuture<'_, Result<bool, Unavailable>> {
        let mut tables = self.tables();
        let found = tables.deliveries.iter_mut().find(|d| d.id == delivery);
        let known = found.is_some();
        if let Some(delivery) = found {
            delivery.attempts += 1;
            delivery.updated_at = now;
            (delivery.last_status, delivery.last_error) = match outcome {
                Outcome::Delivered { status } => {
                    delivery.state = DeliveryState::Delivered;
                    (Some(status), None)
                }
                Outcome::Retry { at, status, error } => {
                    delivery.due_at = at;
                    (status, Some(error))
                }
                Outcome::GiveUp { status, error } => {
                    delivery.state = DeliveryState::Failed;
                    (status, Some(error))
                }
            };
        }
        ready(Ok(known)).boxed()
    }

    fn deliveries<'a>(
        &'a self,
        query: &'a DeliveryQuery,
    ) -> BoxFuture<'a, Result<Vec<Delivery>, Unavailable>> {
        let tables = self.tables();
        let newest = tables.deliveries.iter().rev().filter(|d| tables.matches(query, d));
        ready(Ok(newest.take(query.limit).cloned().collect())).boxed()
    }

    fn replay<'a>(
        &'a self,
        query: &'a DeliveryQuery,
        now: DateTime<Utc>,
    ) -> BoxFuture<'a, Result<Replayed, Unavailable>> {
        let mut tables = self.tables();
        let settled = |d: &&Delivery| d.state != DeliveryState::Pending;
        let found: Vec<_> = tables
            .deliveries
            .iter()
            .rev()
            .filter(settled)
            .filter(|d| tables.matches(query, d))
            .take(query.limit)
            .map(|d| (d.event.clone(), d.endpoint.clone()))
            .collect();
        let count = found.len();
        for (event, endpoint) in found {
            tables.deliver(event, endpoint, true, now);
        }
        ready(Ok(count)).boxed()
    }

    fn prune(&self, time: DateTime<Utc>) -> BoxFuture<'_, Result<usize, Unavailable>> {
        let mut tables = self.tables();
        let before = tables.deliveries.len();
        let old = |d: &Delivery| d.state != DeliveryState::Pending && d.updated_at < time;
        tables.deliveries.retain(|d| !old(d));
        ready(Ok(before - tables.deliveries.len())).boxed()
    }
}

#[cfg(test)]
mod tests;
