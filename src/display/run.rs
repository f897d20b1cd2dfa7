//! The display thread: waits, and does what is due.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::sync::mpsc::UnboundedSender;
use wayland_server::Display;
use wayland_server::backend::ClientId;

use super::grid::Grid;
use super::peer::{Counter, MAX_OBJECTS, Peer, too_much};
use super::pulse::Pulse;
use super::state::State;
use super::{ScreenConfig, ScreenError, ScreenEvent, TickSink, globals};
use crate::clock::Mono;

/// Everything the thread waits on.
pub(super) struct Server {
    display: Display<State>,
    state: State,
    listener: UnixListener,
    /// Accepting failed: tried again at the next tick, as a descriptor that
    /// stays readable would have the thread spin.
    deaf: bool,
    timer: OwnedFd,
    control: UnixStream,
    peers: Counter,
    events: UnboundedSender<ScreenEvent>,
    /// The tick the timer is set to.
    next: u64,
    /// The tick at which objects are counted next.
    census: u64,
    /// Ticks in a second.
    fps: u64,
}

/// A display without clients.
pub(super) fn open() -> io::Result<Display<State>> {
    let display = Display::new().map_err(io::Error::other)?;
    globals::announce(&display.handle());
    Ok(display)
}

impl Server {
    /// Makes the socket at `path`, last of all that can fail.
    pub(super) fn new(
        path: &Path,
        config: &ScreenConfig,
        control: UnixStream,
        pulse: Pulse,
        sink: TickSink,
        events: UnboundedSender<ScreenEvent>,
    ) -> Result<Self, ScreenError> {
        let display = open()?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(io::Error::from)?;
        control.set_nonblocking(true)?;
        let socket = |source| ScreenError::Socket { path: path.into(), source };
        let listener = UnixListener::bind(path).map_err(socket)?;
        listener.set_nonblocking(true)?;
        let grid = Grid::new(Mono::now(), config.fps);
        let size = (config.width, config.height);
        let state = State::new(size, config.blind, grid, pulse, sink, events.clone());
        let (peers, fps) = (Counter::default(), u64::from(config.fps));
        Ok(Self {
            display,
            state,
            listener,
            deaf: false,
            timer,
            control,
            peers,
            events,
            next: 0,
            census: 0,
            fps,
        })
    }

    /// Returns when the owner hangs up.
    pub(super) fn run(mut self) {
        if let Err(error) = self.serve() {
            tracing::error!(%error, "the display failed");
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        self.arm()?;
        loop {
            let listen = if self.deaf { PollFlags::empty() } else { PollFlags::IN };
            let mut fds = [
                PollFd::new(&self.control, PollFlags::IN),
                PollFd::new(&self.listener, listen),
                PollFd::from_borrowed_fd(self.display.as_fd(), PollFlags::IN),
                PollFd::new(&self.timer, PollFlags::IN),
            ];
            rustix::io::retry_on_intr(|| poll(&mut fds, None))?;
            let [control, listener, clients, timer] = fds.map(|fd| !fd.revents().is_empty());

            if control && self.is_over()? {
                return Ok(());
            }
            // Before the tick, so that what was painted in time is in it, and
            // before new connections, so that those that ended make room.
            if clients {
                self.dispatch()?;
            }
            if listener {
                self.accept();
            }
            if timer {
                self.tick()?;
            }
            self.display.flush_clients()?;
        }
    }

    /// Sets the timer to the absolute time of the next tick. Setting each anew,
    /// instead of a period in nanoseconds, keeps it on the exact grid.
    fn arm(&self) -> io::Result<()> {
        // An it_value of zero would disarm; no clock that has been read is at 0.
        let at = self.state.grid.at(self.next).0.max(1);
        let it_value =
            Timespec { tv_sec: (at / 1_000_000_000) as i64, tv_nsec: (at % 1_000_000_000) as _ };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec)?;
        Ok(())
    }

    /// The tick that is due; if this thread was late, the last of those that are.
    fn tick(&mut self) -> io::Result<()> {
        let index = self.state.grid.index_at(Mono::now()).max(self.next);
        self.state.tick(index);
        // The backend lets go of a client that was disconnected during the tick
        // only when it next dispatches; nobody may ever wake it to do so.
        if let Some(client) = self.state.recorded_client() {
            self.guarded(|display, state| {
                // An error says that there was nothing to read, or nobody.
                let _ = display.backend().dispatch_single_client(state, client.id());
                Ok(())
            })?;
        }
        if index >= self.census {
            self.census = index + self.fps;
            self.disconnect_hoarders()?;
        }
        self.deaf = false;
        self.next = index + 1;
        self.arm()
    }

    /// Disconnects who has more objects than slots: registries, which take none.
    fn disconnect_hoarders(&mut self) -> io::Result<()> {
        let handle = self.display.handle().backend_handle();
        let mut clients = Vec::new();
        handle.with_all_clients(|id| clients.push(id));
        for id in clients {
            let mut objects = 0;
            // An error says that it is gone already.
            let _ = handle.with_all_objects_for(id.clone(), |_| objects += 1);
            if objects > 2 * MAX_OBJECTS {
                self.disconnect(id, format!("{objects} objects"))?;
            }
        }
        Ok(())
    }

    /// Disconnects a client, and lets go of what it has.
    fn disconnect(&mut self, id: ClientId, why: String) -> io::Result<()> {
        self.display.handle().backend_handle().kill_client(id.clone(), too_much(why));
        self.guarded(|display, state| {
            // As in `tick`: only a dispatch lets go, and it has nobody to hear.
            let _ = display.backend().dispatch_single_client(state, id);
            Ok(())
        })
    }

    fn dispatch(&mut self) -> io::Result<()> {
        self.guarded(|display, state| match display.dispatch_clients(state) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        })
    }

    /// Dispatches, and survives a panic of it. The backend panics on some
    /// malformed requests (a string that is null), and its lock is poisoned
    /// then: it is replaced, all clients are disconnected, and the ticks
    /// go on as if the browser had died.
    fn guarded(
        &mut self,
        dispatch: impl FnOnce(&mut Display<State>, &mut State) -> io::Result<()>,
    ) -> io::Result<()> {
        let (display, state) = (&mut self.display, &mut self.state);
        catch_unwind(AssertUnwindSafe(|| dispatch(display, state))).unwrap_or_else(|_| {
            self.display = open()?;
            self.state.forget_clients();
            let message = "a request made the display panic".into();
            self.state.tell(ScreenEvent::ClientError { message });
            Ok(())
        })
    }

    fn accept(&mut self) {
        match self.listener.accept() {
            Ok((stream, _)) => self.welcome(stream),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                _ => {
                    tracing::warn!(%error, "cannot accept a Wayland client");
                    self.deaf = true;
                }
            },
        }
    }

    fn welcome(&mut self, stream: UnixStream) {
        let new = |server: &Self| Peer::new(&server.peers, server.events.clone());
        let Some(peer) = new(self).or_else(|| {
            self.make_room();
            new(self)
        }) else {
            tracing::warn!("too many Wayland clients, one is turned away");
            return;
        };
        if let Err(error) = self.display.handle().insert_client(stream, Arc::new(peer)) {
            tracing::warn!(%error, "cannot serve a Wayland client");
        }
    }

    /// Disconnects one that has said nothing of use, if there is any.
    fn make_room(&mut self) {
        let handle = self.display.handle().backend_handle();
        let mut clients = Vec::new();
        handle.with_all_clients(|id| clients.push(id));
        let idle = clients.into_iter().find(|id| {
            let data = handle.get_client_data(id.clone()).ok();
            data.is_some_and(|data| data.downcast_ref::<Peer>().is_some_and(Peer::is_idle))
        });
        if let Some(id) = idle
            && let Err(error) = self.disconnect(id, "silent, and others wait".into())
        {
            tracing::warn!(%error, "cannot disconnect a Wayland client");
        }
    }

    /// Does what the owner asks; true once it has hung up.
    fn is_over(&mut self) -> io::Result<bool> {
        let mut requests = [0; 16];
        match self.control.read(&mut requests) {
            Ok(0) => Ok(true),
            Ok(_) => {
                self.state.close_windows();
                Ok(false)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(false),
                _ => Err(error),
            },
        }
    }
}
