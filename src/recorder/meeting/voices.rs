//! What encoder, page, screen and speaker say while a meeting is attended, and
//! which of it ends a visit or the recording.

use std::time::Duration;

use super::super::error::RecordError;
use super::{Attendance, End, Interruption};
use crate::browser::PageEvent;
use crate::clock::Mono;
use crate::display::ScreenEvent;
use crate::encode::EncodeEvent;
use crate::job::{Event, StopReason};
use crate::speaker::SpeakerEvent;

/// After joining, a page that paints nothing for this long has failed.
const FIRST_PAINT: Duration = Duration::from_secs(20);

/// A file that does not grow for this long has a screen whose ticks stand
/// still: a browser floods it.
const STANDSTILL: Duration = Duration::from_secs(15);

impl Attendance<'_> {
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
            EncodeEvent::DurationReached => {
                let t0 = self.studio.t0().map_or_else(Mono::now, |first| first.t0);
                let at = t0 + self.spec.max_duration();
                Some(End { reason: Ok(StopReason::MaxDuration), at })
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
            PageEvent::Console { .. } => None,
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
        None
    }

    /// Once a second: tells the counters, and notices a page that never paints
    /// and a file that does not grow.
    pub(super) fn each_second(&mut self) -> Option<Interruption> {
        let begun = self.begun?;
        let now = Mono::now();
        if self.studio.t0().is_none() {
            let waited = now.since(begun) > FIRST_PAINT;
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
        if frames != stats.recorded {
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
