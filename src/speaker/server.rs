//! The thread: one poll over the listening socket, the clients, the tick timer
//! and the stop signal. The only place here that touches sockets and clocks.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::sync::mpsc::UnboundedSender;

use super::card::{Card, TICK};
use super::session::Session;
use super::wire::{Inbox, Violation};
use super::{BlockSink, SpeakerEvent, SpeakerStats};
use crate::clock::Mono;

/// Clients at a time: a connection per stream, and the control connection.
const MAX_CLIENTS: usize = 128;
/// A client that has not introduced itself by then is sent away.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Reads per client and wake-up, so that none keeps the others from the clock.
const READS: usize = 64;

struct Client {
    socket: UnixStream,
    since: Mono,
    inbox: Inbox,
    session: Session,
}

/// Why a connection ended.
enum End {
    /// The client closed it, or it broke; Chromium just closes.
    Closed,
    Broke(Violation),
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Broke(violation)
    }
}

pub(super) struct Server {
    listener: UnixListener,
    timer: OwnedFd,
    /// Readable when the speaker is dropped.
    stop: Arc<OwnedFd>,
    card: Card,
    clients: BTreeMap<u32, Client>,
    next: u32,
    control: Option<u32>,
    sink: BlockSink,
    events: UnboundedSender<SpeakerEvent>,
    stats: Arc<Mutex<SpeakerStats>>,
}

impl Server {
    pub(super) fn new(
        listener: UnixListener,
        stop: Arc<OwnedFd>,
        epoch: Mono,
        grace: Duration,
        sink: BlockSink,
        events: UnboundedSender<SpeakerEvent>,
        stats: Arc<Mutex<SpeakerStats>>,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let first = epoch + TICK;
        let it_value = Timespec {
            tv_sec: (first.0 / 1_000_000_000).cast_signed(),
            tv_nsec: (first.0 % 1_000_000_000).cast_signed(),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: i64::from(TICK.subsec_nanos()) };
        let ticks = Itimerspec { it_interval, it_value };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &ticks)?;
        Ok(Self {
            listener,
            timer,
            stop,
            card: Card::new(epoch, grace),
            clients: BTreeMap::new(),
            next: 0,
            control: None,
            sink,
            events,
            stats,
        })
    }

    /// Serves until the stop signal.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut listening = true;
        loop {
            let mut fds = vec![
                PollFd::new(&self.stop, PollFlags::IN),
                PollFd::new(&self.timer, PollFlags::IN),
                PollFd::new(
                    &self.listener,
                    if listening { PollFlags::IN } else { PollFlags::empty() },
                ),
            ];
            fds.extend(self.clients.values().map(|client| {
                let unsent = !client.session.outbox.is_empty();
                let out = if unsent { PollFlags::OUT } else { PollFlags::empty() };
                PollFd::new(&client.socket, PollFlags::IN | out)
            }));
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => continue,
                result => result?,
            };
            let now = Mono::now();
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            let &[stop, tick, knock, ref talking @ ..] = ready.as_slice() else { continue };
            if stop {
                return Ok(());
            }

            let talking: Vec<u32> =
                self.clients.keys().zip(talking).filter(|(_, t)| **t).map(|(i, _)| *i).collect();
            for index in talking {
                if let Err(end) = self.listen_to(index, now) {
                    self.dismiss(index, end, now);
                }
            }
            if tick {
                self.tick(now)?;
                listening = true;
            }
            if knock {
                // Out of descriptors, say: better to try again than to spin.
                listening = self.accept(now).is_ok();
            }
            self.speak(now);
        }
    }

    fn accept(&mut self, now: Mono) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            if self.clients.len() >= MAX_CLIENTS {
                self.report(SpeakerEvent::ClientError { message: "too many clients".into() });
                continue;
            }
            socket.set_nonblocking(true)?;
            let (inbox, session) = (Inbox::default(), Session::new(self.next));
            self.clients.insert(self.next, Client { socket, since: now, inbox, session });
            self.next = self.next.wrapping_add(1);
        }
    }

    /// Reads what a client sent and works it off.
    fn listen_to(&mut self, index: u32, now: Mono) -> Result<(), End> {
        let Some(client) = self.clients.get_mut(&index) else { return Ok(()) };
        let events = &self.events;
        for _ in 0..READS {
            match client.inbox.fill(&mut client.socket) {
                Ok(0) => return Err(End::Closed),
                Ok(_) => (),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(End::Closed),
            }
            while let Some(message) = client.inbox.next()? {
                // Nobody may be listening to events; that is the owner's choice.
                let mut report = |event| drop(events.send(event));
                client.session.handle(message, now, &mut self.card, &mut report)?;
                if client.session.outbox.overdue() {
                    return Err(End::Broke(Violation::Deaf));
                }
            }
        }
        if self.control.is_none() && client.session.inquired() {
            self.control = Some(index);
            self.report(SpeakerEvent::ControlConnected);
        }
        Ok(())
    }

    fn tick(&mut self, now: Mono) -> io::Result<()> {
        match rustix::io::read(&self.timer, &mut [0; 8]) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => (),
            Err(e) => return Err(e.into()),
        }
        self.card.tick(now, &mut self.sink);
        let strangers: Vec<u32> = self
            .clients
            .iter()
            .filter(|(_, c)| !c.session.named() && now.since(c.since) > HANDSHAKE)
            .map(|(index, _)| *index)
            .collect();
        for index in strangers {
            self.dismiss(index, End::Closed, now);
        }
        let counters = self.card.counters();
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = SpeakerStats {
            clients: self.clients.len(),
            streams: self.card.streams().len(),
            streams_opened: counters.streams_opened,
            underruns: counters.underruns,
            underrun_frames: counters.underrun_frames,
            late_frames: counters.late_frames,
            overflow_frames: counters.overflow_frames,
            longest_stall: counters.longest_stall,
            grace: self.card.grace(),
        };
        Ok(())
    }

    /// Delivers the card's notices and sends what clients take.
    fn speak(&mut self, now: Mono) {
        let mut ended = Vec::new();
        for notice in self.card.notices() {
            let stream = notice.stream();
            let owner = self
                .clients
                .iter_mut()
                .find(|(_, client)| client.session.streams().any(|own| own == stream));
            if let Some((index, client)) = owner
                && let Err(violation) = client.session.notify(notice)
            {
                ended.push((*index, End::Broke(violation)));
            }
        }
        for (index, client) in &mut self.clients {
            let asked = client.session.ask();
            let sent = client.session.outbox.flush(&mut client.socket);
            match (asked, sent) {
                (Err(violation), _) => ended.push((*index, End::Broke(violation))),
                (_, Err(_)) => ended.push((*index, End::Closed)),
                _ if client.session.outbox.overdue() => {
                    ended.push((*index, End::Broke(Violation::Deaf)));
                }
                _ => (),
            }
        }
        for (index, end) in ended {
            self.dismiss(index, end, now);
        }
    }

    fn dismiss(&mut self, index: u32, end: End, now: Mono) {
        let Some(client) = self.clients.remove(&index) else { return };
        for stream in client.session.streams() {
            self.card.close(stream, now);
            self.report(SpeakerEvent::StreamClosed { stream });
        }
        if let End::Broke(violation) = end {
            self.report(SpeakerEvent::ClientError { message: violation.to_string() });
        }
        if self.control == Some(index) {
            self.control = None;
            self.report(SpeakerEvent::ControlLost);
        }
    }

    fn report(&self, event: SpeakerEvent) {
        // The owner may have stopped listening; the sound goes on.
        let _ = self.events.send(event);
    }
}
