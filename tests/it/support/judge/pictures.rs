//! Decoded pictures with the times at which they are shown.

use std::path::Path;

use super::{decoded, packet_times};

/// A decoded frame, reduced to what a judge wants to see of it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it is shown, in seconds of file time.
    pub time: f64,
    /// Brightness, row by row, 0 to 255.
    pub luma: Vec<u8>,
}

/// Every frame of `file`, cropped by `crop` (`w:h:x:y` as ffmpeg's filter takes it) and
/// averaged down to `width` x `height` values. None is dropped or repeated in between.
pub fn seen(file: &Path, crop: &str, width: usize, height: usize) -> Vec<Seen> {
    let filter = format!("crop={crop},scale={width}:{height}:flags=area,format=gray");
    let args = ["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", &filter];
    let bytes = decoded(file, &args, "rawvideo");
    let times = packet_times(file, "v:0");
    assert_eq!(bytes.len(), times.len() * width * height, "frames decoded and packets differ");
    let frames = bytes.chunks(width * height);
    times.into_iter().zip(frames).map(|(time, f)| Seen { time, luma: f.to_vec() }).collect()
}
