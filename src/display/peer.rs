//! One Wayland connection: how much it may hold, and what its end says.
//!
//! The browser process is trusted with nothing: every object it makes takes a
//! slot, and who runs out of slots is disconnected.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::UnboundedSender;
use wayland_server::backend::protocol::ProtocolError;
use wayland_server::backend::{ClientData, ClientId, DisconnectReason};
use wayland_server::{Client, DisplayHandle};

use super::ScreenEvent;

/// Connections at a time; a browser makes two, one that restarts up to four.
const MAX_PEERS: usize = 16;
/// Protocol objects of one connection; a browser with many tabs uses hundreds.
/// Registries take no slot, as the backend makes them by itself: they are counted
/// now and then.
pub(super) const MAX_OBJECTS: usize = 8192;
/// Shared memory files of one connection; each holds a descriptor of ours.
const MAX_FILES: usize = 128;

/// A count of things alive.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Arc<AtomicUsize>);

/// One place in a [`Counter`], given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Counter);

impl Counter {
    fn take(&self) -> (Slot, usize) {
        let taken = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        (Slot(self.clone()), taken)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the backend keeps with a connection.
#[derive(Debug)]
pub(super) struct Peer {
    objects: Counter,
    files: Counter,
    events: UnboundedSender<ScreenEvent>,
    /// This connection's own place among all.
    _slot: Slot,
}

impl Peer {
    /// `None` if there are too many connections already.
    pub(super) fn new(peers: &Counter, events: UnboundedSender<ScreenEvent>) -> Option<Self> {
        let (slot, taken) = peers.take();
        (taken <= MAX_PEERS).then(|| Self {
            objects: Counter::default(),
            files: Counter::default(),
            events,
            _slot: slot,
        })
    }

    /// Whether it has made nothing yet.
    pub(super) fn is_idle(&self) -> bool {
        self.objects.0.load(Ordering::Relaxed) == 0
    }
}

/// wl_display.error no_memory: why a client that takes too much is disconnected.
pub(super) fn too_much(message: String) -> DisconnectReason {
    DisconnectReason::ProtocolError(ProtocolError {
        code: 2,
        object_id: 1,
        object_interface: "wl_display".into(),
        message,
    })
}

impl ClientData for Peer {
    fn disconnected(&self, _: ClientId, reason: DisconnectReason) {
        if let DisconnectReason::ProtocolError(error) = reason {
            tracing::warn!(%error, "a Wayland client broke the protocol");
            // The receiver may be gone already: nobody is interested then.
            let _ = self.events.send(ScreenEvent::ClientError { message: error.to_string() });
        }
    }
}

/// A slot for one more object of this client. Beyond the limit the client is
/// disconnected; it still gets the slot, as the backend demands that a new
/// object is initialised.
pub(super) fn object_slot(client: &Client, handle: &DisplayHandle) -> Slot {
    slot(client, handle, |peer| &peer.objects, MAX_OBJECTS, "objects")
}

/// The same for one more shared memory file.
pub(super) fn file_slot(client: &Client, handle: &DisplayHandle) -> Slot {
    slot(client, handle, |peer| &peer.files, MAX_FILES, "shared memory files")
}

fn slot(
    client: &Client,
    handle: &DisplayHandle,
    counter: fn(&Peer) -> &Counter,
    limit: usize,
    what: &str,
) -> Slot {
    let Some(peer) = client.get_data::<Peer>() else { return Counter::default().take().0 };
    let (slot, taken) = counter(peer).take();
    if taken > limit {
        let reason = too_much(format!("more than {limit} {what}"));
        handle.backend_handle().kill_client(client.id(), reason);
    }
    slot
}
