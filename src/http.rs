//! The HTTP side of the service: the recordings API (`docs/api.md`).
//!
//! `main` calls [`serve`]. Handlers check what they are sent, ask `node` to act
//! and `store` to remember, and know nothing of processes or files.
//!
//! Logging: one line for each request, without its query; a failure's cause is
//! on that line and nowhere else.

mod body;
mod error;
mod guard;
mod log;
mod recordings;
mod view;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::error::ApiError;
use self::guard::Hosts;
use crate::config::{Config, ConfigError};
use crate::node::Node;
use crate::storage::Local;
use crate::store::{OpenError, SqliteStore, Store, Unavailable};
use crate::webhook::{Deliverer, SetupError};

/// The database's name in the data directory.
const DATABASE: &str = "roomreel.db";

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
        "will not listen on {0}: no API tokens are configured, so whoever reaches that address \
         could start, watch and stop recordings; listen on a loopback address such as \
         127.0.0.1:8080"
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
    routes: Router,
    deliverer: Deliverer,
}

/// What handlers share.
#[derive(Clone)]
struct App {
    node: Node,
    store: Arc<dyn Store>,
}

impl Server {
    /// Takes the port and the data directory.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        config.check()?;
        let listen = config.server.listen;
        if !listen.ip().to_canonical().is_loopback() {
            return Err(ServeError::NotLoopback(listen));
        }
        let unusable = |source| ServeError::Data { dir: config.data.dir.clone(), source };
        let cannot = |source| ServeError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let hosts = Arc::new(Hosts::new(address, &config.server.allowed_hosts));
        let base = Url::parse(&format!("http://{address}")).map_err(io::Error::other)?;
        let storage = Arc::new(Local::open(&config.data.dir, base).map_err(unusable)?);
        let database = SqliteStore::open(&config.data.dir.join(DATABASE)).await?;
        let store: Arc<dyn Store> = Arc::new(database);
        let told = Arc::new(Notify::new());
        let deliverer =
            Deliverer::new(config, Arc::clone(&store), Arc::clone(&storage), Arc::clone(&told))?;
        let node = Node::open(config, Arc::clone(&store), storage, told).map_err(unusable)?;
        node.recover().await?;
        let routes = routes(App { node: node.clone(), store }, hosts);
        Ok(Self { listener, address, node, routes, deliverer })
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
        let close = CancellationToken::new();
        let _closed = close.clone().drop_guard();
        let deliveries = tokio::spawn(self.deliverer.run(close.clone()));
        let server = axum::serve(self.listener, self.routes)
            .with_graceful_shutdown(close.clone().cancelled_owned());
        let mut server = std::pin::pin!(server.into_future());
        tokio::select! {
            ended = &mut server => return Ok(ended?),
            () = async {
                shutdown.cancelled().await;
                self.node.shutdown().await;
            } => close.cancel(),
        }
        // A client that holds its connection open must not hold up the exit.
        let (served, _) = tokio::join!(tokio::time::timeout(LINGER, server), deliveries);
        served.unwrap_or(Ok(())).map_err(ServeError::Http)
    }
}

/// The one list of routes.
fn routes(app: App, hosts: Arc<Hosts>) -> Router {
    Router::new()
        .route("/health/live", get(recordings::live))
        .route("/v2/recordings", get(recordings::list))
        .route("/v2/recordings/{id}", get(recordings::get))
        .route("/v2/recordings/{id}/stop", post(recordings::stop))
        .route("/v2/recordings/room/{room_id}/start", post(recordings::start))
        .route("/v2/recordings/room/{room_id}/stop", post(recordings::stop_room))
        .fallback(async || ApiError::no_such_route())
        .method_not_allowed_fallback(async || ApiError::wrong_method())
        .with_state(app)
        .layer(middleware::from_fn_with_state(hosts, guard::check))
        .layer(middleware::from_fn(log::one_line))
}
