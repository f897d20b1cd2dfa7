//! The encoder end to end: synthetic ticks and sound go in as fast as it takes
//! them, and the FFmpeg command line judges the file that comes out.

mod ceiling;
mod fallback;
mod judge;
mod quality;
mod record;
mod scene;
mod sheet;
mod sound_alone;
mod still;
