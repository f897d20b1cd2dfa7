//! H.264 levels (ITU-T H.264, A.3 and table A-1): what a decoder of a level can do.
//!
//! The lowest that will do is named in the stream, and what a burst may hold back
//! is kept within it, so that as many decoders as possible play the file. Pure.

use crate::job::Resolution;

/// One row of the table, in the limits of profile High (A.3.3: a quarter more bits
/// than the table says).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// As encoders take it.
    pub name: &'static str,
    /// Macroblocks a second.
    speed: u64,
    /// Macroblocks of a picture.
    size: u64,
    /// Bits a second.
    bitrate: u64,
    /// Bits of the decoder's input buffer.
    buffer: u64,
}

impl Level {
    const fn new(name: &'static str, speed: u64, size: u64, bitrate: u64, buffer: u64) -> Self {
        Self { name, speed, size, bitrate: bitrate * 1250, buffer: buffer * 1250 }
    }

    /// Bits that a burst may hold back at `most` bits a second: two seconds of them,
    /// if the level's decoders have the room.
    pub(super) fn burst(self, most: u64) -> u64 {
        (most * BURST_SECONDS).min(self.buffer)
    }

    /// The lowest level for such a picture at no more than `bitrate` bits a second.
    pub(super) fn of(resolution: Resolution, fps: u32, bitrate: u64) -> Self {
        let blocks = |pixels: u32| u64::from(pixels.div_ceil(16));
        let (across, down) = (blocks(resolution.width()), blocks(resolution.height()));
        let size = across * down;
        let fits = |level: &&Self| {
            size <= level.size
                && across.max(down).pow(2) <= 8 * level.size
                && size * u64::from(fps) <= level.speed
                && bitrate <= level.bitrate
        };
        *LEVELS.iter().find(fits).unwrap_or(&HIGHEST)
    }
}

/// Seconds of the highest bitrate that a burst may use up at once.
const BURST_SECONDS: u64 = 2;

/// Above all that can be asked for.
const HIGHEST: Level = Level::new("5.1", 983_040, 36_864, 240_000, 240_000);

/// Those without interlace only: 1.x and 2.x are below the smallest picture.
const LEVELS: &[Level] = &[
    Level::new("3", 40_500, 1_620, 10_000, 10_000),
    Level::new("3.1", 108_000, 3_600, 14_000, 14_000),
    Level::new("3.2", 216_000, 5_120, 20_000, 20_000),
    Level::new("4", 245_760, 8_192, 20_000, 25_000),
    Level::new("4.1", 245_760, 8_192, 50_000, 62_500),
    Level::new("4.2", 522_240, 8_704, 50_000, 62_500),
    HIGHEST,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Preset, Quality, QualityWish};

    #[test]
    fn the_lowest_level_that_will_do_is_named() {
        for (width, height, fps, megabits, name) in [
            (1280, 720, 30, 12, "3.1"),
            (1280, 720, 30, 18, "3.2"),
            (1280, 720, 60, 12, "3.2"),
            (500, 480, 30, 3, "3"),
            (500, 480, 60, 3, "3.1"),
            (1920, 1080, 30, 25, "4"),
            (1920, 1080, 30, 28, "4.1"),
            (1080, 1920, 30, 25, "4"),
            (1920, 1080, 60, 60, "4.2"),
            // Long and thin: 120 macroblocks are too many for level 3.
            (1920, 500, 10, 1, "3.2"),
        ] {
            let resolution = Resolution::new(width, height).unwrap();
            let level = Level::of(resolution, fps, megabits * 1_000_000);
            assert_eq!(level.name, name, "{width}x{height}@{fps} {megabits} Mb/s");
        }
    }

    #[test]
    fn nothing_that_can_be_asked_for_needs_more_than_level_4_2() {
        for preset in Preset::ALL {
            let wish = QualityWish {
                preset: Some(preset),
                bitrate: Some(40_000),
                ..QualityWish::default()
            };
            let Quality { resolution, fps, .. } = wish.over(Quality::default()).unwrap();
            let level = Level::of(resolution, fps, 60_000_000);
            assert!(["4.1", "4.2"].contains(&level.name), "{preset}: {level:?}");
        }
    }
}
