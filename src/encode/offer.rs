//! What the FFmpeg that this program is linked to can encode with.

use ffmpeg_next::encoder;

/// Encoders that a recording may use: H.264 in software and by the usual hardware, AAC.
const KNOWN: &[&str] = &["libx264", "h264_nvenc", "h264_qsv", "h264_vaapi", "h264_v4l2m2m", "aac"];

/// Those without which nothing is recorded.
pub const REQUIRED: &[&str] = &["libx264", "aac"];

/// The encoders of FFmpeg's that are known here and compiled in, by FFmpeg's names.
/// Whether there is hardware for one shows only when it is opened.
pub fn offered() -> Vec<&'static str> {
    KNOWN.iter().copied().filter(|name| encoder::find_by_name(name).is_some()).collect()
}
