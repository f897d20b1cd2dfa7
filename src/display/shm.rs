//! wl_shm (core protocol): the files that clients paint into.
//!
//! A file that cannot shrink is read in place. Any other is copied with `pread`,
//! for which a file that has shrunk is a short read and not a SIGBUS. With
//! Chromium at 30 pictures a second the display thread took about 3.3 % of a core
//! in place and 6 % copying at 1280x720, 6 and 13 % at 1920x1080.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::{FileType, fstat};
use wayland_server::protocol::wl_buffer::{self, WlBuffer};
use wayland_server::protocol::wl_shm::{self, WlShm};
use wayland_server::protocol::wl_shm_pool::{self, WlShmPool};
use wayland_server::{
    Client, DataInit, Dispatch, DisplayHandle, GlobalDispatch, New, Resource, WEnum,
};

use super::mapped::Mapping;
use super::peer::{Slot, file_slot, object_slot};
use super::state::State;

/// Bytes by which a row may be longer than its pixels. Memory for a copy is taken
/// by the stride: without a limit a small picture could cost gigabytes.
const MAX_PADDING: u64 = 64 << 10;

/// A file that a client shares; it lives as long as a buffer in it.
#[derive(Debug)]
struct File {
    fd: OwnedFd,
    _slot: Slot,
}

/// What a wl_shm_pool knows: its file, and how much of it may be used.
pub(super) struct Pool {
    file: Arc<File>,
    /// Bytes; positive, and only ever grows.
    size: AtomicI32,
    _slot: Slot,
}

/// A rectangle of 32-bit pixels in a client's file, blue first (B, G, R, and a
/// fourth byte that is not read: an opaque screen shows premultiplied colours
/// over black, which is what they are).
pub(super) struct Buffer {
    file: Arc<File>,
    offset: u64,
    /// Pixels per row.
    pub(super) width: u32,
    /// Rows.
    pub(super) height: u32,
    /// Bytes from a row to the next.
    pub(super) stride: u32,
    /// Made when first read, as most buffers (cursors, icons) never are; `None`
    /// in it if the file may shrink.
    mapping: OnceLock<Option<Mapping>>,
    _slot: Slot,
}

impl Buffer {
    /// The pixels, `stride * height` bytes. An error means that the file is not
    /// as long any more, or cannot be read.
    pub(super) fn pixels(&self) -> io::Result<Cow<'_, [u8]>> {
        // Below 2^31, as the pool is.
        let len = self.stride as usize * self.height as usize;
        let fd = &self.file.fd;
        match self.mapping.get_or_init(|| Mapping::new(fd, self.offset, len)) {
            Some(mapping) => Ok(Cow::Borrowed(mapping.bytes())),
            None => copy(fd, self.offset, len).map(Cow::Owned),
        }
    }
}

fn copy(fd: &OwnedFd, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = offset + bytes.len() as u64;
        match rustix::io::pread(fd, rustix::buffer::spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// Whether it is a regular file of at least that size; reading others could
/// block.
fn holds(fd: &OwnedFd, size: i32) -> bool {
    fstat(fd).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_size >= i64::from(size)
    })
}

impl GlobalDispatch<WlShm, ()> for State {
    fn bind(
        _: &mut Self,
        handle: &DisplayHandle,
        client: &Client,
        resource: New<WlShm>,
        (): &(),
        init: &mut DataInit<'_, Self>,
    ) {
        let shm = init.init(resource, object_slot(client, handle));
        shm.format(wl_shm::Format::Argb8888);
        shm.format(wl_shm::Format::Xrgb8888);
    }
}

impl Dispatch<WlShm, Slot> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        shm: &WlShm,
        request: wl_shm::Request,
        _: &Slot,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        if let wl_shm::Request::CreatePool { id, fd, size } = request {
            if size <= 0 {
                return shm.post_error(wl_shm::Error::InvalidStride, "the size must be positive");
            }
            if !holds(&fd, size) {
                return shm.post_error(wl_shm::Error::InvalidFd, "not a file of that size");
            }
            let file = Arc::new(File { fd, _slot: file_slot(client, handle) });
            let slot = object_slot(client, handle);
            init.init(id, Pool { file, size: AtomicI32::new(size), _slot: slot });
        }
    }
}

impl Dispatch<WlShmPool, Pool> for State {
    fn request(
        _: &mut Self,
        client: &Client,
        resource: &WlShmPool,
        request: wl_shm_pool::Request,
        pool: &Pool,
        handle: &DisplayHandle,
        init: &mut DataInit<'_, Self>,
    ) {
        let size = pool.size.load(Ordering::Relaxed);
        match request {
            wl_shm_pool::Request::CreateBuffer { id, offset, width, height, stride, format } => {
                let known = matches!(
                    format,
                    WEnum::Value(wl_shm::Format::Argb8888 | wl_shm::Format::Xrgb8888)
                );
                if !known {
                    return resource
                        .post_error(wl_shm::Error::InvalidFormat, "the format was not offered");
                }
                let Some((offset, width, height, stride)) =
                    area(size, offset, width, height, stride)
                else {
                    return resource.post_error(
                        wl_shm::Error::InvalidStride,
                        "the buffer leaves the pool, or its stride is no stride",
                    );
                };
                let slot = object_slot(client, handle);
                let file = pool.file.clone();
                let mapping = OnceLock::new();
                init.init(id, Buffer { file, offset, width, height, stride, mapping, _slot: slot });
            }
            wl_shm_pool::Request::Resize { size: new } => {
                if new < size || !holds(&pool.file.fd, new) {
                    return resource.post_error(wl_shm::Error::InvalidFd, "bad new size");
                }
                pool.size.store(new, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// Checks that a buffer lies within its pool, and makes its numbers unsigned.
fn area(
    size: i32,
    offset: i32,
    width: i32,
    height: i32,
    stride: i32,
) -> Option<(u64, u32, u32, u32)> {
    let size = u64::try_from(size).ok()?;
    let offset = u64::try_from(offset).ok()?;
    let width = u32::try_from(width).ok().filter(|w| *w > 0)?;
    let height = u32::try_from(height).ok().filter(|h| *h > 0)?;
    let stride = u32::try_from(stride).ok()?;
    // Factors below 2^31: nothing overflows 64 bits.
    let bytes = u64::from(stride) * u64::from(height);
    let row = u64::from(width) * 4;
    let is_stride = (row..=row + MAX_PADDING).contains(&u64::from(stride));
    (is_stride && offset + bytes <= size).then_some((offset, width, height, stride))
}

impl Dispatch<WlBuffer, Buffer> for State {
    fn request(
        _: &mut Self,
        _: &Client,
        _: &WlBuffer,
        _: wl_buffer::Request,
        _: &Buffer,
        _: &DisplayHandle,
        _: &mut DataInit<'_, Self>,
    ) {
        // Only destroy, which the backend does by itself.
    }
}

#[cfg(test)]
mod tests {
    use super::area;

    #[test]
    fn buffers_stay_within_their_pool() {
        let table = [
            ((64, 0, 4, 4, 16), true),
            ((64, 0, 4, 2, 32), true),
            ((64, 16, 4, 3, 16), true),
            ((64, 1, 4, 4, 16), false),
            ((64, 0, 4, 5, 16), false),
            ((64, 0, 5, 1, 16), false),
            ((64, -16, 4, 1, 16), false),
            ((64, 0, 0, 4, 16), false),
            ((64, 0, 4, 0, 16), false),
            ((64, 0, -4, 4, 16), false),
            ((64, 0, 4, 4, -16), false),
            ((i32::MAX, i32::MAX, i32::MAX, i32::MAX, i32::MAX), false),
            ((i32::MAX, 0, 4, 4, 16 + (64 << 10)), true),
            ((i32::MAX, 0, 4, 4, 17 + (64 << 10)), false),
        ];
        for ((size, offset, width, height, stride), fits) in table {
            let what = format!("{width}x{height} at {offset}, stride {stride}, in {size}");
            assert_eq!(area(size, offset, width, height, stride).is_some(), fits, "{what}");
        }
    }
}
