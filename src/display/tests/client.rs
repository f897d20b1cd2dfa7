//! A small Wayland client that paints by hand and remembers what it was told.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use wayland_client::globals::{GlobalList, GlobalListContents, registry_queue_init};
use wayland_client::protocol::{
    wl_buffer, wl_callback, wl_compositor, wl_output, wl_registry, wl_seat, wl_shm, wl_shm_pool,
    wl_subcompositor, wl_subsurface, wl_surface, wl_touch,
};
use wayland_client::{Connection, Dispatch, EventQueue, Proxy, QueueHandle, WEnum, delegate_noop};
use wayland_protocols::wp::presentation_time::client::{wp_presentation, wp_presentation_feedback};
use wayland_protocols::wp::viewporter::client::{wp_viewport, wp_viewporter};
use wayland_protocols::xdg::decoration::zv1::client::{
    zxdg_decoration_manager_v1, zxdg_toplevel_decoration_v1,
};
use wayland_protocols::xdg::shell::client::{xdg_surface, xdg_toplevel, xdg_wm_base};

use super::PATIENT;

/// What the screen told; buffers, frames and feedbacks go by the caller's tags.
#[derive(Default)]
pub(super) struct Told {
    pub(super) released: Vec<u32>,
    /// Tag and milliseconds.
    pub(super) done: Vec<(u32, u32)>,
    pub(super) presented: Vec<Presented>,
    pub(super) discarded: Vec<u32>,
    /// Sizes.
    pub(super) configures: Vec<(i32, i32)>,
    pub(super) decorations: Vec<u32>,
    pub(super) closed: bool,
    pub(super) pings: Vec<u32>,
    pub(super) capabilities: Option<u32>,
    pub(super) modes: Vec<(i32, i32, i32)>,
    /// Acknowledge configures as they come.
    pub(super) obedient: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Presented {
    pub(super) tag: u32,
    pub(super) at: u64,
    pub(super) refresh: u32,
    pub(super) sequence: u64,
}

pub(super) struct Client {
    pub(super) connection: Connection,
    queue: EventQueue<Told>,
    pub(super) told: Told,
    /// Its files cannot shrink, like Chromium's.
    pub(super) seals: bool,
    pub(super) compositor: wl_compositor::WlCompositor,
    pub(super) subcompositor: wl_subcompositor::WlSubcompositor,
    pub(super) shm: wl_shm::WlShm,
    pub(super) base: xdg_wm_base::XdgWmBase,
    presentation: wp_presentation::WpPresentation,
    pub(super) viewporter: wp_viewporter::WpViewporter,
    decorations: zxdg_decoration_manager_v1::ZxdgDecorationManagerV1,
    pub(super) seat: wl_seat::WlSeat,
}

pub(super) struct Window {
    pub(super) surface: wl_surface::WlSurface,
    pub(super) xdg: xdg_surface::XdgSurface,
    pub(super) toplevel: xdg_toplevel::XdgToplevel,
}

pub(super) struct Canvas {
    pub(super) file: File,
    pub(super) buffer: wl_buffer::WlBuffer,
}

impl Client {
    pub(super) fn connect(socket: &Path) -> Self {
        let connection = Connection::from_socket(UnixStream::connect(socket).unwrap()).unwrap();
        let (globals, queue) = registry_queue_init::<Told>(&connection).unwrap();
        let handle = queue.handle();
        let mut client = Self {
            compositor: bind(&globals, &handle),
            subcompositor: bind(&globals, &handle),
            shm: bind(&globals, &handle),
            base: bind(&globals, &handle),
            presentation: bind(&globals, &handle),
            viewporter: bind(&globals, &handle),
            decorations: bind(&globals, &handle),
            seat: bind(&globals, &handle),
            seals: true,
            told: Told { obedient: true, ..Told::default() },
            connection,
            queue,
        };
        let _: wl_output::WlOutput = bind(&globals, &handle);
        client.roundtrip();
        client
    }

    pub(super) fn handle(&self) -> QueueHandle<Told> {
        self.queue.handle()
    }

    pub(super) fn roundtrip(&mut self) {
        self.queue.roundtrip(&mut self.told).unwrap();
    }

    /// Dispatches until `enough` holds. The connection's end is an `Err`.
    pub(super) fn wait(&mut self, enough: impl Fn(&Told) -> bool) -> Result<(), String> {
        loop {
            self.queue.dispatch_pending(&mut self.told).map_err(|e| e.to_string())?;
            if enough(&self.told) {
                return Ok(());
            }
            // A connection closed by the other side still has an error to read.
            let _ = self.queue.flush();
            let Some(guard) = self.queue.prepare_read() else { continue };
            let mut fds = [PollFd::from_borrowed_fd(guard.connection_fd(), PollFlags::IN)];
            let patient = Timespec::try_from(PATIENT).unwrap();
            assert_ne!(poll(&mut fds, Some(&patient)).unwrap(), 0, "waited in vain");
            guard.read().map_err(|e| e.to_string())?;
        }
    }

    /// The protocol error that ends the connection.
    pub(super) fn fate(&mut self) -> String {
        self.wait(|_| false).unwrap_err();
        let error = self.connection.protocol_error();
        error.map_or_else(|| "no error told".into(), |e| e.to_string())
    }

    pub(super) fn surface(&self) -> wl_surface::WlSurface {
        self.compositor.create_surface(&self.handle(), ())
    }

    /// A window that has been configured but shows nothing yet.
    pub(super) fn window(&mut self) -> Window {
        let handle = self.handle();
        let surface = self.surface();
        let xdg = self.base.get_xdg_surface(&surface, &handle, ());
        let toplevel = xdg.get_toplevel(&handle, ());
        self.decorations.get_toplevel_decoration(&toplevel, &handle, ());
        surface.commit();
        let before = self.told.configures.len();
        self.wait(|told| told.configures.len() > before).unwrap();
        Window { surface, xdg, toplevel }
    }

    /// A buffer that begins `offset` bytes into its pool, with pixels B, G, R, X.
    pub(super) fn canvas_at(
        &mut self,
        tag: u32,
        (width, height): (u32, u32),
        offset: u32,
        stride: u32,
        pixel: impl Fn(u32, u32) -> [u8; 4],
    ) -> Canvas {
        let size = offset + stride * height;
        let mut bytes = vec![0xaa; size as usize];
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let at = (offset + y * stride + x * 4) as usize;
            bytes[at..at + 4].copy_from_slice(&pixel(x, y));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("canvas", flags).unwrap());
        file.write_all_at(&bytes, 0).unwrap();
        if self.seals {
            fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
        }
        let handle = self.handle();
        let pool = self.shm.create_pool(file.as_fd(), size as i32, &handle, ());
        let (width, height) = (width as i32, height as i32);
        let format = wl_shm::Format::Xrgb8888;
        let buffer =
            pool.create_buffer(offset as i32, width, height, stride as i32, format, &handle, tag);
        pool.destroy();
        self.roundtrip();
        Canvas { file, buffer }
    }

    /// A buffer of one colour (B, G, R).
    pub(super) fn canvas(&mut self, tag: u32, size: (u32, u32), [b, g, r]: [u8; 3]) -> Canvas {
        self.canvas_at(tag, size, 0, size.0 * 4, |_, _| [b, g, r, 0])
    }

    /// Commits content, with a frame callback and a feedback of that tag.
    pub(super) fn show(&self, surface: &wl_surface::WlSurface, canvas: &Canvas, tag: u32) {
        self.ask(surface, tag);
        surface.attach(Some(&canvas.buffer), 0, 0);
        surface.damage(0, 0, i32::MAX, i32::MAX);
        surface.commit();
        // Who has been disconnected notices by reading.
        let _ = self.connection.flush();
    }

    /// Frame callback and feedback for the next commit.
    pub(super) fn ask(&self, surface: &wl_surface::WlSurface, tag: u32) {
        surface.frame(&self.handle(), tag);
        self.presentation.feedback(surface, &self.handle(), tag);
    }

    pub(super) fn wait_done(&mut self, tag: u32) {
        self.wait(|told| told.done.iter().any(|(t, _)| *t == tag)).unwrap();
    }
}

fn bind<I>(globals: &GlobalList, handle: &QueueHandle<Told>) -> I
where
    I: Proxy + 'static,
    Told: Dispatch<I, ()>,
{
    globals.bind(handle, 1..=I::interface().version, ()).unwrap()
}

/// `Dispatch` for an interface whose events are remembered.
macro_rules! remember {
    ($interface:ty, $data:ty, |$told:ident, $proxy:ident, $event:ident, $tag:ident| $body:expr) => {
        impl Dispatch<$interface, $data> for Told {
            fn event(
                $told: &mut Self,
                $proxy: &$interface,
                $event: <$interface as Proxy>::Event,
                $tag: &$data,
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                $body
            }
        }
    };
}

remember!(wl_buffer::WlBuffer, u32, |told, _proxy, _event, tag| told.released.push(*tag));
remember!(wl_callback::WlCallback, u32, |told, _proxy, event, tag| {
    if let wl_callback::Event::Done { callback_data } = event {
        told.done.push((*tag, callback_data));
    }
});
remember!(wp_presentation_feedback::WpPresentationFeedback, u32, |told, _proxy, event, tag| {
    use wp_presentation_feedback::Event;
    match event {
        Event::Presented { tv_sec_hi, tv_sec_lo, tv_nsec, refresh, seq_hi, seq_lo, .. } => {
            let wide = |high, low| u64::from(high) << 32 | u64::from(low);
            told.presented.push(Presented {
                tag: *tag,
                at: wide(tv_sec_hi, tv_sec_lo) * 1_000_000_000 + u64::from(tv_nsec),
                refresh,
                sequence: wide(seq_hi, seq_lo),
            });
        }
        Event::Discarded => told.discarded.push(*tag),
        _ => {}
    }
});
remember!(xdg_wm_base::XdgWmBase, (), |told, base, event, _tag| {
    if let xdg_wm_base::Event::Ping { serial } = event {
        told.pings.push(serial);
        base.pong(serial);
    }
});
remember!(xdg_surface::XdgSurface, (), |told, xdg, event, _tag| {
    if let xdg_surface::Event::Configure { serial } = event
        && told.obedient
    {
        xdg.ack_configure(serial);
    }
});
remember!(xdg_toplevel::XdgToplevel, (), |told, _proxy, event, _tag| match event {
    xdg_toplevel::Event::Configure { width, height, .. } => told.configures.push((width, height)),
    xdg_toplevel::Event::Close => told.closed = true,
    _ => {}
});
remember!(
    zxdg_toplevel_decoration_v1::ZxdgToplevelDecorationV1,
    (),
    |told, _proxy, event, _tag| {
        if let zxdg_toplevel_decoration_v1::Event::Configure { mode } = event {
            told.decorations.push(mode.into());
        }
    }
);
remember!(wl_seat::WlSeat, (), |told, _proxy, event, _tag| {
    if let wl_seat::Event::Capabilities { capabilities } = event {
        told.capabilities = Some(match capabilities {
            WEnum::Value(known) => known.bits(),
            WEnum::Unknown(bits) => bits,
        });
    }
});
remember!(wl_output::WlOutput, (), |told, _proxy, event, _tag| {
    if let wl_output::Event::Mode { width, height, refresh, .. } = event {
        told.modes.push((width, height, refresh));
    }
});
remember!(wl_registry::WlRegistry, GlobalListContents, |_told, _proxy, _event, _tag| {});

delegate_noop!(Told: wl_compositor::WlCompositor);
delegate_noop!(Told: wl_subcompositor::WlSubcompositor);
delegate_noop!(Told: wl_subsurface::WlSubsurface);
delegate_noop!(Told: ignore wl_surface::WlSurface);
delegate_noop!(Told: ignore wl_shm::WlShm);
delegate_noop!(Told: ignore wl_touch::WlTouch);
delegate_noop!(Told: wl_shm_pool::WlShmPool);
delegate_noop!(Told: ignore wp_presentation::WpPresentation);
delegate_noop!(Told: wp_viewporter::WpViewporter);
delegate_noop!(Told: wp_viewport::WpViewport);
delegate_noop!(Told: zxdg_decoration_manager_v1::ZxdgDecorationManagerV1);
