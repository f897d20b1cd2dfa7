//! What the page of a recording shows of its room: which session it is, and who comes
//! and goes. What is made of it is `store`'s.

use super::supervisor::Supervisor;
use crate::job::Event;
use crate::session::SessionId;
use crate::store::{Look, Step};

impl Supervisor {
    /// Writes down what the event says of the room. `looks`: how often the journal has
    /// told who is there, this event counted.
    pub(super) async fn witness(&self, looks: u64, event: Event) {
        match event {
            Event::Session { id } => match id.parse::<SessionId>() {
                Ok(session) => self.settle(Step::InSession { session }).await,
                Err(error) => tracing::debug!(id = %self.id, %error, "the page's session"),
            },
            Event::Peers { count, peers } if self.node.tells_rooms => {
                self.settle(Step::Attend { look: Look { number: looks, count, peers } }).await;
            }
            _ => {}
        }
    }
}
