//! The subcommands, one file each. They parse, start the library, and turn
//! what came of it into words and an exit code.

pub(crate) mod args;
pub(crate) mod bug_report;
pub(crate) mod config;
pub(crate) mod demo;
mod exit;
pub(crate) mod logging;
mod progress;
pub(crate) mod record;
pub(crate) mod recorder;
pub(crate) mod salvage;
pub(crate) mod serve;
pub(crate) mod stills;
pub(crate) mod storage;
pub(crate) mod token;
pub(crate) mod upload;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub(crate) use exit::Exit;

/// Two worker threads are plenty: screen, speaker, encoder and disk have
/// threads of their own, and what is left waits.
fn runtime() -> Result<Runtime, Exit> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Exit::failure(anyhow::anyhow!("cannot start: {error}")))
}

/// Cancels `shutdown` at the first Ctrl-C or SIGTERM.
fn shutdown_on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}
