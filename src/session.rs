//! Sessions of rooms and who is in them, as the rooms' own webhooks tell it.
//!
//! Pure. `http` makes [`RoomEvent`]s of what is posted, a store keeps what they
//! add up to, `automation` draws the consequences. Events come more than once
//! and in any order: what is known of a session or a peer is the same whatever
//! the order was.

mod event;
mod id;
mod known;

pub use event::{Happening, RoomEvent};
pub use id::{BadSessionId, SessionId};
pub use known::{Peer, Presence, Session};
