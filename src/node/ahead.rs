//! Uploading while recording: parts of the growing file that will not change any
//! more go up as soon as they are whole. Whatever goes wrong here costs nothing
//! but time at the end.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use crate::storage::{Sent, Trouble, Upload};
use crate::store::Id;

/// How long the last part may take that is on its way when the recording ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module's documentation.
pub(super) struct Ahead {
    safe: watch::Sender<u64>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    sent: Sent,
}

impl Ahead {
    /// Begins to send what is safe of the file at `part`.
    pub(super) fn start(id: Id, upload: Upload, part: PathBuf) -> Self {
        let (safe, told) = watch::channel(0);
        let (stop, sent) = (CancellationToken::new(), upload.sent());
        let task = tokio::spawn(run(id, upload, part, told, stop.clone()));
        Self { safe, stop, task, sent }
    }

    /// So many bytes of the file will stay as they are.
    pub(super) fn safe(&self, bytes: u64) {
        self.safe.send_if_modified(|known| std::mem::replace(known, bytes) != bytes);
    }

    /// How much was sent.
    pub(super) fn sent(&self) -> Sent {
        self.sent.clone()
    }

    /// Ends it; what was sent is on record.
    pub(super) async fn end(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(PATIENCE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

async fn run(
    id: Id,
    mut upload: Upload,
    part: PathBuf,
    mut told: watch::Receiver<u64>,
    stop: CancellationToken,
) {
    let mut backoff = Backoff::default();
    let mut known: Option<Trouble> = None;
    while !stop.is_cancelled() {
        let safe = *told.borrow_and_update();
        match upload.ahead(&part, safe).await {
            Ok(sent) => {
                backoff = Backoff::default();
                if known.take().is_some() {
                    tracing::info!(%id, "uploading while recording again");
                }
                if sent {
                    continue;
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    changed = told.changed() => if changed.is_err() { return },
                }
            }
            // The recording has just ended, and the file has another name.
            Err(error) if error.trouble == Trouble::Disk => return,
            Err(error) => {
                if known != Some(error.trouble) {
                    tracing::warn!(%id, %error, "cannot upload while recording, will try again");
                }
                known = Some(error.trouble);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(backoff.next()) => {}
                }
            }
        }
    }
}
