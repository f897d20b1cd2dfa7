//! One playback stream: what its client wrote, what it was asked for, and where
//! on the card's clock its frames play.
//!
//! Pure. A frame of the stream has an *index* (frames since the stream was made,
//! the protocol's read and write index in frames); while the stream plays,
//! index `i` plays at position `origin + i` of the bus, come early or late.

use std::collections::VecDeque;
use std::time::Duration;

use super::bus::Bus;
use super::wire::Seek;
use crate::clock::Mono;
use crate::media::SAMPLE_RATE;

const MS: i64 = SAMPLE_RATE as i64 / 1000;
/// Longest buffer a client gets; libpulse asks for 2 s when it does not care.
const LONGEST: i64 = 4000 * MS;
const DEFAULT_TARGET: i64 = 2000 * MS;
/// Shortest buffer: with requests every 10 ms, one that is this long does not
/// run dry when either side wakes up a little late.
const SHORTEST: i64 = 60 * MS;
const DEFAULT_REQUEST: i64 = 20 * MS;

/// Buffer metrics in frames: the protocol's `maxlength`, `tlength`, `prebuf`
/// and `minreq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buffering {
    /// Frames beyond the read index that are kept; later ones are refused.
    pub(super) max: i64,
    /// Frames the client is kept ahead of the read index.
    pub(super) target: i64,
    /// Frames that must be there before playing starts.
    pub(super) prebuf: i64,
    /// Requests for less wait.
    pub(super) request: i64,
}

impl Buffering {
    /// What the card makes of a client's wishes; `None` leaves it to the card.
    pub(super) fn settle(
        max: Option<i64>,
        target: Option<i64>,
        prebuf: Option<i64>,
        request: Option<i64>,
    ) -> Self {
        let max = max.unwrap_or(LONGEST).clamp(2 * SHORTEST, LONGEST);
        let target = target.unwrap_or(DEFAULT_TARGET).clamp(SHORTEST, max);
        let request = request.unwrap_or(DEFAULT_REQUEST).clamp(1, target / 2);
        let most = target - request + 1;
        let prebuf = prebuf.unwrap_or(most).clamp(0, most);
        Self { max, target, prebuf, request }
    }
}

/// Frames asked for at one moment.
struct Ask {
    at: Mono,
    begin: i64,
    end: i64,
}

/// The clock at one moment, and how much lateness is waited for.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Mono,
    /// Position that plays at `now`.
    pub(super) clock: i64,
    pub(super) grace: Duration,
}

pub(super) struct Stream {
    buffering: Buffering,
    /// Frames from index `next` on that are not due yet.
    pending: VecDeque<[f32; 2]>,
    /// Index after the last frame given to the bus; the read index when stopped.
    next: i64,
    /// Where a plain write goes: the protocol's write index.
    cursor: i64,
    /// Frames asked for and not written yet; below zero when the client wrote
    /// more than it was asked for.
    credit: i64,
    /// Requests not fulfilled yet, oldest first.
    asks: VecDeque<Ask>,
    /// Position of index 0 while playing.
    origin: Option<i64>,
    /// Index at which playing began, for the latency report.
    started_at: i64,
    corked: bool,
    /// Waiting for `prebuf` frames.
    filling: bool,
    /// The client's tag of a drain to be answered when the last frame played.
    drain: Option<u32>,
    gain: [f32; 2],
    muted: bool,
}

impl Stream {
    /// A stream whose client has been asked for its whole buffer.
    pub(super) fn new(buffering: Buffering, corked: bool, gain: [f32; 2], muted: bool) -> Self {
        Self {
            buffering,
            pending: VecDeque::new(),
            next: 0,
            cursor: 0,
            credit: buffering.target,
            asks: VecDeque::new(),
            origin: None,
            started_at: 0,
            corked,
            filling: true,
            drain: None,
            gain,
            muted,
        }
    }

    pub(super) fn set_buffering(&mut self, buffering: Buffering) {
        self.buffering = buffering;
    }

    pub(super) fn gain(&self) -> [f32; 2] {
        self.gain
    }

    pub(super) fn set_gain(&mut self, gain: [f32; 2]) {
        self.gain = gain;
    }

    pub(super) fn muted(&self) -> bool {
        self.muted
    }

    pub(super) fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    pub(super) fn corked(&self) -> bool {
        self.corked
    }

    pub(super) fn playing(&self) -> bool {
        self.origin.is_some()
    }

    /// Write index in frames.
    pub(super) fn write_index(&self) -> i64 {
        self.cursor
    }

    /// Index that plays at position `clock`: it runs with the clock even when
    /// the client is late.
    pub(super) fn read_index(&self, clock: i64) -> i64 {
        self.origin.map_or(self.next, |origin| clock - origin)
    }

    /// Frames played since the stream last started, 0 when it does not play.
    pub(super) fn played(&self, clock: i64) -> i64 {
        self.origin.map_or(0, |origin| clock - origin - self.started_at)
    }

    /// Index after the last frame the client delivered.
    fn delivered(&self) -> i64 {
        self.next + self.pending.len() as i64
    }

    /// Frames in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.pending.len()
    }

    /// Frames by which the client is behind the clock.
    pub(super) fn behind(&self, clock: i64) -> i64 {
        match self.origin {
            Some(origin) if self.drain.is_none() => (clock - origin - self.delivered()).max(0),
            _ => 0,
        }
    }

    /// Takes `frames` from the client; `offset` counts frames from where `seek`
    /// says. Returns how many did not fit.
    pub(super) fn write(
        &mut self,
        seek: Seek,
        offset: i64,
        frames: &[[f32; 2]],
        clock: i64,
    ) -> usize {
        let (read, count) = (self.read_index(clock), frames.len() as i64);
        let base = match seek {
            Seek::Relative => self.cursor,
            Seek::Absolute => 0,
            Seek::RelativeToRead => read,
            Seek::RelativeToEnd => self.delivered(),
        };
        // Far enough for any buffer, near enough for no sum to overflow.
        let offset = offset.clamp(-(1 << 50), 1 << 50);
        let skipped = if seek == Seek::Relative { offset } else { 0 };
        self.credit = (self.credit - skipped - count).clamp(-LONGEST, 2 * LONGEST);
        let at = (base + offset).clamp(0, read.max(self.delivered()) + self.buffering.max);
        let limit = read + self.buffering.max;
        self.cursor = at + count;

        let played = usize::try_from(self.next - at).unwrap_or(0).min(frames.len());
        let room = usize::try_from(limit - at).unwrap_or(0).min(frames.len()).max(played);
        let fresh = &frames[played..room];
        if !fresh.is_empty() {
            let from = usize::try_from(at - self.next).unwrap_or(0);
            if self.pending.len() < from {
                self.pending.resize(from, [0.0; 2]);
            }
            let known = (self.pending.len() - from).min(fresh.len());
            for (old, new) in self.pending.range_mut(from..from + known).zip(fresh) {
                *old = *new;
            }
            self.pending.extend(&fresh[known..]);
        }
        frames.len() - room
    }

    /// Gives the bus every frame due before `clock`; returns how many came too
    /// late for it.
    pub(super) fn play(&mut self, clock: i64, bus: &mut Bus) -> u64 {
        let Some(origin) = self.origin else { return 0 };
        let due = usize::try_from(clock - origin - self.next).unwrap_or(0).min(self.pending.len());
        let gain = if self.muted { [0.0; 2] } else { self.gain };
        let late = bus.add(origin + self.next, self.pending.drain(..due), gain);
        self.next += due as i64;
        let delivered = self.delivered();
        while self.asks.front().is_some_and(|ask| ask.end <= delivered) {
            self.asks.pop_front();
        }
        late
    }

    /// Starts if nothing stands against it; true if it did.
    pub(super) fn start(&mut self, clock: i64) -> bool {
        let enough = match self.drain {
            None => self.pending.len() as i64 >= self.buffering.prebuf.max(1),
            Some(_) => !self.pending.is_empty(),
        };
        if self.origin.is_some() || self.corked || (self.filling && !enough) {
            return false;
        }
        self.filling = false;
        self.started_at = self.next;
        self.origin = Some(clock - self.next);
        true
    }

    /// Stops where the client's data ends or the clock stands. What was due must
    /// have been given to the bus by [`Stream::play`].
    fn stop(&mut self) {
        self.origin = None;
        self.asks.clear();
    }

    /// Corks or uncorks.
    pub(super) fn cork(&mut self, corked: bool) {
        self.corked = corked;
        if corked {
            self.stop();
        }
    }

    /// Stops and waits for `prebuf` frames again.
    pub(super) fn refill(&mut self) {
        self.stop();
        self.filling = true;
    }

    /// Starts with what there is, without waiting for `prebuf` frames.
    pub(super) fn trigger(&mut self) {
        self.filling = false;
    }

    /// Forgets what has not played.
    pub(super) fn flush(&mut self) {
        self.refill();
        self.pending.clear();
        self.cursor = self.next;
    }

    /// The client wants to know by `tag` when its last frame played. Returns the
    /// tag of a drain that this one replaces.
    pub(super) fn drain(&mut self, tag: u32) -> Option<u32> {
        self.drain.replace(tag)
    }

    /// The tag of a drain that is complete; the stream then waits for new data.
    pub(super) fn drained(&mut self, clock: i64) -> Option<u32> {
        if self.corked || self.delivered() > self.read_index(clock) {
            return None;
        }
        let tag = self.drain.take()?;
        self.refill();
        Some(tag)
    }

    /// Frames to ask the client for now. The clock consumes whether or not data
    /// came, so a late client is asked for what it missed and stays aligned.
    pub(super) fn request(&mut self, at: Moment) -> Option<i64> {
        let begin = self.cursor + self.credit;
        let end = self.read_index(at.clock) + self.buffering.target;
        if end - begin < self.buffering.request || self.drain.is_some() {
            return None;
        }
        self.credit += end - begin;
        // What a client wrote unasked, or seeks around in, needs no waiting for.
        self.asks.push_back(Ask { at: at.now, begin: begin.max(self.delivered()), end });
        Some(end - begin)
    }

    /// The position before which nothing of this stream will change any more:
    /// data has come, or has been waited for long enough. The wait counts from
    /// the request, so that a request we sent late is not the client's fault.
    pub(super) fn settled(&self, at: Moment) -> i64 {
        let Some(origin) = self.origin else { return at.clock };
        let have = origin + self.delivered();
        if have >= at.clock || self.drain.is_some() {
            return at.clock;
        }
        let fresh = self.asks.iter().find(|ask| at.now.since(ask.at) < at.grace);
        let patient = at.clock - frames(at.grace);
        have.max(fresh.map_or(patient, |ask| patient.min(origin + ask.begin)))
    }

    /// Frames between positions `from` and `to` that never came.
    pub(super) fn missing(&self, from: i64, to: i64) -> u64 {
        match self.origin {
            Some(origin) if self.drain.is_none() => {
                u64::try_from(to - from.max(origin + self.delivered())).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether the client has not answered for `limit`.
    pub(super) fn starved(&self, at: Moment, limit: Duration) -> bool {
        self.behind(at.clock) > frames(limit)
            && self.asks.front().is_none_or(|ask| at.now.since(ask.at) > limit)
    }

    /// This process stood still for `stall`: time during which no answer could
    /// be read does not count against the client.
    pub(super) fn excuse(&mut self, stall: Duration) {
        for ask in &mut self.asks {
            ask.at = ask.at + stall;
        }
    }
}

/// Frames played in `time`.
pub(super) fn frames(time: Duration) -> i64 {
    i64::try_from(time.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
