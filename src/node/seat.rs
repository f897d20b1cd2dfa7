//! Which recordings have a place on this node, and who sees to each.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::Instrument;
use url::Url;

use super::Inner;
use super::orders::Orders;
use super::start::StartError;
use super::supervisor::{Start, Supervisor};
use super::vitals::Seen;
use crate::store::{Id, Recording};

/// Who can be told something.
#[derive(Default)]
pub(super) struct Live {
    /// Nobody enters any more.
    pub(super) closed: bool,
    pub(super) orders: HashMap<Id, watch::Sender<Orders>>,
    /// What their journals told, for whoever asks how they are.
    pub(super) seen: HashMap<Id, Seen>,
}

/// A recording's place on this node, given back however its task ends.
pub(super) struct Seat {
    node: Arc<Inner>,
    id: Id,
    /// A recording that was found running at the start may be one too many.
    slot: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// Lets another recording begin while this one is only being uploaded.
    pub(super) fn free_slot(&mut self) {
        self.slot = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut live = self.node.live();
        live.orders.remove(&self.id);
        live.seen.remove(&self.id);
        drop(live);
        self.node.glimpses.forget(self.id);
    }
}

impl Inner {
    pub(super) fn live(&self) -> MutexGuard<'_, Live> {
        // No code can panic between two writes under this lock.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees a recording to its end, behind everybody's back.
    pub(super) fn supervise(
        self: &Arc<Self>,
        recording: &Recording,
        page: Url,
        seat: Seat,
        orders: watch::Receiver<Orders>,
        start: Start,
    ) {
        let id = recording.id;
        let spec = self.spec(recording, page);
        let dir = self.dir.join(id.to_string());
        let destination = recording.destination.clone();
        let node = Arc::clone(self);
        let supervisor = Supervisor { node, id, spec, destination, dir, orders, start };
        let of = tracing::info_span!("recording", %id, room_id = recording.room_id);
        self.tasks.spawn(supervisor.run(seat).instrument(of));
    }

    pub(super) fn enter(
        self: &Arc<Self>,
        id: Id,
        slot: Option<OwnedSemaphorePermit>,
        orders: Orders,
    ) -> Result<(Seat, watch::Receiver<Orders>), StartError> {
        let mut live = self.live();
        if live.closed {
            return Err(StartError::Closing);
        }
        let (sender, receiver) = watch::channel(orders);
        live.orders.insert(id, sender);
        Ok((Seat { node: Arc::clone(self), id, slot }, receiver))
    }
}
