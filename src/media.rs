//! What screen and speaker hand over: ticks with pictures, blocks of samples.
//!
//! Produced by `display` and `speaker`, consumed by `timeline` and `encode`.
//! A leaf: it knows the clock and nothing else.

mod picture;

use std::sync::Arc;

pub use picture::{Picture, Pool};

use crate::clock::Mono;

/// Sample rate of all sound in this crate, in hertz.
pub const SAMPLE_RATE: u32 = 48_000;

/// One tick of the screen: what it showed at that moment.
#[derive(Debug, Clone)]
pub struct Tick {
    /// The ideal time of the tick on the screen's grid; consecutive ticks are a
    /// whole number of frame periods apart.
    pub at: Mono,
    /// Ticks since the screen opened, missed ones counted.
    pub index: u64,
    /// The newly painted picture; `None` when nothing was committed since the
    /// tick before, so the screen still shows the same.
    pub picture: Option<Arc<Picture>>,
    /// Commits that a newer one replaced before this tick.
    pub superseded: u32,
}

/// A stretch of mixed sound. Blocks are contiguous: each begins where the one
/// before ended, the first at position 0.
#[derive(Debug, Clone)]
pub struct Block {
    /// When frame 0 of the speaker plays; the same in every block of one speaker.
    pub epoch: Mono,
    /// Frames since `epoch`: frame `n` plays at `epoch + n / 48000` s.
    pub position: u64,
    /// Interleaved stereo, nominally -1.0 to 1.0; two values a frame.
    pub samples: Vec<f32>,
}
