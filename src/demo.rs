//! The demo room: a small WebRTC meeting served by this binary, to meet in and
//! to record. `main` runs it; tests of presence use its parts.
//!
//! Signalling is a WebSocket with rooms in memory; media go from browser to
//! browser in a full mesh, on one machine or one network, without STUN or TURN.
//! Links look as those of the hosted product do:
//!
//! - `/` asks for room, name and role;
//! - `/preview/<room>/<role>` and `/meeting/<room>/<role>` are the room. `host`
//!   may end it for all; a role that begins with `__internal`, `recorder` and
//!   `beam` are hidden: never shown, named or counted to others. Query:
//!   `name`, `userId`, `skip_preview`, `skip_preview_headful`, `ui_mode`,
//!   `auth_token` (a JWT whose signature is not checked), as in `page/room.js`.
//!
//! It knows nothing of recordings.

mod bots;
mod hub;
mod rooms;
mod site;
mod socket;
mod token;
mod wire;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use bots::{BotError, Bots};
pub use site::router;

/// What `roomreel demo` was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The room of the printed links and of the bots.
    pub room: String,
    /// How many bots to put into it, at most [`Bots::MAX`].
    pub bots: usize,
}

impl Default for DemoConfig {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 8090).into(), room: "demo".into(), bots: 0 }
    }
}

/// Why the demo does not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The room's name does not fit into a link.
    #[error("{0:?} is no room name: use letters, digits, dots, dashes and underscores, at most 64")]
    BadRoom(String),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The server stopped by itself.
    #[error("the demo server failed: {0}")]
    Serve(#[source] io::Error),
    /// See [`BotError`].
    #[error(transparent)]
    Bots(#[from] BotError),
}

impl DemoError {
    /// What was asked for cannot be; nothing was tried.
    pub fn is_bad_request(&self) -> bool {
        matches!(self, Self::BadRoom(_) | Self::Bots(BotError::TooMany))
    }
}

/// Serves the demo room, prints its links, keeps the bots in it, until
/// `shutdown`.
///
/// # Errors
/// See [`DemoError`].
pub async fn run(config: DemoConfig, shutdown: CancellationToken) -> Result<(), DemoError> {
    if !rooms::is_id(&config.room) {
        return Err(DemoError::BadRoom(config.room));
    }
    let unheard = |source| DemoError::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(unheard)?;
    let address = listener.local_addr().map_err(unheard)?;
    let here = reachable(address);
    if !address.ip().is_loopback() {
        tracing::warn!(
            "the demo room is open to the network; browsers elsewhere give no camera to a page \
             without TLS"
        );
    }
    // The bots end before the server, or they would see it go.
    let stop_serving = CancellationToken::new();
    let guard = stop_serving.clone().drop_guard();
    let mut serving = tokio::spawn(serve(listener, stop_serving));
    println!("Demo room, to meet in:     http://{here}/preview/{}/guest", config.room);
    println!("as a host who can end it:  http://{here}/preview/{}/host", config.room);
    println!(
        "for a recorder:            http://{here}/preview/{}/__internal_recorder?skip_preview=true",
        config.room
    );
    let bots = tokio::select! {
        bots = Bots::launch(here, &config.room, config.bots) => bots?,
        () = shutdown.cancelled() => return Ok(()),
    };
    if config.bots > 0 {
        println!("In it already:             {}", bots.names().join(", "));
    }
    let served = tokio::select! {
        served = &mut serving => Some(served),
        () = shutdown.cancelled() => None,
    };
    bots.close().await;
    drop(guard);
    let served = match served {
        Some(served) => served,
        None => serving.await,
    };
    served.map_err(io::Error::other).and_then(|served| served).map_err(DemoError::Serve)
}

/// Serves the demo room on `listener` until `shutdown`; pages see the server go
/// and try to come back.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
    let app = router(shutdown.clone());
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

/// An address of this machine to open a listener on `address` by.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, address.port()).into()
}
