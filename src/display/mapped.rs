//! A client's memory, mapped: the unsafe of the display.
//!
//! To touch a mapped page that its file no longer has raises SIGBUS, and the
//! file is the client's. Only a file that is sealed against shrinking (memfd,
//! F_SEAL_SHRINK) can be mapped safely, and Chromium seals its own.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;
use std::ptr::null_mut;

use rustix::fs::{SealFlags, fcntl_get_seals, fstat, fstatfs};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The kind of file that a memfd is; one of huge pages may lack a page for good.
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// A readable, shared mapping of a part of a file.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Page aligned.
    start: usize,
    /// Bytes mapped from `start`; not zero.
    len: usize,
    /// From `start` to the first byte that was asked for.
    lead: usize,
}

impl Mapping {
    /// Maps `len` bytes (not zero) from `offset` on; `None` if that is not safe
    /// or not possible.
    pub(super) fn new(file: impl AsFd, offset: u64, len: usize) -> Option<Self> {
        if !is_sealed(&file, offset + len as u64).unwrap_or(false) {
            return None;
        }
        let lead = (offset % rustix::param::page_size() as u64) as usize;
        let len = lead + len;
        // SAFETY: the kernel chooses a place that nothing else uses.
        let start = unsafe {
            mmap(null_mut(), len, ProtFlags::READ, MapFlags::SHARED, file, offset - lead as u64)
        };
        start.ok().map(|start| Self { start: start as usize, len, lead })
    }

    /// The bytes. The client may write them at the same time, so they may differ
    /// each time they are looked at: convert them, decide nothing by them.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the range is mapped as long as `self` lives, and its pages
        // exist: the file was long enough when it was already sealed. Another
        // process may change them behind the reference; a byte is valid whatever
        // its value, and no reader of this crate relies on one staying the same.
        unsafe {
            std::slice::from_raw_parts((self.start + self.lead) as *const u8, self.len - self.lead)
        }
    }
}

/// Whether the file has `end` bytes and will always have.
fn is_sealed(file: &impl AsFd, end: u64) -> io::Result<bool> {
    // The order matters: a size counts only once it cannot shrink.
    Ok(fcntl_get_seals(file)?.contains(SealFlags::SHRINK)
        && fstatfs(file)?.f_type == TMPFS_MAGIC
        && u64::try_from(fstat(file)?.st_size).is_ok_and(|size| size >= end))
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that was mapped, and no reference to it is
        // left: they do not outlive `self`.
        if let Err(error) = unsafe { munmap(self.start as *mut c_void, self.len) } {
            tracing::error!(%error, "cannot unmap a client's memory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};

    fn memfd(bytes: &[u8], seals: SealFlags) -> File {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("test", flags).unwrap());
        file.write_all_at(bytes, 0).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file
    }

    #[test]
    fn shows_any_part_of_a_sealed_file() {
        let content: Vec<u8> = (0..20_000u32).map(|n| (n % 251) as u8).collect();
        let file = memfd(&content, SealFlags::SHRINK);
        for (offset, len) in [(0, 20_000), (1, 10), (4096, 100), (5000, 15_000)] {
            let mapping = Mapping::new(&file, offset, len).unwrap();
            assert_eq!(mapping.bytes(), &content[offset as usize..][..len], "{len} from {offset}");
        }
    }

    #[test]
    fn sees_what_is_written_later() {
        let file = memfd(&[1; 100], SealFlags::SHRINK | SealFlags::GROW);
        let mapping = Mapping::new(&file, 50, 10).unwrap();
        file.write_all_at(&[2; 100], 0).unwrap();
        assert_eq!(mapping.bytes(), [2; 10]);
    }

    #[test]
    fn refuses_what_could_shrink_or_is_too_short() {
        let sealed = memfd(&[0; 100], SealFlags::SHRINK);
        assert!(Mapping::new(&sealed, 0, 101).is_none());
        assert!(Mapping::new(&sealed, 100, 1).is_none());
        assert!(Mapping::new(memfd(&[0; 100], SealFlags::GROW), 0, 100).is_none());
        let plain = tempfile::tempfile().unwrap();
        plain.set_len(100).unwrap();
        assert!(Mapping::new(plain, 0, 100).is_none());
    }
}
