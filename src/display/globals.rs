//! The globals that clients bind, and the small ones among them: wl_output and
//! wl_seat (core protocol), wp_viewporter and wp_presentation (stable). One
//! output, and a pointer that never moves: without one, pages would take the
//! machine for a touch device.

use wayland_protocols::wp::presentation_time::server::wp_presentation::{self, WpPresentation};
use wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::{
    self, WpPresentationFeedback,
};
use wayland_protocols::wp::viewporter::server::wp_viewport::{self, WpViewport};
use wayland_protocols::wp::viewporter::server::wp_viewporter::{self, WpViewporter};
use wayland_protocols::xdg::decoration::zv1::server::zxdg_decoration_manager_v1::ZxdgDecorationManagerV1;
use wayland_protocols::xdg::shell::server::xdg_wm_base::XdgWmBase;
use wayland_server::backend::ClientId;
use wayland_server::protocol::wl_compositor::WlCompositor;
use wayland_server::protocol::wl_output::{self, WlOutput};
use wayland_server::protocol::wl_pointer::{self, WlPointer};
use wayland_server::protocol::wl_seat::{self, WlSeat};
use wayland_server::protocol::wl_shm::WlShm;
use wayland_server::protocol::wl_subcompositor::WlSubcompositor;
use wayland_server::protocol::wl_surface::WlSurface;
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource};

use super::peer::{Slot, object_slot};
use super::state::State;
use super::surface::Role;

/// Announces everything that a client can bind, in the newest version whose
/// requests and events are all served here.
pub(super) fn announce(handle: &DisplayHandle) {
    handle.create_global::<State, WlCompositor, ()>(4, ());
    handle.create_global::<State, WlSubcompositor, ()>(1, ());
    handle.create_global::<State, WlShm, ()>(1, ());
    handle.create_global::<State, WlOutput, ()>(3, ());
    handle.create_global::<State, WlSeat, ()>(5, ());
    handle.create_global::<State, XdgWmBase, ()>(3, ());
    handle.create_global::<State, ZxdgDecorationManagerV1, ()>(1, ());
    handle.create_global::<State, WpViewporter, ()>(1, ());
    handle.create_global::<State, WpPresentation, ()>(1, ());
}

/// Globals that have nothing to say when they are bound.
macro_rules! bind_quietly {
    ($($interface:ty),*) => {$(
        impl GlobalDispatch<$interface, ()> for State {
            fn bind(
                _: &mut Self,
                handle: &DisplayHandle,
                client: &Client,
                resource: New<$interface>,
                (): &(),
                init: &mut DataInit<'_, Self>,
            ) {
                init.init(resource, object_slot(client, handle));
            }
        }
    )*};
}

bind_quietly!(WlCompositor, WlSubcompositor, XdgWmBase, ZxdgDecorationManagerV1, WpViewporter);

impl GlobalDispatch<WlOutput, ()> for State {
    fn bind(
        state: &mut Self,
        handle: &DisplayHandle,
        client: &Client,
        resource: New<WlOutput>,
        (): &(),
        init: &mut DataInit<'_, Self>,
    ) {
        let output = init.init(resource, object_slot(client, handle));
        let (width, height) = (state.width as i32, state.height as i32);
        // 0 x 0 mm: a screen without a physical size.
        let (subpixel, transform) = (wl_output::Subpixel::None, wl_output::Transform::Normal);
        output.geometry(0, 0, 0, 0, subpixel, "roomreel".into(), "screen".into(), transform);
        let flags = wl_output::Mode::Current | wl_output::Mode::Preferred;
        output.mode(flags, width, height, state.grid.millihertz());
        if output.version() >= 2 {
            output.scale(1);
            output.done();
        }
        state.outputs.push(output);
    }
}

impl Dispatch<WlOutput, Slot> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &WlOutput,
        _: wl_output::Request,
        _: &Slot,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        // Only release, which the backend does by itself.
    }

    fn destroyed(state: &mut Self, _: ClientId, output: &WlOutput, _: &Slot) {
        state.outputs.retain(|other| other != output);
    }
}

impl GlobalDispatch<WlSeat, ()> for State {
    fn bind(
        _: &mut Self,
        handle: &DisplayHandle,
        client: &Client,
        resource: New<WlSeat>,
        (): &(),
        init: &mut DataInit<'_, Self>,
    ) {
        let seat = init.init(resource, object_slot(client, handle));
        seat.capabilities(wl_seat::Capability::Pointer);
        if seat.version() >= 2 {
            seat.name("seat0".into());
        }
    }
}

impl Dispatch<WlSeat, Slot> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        seat: &WlSeat,
        request: wl_seat::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use wl_seat::Request;
        match request {
            Request::GetPointer { id } => {
                init.init(id, object_slot(client, handle));
            }
            Request::GetKeyboard { .. } | Request::GetTouch { .. } => {
                seat.post_error(wl_seat::Error::MissingCapability, "there is only a pointer");
            }
            _ => {}
        }
    }
}

impl Dispatch<WlPointer, Slot> for State {
    fn request(
        state: &mut Self,
        _: &Client,
        pointer: &WlPointer,
        request: wl_pointer::Request,
        _: &Slot,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        if let wl_pointer::Request::SetCursor { surface: Some(surface), .. } = request
            && let Some(surface) = state.surfaces.get_mut(&surface.id())
        {
            match surface.role {
                Role::None => surface.role = Role::Cursor,
                Role::Cursor => {}
                _ => pointer.post_error(wl_pointer::Error::Role, "it has a role already"),
            }
        }
    }
}

impl Dispatch<WpViewporter, Slot> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        _: &WpViewporter,
        request: wp_viewporter::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wp_viewporter::Request::GetViewport { id, surface } = request {
            init.init(id, View { surface, _slot: object_slot(client, handle) });
        }
    }
}

/// What a wp_viewport knows.
pub(super) struct View {
    surface: WlSurface,
    _slot: Slot,
}

impl Dispatch<WpViewport, View> for State {
    fn request(
        state: &mut Self,
        _: &Client,
        resource: &WpViewport,
        request: wp_viewport::Request,
        view: &View,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        use wp_viewport::{Error, Request};
        let Some(surface) = state.surfaces.get_mut(&view.surface.id()) else { return };
        let geometry = &mut surface.next_geometry;
        match request {
            // All -1 unsets.
            Request::SetSource { x, y, width, height } => {
                let source = (x, y, width, height);
                let unset = source == (-1.0, -1.0, -1.0, -1.0);
                if !unset && (x < 0.0 || y < 0.0 || width <= 0.0 || height <= 0.0) {
                    return resource.post_error(Error::BadValue, "bad source rectangle");
                }
                geometry.source = (!unset).then_some(source);
            }
            Request::SetDestination { width: -1, height: -1 } => geometry.destination = None,
            Request::SetDestination { width, height } if width > 0 && height > 0 => {
                geometry.destination = Some((width.unsigned_abs(), height.unsigned_abs()));
            }
            Request::SetDestination { .. } => {
                resource.post_error(Error::BadValue, "bad destination size");
            }
            _ => {}
        }
    }

    fn destroyed(state: &mut Self, _: ClientId, _: &WpViewport, view: &View) {
        if let Some(surface) = state.surfaces.get_mut(&view.surface.id()) {
            surface.next_geometry.source = None;
            surface.next_geometry.destination = None;
        }
    }
}

impl GlobalDispatch<WpPresentation, ()> for State {
    fn bind(
        _: &mut Self,
        handle: &DisplayHandle,
        client: &Client,
        resource: New<WpPresentation>,
        (): &(),
        init: &mut DataInit<'_, Self>,
    ) {
        let presentation = init.init(resource, object_slot(client, handle));
        // The clock of `crate::clock`.
        presentation.clock_id(rustix::time::ClockId::Monotonic as u32);
    }
}

impl Dispatch<WpPresentation, Slot> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        _: &WpPresentation,
        request: wp_presentation::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wp_presentation::Request::Feedback { surface, callback } = request {
            let feedback = init.init(callback, object_slot(client, handle));
            if let Some(surface) = state.surfaces.get_mut(&surface.id()) {
                surface.pending.feedbacks.push(feedback);
            }
        }
    }
}

impl Dispatch<WpPresentationFeedback, Slot> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &WpPresentationFeedback,
        _: wp_presentation_feedback::Request,
        _: &Slot,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        // A feedback has no requests.
    }
}
