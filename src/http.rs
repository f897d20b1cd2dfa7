//! The HTTP side of the service: the recordings API (`docs/api.md`).
//!
//! `main` calls [`serve`]. Handlers check what they are sent, ask `node` to act
//! and `store` to remember, and know nothing of processes. Files are known to
//! `files.rs` alone, which asks `storage` where they are.
//!
//! A request passes `log`, `guard` (who may call from where), `auth` (with which
//! token) and then one handler of `routes`, the one list of them. Pages for people
//! are in `dashboard`, which has a list and a gate of its own.
//!
//! Logging: one line for each request, without its query; a failure's cause is
//! on that line and nowhere else.

mod active_rooms;
mod assets;
mod attempts;
mod auth;
mod body;
mod dashboard;
mod deliveries;
mod error;
mod files;
mod guard;
mod headers;
mod health;
mod hooks;
mod log;
mod metrics;
mod openapi;
mod query;
mod recordings;
mod refusals;
mod routes;
mod start;
mod view;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chrono::{TimeDelta, Utc};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::attempts::Attempts;
use self::dashboard::Desk;
use self::guard::Guard;
use crate::automation::{self, Automaton, Bots};
use crate::config::{self, Config, ConfigError};
use crate::net;
use crate::node::{Claim, Node, StopError};
use crate::session::SessionId;
use crate::storage::{SetupError as StorageError, Storage};
use crate::store::{Id, OpenError, Recording, Rooms, SqliteStore, Store, Unavailable};
use crate::token::Keys;
use crate::webhook::{Deliverer, Senders, SetupError};

/// The database's name in the data directory.
pub const DATABASE: &str = "roomreel.db";

/// How long open connections may take to end once the recordings have.
const LINGER: Duration = Duration::from_secs(2);

/// Why the service did not start, or fell over.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address to listen on can be reached from other machines.
    #[error(
        "will not listen on {0}: no API tokens are asked for, so whoever reaches that address \
         could start, watch and stop recordings; set auth.keys, or listen on a loopback address \
         such as 127.0.0.1:8080"
    )]
    NotLoopback(SocketAddr),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {dir}: {source}")]
    Data {
        /// Which.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A destination for files cannot be used.
    #[error(transparent)]
    Storage(StorageError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] Unavailable),
    /// Nobody could be told of anything.
    #[error(transparent)]
    Webhooks(#[from] SetupError),
    /// The listening socket failed.
    #[error("the HTTP server failed: {0}")]
    Http(#[from] std::io::Error),
}

/// Refuses a configuration that [`serve`] would not start with, as far as that
/// shows without touching network and disk.
pub fn check(config: &Config) -> Result<(), ServeError> {
    config.check()?;
    let listen = config.server.listen;
    if config.auth.keys.is_empty() && !listen.ip().to_canonical().is_loopback() {
        return Err(ServeError::NotLoopback(listen));
    }
    Ok(())
}

/// Runs the service until `shutdown` is cancelled and its recordings are
/// finished, or `recording.stop_grace` has passed.
pub async fn serve(config: Config, shutdown: CancellationToken) -> Result<(), ServeError> {
    Server::bind(&config).await?.run(shutdown).await
}

/// A service that has its port but does not answer yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    node: Node,
    storage: Arc<Storage>,
    closing: CancellationToken,
    routes: Router,
    deliverer: Deliverer,
    automaton: Automaton,
    /// Nobody else uses the data directory meanwhile.
    _claim: Claim,
}

/// What handlers share.
#[derive(Clone)]
struct App {
    node: Node,
    store: Arc<dyn Store>,
    /// What rooms told.
    rooms: Arc<dyn Rooms>,
    /// Who may tell.
    senders: Arc<Senders>,
    /// Rung when a room told something.
    hooked: Arc<Notify>,
    storage: Arc<Storage>,
    /// Where a request's meeting may be.
    addresses: net::Guard,
    /// Rung when there is something to deliver.
    told: Arc<Notify>,
    settings: Arc<Settings>,
    /// Cancelled once the service shuts down.
    closing: CancellationToken,
}

/// What handlers know of the configuration.
struct Settings {
    data_dir: PathBuf,
    recording: config::Recording,
    presence: config::Presence,
    auth: config::Auth,
    meeting: config::Meeting,
    /// Shown as the contract's customer.
    customer_id: String,
    /// Who in a room is no participant.
    bots: Bots,
    /// When a session that nobody closed counts as over.
    longest_session: TimeDelta,
}

impl Server {
    /// Takes the port and the data directory.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        Self::bind_over(config, |store| store).await
    }

    /// The same over what `wrap` makes of the store: a test may see every call, or
    /// let one fail.
    pub async fn bind_over(
        config: &Config,
        wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> Result<Self, ServeError> {
        check(config)?;
        let unusable = |source| ServeError::Data { dir: config.data.dir.clone(), source };
        let listen = config.server.listen;
        let cannot = |source| ServeError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;

        let public_url = public_url(config, address)?;
        // Before anything there is touched: a newer version would change its tables
        // under an older one that runs.
        let claim = Claim::take(&config.data.dir).map_err(unusable)?;
        let storage = Storage::open(&config.data.dir, public_url, &config.storage);
        let storage = Arc::new(storage.map_err(|error| match error {
            StorageError::Data(source) => unusable(source),
            error => ServeError::Storage(error),
        })?);
        let database = SqliteStore::open(&config.data.dir.join(DATABASE)).await?;
        let store = wrap(Arc::new(database.clone()));
        let rooms: Arc<dyn Rooms> = Arc::new(database);
        let told = Arc::new(Notify::new());
        let deliverer =
            Deliverer::new(config, Arc::clone(&store), Arc::clone(&storage), Arc::clone(&told))?;
        // With the port that is really listened on: pages are kept from it.
        let listening = Config {
            server: config::Server { listen: address, ..config.server.clone() },
            ..config.clone()
        };
        let node =
            Node::open(&listening, Arc::clone(&store), Arc::clone(&storage), Arc::clone(&told))
                .map_err(unusable)?;
        node.recover().await?;

        let hooked = Arc::new(Notify::new());
        let addresses = net::Guard::new(config.net.allow.iter().copied())
            .with_sockets(config.net.sockets.iter().copied());
        let automaton = Automaton::new(
            config,
            node.clone(),
            Arc::clone(&store),
            Arc::clone(&rooms),
            addresses.clone(),
            Arc::clone(&hooked),
        );
        let senders = Senders::new(&config.hooks.senders).map_err(|bad| ConfigError::Value {
            setting: "hooks.senders",
            problem: format!("a secret {bad}"),
        })?;
        let closing = CancellationToken::new();
        let app = App {
            node: node.clone(),
            store,
            rooms,
            senders: Arc::new(senders),
            hooked,
            storage: Arc::clone(&storage),
            addresses,
            told,
            settings: Arc::new(Settings {
                data_dir: config.data.dir.clone(),
                recording: config.recording.clone(),
                presence: config.presence.clone(),
                auth: config.auth.clone(),
                meeting: config.meeting.clone(),
                customer_id: config.webhooks.account_id.clone(),
                bots: Bots::new(config),
                longest_session: automation::longest(config),
            }),
            closing: closing.clone(),
        };
        let keys = Keys::new(config.auth.keys.clone());
        let guard = Guard::new(address, &config.server, !keys.is_empty());
        let attempts = Arc::new(Attempts::new());
        let public = config.server.public_url.clone();
        let desk = config.dashboard.enabled.then(|| {
            Desk::new(app.clone(), &config.dashboard, public, keys.clone(), Arc::clone(&attempts))
        });
        let routes = routes::router(app, guard, keys, attempts, desk);
        Ok(Self {
            listener,
            address,
            node,
            storage,
            closing,
            routes,
            deliverer,
            automaton,
            _claim: claim,
        })
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is cancelled; then asks the recordings to
    /// stop and goes on answering until they have or their grace is over.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ServeError> {
        tracing::info!(address = %self.address, "listening");
        tokio::spawn({
            let node = self.node.clone();
            async move { node.keep_clean().await }
        });
        tokio::spawn({
            let (storage, closing) = (Arc::clone(&self.storage), self.closing.clone());
            async move { closing.run_until_cancelled(storage.watch()).await }
        });
        let close = CancellationToken::new();
        let _closed = close.clone().drop_guard();
        // Rules start nothing once the service shuts down.
        tokio::spawn(self.automaton.run(self.closing.clone()));
        let deliveries = tokio::spawn(self.deliverer.run(close.clone()));
        let routes = self.routes.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(self.listener, routes)
            .with_graceful_shutdown(close.clone().cancelled_owned());
        let mut server = std::pin::pin!(server.into_future());
        tokio::select! {
            ended = &mut server => return Ok(ended?),
            () = async {
                shutdown.cancelled().await;
                self.closing.cancel();
                self.node.shutdown().await;
            } => close.cancel(),
        }
        // A client that holds its connection open must not hold up the exit.
        let (served, _) = tokio::join!(tokio::time::timeout(LINGER, server), deliveries);
        served.unwrap_or(Ok(())).map_err(ServeError::Http)
    }
}

impl App {
    /// The session that the room is in, if that was told.
    async fn session_of(&self, room_id: &str) -> Result<Option<SessionId>, Unavailable> {
        let newest = self.rooms.newest_session(room_id).await?.map(|newest| newest.session);
        let longest = self.settings.longest_session;
        Ok(newest
            .filter(|session| session.is_active(Utc::now(), longest))
            .map(|session| session.id))
    }

    /// A recording that was just accepted, with its session if that was told meanwhile.
    async fn in_session(&self, recording: Recording) -> Recording {
        if !recording.session_is_made_up && recording.attendance.is_none() {
            return recording;
        }
        let adopted = async {
            let session = self.session_of(&recording.room_id).await?;
            match session {
                Some(session) => self.rooms.adopt_session(recording.id, &session).await,
                None => Ok(None),
            }
        };
        match adopted.await {
            Ok(adopted) => adopted.unwrap_or(recording),
            // It is being recorded all the same, and the next event tries again.
            Err(error) => {
                tracing::warn!(id = %recording.id, %error, "a recording does not know its session");
                recording
            }
        }
    }

    /// Stops a recording by hand.
    async fn stop(&self, id: Id) -> Result<Recording, StopError> {
        let recording = self.node.stop(id).await?;
        self.keep_hands_off(&recording).await;
        Ok(recording)
    }

    /// Who stops a recording by hand does not want rules to start another.
    async fn keep_hands_off(&self, recording: &Recording) {
        let kept = self.rooms.keep_hands_off(&recording.room_id, &recording.session_id).await;
        if let Err(error) = kept {
            tracing::warn!(id = %recording.id, %error, "rules may start this session again");
        }
    }
}

/// What links begin with: as configured, or the address listened on.
fn public_url(config: &Config, address: SocketAddr) -> Result<Url, ConfigError> {
    if let Some(url) = &config.server.public_url {
        return Ok(url.clone());
    }
    if address.ip().is_unspecified() {
        tracing::warn!(%address, "links to files will name this address: set server.public_url");
    }
    Url::parse(&format!("http://{address}")).map_err(|e| ConfigError::Value {
        setting: "server.public_url",
        problem: format!("must be set, as no link can name {address}: {e}"),
    })
}
