//! Reads a file of boxes: finds them without reading their bodies.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mp4_atom::FourCC;

use super::MuxError;

/// A file to read boxes from; as long as it was when this was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    file: &'a File,
    /// For errors.
    path: &'a Path,
    pub(super) len: u64,
}

/// A box that lies wholly inside its file.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoxAt {
    pub(super) kind: FourCC,
    /// Where its header begins.
    pub(super) start: u64,
    /// Where its body begins.
    pub(super) body: u64,
    /// Where the next box begins.
    pub(super) end: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a File, path: &'a Path) -> Result<Self, MuxError> {
        let len = file.metadata().map_err(MuxError::io("look at", path))?.len();
        Ok(Self { file, path, len })
    }

    /// `len` bytes at `at`. The caller has checked that they are not too many.
    pub(super) fn read(&self, at: u64, len: u64) -> Result<Vec<u8>, MuxError> {
        let read = || {
            let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            self.file.read_exact_at(&mut bytes, at)?;
            Ok(bytes)
        };
        read().map_err(MuxError::io("read", self.path))
    }

    /// The box at `at` (ISO/IEC 14496-12, 4.2). `None` if there is none, it is
    /// cut off, or it claims to last to the end of the file, which nothing of
    /// ours does and a run of zeros would.
    pub(super) fn box_at(&self, at: u64) -> Result<Option<BoxAt>, MuxError> {
        let room = self.len.saturating_sub(at);
        let head = self.read(at, room.min(16))?;
        let Some((&[s0, s1, s2, s3, ref kind @ ..], large)) = head.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let (header, size) = match (u32::from_be_bytes([s0, s1, s2, s3]), large.first_chunk()) {
            (1, Some(&large)) => (16, u64::from_be_bytes(large)),
            (size, _) => (8, u64::from(size)),
        };
        let whole = (header..=room).contains(&size);
        Ok(whole.then(|| BoxAt { kind: kind.into(), start: at, body: at + header, end: at + size }))
    }
}
