//! The subcommands, one file each. They parse, start the library, and turn
//! what came of it into words and an exit code.

pub(crate) mod args;
pub(crate) mod backup;
pub(crate) mod bug_report;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod encoders;
mod exit;
pub(crate) mod health;
pub(crate) mod logging;
mod progress;
pub(crate) mod record;
pub(crate) mod recorder;
pub(crate) mod reference;
pub(crate) mod salvage;
pub(crate) mod serve;
pub(crate) mod stills;
pub(crate) mod storage;
pub(crate) mod token;
pub(crate) mod upload;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use roomreel::config::Config;
use rustix::process::{Resource, getrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) use exit::Exit;

/// Fewest files that may be open at once. Below, the runtime may panic for want of
/// those that it hears signals by; from here on, what lacks one says so itself.
const FEWEST_FILES: u64 = 32;

/// Two worker threads are plenty: screen, speaker, encoder and disk have
/// threads of their own, and what is left waits.
fn runtime() -> Result<Runtime, Exit> {
    if let Some(limit @ ..FEWEST_FILES) = getrlimit(Resource::Nofile).current {
        return Err(Exit::failure(anyhow::anyhow!(
            "cannot start: only {limit} files may be open at once; raise it to 1024 at least \
             (ulimit -n, LimitNOFILE=)"
        )));
    }
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Exit::failure(anyhow::anyhow!("cannot start: {error}")))
}

/// A second Ctrl-C sooner than this is the first one, passed on by whoever started this.
const ECHO: Duration = Duration::from_secs(1);

/// Cancels `shutdown` at the first Ctrl-C or SIGTERM; at the next Ctrl-C the process ends
/// at once.
fn shutdown_on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        shutdown.cancel();
        let began = Instant::now();
        while interrupt.recv().await.is_some() {
            if began.elapsed() > ECHO {
                tracing::warn!(
                    "ended at once; recordings that go on are taken up at the next start"
                );
                std::process::exit(130);
            }
        }
    });
    Ok(())
}

/// Where this machine reaches the service that runs with this configuration.
fn service_url(config: &Config) -> Result<Url, Exit> {
    let mut address = config.server.listen;
    address.set_ip(match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    });
    Url::parse(&format!("http://{address}")).map_err(Exit::usage)
}
