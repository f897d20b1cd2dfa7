//! Where finished files are kept and how they are handed out.
//!
//! `node` moves files in and out, `http` and `webhook` ask for signed URLs. The
//! recorder process knows nothing of it. Today there is one storage, the local
//! disk.

mod local;
mod sign;

pub use local::Local;
pub use sign::{BadLink, Link};
