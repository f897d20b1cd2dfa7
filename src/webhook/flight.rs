//! The attempts that are being made, and how many may be.

use std::collections::{HashMap, HashSet};

use tokio::task::{Id, JoinSet};

use crate::store::Delivery;

/// Attempts at once to one configured endpoint: one that hangs keeps these, and
/// none of another's.
const EACH: usize = 8;
/// Attempts at once to all endpoints that requests named.
const REQUESTED: usize = 32;

/// Attempts in tasks of their own. Dropping it ends them, which is safe at any
/// moment: what was not settled is delivered again.
#[derive(Default)]
pub(super) struct Flight {
    tasks: JoinSet<()>,
    aboard: HashMap<Id, (i64, String)>,
    deliveries: HashSet<i64>,
}

impl Flight {
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// True if the delivery is not being attempted and its endpoint has a place.
    pub(super) fn takes(&self, delivery: &Delivery) -> bool {
        let same = |endpoint: &&(i64, String)| endpoint.1 == delivery.endpoint;
        let places = if delivery.endpoint == Delivery::REQUESTED { REQUESTED } else { EACH };
        !self.deliveries.contains(&delivery.id)
            && self.aboard.values().filter(same).count() < places
    }

    pub(super) fn start(
        &mut self,
        id: i64,
        endpoint: String,
        attempt: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(attempt).id();
        self.aboard.insert(task, (id, endpoint));
        self.deliveries.insert(id);
    }

    /// Waits for one attempt to end; for ever if there is none.
    pub(super) async fn landed(&mut self) {
        let task = match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            Some(Err(lost)) => lost.id(),
            None => return std::future::pending().await,
        };
        if let Some((id, _)) = self.aboard.remove(&task) {
            self.deliveries.remove(&id);
        }
    }
}
