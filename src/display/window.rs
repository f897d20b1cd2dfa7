//! xdg-shell (stable) and xdg-decoration (unstable v1): windows are told the
//! size of the screen, and that the screen draws their frame: none.

use std::sync::Mutex;

use wayland_protocols::xdg::decoration::zv1::server::zxdg_decoration_manager_v1::{
    self, ZxdgDecorationManagerV1,
};
use wayland_protocols::xdg::decoration::zv1::server::zxdg_toplevel_decoration_v1::{
    self, Mode, ZxdgToplevelDecorationV1,
};
use wayland_protocols::xdg::shell::server::xdg_popup::{self, XdgPopup};
use wayland_protocols::xdg::shell::server::xdg_positioner::{self, XdgPositioner};
use wayland_protocols::xdg::shell::server::xdg_surface::{self, XdgSurface};
use wayland_protocols::xdg::shell::server::xdg_toplevel::{self, XdgToplevel};
use wayland_protocols::xdg::shell::server::xdg_wm_base::{self, XdgWmBase};
use wayland_server::backend::{ClientId, ObjectId};
use wayland_server::protocol::wl_surface::WlSurface;
use wayland_server::{Client, DataInit, Dispatch, DisplayHandle, Resource};

use super::peer::{Slot, object_slot};
use super::state::State;
use super::surface::{Role, Surface};

/// A surface with an xdg role.
pub(super) struct Window {
    /// Where to ping its client.
    pub(super) base: XdgWmBase,
    xdg: XdgSurface,
    kind: Kind,
    /// The serial of the last configure, if any was sent since it was unmapped.
    configured: Option<u32>,
    /// One of them was acknowledged: a buffer may be committed.
    acknowledged: bool,
}

enum Kind {
    Toplevel { toplevel: XdgToplevel, fullscreen: bool, maximized: bool },
    Popup { popup: XdgPopup, place: Place },
}

/// Where a popup would be, relative to its parent, in pixels.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    x: i32,
    y: i32,
    width: i32,
    height: i32,
}

impl Window {
    fn new(shell: &Shell, xdg: &XdgSurface, kind: Kind) -> Self {
        let (base, xdg) = (shell.base.clone(), xdg.clone());
        Self { base, xdg, kind, configured: None, acknowledged: false }
    }

    /// Whether a buffer may be committed; posts the protocol error if not.
    pub(super) fn may_map(&self) -> bool {
        if !self.acknowledged {
            self.xdg.post_error(xdg_surface::Error::UnconfiguredBuffer, "acknowledge first");
        }
        self.acknowledged
    }

    /// An unmapped window begins again.
    pub(super) fn forget_configures(&mut self) {
        self.configured = None;
        self.acknowledged = false;
    }

    pub(super) fn close(&self) {
        if let Kind::Toplevel { toplevel, .. } = &self.kind {
            toplevel.close();
        }
    }

    /// Tells size and state. A window that is not the recording's chooses its
    /// own size (0 x 0), unless it wants to fill the screen.
    fn configure(&mut self, serial: u32, screen: (u32, u32), is_recorded: bool) {
        match &self.kind {
            Kind::Toplevel { toplevel, fullscreen, maximized } => {
                let fills = is_recorded || *fullscreen || *maximized;
                let (width, height) = if fills { screen } else { (0, 0) };
                let states = [
                    (true, xdg_toplevel::State::Activated),
                    (*fullscreen, xdg_toplevel::State::Fullscreen),
                    (*maximized, xdg_toplevel::State::Maximized),
                ];
                let states = states.into_iter().filter(|(on, _)| *on);
                let states = states.flat_map(|(_, s)| u32::from(s).to_ne_bytes()).collect();
                toplevel.configure(width as i32, height as i32, states);
            }
            Kind::Popup { popup, place } => {
                popup.configure(place.x, place.y, place.width, place.height);
            }
        }
        self.xdg.configure(serial);
        self.configured = Some(serial);
    }
}

impl Surface {
    pub(super) fn is_toplevel(&self) -> bool {
        matches!(&self.role, Role::Window(Window { kind: Kind::Toplevel { .. }, .. }))
    }
}

impl State {
    fn window(&mut self, surface: &ObjectId) -> Option<&mut Window> {
        match &mut self.surfaces.get_mut(surface)?.role {
            Role::Window(window) => Some(window),
            _ => None,
        }
    }

    fn configure(&mut self, surface: &ObjectId) {
        let serial = self.next_serial();
        let screen = (self.width, self.height);
        // Before anything is shown every toplevel may become the recording.
        let is_recorded = self.recorded.as_ref().is_none_or(|recorded| recorded == surface);
        if let Some(window) = self.window(surface) {
            window.configure(serial, screen, is_recorded);
        }
    }

    /// The commit without a buffer by which a window asks for its size.
    pub(super) fn answer_first_commit(&mut self, surface: &ObjectId) {
        if self.window(surface).is_some_and(|window| window.configured.is_none()) {
            self.configure(surface);
        }
    }

    /// Tells the window again, if it was told before.
    fn reconfigure(&mut self, surface: &ObjectId) {
        if self.window(surface).is_some_and(|window| window.configured.is_some()) {
            self.configure(surface);
        }
    }
}

impl Dispatch<XdgWmBase, Slot> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        base: &XdgWmBase,
        request: xdg_wm_base::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use xdg_wm_base::{Error, Request};
        match request {
            Request::CreatePositioner { id } => {
                let slot = object_slot(client, handle);
                init.init(id, Positioner { rule: Mutex::default(), _slot: slot });
            }
            Request::GetXdgSurface { id, surface } => {
                let known = state.surfaces.get(&surface.id());
                if known.is_some_and(|s| !matches!(s.role, Role::None)) {
                    return base.post_error(Error::Role, "it has a role already");
                }
                if known.is_some_and(Surface::has_buffer) {
                    return base.post_error(Error::InvalidSurfaceState, "it has a buffer already");
                }
                let slot = object_slot(client, handle);
                init.init(id, Shell { surface, base: base.clone(), _slot: slot });
            }
            Request::Pong { serial } => state.pong(serial),
            _ => {}
        }
    }
}

/// What an xdg_surface knows.
pub(super) struct Shell {
    surface: WlSurface,
    base: XdgWmBase,
    _slot: Slot,
}

impl Dispatch<XdgSurface, Shell> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        xdg: &XdgSurface,
        request: xdg_surface::Request,
        shell: &Shell,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        use xdg_surface::{Error, Request};
        let surface = shell.surface.clone();
        let slot = object_slot(client, handle);
        let kind = match request {
            Request::GetToplevel { id } => {
                let toplevel = init.init(id, Member { surface, _slot: slot });
                Kind::Toplevel { toplevel, fullscreen: false, maximized: false }
            }
            Request::GetPopup { id, positioner, .. } => {
                let popup = init.init(id, Member { surface, _slot: slot });
                Kind::Popup { popup, place: Positioner::place(&positioner) }
            }
            Request::AckConfigure { serial } => {
                let Some(window) = state.window(&surface.id()) else {
                    return xdg.post_error(Error::NotConstructed, "it has no role");
                };
                // Serials grow; any that was sent may be acknowledged.
                if window.configured.is_none_or(|sent| sent.wrapping_sub(serial) > u32::MAX / 2) {
                    return xdg.post_error(Error::InvalidSerial, "no such configure");
                }
                window.acknowledged = true;
                return;
            }
            // The window geometry tells a frame of shadows from the window; a
            // window that the screen decorates has none.
            _ => return,
        };
        if let Some(target) = state.surfaces.get_mut(&shell.surface.id()) {
            if !matches!(target.role, Role::None) {
                return xdg.post_error(Error::AlreadyConstructed, "it has a role already");
            }
            target.role = Role::Window(Window::new(shell, xdg, kind));
        }
    }
}

/// What an xdg_toplevel, an xdg_popup and a decoration know: their surface.
pub(super) struct Member {
    surface: WlSurface,
    _slot: Slot,
}

impl Dispatch<XdgToplevel, Member> for State {
    fn request(
        state: &mut Self,
        _: &Client,
        _: &XdgToplevel,
        request: xdg_toplevel::Request,
        member: &Member,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        use xdg_toplevel::Request;
        let id = member.surface.id();
        let Some(Window { kind: Kind::Toplevel { fullscreen, maximized, .. }, .. }) =
            state.window(&id)
        else {
            return;
        };
        match request {
            Request::SetFullscreen { .. } => *fullscreen = true,
            Request::UnsetFullscreen => *fullscreen = false,
            Request::SetMaximized => *maximized = true,
            Request::UnsetMaximized => *maximized = false,
            // Titles, menus, moving and minimising have no place here.
            _ => return,
        }
        state.reconfigure(&id);
    }

    fn destroyed(state: &mut Self, _: ClientId, _: &XdgToplevel, member: &Member) {
        state.drop_role(&member.surface);
    }
}

impl Dispatch<XdgPopup, Member> for State {
    fn request(
        state: &mut Self,
        _: &Client,
        popup: &XdgPopup,
        request: xdg_popup::Request,
        member: &Member,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        if let xdg_popup::Request::Reposition { positioner, token } = request {
            let id = member.surface.id();
            if let Some(Window { kind: Kind::Popup { place, .. }, .. }) = state.window(&id) {
                *place = Positioner::place(&positioner);
                popup.repositioned(token);
                state.reconfigure(&id);
            }
        }
    }

    fn destroyed(state: &mut Self, _: ClientId, _: &XdgPopup, member: &Member) {
        state.drop_role(&member.surface);
    }
}

/// What an xdg_positioner has been told. Popups are never shown: a simple rule,
/// below the anchor, is enough.
pub(super) struct Positioner {
    rule: Mutex<Place>,
    _slot: Slot,
}

impl Positioner {
    fn place(resource: &XdgPositioner) -> Place {
        resource
            .data::<Self>()
            .and_then(|positioner| positioner.rule.lock().ok().map(|rule| *rule))
            .unwrap_or_default()
    }
}

impl Dispatch<XdgPositioner, Positioner> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        resource: &XdgPositioner,
        request: xdg_positioner::Request,
        positioner: &Positioner,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        use xdg_positioner::{Error, Request};
        let Ok(mut rule) = positioner.rule.lock() else { return };
        match request {
            Request::SetSize { width, height } if width < 1 || height < 1 => {
                resource.post_error(Error::InvalidInput, "a size must be positive");
            }
            Request::SetSize { width, height } => (rule.width, rule.height) = (width, height),
            Request::SetAnchorRect { x, y, height, .. } => {
                (rule.x, rule.y) = (x, y.saturating_add(height));
            }
            _ => {}
        }
    }
}

impl Dispatch<ZxdgDecorationManagerV1, Slot> for State {
    fn request(
        state: &mut Self,
        client: &Client,
        _: &ZxdgDecorationManagerV1,
        request: zxdg_decoration_manager_v1::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let zxdg_decoration_manager_v1::Request::GetToplevelDecoration { id, toplevel } = request
        {
            let Some(member) = toplevel.data::<Member>() else { return };
            let surface = member.surface.clone();
            let id_of_surface = surface.id();
            let member = Member { surface, _slot: object_slot(client, handle) };
            init.init(id, member).configure(Mode::ServerSide);
            state.reconfigure(&id_of_surface);
        }
    }
}

impl Dispatch<ZxdgToplevelDecorationV1, Member> for State {
    fn request(
        state: &mut Self,
        _: &Client,
        resource: &ZxdgToplevelDecorationV1,
        request: zxdg_toplevel_decoration_v1::Request,
        member: &Member,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        use zxdg_toplevel_decoration_v1::Request;
        if let Request::SetMode { .. } | Request::UnsetMode = request {
            resource.configure(Mode::ServerSide);
            state.reconfigure(&member.surface.id());
        }
    }
}
