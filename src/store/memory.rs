//! A store that lives as long as its process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{AdvanceError, Id, InsertError, Query, Recording, Step, Store, Unavailable};

/// Recordings in memory, behind one lock that no call holds across an await.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    /// Ascending ids are ascending age.
    recordings: BTreeMap<Id, Recording>,
    /// Which recording holds a room. Only rooms that are held have an entry.
    holders: HashMap<String, Id>,
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
        recording.take(step, now)?;
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
}

#[cfg(test)]
mod tests;
