//! Which addresses a request may lead to.
//!
//! A URL that came in a request (a meeting, a webhook of one recording) could
//! name the machine's own services, its neighbours or a cloud's metadata
//! endpoint. [`Guard`] says which addresses are the outside world;
//! [`GuardedResolver`] asks it at connect time, after DNS, so that a name cannot
//! change its mind in between. URLs that the operator configured are the
//! operator's word and do not come here.
//!
//! [`Proxy`] asks it for everything that a recorded page connects to.
//!
//! `http` checks meeting URLs, `webhook` delivers through the resolver, `recorder`
//! makes its browser use the proxy. Nothing here knows what a recording is.

mod guard;
mod proxy;
mod resolver;

pub use guard::{Guard, Lookup, Refused};
pub use proxy::{Proxy, Refusal, Upstream};
pub use resolver::GuardedResolver;
