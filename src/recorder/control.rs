//! The control socket of a recording: one JSON command a line, one answer each.
//!
//! Served by the recorder process, spoken to by the node. It outlives neither:
//! the socket file goes with the directory of the recording.

use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use crate::job::{Command, Reply, Stats, StopReason};

/// Longest command line in bytes; more is not a command.
const LONGEST_LINE: u64 = 4096;

/// What a running recording can be asked from outside: its whole interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// End here, finalise, say why.
    Stop(StopReason),
    /// Take no frames until told to go on.
    Pause,
    /// Take frames again.
    Resume,
    /// End at once: what is on disk stays as it is, a valid fragmented MP4.
    Abort,
}

/// Waits until the recording is to be aborted; whatever else is asked is too late.
pub(super) async fn aborted(controls: &mut mpsc::Receiver<Control>) {
    loop {
        match controls.recv().await {
            Some(Control::Abort) => return,
            Some(Control::Stop(_) | Control::Pause | Control::Resume) => {}
            None => pending().await,
        }
    }
}

/// The socket's name in a recording's directory.
pub const SOCKET: &str = "control.sock";

/// A path to `dir`'s control socket that fits a socket address (108 bytes)
/// however deep the directory is; `dir` must stay open while it is used.
pub fn short_path(dir: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", dir.as_raw_fd()))
}

/// Binds the socket in `dir`, replacing one that a dead process left.
///
/// Only the holder of the recording's lock may call this.
pub fn bind(dir: &Path) -> io::Result<UnixListener> {
    let handle = File::open(dir)?;
    let path = short_path(&handle);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(&path)
}

/// Answers commands until the task is dropped.
pub async fn serve(
    listener: UnixListener,
    controls: mpsc::Sender<Control>,
    stats: watch::Receiver<Stats>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, controls.clone(), stats.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket could not accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(
    stream: UnixStream,
    controls: mpsc::Sender<Control>,
    stats: watch::Receiver<Stats>,
) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        match (&mut reader).take(LONGEST_LINE).read_line(&mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let reply = match serde_json::from_str::<Command>(&line) {
            Ok(Command::Stop { reason }) => pass(&controls, Control::Stop(reason)).await,
            Ok(Command::Pause) => pass(&controls, Control::Pause).await,
            Ok(Command::Resume) => pass(&controls, Control::Resume).await,
            Ok(Command::Status) => Reply::Status(*stats.borrow()),
            Err(error) => Reply::Error { message: error.to_string() },
        };
        let Ok(mut text) = serde_json::to_vec(&reply) else { return };
        text.push(b'\n');
        if writer.write_all(&text).await.is_err() {
            return;
        }
    }
}

async fn pass(controls: &mpsc::Sender<Control>, control: Control) -> Reply {
    // A recording that no longer listens is already ending.
    let _ = controls.send(control).await;
    Reply::Ok
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(stream: &mut BufReader<UnixStream>, line: &str) -> Reply {
        stream.get_mut().write_all(line.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_line(&mut answer).await.unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    #[tokio::test]
    async fn commands_are_taken_in_a_directory_of_any_depth() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("x".repeat(100)).join("y".repeat(100));
        std::fs::create_dir_all(&deep).unwrap();
        let listener = bind(&deep).unwrap();
        drop(listener);
        let listener = bind(&deep).unwrap();
        let (controls, mut taken) = mpsc::channel(4);
        let (stats_tx, stats) = watch::channel(Stats::default());
        tokio::spawn(serve(listener, controls, stats));
        stats_tx.send(Stats { recorded: 42, ..Stats::default() }).unwrap();

        let dir = File::open(&deep).unwrap();
        let mut stream = BufReader::new(UnixStream::connect(short_path(&dir)).await.unwrap());
        let status = ask(&mut stream, "{\"command\":\"status\"}\n").await;
        assert_eq!(status, Reply::Status(Stats { recorded: 42, ..Stats::default() }));
        assert!(matches!(ask(&mut stream, "nonsense\n").await, Reply::Error { .. }));
        let stop = "{\"command\":\"stop\",\"reason\":\"client_request\"}\n";
        assert_eq!(ask(&mut stream, stop).await, Reply::Ok);
        assert_eq!(taken.recv().await, Some(Control::Stop(StopReason::ClientRequest)));
    }
}
