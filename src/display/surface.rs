//! wl_compositor, wl_surface, wl_region and wl_subcompositor (core protocol):
//! what surfaces are, and the requests that collect state for a commit. What a
//! commit then does to the screen is in `state`.

use wayland_protocols::wp::presentation_time::server::wp_presentation_feedback::WpPresentationFeedback;
use wayland_server::backend::ClientId;
use wayland_server::protocol::wl_buffer::WlBuffer;
use wayland_server::protocol::wl_callback::{self, WlCallback};
use wayland_server::protocol::wl_compositor::{self, WlCompositor};
use wayland_server::protocol::wl_output::Transform;
use wayland_server::protocol::wl_region::{self, WlRegion};
use wayland_server::protocol::wl_subcompositor::{self, WlSubcompositor};
use wayland_server::protocol::wl_subsurface::{self, WlSubsurface};
use wayland_server::protocol::wl_surface::{self, WlSurface};
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, Resource, WEnum};

use super::peer::{Slot, object_slot};
use super::state::State;
use super::window::Window;

/// What a surface is used as.
#[derive(Default)]
pub(super) enum Role {
    #[default]
    None,
    /// xdg_toplevel or xdg_popup.
    Window(Window),
    Subsurface {
        parent: WlSurface,
    },
    Cursor,
}

/// How a buffer becomes the surface.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Geometry {
    /// wl_surface.set_buffer_scale; 0 stands for the initial 1.
    scale: i32,
    /// wl_surface.set_buffer_transform asked for a turn or a flip.
    turned: bool,
    /// wp_viewport.set_source: x, y, width, height.
    pub(super) source: Option<(f64, f64, f64, f64)>,
    /// wp_viewport.set_destination: width, height.
    pub(super) destination: Option<(u32, u32)>,
}

impl Geometry {
    /// Every pixel of a buffer of this size is the same pixel of the surface.
    pub(super) fn is_identity(&self, width: u32, height: u32) -> bool {
        let whole = (0.0, 0.0, f64::from(width), f64::from(height));
        self.scale <= 1
            && !self.turned
            && self.source.is_none_or(|source| source == whole)
            && self.destination.is_none_or(|destination| destination == (width, height))
    }
}

/// What requests have collected since the last commit.
#[derive(Default)]
pub(super) struct Pending {
    /// `Some(None)` is an explicit null buffer: it unmaps.
    pub(super) attach: Option<Option<WlBuffer>>,
    /// Some part of the buffer differs from what the surface shows.
    pub(super) damaged: bool,
    pub(super) callbacks: Vec<WlCallback>,
    pub(super) feedbacks: Vec<WpPresentationFeedback>,
}

/// A surface and what it has committed.
pub(super) struct Surface {
    pub(super) resource: WlSurface,
    pub(super) role: Role,
    pub(super) pending: Pending,
    /// As committed.
    pub(super) geometry: Geometry,
    /// For the next commit; unlike the rest of [`Pending`] it stays.
    pub(super) next_geometry: Geometry,
    /// It has content, on the screen or not.
    pub(super) mapped: bool,
    /// Fired at the next tick, whatever became of the content.
    pub(super) callbacks: Vec<WlCallback>,
    /// Of the newest content, answered at the next tick.
    pub(super) feedbacks: Vec<WpPresentationFeedback>,
}

impl Surface {
    fn new(resource: WlSurface) -> Self {
        Self {
            resource,
            role: Role::None,
            pending: Pending::default(),
            geometry: Geometry::default(),
            next_geometry: Geometry::default(),
            mapped: false,
            callbacks: Vec::new(),
            feedbacks: Vec::new(),
        }
    }

    /// A buffer is attached or committed: too late for a role that wants to be
    /// configured first.
    pub(super) fn has_buffer(&self) -> bool {
        self.mapped || matches!(self.pending.attach, Some(Some(_)))
    }
}

impl Dispatch<WlCompositor, Slot> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        _: &WlCompositor,
        request: wl_compositor::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        let slot = object_slot(client, handle);
        match request {
            wl_compositor::Request::CreateSurface { id } => {
                let resource = init.init(id, slot);
                state.surfaces.insert(resource.id(), Surface::new(resource));
            }
            wl_compositor::Request::CreateRegion { id } => {
                init.init(id, slot);
            }
            _ => {}
        }
    }
}

impl Dispatch<WlSurface, Slot> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        resource: &WlSurface,
        request: wl_surface::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use wl_surface::Request;
        let Some(surface) = state.surfaces.get_mut(&resource.id()) else {
            // Every live wl_surface is in the map; should one not be, a new
            // object must be initialised all the same.
            if let Request::Frame { callback } = request {
                init.init(callback, object_slot(client, handle));
            }
            return;
        };
        match request {
            Request::Attach { buffer, .. } => surface.pending.attach = Some(buffer),
            Request::Damage { x, y, width, height }
            | Request::DamageBuffer { x, y, width, height } => {
                // Damage beyond the right and bottom edges counts as well: to
                // take a picture too often is harmless.
                surface.pending.damaged |= width > 0
                    && height > 0
                    && x.saturating_add(width) > 0
                    && y.saturating_add(height) > 0;
            }
            Request::Frame { callback } => {
                let callback = init.init(callback, object_slot(client, handle));
                surface.pending.callbacks.push(callback);
            }
            Request::SetBufferScale { scale } if scale < 1 => {
                resource.post_error(wl_surface::Error::InvalidScale, "a scale is at least 1");
            }
            Request::SetBufferScale { scale } => surface.next_geometry.scale = scale,
            Request::SetBufferTransform { transform: WEnum::Value(transform) } => {
                surface.next_geometry.turned = transform != Transform::Normal;
            }
            Request::SetBufferTransform { transform: WEnum::Unknown(_) } => {
                resource.post_error(wl_surface::Error::InvalidTransform, "unknown transform");
            }
            Request::Commit => state.commit(&resource.id()),
            // Destroy is below; the opaque and input regions change nothing
            // here, and offset only moves what has one place.
            _ => {}
        }
    }

    fn destroyed(state: &mut Self, _: ClientId, resource: &WlSurface, _: &Slot) {
        state.unmap(&resource.id());
        state.surfaces.remove(&resource.id());
    }
}

impl Dispatch<WlSubcompositor, Slot> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        resource: &WlSubcompositor,
        request: wl_subcompositor::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use wl_subcompositor::{Error, Request};
        if let Request::GetSubsurface { id, surface, parent } = request {
            if surface == parent {
                return resource.post_error(Error::BadParent, "a surface is not its own parent");
            }
            init.init(id, Child { surface: surface.clone(), _slot: object_slot(client, handle) });
            if let Some(surface) = state.surfaces.get_mut(&surface.id()) {
                if !matches!(surface.role, Role::None) {
                    return resource.post_error(Error::BadSurface, "it has a role already");
                }
                surface.role = Role::Subsurface { parent };
            }
        }
    }
}

/// What a wl_subsurface knows.
pub(super) struct Child {
    surface: WlSurface,
    _slot: Slot,
}

impl Dispatch<WlSubsurface, Child> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &WlSubsurface,
        _: wl_subsurface::Request,
        _: &Child,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        // Where it is and how it commits does not matter: it is never shown.
    }

    fn destroyed(state: &mut Self, _: ClientId, _: &WlSubsurface, child: &Child) {
        state.drop_role(&child.surface);
    }
}

impl Dispatch<WlRegion, Slot> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &WlRegion,
        _: wl_region::Request,
        _: &Slot,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        // Opaque and input regions are hints for a screen that blends or points.
    }
}

impl Dispatch<WlCallback, Slot> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &WlCallback,
        _: wl_callback::Request,
        _: &Slot,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        // A callback has no requests.
    }
}
