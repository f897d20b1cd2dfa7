//! What a recorder is to do, and how it is made to do it.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::Instant;

use super::control;
use super::process::Process;
use super::told::Told;
use crate::job::{Command, Reply, StopReason};
use crate::store::Id;

/// Between two attempts at a socket that does not answer.
const RETRY: Duration = Duration::from_millis(500);

/// What a recorder is to do; its supervisor sees to it that it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// Why it is to stop, once it is.
    pub(super) stop: Option<StopReason>,
    /// It is to take no frames for now.
    pub(super) paused: bool,
}

/// Brings every order to the recorder, whose socket may not be there yet. A stop
/// is the last order that counts. `known` is what the recorder does already,
/// if that is known.
pub(super) async fn deliver(
    id: Id,
    dir: &Path,
    mut orders: watch::Receiver<Orders>,
    mut known: Option<Orders>,
) -> Infallible {
    loop {
        let Ok(wanted) = orders.wait_for(|orders| Some(*orders) != known).await.map(|o| *o) else {
            // Nobody is left who could ask.
            return std::future::pending().await;
        };
        let command = match wanted.stop {
            Some(reason) => Command::Stop { reason },
            None if wanted.paused => Command::Pause,
            None => Command::Resume,
        };
        match control::send(dir, command).await {
            Ok(Reply::Ok | Reply::Status(_)) if wanted.stop.is_some() => {
                return std::future::pending().await;
            }
            Ok(Reply::Ok | Reply::Status(_)) => {
                known = Some(wanted);
                continue;
            }
            Ok(Reply::Error { message: why }) => tracing::warn!(%id, why, "an order was refused"),
            Err(error) => tracing::debug!(%id, %error, "an order was not delivered"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// How far a recorder that does not end has been pressed.
#[derive(Default)]
pub(super) struct Patience {
    /// Since when it should be on its way out.
    since: Option<Instant>,
    /// Since when it has told its end.
    ended: Option<Instant>,
    /// SIGTERM was sent.
    termed: bool,
    /// SIGKILL was sent.
    killed: bool,
}

impl Patience {
    /// A recorder that was told to stop has one grace to take its last frame,
    /// then SIGTERM and another grace, then SIGKILL. One that has told its end
    /// has one grace to go. Finalising a file takes the time it takes.
    pub(super) fn check(
        &mut self,
        asked: bool,
        told: &Told,
        grace: Duration,
        process: &Process,
        id: Id,
    ) {
        if asked {
            self.since.get_or_insert_with(Instant::now);
        }
        if told.ended() {
            self.ended.get_or_insert_with(Instant::now);
        }
        let over = |since: Option<Instant>, graces: u32| {
            since.is_some_and(|since| since.elapsed() >= grace * graces)
        };
        let since = if told.stopped { None } else { self.since };
        if (over(self.ended, 1) || over(since, 2)) && !self.killed {
            self.killed = true;
            tracing::warn!(%id, "killing a recorder that does not end");
            process.signal(Signal::KILL, true, told);
        } else if self.ended.is_none() && over(since, 1) && !self.termed {
            self.termed = true;
            tracing::warn!(%id, "terminating a recorder that ignores its stop");
            process.signal(Signal::TERM, false, told);
        }
    }
}
