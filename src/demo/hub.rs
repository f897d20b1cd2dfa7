//! The rooms with their sockets: hands what `rooms` decides to the peers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::rooms::{Delivery, Rooms};
use super::wire::{FromPage, Join, Listed, PeerId, Refusal, ToPage};

/// Messages waiting for one socket. Joining the fullest room takes about a
/// hundred; a peer that falls this far behind is put out.
const QUEUE: usize = 512;

/// The one of a server.
#[derive(Debug, Default)]
pub(super) struct Hub {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rooms: Rooms,
    /// Dropping a peer's sender closes its socket once the queue is written.
    wires: HashMap<PeerId, mpsc::Sender<ToPage>>,
}

impl Inner {
    fn deliver(&mut self, out: Vec<Delivery>) {
        for Delivery { to, message } in out {
            let last = matches!(message, ToPage::Ended | ToPage::Removed);
            let sent = self.wires.get(&to).is_some_and(|wire| wire.try_send(message).is_ok());
            if last || !sent {
                // Its socket's task sees the end of the queue and leaves.
                self.wires.remove(&to);
            }
        }
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats a newcomer whose token has been applied.
    pub(super) fn join(self: &Arc<Self>, join: &Join) -> Result<Seat, Refusal> {
        let mut inner = self.lock();
        let (id, out) = inner.rooms.join(join)?;
        let (wire, queue) = mpsc::channel(QUEUE);
        inner.wires.insert(id, wire);
        inner.deliver(out);
        Ok(Seat { hub: Arc::clone(self), room: join.room.clone(), id, queue })
    }

    /// Ends a room for everybody in it; whether there was such a room.
    pub(super) fn end(&self, room: &str) -> bool {
        let mut inner = self.lock();
        let out = inner.rooms.end(room);
        let found = out.is_some();
        inner.deliver(out.unwrap_or_default());
        found
    }

    /// Puts a visible peer out; whether there was such a peer.
    pub(super) fn remove(&self, room: &str, id: PeerId) -> bool {
        let mut inner = self.lock();
        let out = inner.rooms.remove(room, id);
        let found = out.is_some();
        inner.deliver(out.unwrap_or_default());
        found
    }

    /// The visible peers of a room.
    pub(super) fn roster(&self, room: &str) -> Vec<Listed> {
        self.lock().rooms.roster(room)
    }
}

/// A place in a room; dropping it leaves the room.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
    room: String,
    id: PeerId,
    queue: mpsc::Receiver<ToPage>,
}

impl Seat {
    /// The next message for this peer; `None` when it has been put out. Cancel
    /// safe.
    pub(super) async fn next(&mut self) -> Option<ToPage> {
        self.queue.recv().await
    }

    /// Does what the page asks.
    pub(super) fn handle(&self, message: FromPage) {
        let mut inner = self.hub.lock();
        let out = match message {
            FromPage::Signal { to, data } => inner.rooms.signal(&self.room, self.id, to, data),
            FromPage::State { state } => inner.rooms.set_state(&self.room, self.id, state),
            FromPage::End => inner.rooms.end_as(&self.room, self.id),
            // Seated already.
            FromPage::Join(_) => Vec::new(),
        };
        inner.deliver(out);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.hub.lock();
        inner.wires.remove(&self.id);
        let out = inner.rooms.leave(&self.room, self.id);
        inner.deliver(out);
    }
}
