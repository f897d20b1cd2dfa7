//! Tells others what happens to recordings.
//!
//! `http` starts one [`Deliverer`] beside the server. It reads the store's
//! outbox, makes the contract's bodies, posts them, and writes down what came of
//! it; nothing here changes a recording. `node` only rings its bell. [`Senders`] is
//! the other direction: who is believed that tells of rooms.

mod courier;
mod deliverer;
mod flight;
mod payload;
mod schedule;
mod senders;
mod signature;
mod target;

pub use deliverer::{Deliverer, SetupError};
pub use senders::Senders;
