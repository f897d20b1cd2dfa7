//! The HTTP proxy that a recorded page's connections go through.
//!
//! `recorder` starts one for each browser and makes Chromium use it for every
//! scheme and every address, loopback included. Names are resolved here and the
//! addresses checked here are the ones connected to, so redirects, frames,
//! workers, WebSockets and names that change their mind all meet the guard.
//! With a proxy of the operator's behind it, connections go on through that, but
//! for those to this machine; the guard still judges what a name leads to here, and
//! a name that is unknown here is the operator's proxy's to judge.
//! What is no TCP (WebRTC's UDP) does not come this way.
//!
//! Only the browser's own user may use it: the owner of each connection is looked
//! up in the kernel's table, and connections wait until that user is known.

mod forward;
mod peer;
mod upstream;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::guard::{Guard, Refused};

pub use upstream::Upstream;

/// Connections at once. Chromium holds fewer; more than this is no page's need.
const MOST_CONNECTIONS: usize = 512;

/// How long a connection that comes before its user is known may wait.
const ADMISSION: Duration = Duration::from_secs(60);

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(20);

/// The same while there are others to try.
const CONNECT_FIRST: Duration = Duration::from_secs(4);

/// Failures remembered, and hosts whose refusal is told. A page that is refused
/// more has been told of enough.
const MOST_TOLD: usize = 32;

/// Something a page wanted and did not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Host and port, never a path.
    pub authority: String,
    /// Why, as a sentence.
    pub why: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A port of this machine that is closed to pages whatever is allowed.
    #[error("port {0} of this machine is the recorder's own and closed to pages")]
    Own(u16),
    #[error("{host} cannot be connected to: {source}")]
    Connect { host: String, source: io::Error },
}

/// A running proxy; it and every connection through it end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    admit: watch::Sender<Option<u32>>,
    _running: DropGuard,
}

/// What connections share.
#[derive(Debug)]
struct Shared {
    guard: Guard,
    /// Ports of this machine that are never connected to.
    closed_ports: Vec<u16>,
    /// What connections go on through.
    upstream: Option<Upstream>,
    /// What failed last, newest at the end.
    failures: Mutex<VecDeque<Refusal>>,
    /// Hosts whose refusal was told, and whom to tell.
    told: Mutex<BTreeSet<String>>,
    tell: mpsc::Sender<Refusal>,
}

impl Proxy {
    /// Listens on a free port of loopback. Pages are never connected to
    /// `closed_ports` of this machine, whatever `guard` allows. What the guard
    /// refuses is told to the receiver, once for each host and for the first
    /// hosts only.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start(
        guard: Guard,
        closed_ports: Vec<u16>,
    ) -> io::Result<(Self, mpsc::Receiver<Refusal>)> {
        Self::start_behind(guard, closed_ports, None).await
    }

    /// The same with the operator's own proxy on the way to everything but this
    /// machine.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start_behind(
        guard: Guard,
        mut closed_ports: Vec<u16>,
        upstream: Option<Upstream>,
    ) -> io::Result<(Self, mpsc::Receiver<Refusal>)> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        closed_ports.push(address.port());
        let (tell, refusals) = mpsc::channel(MOST_TOLD);
        let shared = Arc::new(Shared {
            guard,
            closed_ports,
            upstream,
            failures: Mutex::default(),
            told: Mutex::default(),
            tell,
        });
        let (admit, admitted) = watch::channel(None);
        let stop = CancellationToken::new();
        let running = stop.clone().drop_guard();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            Arc::clone(&shared),
            admitted,
            stop,
        )));
        Ok((Self { address, shared, admit, _running: running }, refusals))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the processes of user `uid`, and nobody else, may use it.
    pub fn admit(&self, uid: u32) {
        self.admit.send_replace(Some(uid));
    }

    /// Why `authority` (host and port, as Chromium asks for it) was last not
    /// connected to, as a sentence without secrets.
    pub fn why(&self, authority: &str) -> Option<String> {
        let failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().rev().find(|f| f.authority == authority).map(|f| f.why.clone())
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    admitted: watch::Receiver<Option<u32>>,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (shared, admitted) = (Arc::clone(&shared), admitted.clone());
                let stop = stop.clone();
                tokio::spawn(async move {
                    let connection = async {
                        if is_admitted(&stream, peer, admitted).await {
                            forward::serve(shared, stream, &stop).await;
                        } else {
                            tracing::warn!("a process of another user was kept off the proxy");
                        }
                    };
                    stop.run_until_cancelled(connection).await;
                    drop(place);
                });
            }
            Err(error) => {
                // No descriptors, most likely: others have to close first.
                tracing::warn!(%error, "the proxy could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn is_admitted(
    stream: &TcpStream,
    peer: SocketAddr,
    mut admitted: watch::Receiver<Option<u32>>,
) -> bool {
    let Ok(own) = stream.local_addr() else { return false };
    let known = tokio::time::timeout(ADMISSION, admitted.wait_for(Option::is_some)).await;
    let Ok(Ok(Some(user))) = known.map(|known| known.map(|user| *user)) else { return false };
    let owner = tokio::task::spawn_blocking(move || peer::owner(peer, own)).await;
    matches!(owner, Ok(Some(owner)) if owner == user)
}

impl Shared {
    /// Connects to where `host` leads, if it may be connected to. A failure is
    /// remembered, a refusal told.
    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let dialled = self.connect(host, port).await;
        if let Err(error) = &dialled {
            let failure = Refusal { authority: join(host, port), why: error.to_string() };
            let refused = match error {
                DialError::Refused(why) => !matches!(why, Refused::Unresolved { .. }),
                DialError::Own(_) => true,
                DialError::Connect { .. } => false,
            };
            if refused && self.is_news(host) {
                // Whoever does not listen does not want to know.
                let _ = self.tell.try_send(failure.clone());
            }
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            if failures.len() == MOST_TOLD {
                failures.pop_front();
            }
            failures.push_back(failure);
        }
        dialled
    }

    fn is_news(&self, host: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_TOLD && told.insert(host.to_owned())
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let failed = |source| DialError::Connect { host: host.to_owned(), source };
        let addresses = match (self.guard.resolve(host, port).await, &self.upstream) {
            (Err(Refused::Unresolved { .. }), Some(_)) => Vec::new(),
            (resolved, _) => resolved?,
        };
        let local = addresses.iter().any(|address| address.ip().to_canonical().is_loopback());
        if let Some(upstream) = self.upstream.as_ref().filter(|_| !local) {
            let connected = tokio::time::timeout(CONNECT, upstream.connect(host, port)).await;
            let late = || io::Error::from(io::ErrorKind::TimedOut);
            return connected.unwrap_or_else(|_| Err(late())).map_err(failed);
        }
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (number, address) in addresses.iter().enumerate() {
            let is_last = number + 1 == addresses.len();
            let patience = if is_last { CONNECT } else { CONNECT_FIRST };
            match tokio::time::timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.check_own(&stream)?;
                    stream.set_nodelay(true).map_err(failed)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(failed(last))
    }

    /// A connection whose two ends are the same machine's has one address at
    /// both, or a loopback one.
    fn check_own(&self, stream: &TcpStream) -> Result<(), DialError> {
        let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else {
            return Ok(());
        };
        let own = there.ip().to_canonical().is_loopback() || there.ip() == here.ip();
        if own && self.closed_ports.contains(&there.port()) {
            return Err(DialError::Own(there.port()));
        }
        Ok(())
    }
}

/// Host and port as in the target of a CONNECT.
fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests;
