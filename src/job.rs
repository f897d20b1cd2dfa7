//! What a recording job is: its spec, its life, the events and commands that
//! cross between the node and a recorder process.
//!
//! Pure data and rules: no tokio, no files, no sockets. Everything else in the
//! crate may depend on this module; it depends on `clock` alone.

mod egress;
mod encoder;
mod life;
mod message;
mod occurrence;
mod page;
mod presence;
mod quality;
mod redact;
mod spec;

pub use egress::Egress;
pub use encoder::{EncoderKind, EncoderWish};
pub use life::{FailureKind, IllegalTransition, State, StopReason};
pub use message::{Command, Event, Peer, Reply, Stats, Summary, What};
pub use occurrence::{Ended, Occurrence, RoomNews};
pub use page::{BasicAuth, Hidden, PageOptions};
pub use presence::{PresenceRule, TrimEmpty};
pub use quality::{Preset, Quality, QualityWish, Rate};
pub use redact::redact_url;
pub use spec::{
    BadSpec, BrowserOptions, DEFAULT_JOIN_TIMEOUT, DEFAULT_MAX_DURATION, JoinRule, RecordingSpec,
    Resolution,
};
