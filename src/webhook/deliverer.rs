//! The task that empties the outbox.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::courier::{Courier, NotTaken};
use super::flight::Flight;
use super::payload::{self, File};
use super::schedule;
use super::target::Target;
use crate::config::{Config, Webhooks};
use crate::job::Occurrence;
use crate::storage::{LinkLife, Storage, StorageError, Trouble};
use crate::store::{Delivery, OutboxEvent, Outcome, Recording, Store, Unavailable};

/// How long the outbox is left alone when nothing is known to come.
const POLL: Duration = Duration::from_secs(1);
/// The same while attempts are being made: what comes next may hide behind them.
const BUSY_POLL: Duration = Duration::from_millis(200);
/// After the store did not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// Between two clearings of the history.
const PRUNE: Duration = Duration::from_secs(3600);
/// How long a shutdown waits for what can be told at once.
const DRAIN: Duration = Duration::from_secs(5);

/// Events fanned out at a time.
const EVENTS: usize = 100;
/// Due deliveries looked at, first and at most; more only wait their turn.
const DUE: usize = 128;
const MOST_DUE: usize = 8192;

/// An event waits for the ones before it while these are within the contract's
/// four attempts; what fails for longer is overtaken.
const PATIENCE: u32 = 4;

/// Why nothing can be delivered.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An endpoint that [`Config::check`] would have refused.
    #[error("webhook endpoint {name:?}: {problem}")]
    Endpoint {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// There can be no HTTP client, for example without root certificates.
    #[error("no HTTP client for webhooks: {0}")]
    Client(String),
}

/// Delivers what the store's outbox holds, for as long as it runs.
pub struct Deliverer {
    shared: Arc<Shared>,
    bell: Arc<Notify>,
    pruned: Option<Instant>,
}

/// What attempts share.
struct Shared {
    store: Arc<dyn Store>,
    storage: Arc<Storage>,
    settings: Webhooks,
    endpoints: BTreeMap<String, Target>,
    courier: Courier,
}

impl Deliverer {
    /// Delivers to the endpoints of `config`. Whoever adds to the outbox rings
    /// the `bell`; what nobody rang for is found within a second or so.
    pub fn new(
        config: &Config,
        store: Arc<dyn Store>,
        storage: Arc<Storage>,
        bell: Arc<Notify>,
    ) -> Result<Self, SetupError> {
        let settings = config.webhooks.clone();
        let courier = Courier::new(&settings, &config.net)
            .map_err(|e| SetupError::Client(e.without_url().to_string()))?;
        let mut endpoints = BTreeMap::new();
        for endpoint in &settings.endpoints {
            let name = endpoint.name.clone();
            match Target::configured(endpoint) {
                Ok(target) => endpoints.insert(name, target),
                Err(problem) => return Err(SetupError::Endpoint { name, problem }),
            };
        }
        let shared = Shared { store, storage, settings, endpoints, courier };
        Ok(Self { shared: Arc::new(shared), bell, pruned: None })
    }

    /// Delivers until `shutdown` is cancelled; then tells what can be told at
    /// once. What is left stays in the outbox for the next start.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut flight = Flight::default();
        let mut store_is_down = false;
        loop {
            let pause = match self.round(&mut flight).await {
                Ok(pause) => {
                    store_is_down = false;
                    pause
                }
                Err(error) => {
                    if !store_is_down {
                        tracing::error!(%error, "webhooks wait for the store");
                    }
                    store_is_down = true;
                    STORE_RETRY
                }
            };
            tokio::select! {
                () = self.bell.notified() => {}
                () = flight.landed() => {}
                () = sleep(pause) => {}
                () = shutdown.cancelled() => break,
            }
        }
        let end = Instant::now() + DRAIN;
        while self.round(&mut flight).await.is_ok() && !flight.is_empty() {
            tokio::select! {
                () = flight.landed() => {}
                () = sleep_until(end) => return,
            }
        }
    }

    /// Fans out what is new and starts what is due; how long nothing will be to
    /// do, unless the bell rings or an attempt ends.
    async fn round(&mut self, flight: &mut Flight) -> Result<Duration, Unavailable> {
        self.shared.fan_out().await?;
        self.start_due(flight).await?;
        if self.pruned.is_none_or(|at| at.elapsed() >= PRUNE) {
            let history = TimeDelta::from_std(self.shared.settings.history).unwrap_or_default();
            self.shared.store.prune(Utc::now() - history).await?;
            self.pruned = Some(Instant::now());
        }
        let next = self.shared.store.next_due().await?;
        let wait = next.map(|at| (at - Utc::now()).to_std().unwrap_or(BUSY_POLL));
        Ok(wait.unwrap_or(POLL).min(POLL))
    }

    /// Looks at more due deliveries only if the oldest leave none out of sight.
    async fn start_due(&self, flight: &mut Flight) -> Result<(), Unavailable> {
        let mut limit = DUE;
        loop {
            let due = self.shared.store.due(Utc::now(), PATIENCE, limit).await?;
            let all = due.len() < limit || limit >= MOST_DUE;
            for delivery in due {
                if flight.takes(&delivery) {
                    let (id, endpoint) = (delivery.id, delivery.endpoint.clone());
                    flight.start(id, endpoint, Arc::clone(&self.shared).attempt(delivery));
                }
            }
            if all {
                return Ok(());
            }
            limit *= 2;
        }
    }
}

impl Shared {
    async fn fan_out(&self) -> Result<(), Unavailable> {
        loop {
            let events = self.store.new_events(EVENTS).await?;
            for event in &events {
                let endpoints = match self.store.get(event.recording_id).await? {
                    Some(recording) => self.wanted_by(&recording, event),
                    None => Vec::new(),
                };
                self.store.fan_out(event.id, endpoints, Utc::now()).await?;
            }
            if events.len() < EVENTS {
                return Ok(());
            }
        }
    }

    /// A recording's own endpoint takes the place of all others.
    fn wanted_by(&self, recording: &Recording, event: &OutboxEvent) -> Vec<String> {
        if recording.webhook.is_some() {
            return vec![Delivery::REQUESTED.to_owned()];
        }
        let name = event.occurrence.name();
        let wanting = self.settings.endpoints.iter().filter(|endpoint| endpoint.wants(name));
        wanting.map(|endpoint| endpoint.name.clone()).collect()
    }

    /// Makes one attempt and writes down what came of it.
    async fn attempt(self: Arc<Self>, delivery: Delivery) {
        let recording = match self.store.get(delivery.event.recording_id).await {
            Ok(recording) => recording,
            // Told by the next round; not tried again at once.
            Err(Unavailable(_)) => return sleep(STORE_RETRY).await,
        };
        let outcome = match &recording {
            Some(recording) => self.deliver(&delivery, recording).await,
            // The delivery went with it; if not, it goes now.
            None => Outcome::GiveUp { status: None, error: "the recording was removed".into() },
        };
        if recording.is_some() {
            log(&delivery, &outcome);
        }
        // What was told must not be told again because the store was away.
        while self.store.settle(delivery.id, outcome.clone(), Utc::now()).await.is_err() {
            sleep(STORE_RETRY).await;
        }
    }

    async fn deliver(&self, delivery: &Delivery, recording: &Recording) -> Outcome {
        let own;
        let target = if delivery.endpoint == Delivery::REQUESTED {
            own = recording.webhook.as_ref().map(Target::requested);
            match &own {
                Some(Ok(target)) => Ok(target),
                Some(Err(problem)) => Err(problem.clone()),
                None => Err("the recording names no endpoint".to_owned()),
            }
        } else {
            let known = self.endpoints.get(&delivery.endpoint);
            known.ok_or_else(|| "the configuration does not name the endpoint any more".to_owned())
        };
        let target = match target {
            Ok(target) => target,
            Err(error) => return Outcome::GiveUp { status: None, error },
        };
        let event = &delivery.event;
        let file = match self.file(recording, event).await {
            Ok(file) => file,
            // A file without a link is told of later, at worst with an empty one.
            Err(why) => return self.later(delivery, None, format!("no link to the file: {why}")),
        };
        let body = match payload::body(&self.settings, recording, event, file, delivery.is_replay) {
            Ok(body) => body,
            Err(e) => return Outcome::GiveUp { status: None, error: e.to_string() },
        };
        match self.courier.post(target, &event.id.to_string(), body).await {
            Ok(status) => Outcome::Delivered { status },
            Err(NotTaken { status, error }) => self.later(delivery, status, error),
        }
    }

    /// What comes of an attempt that failed.
    fn later(&self, delivery: &Delivery, status: Option<u16>, error: String) -> Outcome {
        let attempts = delivery.attempts.saturating_add(1);
        let delay = schedule::delay(&self.settings.retries, attempts, rand::random());
        match delay.and_then(after) {
            Some(at) => Outcome::Retry { at, status, error },
            None => Outcome::GiveUp { status, error },
        }
    }

    /// The file that the event names, if it is still there, with a fresh link.
    async fn file(
        &self,
        recording: &Recording,
        event: &OutboxEvent,
    ) -> Result<Option<File>, StorageError> {
        let named = match &event.occurrence {
            Occurrence::Recorded { asset } | Occurrence::Failed { asset: Some(asset), .. } => asset,
            Occurrence::Failed { asset: None, .. }
            | Occurrence::Started { .. }
            | Occurrence::Stopped { .. }
            | Occurrence::Room { .. } => return Ok(None),
        };
        let found = recording.assets.iter().find(|asset| asset.id.to_string() == *named);
        let Some(asset) = found else { return Ok(None) };
        let (destination, path) = (&asset.destination, &asset.path);
        let life = LinkLife::Usual(Some(self.settings.presign_duration));
        let url = match self.storage.presign(named, destination, path, life, Utc::now()).await {
            Ok(presigned) => presigned.url,
            // It will not come back by waiting.
            Err(error) if error.trouble == Trouble::NoDestination => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Some(File::new(asset, self.storage.uri(destination, path), url)))
    }
}

fn after(delay: Duration) -> Option<DateTime<Utc>> {
    Utc::now().checked_add_signed(TimeDelta::from_std(delay).ok()?)
}

/// One line for each attempt that failed, and for a success that took several.
fn log(delivery: &Delivery, outcome: &Outcome) {
    let (id, event) = (delivery.event.recording_id, delivery.event.occurrence.name());
    let (endpoint, attempt) = (&delivery.endpoint, delivery.attempts.saturating_add(1));
    match outcome {
        Outcome::Delivered { status } if attempt == 1 => {
            tracing::debug!(%id, event, endpoint, status, "webhook delivered");
        }
        Outcome::Delivered { status } => {
            tracing::info!(%id, event, endpoint, attempt, status, "webhook delivered at last");
        }
        Outcome::Retry { at, status, error } => {
            let next_try = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
            tracing::warn!(
                %id, event, endpoint, attempt, status, error, next_try,
                "webhook not delivered, it will be tried again"
            );
        }
        Outcome::GiveUp { status, error } => tracing::error!(
            %id, event, endpoint, attempt, status, error,
            "webhook not delivered, and it will not be tried again"
        ),
    }
}
