//! The sound card Chromium plays into: a PulseAudio-protocol server of our own,
//! with one sink, on a private unix socket.
//!
//! Called by `recorder`, which points `PULSE_SERVER` at [`Speaker::socket`]. All
//! work is done on one thread, named `speaker`. Inside, from pure to impure:
//! `bus` sums, `stream` places one client stream's frames, `card` ties streams
//! to the clock, `sample` and `wire` read what clients send, `session` speaks the
//! protocol with one of them, `server` polls. It knows nothing of files, browsers
//! or recordings.
//!
//! One rule makes sound and picture agree: frame `n` plays at
//! `epoch + n / 48000` s of `CLOCK_MONOTONIC`, no matter who is late. Clients are
//! told so when they ask for the latency, and Chromium aligns video to it.

mod bus;
mod card;
mod facts;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod sample;
mod server;
mod session;
mod stream;
mod wire;

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc::UnboundedSender;

use crate::clock::Mono;
use crate::media::Block;

/// How to open a [`Speaker`].
#[derive(Debug, Clone)]
pub struct SpeakerConfig {
    /// Where to make the unix socket. A missing directory is made, for this user
    /// only; one that exists should be private already. Left-over sockets are
    /// replaced. For a browser under another user the caller passes on ownership
    /// of both.
    pub socket: PathBuf,
    /// How long a position is held back for a stream whose data is late. It
    /// grows by itself with the lateness seen, up to 2 s.
    pub grace: Duration,
}

impl SpeakerConfig {
    /// A speaker at `socket` with the default grace of 300 ms.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), grace: Duration::from_millis(300) }
    }
}

/// Takes the mix, on the speaker's thread: blocks of 10 ms, one right after the
/// other from position 0 on, silence included, until the speaker is dropped. Sums
/// of streams are not limited to 1.0, but always finite. It must not block.
pub type BlockSink = Box<dyn FnMut(Block) + Send>;

/// What happens at the speaker. The channel closes when its thread ends, which
/// it does by itself only if the operating system fails it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpeakerEvent {
    /// A client asked what card this is: Chromium's control connection. One that
    /// finds no server at its start plays into nothing for ever.
    ControlConnected,
    /// That client is gone; Chromium does not come back to a server it lost.
    ControlLost,
    /// A client opened a playback stream.
    StreamOpened {
        /// Index of the stream, never used twice.
        stream: u32,
        /// What the client calls it.
        name: String,
        /// 1 or 2.
        channels: u8,
    },
    /// A playback stream ended.
    StreamClosed {
        /// Index of the stream.
        stream: u32,
    },
    /// A client was turned away or broke the protocol and was disconnected; the
    /// others are not affected.
    ClientError {
        /// What it did.
        message: String,
    },
}

/// Counters of a speaker; frames are 1/48000 s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpeakerStats {
    /// Clients connected now.
    pub clients: usize,
    /// Playback streams now.
    pub streams: usize,
    /// Playback streams ever.
    pub streams_opened: u64,
    /// Times a playing stream was stopped because its client did not answer.
    pub underruns: u64,
    /// Frames that playing streams owed to what was handed on: holes in them.
    pub underrun_frames: u64,
    /// Frames that came after their position was handed on, and were dropped.
    pub late_frames: u64,
    /// Frames dropped because a client wrote more than its buffer holds.
    pub overflow_frames: u64,
    /// The longest time by which a tick of this thread was late.
    pub longest_stall: Duration,
    /// How long a position is held back for late data now.
    pub grace: Duration,
}

/// Why a [`Speaker`] did not open.
#[derive(Debug, thiserror::Error)]
pub enum SpeakerError {
    /// The socket could not be made at that path.
    #[error("speaker socket {path}: {source}")]
    Socket {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Timer, stop signal or thread could not be made.
    #[error("speaker thread: {0}")]
    Thread(#[from] io::Error),
}

/// An open sound card; dropping it ends its thread and removes its socket.
#[derive(Debug)]
pub struct Speaker {
    socket: PathBuf,
    epoch: Mono,
    stats: Arc<Mutex<SpeakerStats>>,
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Speaker {
    /// Opens a card and starts its clock: frame 0 plays now.
    ///
    /// # Errors
    /// If the socket cannot be made at `config.socket`, or the thread not started.
    pub fn open(
        config: SpeakerConfig,
        sink: BlockSink,
        events: UnboundedSender<SpeakerEvent>,
    ) -> Result<Self, SpeakerError> {
        let SpeakerConfig { socket, grace } = config;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).map_err(io::Error::from)?);
        let listener = listen(&socket)
            .map_err(|source| SpeakerError::Socket { path: socket.clone(), source })?;
        let mut speaker =
            Self { socket, epoch: Mono::now(), stats: Arc::default(), stop, thread: None };
        let server = server::Server::new(
            listener,
            speaker.stop.clone(),
            speaker.epoch,
            grace,
            sink,
            events,
            speaker.stats.clone(),
        )?;
        let run = move || {
            if let Err(error) = server.run() {
                tracing::error!(%error, "speaker stopped");
            }
        };
        speaker.thread = Some(std::thread::Builder::new().name("speaker".into()).spawn(run)?);
        Ok(speaker)
    }

    /// The socket, for `PULSE_SERVER=unix:PATH`.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// When frame 0 plays: frame `n` plays `n / 48000` s later.
    pub fn epoch(&self) -> Mono {
        self.epoch
    }

    /// Counters as of the last tick.
    pub fn stats(&self) -> SpeakerStats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // Writing to an eventfd fails only when its counter is full.
        let _ = rustix::io::write(&self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the panic hook.
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
        DirBuilder::new().mode(0o700).create(dir)?;
    }
    if fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
mod tests;
