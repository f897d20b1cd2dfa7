//! Judges of finished files. Each looks with a tool from outside and returns typed
//! findings; what is good enough is for the test to say.

pub mod boxes;
pub mod code;
pub mod colours;
pub mod pictures;
pub mod sound;
pub mod sync;
pub mod tone;

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use super::process::run;

/// What ffprobe reads in a file, in its words.
#[derive(Debug)]
pub struct Probe {
    /// Container length in seconds.
    pub duration: f64,
    /// The first video stream.
    pub video: Option<Video>,
    /// The first audio stream.
    pub audio: Option<Audio>,
    /// Streams of any kind.
    pub streams: usize,
}

/// The video stream as ffprobe names things.
#[derive(Debug, Deserialize)]
pub struct Video {
    pub codec_name: String,
    pub profile: String,
    pub pix_fmt: String,
    pub width: u32,
    pub height: u32,
    /// `tv` is limited range; absent when untagged, like the three below.
    pub color_range: Option<String>,
    pub color_space: Option<String>,
    pub color_primaries: Option<String>,
    pub color_transfer: Option<String>,
    /// Fractions, such as `30/1`.
    pub avg_frame_rate: String,
    pub r_frame_rate: String,
    /// Frames by the sample table.
    #[serde(deserialize_with = "number")]
    pub nb_frames: u64,
    /// Seconds.
    #[serde(deserialize_with = "number")]
    pub start_time: f64,
    #[serde(deserialize_with = "number")]
    pub duration: f64,
    #[serde(deserialize_with = "number")]
    pub bit_rate: u64,
}

/// The audio stream as ffprobe names things.
#[derive(Debug, Deserialize)]
pub struct Audio {
    pub codec_name: String,
    pub profile: String,
    #[serde(deserialize_with = "number")]
    pub sample_rate: u32,
    pub channels: u32,
    /// Seconds.
    #[serde(deserialize_with = "number")]
    pub start_time: f64,
    #[serde(deserialize_with = "number")]
    pub duration: f64,
    #[serde(deserialize_with = "number")]
    pub bit_rate: u64,
}

/// ffprobe writes most numbers as text.
fn number<'de, D, T>(value: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    String::deserialize(value)?.parse().map_err(serde::de::Error::custom)
}

/// What is in `file`; panics when ffprobe cannot say.
pub fn probe(file: &Path) -> Probe {
    let mut all = ffprobe(file, "format=duration:stream");
    let Value::Array(streams) = all["streams"].take() else { panic!("no streams: {all}") };
    let of_kind = |kind: &str| streams.iter().find(|s| s["codec_type"] == kind).cloned();
    let duration = all["format"]["duration"].as_str().unwrap_or_else(|| panic!("{all}"));
    Probe {
        duration: duration.parse().unwrap(),
        streams: streams.len(),
        video: of_kind("video").map(|s| serde_json::from_value(s).unwrap()),
        audio: of_kind("audio").map(|s| serde_json::from_value(s).unwrap()),
    }
}

fn ffprobe(file: &Path, entries: &str) -> Value {
    let out = run(Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_entries", entries])
        .arg(file))
    .expect_success("ffprobe");
    serde_json::from_str(&out.stdout).unwrap()
}

/// Presentation times, in seconds and ascending, of the packets of a stream
/// (`v:0`, `a:0`) that are shown: what an edit list cuts off is left out.
pub fn packet_times(file: &Path, stream: &str) -> Vec<f64> {
    let out = run(Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-select_streams", stream])
        .args(["-show_entries", "packet=pts_time,flags"])
        .arg(file))
    .expect_success("ffprobe");
    let shown = out.stdout.lines().filter_map(|line| {
        let mut fields = line.split(',');
        let (time, flags) = (fields.next()?, fields.next()?);
        (!flags.contains('D')).then(|| time.parse().unwrap())
    });
    let mut times: Vec<f64> = shown.collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Distances in seconds between neighbouring keyframes of the video.
pub fn keyframe_gaps(file: &Path) -> Vec<f64> {
    let out = run(Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-select_streams", "v:0"])
        .args(["-skip_frame", "nokey", "-show_entries", "frame=pts_time"])
        .arg(file))
    .expect_success("ffprobe");
    // Lines of side data come between those of frames.
    let first = |line: &str| line.split(',').next()?.parse().ok();
    let times: Vec<f64> = out.stdout.lines().filter_map(first).collect();
    times.windows(2).map(|w| w[1] - w[0]).collect()
}

/// Decodes everything; `Err` is what ffmpeg complained about.
pub fn decodes_silently(file: &Path) -> Result<(), String> {
    let out = run(Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "warning", "-xerror", "-i"])
        .arg(file)
        .args(["-map", "0", "-f", "null", "-"]));
    if out.status.success() && out.stderr.is_empty() {
        return Ok(());
    }
    Err(format!("{}: {}", out.status, out.stderr))
}

/// MediaInfo's objections (truncated, non-conformant); empty for a sound file.
pub fn mediainfo_objections(file: &Path) -> Vec<String> {
    let out =
        run(Command::new("mediainfo").arg("--Output=JSON").arg(file)).expect_success("mediainfo");
    let report: Value = serde_json::from_str(&out.stdout).unwrap();
    let tracks = report["media"]["track"].as_array().unwrap_or_else(|| panic!("{report}"));
    let mut found = Vec::new();
    if !tracks.iter().any(|t| t["@type"] == "Video" || t["@type"] == "Audio") {
        found.push("no track".to_owned());
    }
    for track in tracks {
        let Some(extra) = track["extra"].as_object() else { continue };
        for (name, value) in extra {
            if name.contains("Conformance") || name.contains("Truncated") {
                found.push(format!("{name}: {value}"));
            }
        }
    }
    found
}

/// Pipes `ffmpeg -i FILE ARGS -f FORMAT -` out as bytes.
fn decoded(file: &Path, args: &[&str], format: &str) -> Vec<u8> {
    let out = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-i"])
        .arg(file)
        .args(args)
        .args(["-f", format, "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(out.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Mean and standard deviation of at least one value.
pub fn mean_sd(values: &[f64]) -> (f64, f64) {
    assert!(!values.is_empty(), "nothing to average");
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// The value below which `share` (0 to 1) of `values` lie.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    assert!(!values.is_empty(), "no quantile of nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::super::{media, scratch};
    use super::*;

    #[test]
    fn a_good_file_and_what_is_in_it() {
        let dir = scratch();
        let file = dir.path().join("good.mp4");
        // FFmpeg 5 takes the colours from the options, 7 from the pictures.
        media::ffmpeg(&format!(
            "-f lavfi -i testsrc2=s=640x480:r=30:d=3 -f lavfi -i sine=f=440:r=48000:d=3 \
             -c:v libx264 -preset veryfast -g 30 -pix_fmt yuv420p -color_range tv \
             -colorspace bt709 -color_primaries bt709 -color_trc bt709 \
             -vf setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709 \
             -c:a aac -ac 2 -b:a 128k -movflags +faststart {}",
            file.display()
        ));
        let probe = probe(&file);
        let (video, audio) = (probe.video.unwrap(), probe.audio.unwrap());
        assert_eq!(probe.streams, 2);
        assert!((probe.duration - 3.0).abs() < 0.05, "{}", probe.duration);
        assert_eq!((video.width, video.height, video.nb_frames), (640, 480, 90));
        assert_eq!((video.codec_name.as_str(), video.pix_fmt.as_str()), ("h264", "yuv420p"));
        assert_eq!(video.profile, "High");
        assert_eq!((video.avg_frame_rate.as_str(), video.r_frame_rate.as_str()), ("30/1", "30/1"));
        for tag in [video.color_space, video.color_primaries, video.color_transfer] {
            assert_eq!(tag.as_deref(), Some("bt709"));
        }
        assert_eq!(video.color_range.as_deref(), Some("tv"));
        assert!(video.start_time.abs() < 0.001 && (video.duration - 3.0).abs() < 0.001);
        assert!(video.bit_rate > 10_000);
        assert_eq!((audio.codec_name.as_str(), audio.profile.as_str()), ("aac", "LC"));
        assert_eq!((audio.sample_rate, audio.channels), (48_000, 2));
        assert!(audio.start_time.abs() < 0.001 && (audio.duration - 3.0).abs() < 0.03);
        assert!(audio.bit_rate > 10_000);
        assert_eq!(decodes_silently(&file), Ok(()));
        assert_eq!(mediainfo_objections(&file), Vec::<String>::new());
        assert_eq!(packet_times(&file, "v:0").len(), 90);
        let gaps = keyframe_gaps(&file);
        assert!(gaps.len() == 2 && gaps.iter().all(|g| (g - 1.0).abs() < 0.001), "{gaps:?}");
        // AAC priming is in the file and not in what is heard.
        assert!(packet_times(&file, "a:0")[0] >= 0.0);
    }

    #[test]
    fn a_truncated_and_a_damaged_file_are_seen() {
        let dir = scratch();
        let whole = dir.path().join("whole.mp4");
        media::ffmpeg(&format!(
            "-f lavfi -i testsrc2=s=640x480:r=30:d=3 -c:v libx264 -preset ultrafast \
             -pix_fmt yuv420p -movflags +faststart {}",
            whole.display()
        ));
        let bytes = std::fs::read(&whole).unwrap();
        let truncated = dir.path().join("truncated.mp4");
        std::fs::write(&truncated, &bytes[..bytes.len() * 2 / 3]).unwrap();
        assert!(decodes_silently(&truncated).is_err());
        assert!(!mediainfo_objections(&truncated).is_empty());
        let damaged = dir.path().join("damaged.mp4");
        let mut spoilt = bytes;
        let middle = spoilt.len() / 2;
        spoilt[middle..middle + 2000].fill(0xff);
        std::fs::write(&damaged, spoilt).unwrap();
        assert!(decodes_silently(&damaged).is_err());
    }

    #[test]
    fn statistics() {
        let (mean, sd) = mean_sd(&[1.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (sd - 1.0).abs() < 1e-12);
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert!((quantile(&values, 0.99) - 99.0).abs() < 1e-12);
    }
}
