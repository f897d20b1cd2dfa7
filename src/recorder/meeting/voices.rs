//! What encoder, page, screen and speaker say while a meeting is attended, and
//! which of it ends a visit or the recording.

use std::time::Duration;

use super::super::error::RecordError;
use super::super::studio::FileEnd;
use super::{Attendance, End, Interruption, descriptors, memory};
use crate::browser::PageEvent;
use crate::clock::Mono;
use crate::display::ScreenEvent;
use crate::encode::EncodeEvent;
use crate::job::{EncoderKind, Event, StopReason};
use crate::room::Token;
use crate::speaker::SpeakerEvent;

/// After joining, a page that paints nothing for this long has failed.
const FIRST_PAINT: Duration = Duration::from_secs(20);

/// A file that does not grow for this long has a screen whose ticks stand
/// still: a browser floods it.
const STANDSTILL: Duration = Duration::from_secs(15);

impl Attendance<'_> {
    /// Leaves the time from now on out of the file; a paused recording stays so.
    pub(super) fn pause(&mut self) {
        if !std::mem::replace(&mut self.paused, true) {
            let at = Mono::now();
            self.studio.pause(at);
            self.journal.tell(Event::Paused { at });
        }
    }

    /// Takes frames again; one that is not paused goes on as it does.
    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.paused) {
            let at = Mono::now();
            self.resumed = at;
            self.studio.resume(at);
            self.journal.tell(Event::Resumed { at });
        }
    }

    /// A word from the encoder; `None` when its thread is gone.
    pub(super) fn encoder_says(&mut self, event: Option<EncodeEvent>) -> Option<End> {
        let Some(event) = event else {
            let why = "the encoder's thread ended by itself".into();
            return Some(End::failed(RecordError::Encoder(why)));
        };
        match event {
            EncodeEvent::FirstFrame { t0 } => {
                let first = self.studio.note_first_frame(t0);
                self.journal.tell(Event::FirstFrame { t0, epoch_ms: first.epoch_ms });
                None
            }
            EncodeEvent::Ended { end: at, frames, trimmed, .. } => {
                // Nobody has stopped it: it is full.
                self.studio.note_end(FileEnd { at, frames, trimmed });
                Some(End { reason: Ok(StopReason::MaxDuration), at })
            }
            EncodeEvent::FellBack { from, why } => {
                let told = self.studio.note_fallback(from, &why);
                self.journal.notice(told);
                self.journal.tell(Event::Encoder { encoder: EncoderKind::X264 });
                None
            }
            EncodeEvent::Failed(error) => Some(End::failed(error.into())),
            EncodeEvent::Drained { .. } => None,
        }
    }

    /// A word from the page; only some end the visit.
    pub(super) fn page_says(&mut self, event: PageEvent) -> Option<Interruption> {
        match event {
            PageEvent::Crashed => Some(Interruption::Crashed("the page crashed".into())),
            PageEvent::Closed => Some(Interruption::End(End::stopped(StopReason::RoomEnded))),
            // Texts of dialogs and of the console are the page's own and may hold
            // secrets: they are not logged.
            PageEvent::Dialog { kind, .. } => {
                tracing::debug!(%kind, "a dialog of the page was answered");
                None
            }
            PageEvent::ForeignTarget { url } => {
                tracing::debug!(%url, "a window that the page opened was closed");
                None
            }
            PageEvent::Console { text, .. } => {
                if let Some(token) = Token::read(&text) {
                    self.company.tokens.push(token);
                }
                None
            }
        }
    }

    /// A word from the screen; `None` when its thread is gone.
    pub(super) fn screen_says(&mut self, event: Option<ScreenEvent>) -> Option<Interruption> {
        match event {
            None => Some(device_gone("screen")),
            Some(ScreenEvent::Unresponsive { .. }) => {
                Some(Interruption::Gone("the browser hangs".into()))
            }
            Some(event) => {
                tracing::debug!(?event, "the screen tells");
                None
            }
        }
    }

    /// A word from the speaker; `None` when its thread is gone.
    pub(super) fn speaker_says(&mut self, event: Option<SpeakerEvent>) -> Option<Interruption> {
        let Some(event) = event else { return Some(device_gone("speaker")) };
        tracing::debug!(?event, "the speaker tells");
        match event {
            SpeakerEvent::ControlConnected => self.hearing.connected(),
            SpeakerEvent::ControlLost => self.hearing.lost(Mono::now()),
            SpeakerEvent::StreamOpened { .. }
            | SpeakerEvent::StreamClosed { .. }
            | SpeakerEvent::ClientError { .. } => {}
        }
        None
    }

    /// Once a second: tells the counters, and notices a browser that has no
    /// speaker, a page that never paints and a file that does not grow. In a pause
    /// the last two mean nothing.
    pub(super) fn each_second(&mut self) -> Option<Interruption> {
        let now = Mono::now();
        if self.hearing.is_overdue(now) {
            return Some(Interruption::Gone("the browser has lost its speaker".into()));
        }
        let limit = self.spec.browser.memory_limit;
        if let Some(used) = self.group.filter(|_| limit > 0).map(memory::of_group)
            && used > limit
        {
            return Some(Interruption::Gone(format!(
                "the browser has {} MiB of memory, more than browser.memory_limit",
                used >> 20
            )));
        }
        if descriptors::are_scarce() {
            return Some(Interruption::Gone(
                "the browser leaves the recorder no descriptors".into(),
            ));
        }
        let begun = self.begun?;
        if let Some(left) = self.studio.disk_left().filter(|left| *left < self.spec.keep_free) {
            return Some(Interruption::End(End::failed(RecordError::Disk(format!(
                "the disk is nearly full: {} MiB of space are left, fewer than {} (an eighth of \
                 data.min_free)",
                left >> 20,
                self.spec.keep_free >> 20
            )))));
        }
        if self.studio.t0().is_none() {
            let waited = !self.paused && now.since(begun.max(self.resumed)) > FIRST_PAINT;
            return waited.then(|| {
                Interruption::End(End::failed(RecordError::Browser(format!(
                    "the page painted nothing within {} s",
                    FIRST_PAINT.as_secs()
                ))))
            });
        }
        let stats = self.studio.stats();
        self.stats.send_replace(stats);
        self.journal.tell(Event::Stats(stats));
        let (frames, since) = self.grown.unwrap_or((0, now));
        if frames != stats.recorded || self.paused || self.studio.waits_for_disk() {
            self.grown = Some((stats.recorded, now));
        } else if now.since(since) > STANDSTILL {
            self.grown = None;
            return Some(Interruption::Gone("the screen stands still".into()));
        }
        None
    }
}

fn device_gone(device: &str) -> Interruption {
    let why = format!("the {device}'s thread ended by itself");
    Interruption::End(End::failed(RecordError::Device(why)))
}
