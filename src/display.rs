//! The screen: a Wayland server in this process, whose one output Chromium
//! paints on.
//!
//! The recorder opens it before the browser and keeps it while browsers come and
//! go. It is the recording's picture clock: at every tick of a fixed grid it
//! hands over what the recorded window shows, painted or not. It does not know
//! what a page, a recording or a file is.
//!
//! One thread named `display` owns everything. It waits for connections,
//! requests, the timer and its owner; nothing a client does may block it.

mod backlog;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod globals;
mod grid;
mod mapped;
mod paint;
mod peer;
mod pulse;
mod run;
mod shm;
mod state;
mod surface;
#[cfg(test)]
mod tests;
mod window;

use std::io;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::media::Tick;

/// How often a browser that shows something is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the screen is like.
#[derive(Debug, Clone)]
pub struct ScreenConfig {
    /// Pixels per row; even, 2 to 8192.
    pub width: u32,
    /// Rows; even, 2 to 8192.
    pub height: u32,
    /// Ticks per second, 1 to 1000.
    pub fps: u32,
    /// Only the first picture is handed over, to tell that something is painted:
    /// nobody looks at the others, and none of them is converted.
    pub blind: bool,
    /// A directory that only the browser's user can enter; the socket
    /// `wayland-0` is made in it.
    pub runtime_dir: PathBuf,
}

/// Receives every tick, on the display thread, from the moment the screen opens:
/// also while no window is shown. It must not block: everything waits for it.
///
/// Ticks are the screen's heartbeat. Should they stop, a client is flooding the
/// thread with requests (end the browser, and they go on), or the thread failed,
/// which also closes the channel of events.
pub type TickSink = Box<dyn FnMut(Tick) + Send>;

/// What happened on the screen, beside pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScreenEvent {
    /// A window fills the screen; from now on ticks carry its pictures. Told
    /// again after each of the two events below.
    Mapped {
        /// Pixels per row, as configured.
        width: u32,
        /// Rows, as configured.
        height: u32,
    },
    /// The recorded window shows something that is not exactly the screen's size
    /// and is not handed over. Told once for each size.
    WrongSize {
        /// Pixels per row of its buffer.
        width: u32,
        /// Rows of its buffer.
        height: u32,
    },
    /// The recorded window is gone: closed, or its browser ended. The next one
    /// that opens is recorded.
    SurfaceGone,
    /// The browser has not answered a ping. Told once per silence.
    Unresponsive {
        /// Since the ping.
        silent_for: Duration,
    },
    /// It answers again.
    Responsive,
    /// A client broke the protocol or a limit and was disconnected.
    ClientError {
        /// Which object, and what was wrong.
        message: String,
    },
}

/// Why a screen cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// A figure of the configuration is out of range.
    #[error("the screen cannot be {width}x{height} at {fps} Hz")]
    Config {
        /// As asked.
        width: u32,
        /// As asked.
        height: u32,
        /// As asked.
        fps: u32,
    },
    /// The socket cannot be made: the directory is missing, not writable, too
    /// long a path (108 bytes), or has a `wayland-0` already.
    #[error("cannot listen on {}: {source}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system denied a descriptor or the thread.
    #[error("cannot start the display: {0}")]
    System(#[from] io::Error),
}

/// An open screen; it closes when dropped.
#[derive(Debug)]
pub struct Screen {
    socket: PathBuf,
    /// A byte asks windows to close, its end ends the thread.
    control: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Opens the screen and starts its ticks: tick 0 is now.
    pub fn open(
        config: ScreenConfig,
        sink: TickSink,
        events: UnboundedSender<ScreenEvent>,
    ) -> Result<Self, ScreenError> {
        Self::open_with(config, PING_EVERY, PATIENCE, sink, events)
    }

    fn open_with(
        config: ScreenConfig,
        ping_every: Duration,
        patience: Duration,
        sink: TickSink,
        events: UnboundedSender<ScreenEvent>,
    ) -> Result<Self, ScreenError> {
        let ScreenConfig { width, height, fps, ref runtime_dir, .. } = config;
        let side = |n: u32| (2..=8192).contains(&n) && n.is_multiple_of(2);
        if !side(width) || !side(height) || !(1..=1000).contains(&fps) {
            return Err(ScreenError::Config { width, height, fps });
        }
        let socket = std::path::absolute(runtime_dir)?.join("wayland-0");
        let ticks = |time: Duration| (time.as_secs_f64() * f64::from(fps)).ceil() as u64;
        let pulse = pulse::Pulse::new(ticks(ping_every), ticks(patience));
        let (control, ours) = UnixStream::pair()?;
        let server = run::Server::new(&socket, &config, ours, pulse, sink, events)?;
        // From here on the socket exists, and dropping removes it.
        let mut screen = Self { socket, control, thread: None };
        let thread = std::thread::Builder::new().name("display".into());
        screen.thread = Some(thread.spawn(move || server.run())?);
        Ok(screen)
    }

    /// The absolute path of the socket, to be the browser's `WAYLAND_DISPLAY`.
    /// A browser of another user needs to be given access to it.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks the browser to close its window, and its pop-ups with it
    /// (xdg_toplevel.close), which ends it in an orderly way.
    pub fn close_window(&self) {
        // The thread is gone only if it panicked: there is nothing to close then.
        let _ = (&self.control).write_all(&[0]);
    }
}

impl Drop for Screen {
    /// Ends the thread, which disconnects every client, and removes the socket.
    /// Waits for a call of the sink to return.
    fn drop(&mut self) {
        let _ = self.control.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the display thread panicked");
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}
