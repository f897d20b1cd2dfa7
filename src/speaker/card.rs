//! The sound card without its sockets: streams, mix, clock and patience.
//!
//! Pure: the time comes in, blocks and notices go out. The server feeds it what
//! clients send and calls [`Card::tick`] on every tick of its timer.
//!
//! Frame `n` plays at `epoch + n / 48000` s, always. What a client delivers in
//! time or late lands at its own position; a position is handed on as soon as no
//! playing stream can change it any more, and after `grace` at the latest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bus::Bus;
use super::stream::{Buffering, Moment, Stream, frames};
use super::wire::Seek;
use crate::clock::Mono;
use crate::media::Block;

/// Time between two ticks; clients are asked for this much at a time.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// Grace never grows beyond this: a kill costs that much sound.
pub(super) const MAX_GRACE: Duration = Duration::from_secs(2);
/// A client that is this much longer silent than the grace is not waited for any
/// more: its stream stops, and plays on from wherever it is when data comes.
const PATIENCE: Duration = Duration::from_secs(1);
/// After standing still for longer than this, clients are not asked for what
/// they missed: they would have to make up sound by the second.
const MAX_CATCH_UP: Duration = Duration::from_secs(5);
/// Streams at a time over all clients; Chromium opens 50 at most.
const MAX_STREAMS: usize = 96;

/// Something a client has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// Frames to ask for.
    Request { stream: u32, frames: i64 },
    /// Playing began.
    Started { stream: u32 },
    /// The stream stopped for want of data at this index.
    Underflow { stream: u32, index: i64 },
    /// Frames did not fit.
    Overflow { stream: u32 },
    /// The drain with this tag is complete.
    Drained { stream: u32, tag: u32 },
}

impl Notice {
    /// The stream it is about.
    pub(super) fn stream(self) -> u32 {
        match self {
            Self::Request { stream, .. }
            | Self::Started { stream }
            | Self::Underflow { stream, .. }
            | Self::Overflow { stream }
            | Self::Drained { stream, .. } => stream,
        }
    }
}

/// What the card counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) streams_opened: u64,
    pub(super) underruns: u64,
    pub(super) underrun_frames: u64,
    pub(super) late_frames: u64,
    pub(super) overflow_frames: u64,
    pub(super) longest_stall: Duration,
}

pub(super) struct Card {
    epoch: Mono,
    bus: Bus,
    streams: BTreeMap<u32, Stream>,
    /// Index of the next stream; never used twice.
    next: u32,
    grace: Duration,
    ticked: Mono,
    /// The longest stall whose sound has not been caught up with yet.
    debt: Duration,
    counters: Counters,
    /// For the server to deliver, oldest first.
    notices: Vec<Notice>,
}

impl Card {
    pub(super) fn new(epoch: Mono, grace: Duration) -> Self {
        Self {
            epoch,
            bus: Bus::new(epoch),
            streams: BTreeMap::new(),
            next: 0,
            grace: grace.min(MAX_GRACE),
            ticked: epoch,
            debt: Duration::ZERO,
            counters: Counters::default(),
            notices: Vec::new(),
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    pub(super) fn grace(&self) -> Duration {
        self.grace
    }

    pub(super) fn streams(&self) -> impl ExactSizeIterator<Item = (u32, &Stream)> {
        self.streams.iter().map(|(index, stream)| (*index, stream))
    }

    pub(super) fn stream(&self, index: u32) -> Option<&Stream> {
        self.streams.get(&index)
    }

    /// Position that plays at `now`.
    pub(super) fn clock(&self, now: Mono) -> i64 {
        frames(now.since(self.epoch))
    }

    /// Takes what clients have to be told since the last call.
    pub(super) fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// A new stream's index, or `None` if there are too many.
    pub(super) fn open(
        &mut self,
        buffering: Buffering,
        corked: bool,
        gain: [f32; 2],
        muted: bool,
    ) -> Option<u32> {
        if self.streams.len() >= MAX_STREAMS {
            return None;
        }
        let index = self.next;
        self.next = self.next.checked_add(1).filter(|next| *next < u32::MAX)?;
        self.streams.insert(index, Stream::new(buffering, corked, gain, muted));
        self.counters.streams_opened += 1;
        Some(index)
    }

    /// Ends a stream; what has not played is dropped, as a sound card would.
    pub(super) fn close(&mut self, index: u32, now: Mono) {
        self.change(index, now, |_| ());
        self.streams.remove(&index);
    }

    /// Takes frames a client wrote; see [`Stream::write`].
    pub(super) fn write(
        &mut self,
        index: u32,
        seek: Seek,
        offset: i64,
        data: &[[f32; 2]],
        now: Mono,
    ) {
        let clock = self.clock(now);
        let Some(stream) = self.streams.get_mut(&index) else { return };
        let behind = stream.behind(clock);
        let refused = stream.write(seek, offset, data, clock);
        if refused > 0 {
            self.counters.overflow_frames += refused as u64;
            self.notices.push(Notice::Overflow { stream: index });
        }
        self.be_patient(Duration::from_millis(behind.unsigned_abs() / 48));
        self.change(index, now, |_| ());
    }

    /// Applies `change` to a stream at `now`: all that was due before sounds as
    /// it was before. `None` if there is no such stream.
    pub(super) fn change<T>(
        &mut self,
        index: u32,
        now: Mono,
        change: impl FnOnce(&mut Stream) -> T,
    ) -> Option<T> {
        let clock = self.clock(now);
        let stream = self.streams.get_mut(&index)?;
        self.counters.late_frames += stream.play(clock, &mut self.bus);
        let result = change(stream);
        if stream.start(clock) {
            self.notices.push(Notice::Started { stream: index });
        }
        Some(result)
    }

    /// Grace keeps half as much again in hand as the worst lateness seen.
    fn be_patient(&mut self, lateness: Duration) {
        self.grace = self.grace.max(lateness * 3 / 2).min(MAX_GRACE);
    }

    /// One tick: plays what is due, asks for what the clock consumed, hands on
    /// what is final. Everything clients sent before `now` must have been fed in.
    pub(super) fn tick(&mut self, now: Mono, sink: impl FnMut(Block)) {
        let stall = now.since(self.ticked).saturating_sub(TICK);
        self.ticked = now;
        self.counters.longest_stall = self.counters.longest_stall.max(stall);
        if stall > 2 * TICK {
            self.be_patient(stall);
            self.debt = self.debt.max(stall);
        }
        let at = Moment { now, clock: self.clock(now), grace: self.grace };
        let mut end = at.clock;
        for (&index, stream) in &mut self.streams {
            self.counters.late_frames += stream.play(at.clock, &mut self.bus);
            if stall > 2 * TICK {
                stream.excuse(stall);
            }
            let hopeless = stall > MAX_CATCH_UP && stream.behind(at.clock) > 0;
            if hopeless || stream.starved(at, self.grace + PATIENCE) {
                self.counters.underruns += 1;
                stream.refill();
                let index_of_hole = stream.read_index(at.clock);
                self.notices.push(Notice::Underflow { stream: index, index: index_of_hole });
            }
            if let Some(tag) = stream.drained(at.clock) {
                self.notices.push(Notice::Drained { stream: index, tag });
            }
            if let Some(frames) = stream.request(at) {
                self.notices.push(Notice::Request { stream: index, frames });
            }
            end = end.min(stream.settled(at));
        }
        // Nobody who seeks around or leaves requests open holds up the others longer.
        end = end.max(at.clock - frames(self.grace + PATIENCE + self.debt));
        if end >= at.clock - frames(self.grace) {
            self.debt = Duration::ZERO;
        }
        for stream in self.streams.values() {
            self.counters.underrun_frames += stream.missing(self.bus.emitted(), end);
        }
        self.bus.emit(end, sink);
    }
}

#[cfg(test)]
mod tests;
