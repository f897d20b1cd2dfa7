//! The MP4 on disk: fragmented and crash-safe while it grows, an ordinary
//! fast-start file at the end (ISO/IEC 14496-12, -14, -15).
//!
//! While recording: `ftyp`, `moov` with empty tables, a `free` box that reserves
//! room for the final `moov`, then a `moof` + `mdat` pair for every half second.
//! [`Muxer`] turns samples into those bytes and keeps the [`Index`]; [`Disk`]
//! writes them on a thread of its own. [`finalise`] turns the part file into the
//! final one, [`salvage()`] does the same for a part file that a crash left behind.
//!
//! Called by `encode`; knows nothing of encoders, clocks or jobs.

mod boxes;
mod compact;
mod disk;
mod film;
mod finish;
mod follow;
mod fragment;
mod in_place;
mod index;
mod muxer;
mod nal;
mod part;
mod reader;
mod salvage;
#[cfg(test)]
mod tests;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use disk::{Disk, DiskError, QUEUE_BYTES};
pub use film::Film;
pub use finish::{COMPACT_MAX, Finished, Method, finalise, finalise_by};
pub use follow::{Follower, Scout};
pub use index::Index;
pub use muxer::{Head, Muxer};
pub use salvage::{salvage, salvage_by, salvage_to};

/// The picture track: H.264 without B-frames at a constant frame rate.
#[derive(Debug, Clone)]
pub struct VideoTrack {
    /// Pixels per row.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// Frames per second, 1 to 1000.
    pub fps: u32,
    /// Sequence and picture parameter set of each stream that may come, each one NAL
    /// unit without start code or length; streams have numbers of their own.
    pub sets: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The sound track: AAC-LC in packets of 1024 samples per channel.
#[derive(Debug, Clone)]
pub struct AudioTrack {
    /// Samples per second and channel, below 65536.
    pub sample_rate: u16,
    /// Channels.
    pub channels: u16,
    /// Bits per second that the encoder aims at; a hint to players.
    pub bitrate: u32,
    /// AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), the encoder's extradata.
    pub asc: Vec<u8>,
    /// Samples the encoder puts before the first real one; an edit list hides them.
    pub priming: u32,
}

/// What a file is to hold, known before its first sample.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `None` for a file of sound alone.
    pub video: Option<VideoTrack>,
    /// The sound track.
    pub audio: AudioTrack,
    /// Longest recording that can be finished without copying; it sizes the
    /// reserve. A longer one still works, at the price of a copy.
    pub max_duration: Duration,
    /// Wall-clock time of the first frame, for players to show.
    pub created: SystemTime,
}

/// Why a file could not be written, finished or salvaged. The part file is kept
/// whenever one of these is returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MuxError {
    /// A track description that no file can carry.
    #[error("bad track: {0}")]
    Track(&'static str),
    /// The operating system refused; `source` tells a full disk from the rest.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A box could not be encoded or decoded.
    #[error("MP4 box: {0}")]
    Box(String),
    /// The part file does not begin like one.
    #[error("not a part file: {0}")]
    NotPart(&'static str),
    /// The part file holds no complete fragment, so there is nothing to save.
    #[error("the part file holds no complete fragment: nothing to salvage")]
    Empty,
    /// More follows a broken fragment than a crash can have torn. What comes before
    /// plays; cutting off the rest is not for a program to decide.
    #[error("the part file is damaged at byte {at}, with more behind it than a crash explains")]
    Damaged {
        /// Where the last good fragment ends.
        at: u64,
    },
    /// The part file is shorter than the index says: not all of it was written.
    /// [`salvage()`] saves what is there.
    #[error("the part file ends at byte {have}, its index at {need}")]
    Short {
        /// Bytes in the file.
        have: u64,
        /// Bytes that the index speaks of.
        need: u64,
    },
    /// The finished file did not read back as it was written.
    #[error("the finished file fails verification: {0}")]
    Verify(&'static str),
}

impl MuxError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the disk or a quota is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ))
    }
}

impl From<mp4_atom::Error> for MuxError {
    fn from(error: mp4_atom::Error) -> Self {
        Self::Box(error.to_string())
    }
}
