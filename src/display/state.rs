//! The screen itself: which surface is recorded, what a commit changes on it,
//! and what happens at a tick.
//!
//! The first toplevel that maps is recorded until it is gone; then the next one
//! that maps is. Of the recorded surface the newest content becomes a picture at
//! once and waits for the next tick as such. All buffers go back at once, and
//! callbacks fire at every tick: nobody is made to wait.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::{
    Kind, WpPresentationFeedback,
};
use wayland_server::backend::ObjectId;
use wayland_server::protocol::wl_buffer::WlBuffer;
use wayland_server::protocol::wl_output::WlOutput;
use wayland_server::protocol::wl_shm;
use wayland_server::protocol::wl_surface::WlSurface;
use wayland_server::{Client, Resource};

use super::backlog::Backlog;
use super::grid::Grid;
use super::paint::{PaintError, paint};
use super::pulse::{Beat, Pulse};
use super::shm::Buffer;
use super::surface::{Pending, Role, Surface};
use super::{ScreenEvent, TickSink};
use crate::clock::Mono;
use crate::media::{Picture, Pool, Tick};

/// What the recorded surface shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shown {
    Nothing,
    /// Content of a size that cannot be recorded.
    Wrong(u32, u32),
    Right,
}

/// All that the display thread owns; requests are dispatched on it.
pub(super) struct State {
    /// The size of the screen.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) grid: Grid,
    pub(super) surfaces: HashMap<ObjectId, Surface>,
    /// Bound wl_outputs of all clients.
    pub(super) outputs: Vec<WlOutput>,
    /// The surface that is the recording.
    pub(super) recorded: Option<ObjectId>,
    shown: Shown,
    /// Content of the recorded surface that no tick has shown yet.
    fresh: Option<Picture>,
    /// Contents replaced before a tick showed them, since the last tick.
    superseded: u32,
    /// Whether the browser is a frame behind itself.
    backlog: Backlog,
    /// Where pictures get their memory.
    pool: Pool,
    /// The last picture handed over: browsers paint what is there already, too.
    last: Option<Arc<Picture>>,
    /// Pictures after the first are of no interest.
    blind: bool,
    pub(super) pulse: Pulse,
    /// The last serial used in an event.
    serial: u32,
    sink: TickSink,
    events: UnboundedSender<ScreenEvent>,
}

impl State {
    pub(super) fn new(
        (width, height): (u32, u32),
        blind: bool,
        grid: Grid,
        pulse: Pulse,
        sink: TickSink,
        events: UnboundedSender<ScreenEvent>,
    ) -> Self {
        Self {
            width,
            height,
            grid,
            surfaces: HashMap::new(),
            outputs: Vec::new(),
            recorded: None,
            shown: Shown::Nothing,
            fresh: None,
            superseded: 0,
            backlog: Backlog::default(),
            pool: Pool::new(width, height),
            last: None,
            blind,
            pulse,
            serial: 0,
            sink,
            events,
        }
    }

    pub(super) fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    pub(super) fn tell(&self, event: ScreenEvent) {
        tracing::debug!(?event, "screen");
        // Without a receiver nobody is interested.
        let _ = self.events.send(event);
    }

    /// Applies what a surface has collected.
    pub(super) fn commit(&mut self, id: &ObjectId) {
        let Some(surface) = self.surfaces.get_mut(id) else { return };
        let Pending { attach, damaged, callbacks, feedbacks } =
            std::mem::take(&mut surface.pending);
        surface.callbacks.extend(callbacks);
        surface.geometry = surface.next_geometry;
        if attach.is_some() {
            surface.feedbacks.drain(..).for_each(|old| old.discarded());
        }
        surface.feedbacks.extend(feedbacks);
        match attach {
            Some(None) if surface.mapped => self.unmap(id),
            // Only state: the content stays as it is.
            None | Some(None) => self.answer_first_commit(id),
            Some(Some(buffer)) => self.show(id, buffer, damaged),
        }
    }

    /// New content of a surface.
    fn show(&mut self, id: &ObjectId, buffer: WlBuffer, damaged: bool) {
        let Some(surface) = self.surfaces.get_mut(id) else { return };
        if let Role::Window(window) = &surface.role
            && !window.may_map()
        {
            return;
        }
        let maps = !std::mem::replace(&mut surface.mapped, true);
        if maps && self.recorded.is_none() && surface.is_toplevel() {
            self.recorded = Some(id.clone());
            let own = self.outputs.iter().filter(|output| output.id().same_client_as(id));
            own.for_each(|output| surface.resource.enter(output));
        }
        if self.recorded.as_ref() != Some(id) {
            if let Role::Subsurface { parent } = &surface.role
                && maps
                && self.recorded.as_ref() == Some(&parent.id())
            {
                tracing::warn!("the browser shows a subsurface, which is not recorded");
            }
            return buffer.release();
        }
        let geometry = surface.geometry;
        let Some((width, height)) = buffer.data::<Buffer>().map(|b| (b.width, b.height)) else {
            return;
        };
        let right =
            (width, height) == (self.width, self.height) && geometry.is_identity(width, height);
        // Without damage the new buffer holds what the surface shows already
        // (wl_surface.damage), if it shows anything.
        let changed = damaged || self.shown != Shown::Right;
        if !right {
            surface.feedbacks.drain(..).for_each(|feedback| feedback.discarded());
            self.superseded += u32::from(self.fresh.take().is_some());
            buffer.release();
            return self.now_shows(Shown::Wrong(width, height));
        }
        if !changed {
            buffer.release();
            return;
        }
        if self.backlog.committed(Mono::now()) {
            let milliseconds = milliseconds(Mono::now());
            surface.callbacks.drain(..).for_each(|callback| callback.done(milliseconds));
        }
        // Now, not at the tick: a browser that waits for its buffer would begin
        // its next picture late.
        let picture = self.sample(&buffer);
        let unseen = std::mem::replace(&mut self.fresh, picture);
        self.superseded += u32::from(unseen.is_some());
        self.now_shows(Shown::Right);
    }

    /// Tells of a change in what is shown, once.
    fn now_shows(&mut self, shown: Shown) {
        if std::mem::replace(&mut self.shown, shown) != shown {
            // What comes next is a picture, whatever was there before.
            self.last = None;
            self.tell(match shown {
                Shown::Nothing => ScreenEvent::SurfaceGone,
                Shown::Wrong(width, height) => ScreenEvent::WrongSize { width, height },
                Shown::Right => ScreenEvent::Mapped { width: self.width, height: self.height },
            });
        }
    }

    /// A surface has no content any more.
    pub(super) fn unmap(&mut self, id: &ObjectId) {
        if let Some(surface) = self.surfaces.get_mut(id) {
            surface.mapped = false;
            surface.feedbacks.drain(..).for_each(|feedback| feedback.discarded());
            if let Role::Window(window) = &mut surface.role {
                window.forget_configures();
            }
        }
        if self.recorded.as_ref() == Some(id) {
            self.recorded = None;
            self.fresh = None;
            self.pulse.reset();
            self.now_shows(Shown::Nothing);
        }
    }

    /// The object that gave a surface its role is gone: so is its content.
    pub(super) fn drop_role(&mut self, surface: &WlSurface) {
        self.unmap(&surface.id());
        if let Some(surface) = self.surfaces.get_mut(&surface.id()) {
            surface.role = Role::None;
        }
    }

    /// All connections are gone, and nothing can be sent on them any more.
    pub(super) fn forget_clients(&mut self) {
        self.surfaces.clear();
        self.outputs.clear();
        self.recorded = None;
        self.fresh = None;
        self.pulse.reset();
        self.now_shows(Shown::Nothing);
    }

    /// Shows tick `index`: samples the recorded surface, hands the tick over and
    /// lets every client go on.
    pub(super) fn tick(&mut self, index: u64) {
        let at = self.grid.at(index);
        let picture = self.fresh.take().and_then(|picture| self.changed(picture));
        let superseded = std::mem::take(&mut self.superseded);
        (self.sink)(Tick { at, index, picture, superseded });
        self.fire(index, at);
        self.beat(at);
    }

    /// The picture, unless it is the last one again. A browser repaints what did
    /// not change, and a busy one draws before the page has moved on; neither is
    /// a new picture. The comparison ends at the first difference.
    fn changed(&mut self, picture: Picture) -> Option<Arc<Picture>> {
        if self.last.as_ref().is_some_and(|last| last.same_pixels(&picture)) {
            return None;
        }
        let picture = Arc::new(picture);
        self.last = Some(Arc::clone(&picture));
        Some(picture)
    }

    /// Copies the pixels and gives the buffer back. Who made them unreadable is
    /// disconnected, as libwayland does it.
    fn sample(&mut self, buffer: &WlBuffer) -> Option<Picture> {
        if self.blind && self.last.is_some() {
            buffer.release();
            return None;
        }
        let painted = paint(buffer.data::<Buffer>()?, &self.pool);
        buffer.release();
        match painted {
            Ok(picture) => Some(picture),
            Err(error @ PaintError::Read(_)) => {
                buffer.post_error(wl_shm::Error::InvalidFd, error.to_string());
                None
            }
            Err(error @ PaintError::Convert(_)) => {
                tracing::error!(%error, "a picture is lost");
                None
            }
        }
    }

    /// Frame callbacks and presentation feedback, all with the ideal time of the
    /// tick: a browser paces itself by them, and our own lateness would only
    /// disturb it.
    fn fire(&mut self, index: u64, at: Mono) {
        let milliseconds = milliseconds(at);
        self.backlog.fired(index, Mono::now());
        for (id, surface) in &mut self.surfaces {
            surface.callbacks.drain(..).for_each(|callback| callback.done(milliseconds));
            let shows = self.recorded.as_ref() == Some(id);
            for feedback in surface.feedbacks.drain(..) {
                if shows {
                    present(&feedback, &self.outputs, self.grid, index, at);
                } else {
                    feedback.discarded();
                }
            }
        }
    }

    /// Asks now and then whether the recorded client still answers.
    fn beat(&mut self, at: Mono) {
        let Some(Role::Window(window)) =
            self.recorded.as_ref().and_then(|id| self.surfaces.get(id)).map(|s| &s.role)
        else {
            return;
        };
        match self.pulse.beat(at) {
            Beat::Rest => {}
            Beat::Ask => {
                let base = window.base.clone();
                let serial = self.next_serial();
                base.ping(serial);
                self.pulse.asked(serial, at);
            }
            Beat::Silent(silent_for) => self.tell(ScreenEvent::Unresponsive { silent_for }),
        }
    }

    /// xdg_wm_base.pong.
    pub(super) fn pong(&mut self, serial: u32) {
        if self.pulse.answered(serial) {
            self.tell(ScreenEvent::Responsive);
        }
    }

    /// Whose window is recorded.
    pub(super) fn recorded_client(&self) -> Option<Client> {
        self.recorded.as_ref().and_then(|id| self.surfaces.get(id))?.resource.client()
    }

    /// Asks every window to close. A browser ends with its last window, so its
    /// pop-ups have to go as well.
    pub(super) fn close_windows(&self) {
        for surface in self.surfaces.values() {
            if let Role::Window(window) = &surface.role {
                window.close();
            }
        }
    }
}

/// The time of wl_callback.done: milliseconds with an undefined base.
fn milliseconds(at: Mono) -> u32 {
    (at.0 / 1_000_000) as u32
}

/// wp_presentation_feedback.presented: shown at `at`, as refresh number `index`.
fn present(
    feedback: &WpPresentationFeedback,
    outputs: &[WlOutput],
    grid: Grid,
    index: u64,
    at: Mono,
) {
    let own = outputs.iter().filter(|output| output.id().same_client_as(&feedback.id()));
    own.for_each(|output| feedback.sync_output(output));
    let (seconds, nanoseconds) = (at.0 / 1_000_000_000, (at.0 % 1_000_000_000) as u32);
    feedback.presented(
        (seconds >> 32) as u32,
        seconds as u32,
        nanoseconds,
        grid.period(),
        (index >> 32) as u32,
        index as u32,
        Kind::Vsync,
    );
}
