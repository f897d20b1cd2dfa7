//! What can go wrong between a picture and the finished file.

use super::mux::{DiskError, MuxError};
use crate::job::BadSpec;

/// Why encoding failed or a file could not be finished. Whatever was on disk
/// before stays there and can be salvaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The installed libavcodec was built without this encoder.
    #[error("libavcodec has no {0} encoder: install an FFmpeg build that includes it")]
    Missing(&'static str),
    /// Settings that no encoder takes.
    #[error("{0}")]
    Settings(BadSpec),
    /// An encoder refused its settings or its input.
    #[error("the {codec} encoder failed: {problem}")]
    Codec {
        /// Name of the encoder in libavcodec.
        codec: &'static str,
        /// What it said, or what it did not understand.
        problem: String,
    },
    /// The file could not be created, written or finished.
    #[error("{problem}")]
    Disk {
        /// A sentence with the path and the reason.
        problem: String,
        /// The disk or a quota is full.
        full: bool,
    },
    /// The encode thread could not be started, or ended by a fault of its own.
    #[error("the encode thread {0}")]
    Thread(String),
    /// Not one frame was recorded, so there is no file.
    #[error("nothing was recorded: the screen showed no picture before the end")]
    Empty,
}

/// Whose failure it is: where an operator has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The disk or its permissions.
    Disk,
    /// The codecs, or this program.
    Encoder,
    /// Nobody's: there was nothing to record.
    Empty,
}

impl EncodeError {
    /// Whose failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Disk { .. } => ErrorKind::Disk,
            Self::Missing(_) | Self::Settings(_) | Self::Codec { .. } | Self::Thread(_) => {
                ErrorKind::Encoder
            }
            Self::Empty => ErrorKind::Empty,
        }
    }

    /// Wraps what libavcodec said of its encoder `codec`.
    pub(super) fn codec(codec: &'static str) -> impl Fn(ffmpeg_next::Error) -> Self + Copy {
        move |error| Self::Codec { codec, problem: error.to_string() }
    }
}

impl From<MuxError> for EncodeError {
    fn from(error: MuxError) -> Self {
        Self::Disk { problem: error.to_string(), full: error.is_disk_full() }
    }
}

impl From<DiskError> for EncodeError {
    fn from(error: DiskError) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        let full = match &error {
            DiskError::Failed { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded)
            }
            DiskError::Behind(_) => false,
        };
        Self::Disk { problem: error.to_string(), full }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_quota_that_is_used_up_is_a_full_disk() {
        for (errno, is_full) in [(Errno::NOSPC, true), (Errno::DQUOT, true), (Errno::IO, false)] {
            let source = || io::Error::from(errno);
            let writing = DiskError::Failed { path: "a".into(), source: Arc::new(source()) };
            let finishing = MuxError::Io { action: "write", path: "a".into(), source: source() };
            for error in [EncodeError::from(writing), finishing.into()] {
                assert_eq!(error.kind(), ErrorKind::Disk);
                assert!(matches!(error, EncodeError::Disk { full, .. } if full == is_full));
            }
        }
    }
}
