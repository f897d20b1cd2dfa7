//! The judge: FFmpeg's command line, which shares no code with the muxer and
//! is strict about what it decodes.

use std::path::Path;
use std::process::Command;

use super::scene::{HEIGHT, WIDTH};

fn run(program: &str, arguments: &[&str]) -> (Vec<u8>, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    (output.stdout, stderr)
}

/// Decodes with `arguments` for the output; any complaint is a failure.
fn decode(file: &Path, arguments: &[&str]) -> Vec<u8> {
    let file = file.to_str().unwrap();
    let mut all = vec!["-v", "warning", "-xerror", "-err_detect", "explode", "-i", file];
    all.extend(arguments);
    all.push("-");
    let (stdout, stderr) = run("ffmpeg", &all);
    assert_eq!(stderr, "");
    stdout
}

/// Planar 4:2:0 pictures as decoded, one for each frame of the file.
pub(super) fn pictures(file: &Path) -> Vec<Vec<u8>> {
    let raw = decode(file, &["-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo"]);
    let size = WIDTH * HEIGHT * 3 / 2;
    assert_eq!(raw.len() % size, 0);
    raw.chunks(size).map(<[u8]>::to_vec).collect()
}

/// The first picture in RGB, converted by what the file says of its colours.
pub(super) fn first_in_rgb(file: &Path) -> Vec<u8> {
    let flags = ["-map", "0:v", "-frames:v", "1", "-sws_flags", "accurate_rnd+full_chroma_int"];
    decode(file, &[&flags[..], &["-pix_fmt", "rgb24", "-f", "rawvideo"]].concat())
}

/// Left channel of the sound, which must be `length` samples long: by the file's
/// own word, and but for the rest of the last packet, which this decoder shows.
pub(super) fn sound(file: &Path, length: usize) -> Vec<f32> {
    let told = probe(file, "a", "duration");
    assert_eq!(told, [format!("duration={:.6}", length as f64 / 48_000.0)]);
    let raw = decode(file, &["-map", "0:a", "-f", "f32le"]);
    let left = raw.chunks(8).map(|pair| f32::from_le_bytes(pair[..4].try_into().unwrap()));
    let mut left: Vec<f32> = left.collect();
    assert!((length..length + 1024).contains(&left.len()), "{} samples", left.len());
    left.truncate(length);
    left
}

/// One line of `key=value` a field.
pub(super) fn probe(file: &Path, select: &str, entries: &str) -> Vec<String> {
    let entries = format!("stream={entries}");
    let file = file.to_str().unwrap();
    let arguments =
        ["-v", "error", "-select_streams", select, "-show_entries", &entries, "-of", "flat", file];
    let (stdout, stderr) = run("ffprobe", &arguments);
    assert_eq!(stderr, "");
    let text = String::from_utf8(stdout).unwrap();
    text.lines().map(|line| line.replace("streams.stream.0.", "").replace('"', "")).collect()
}

/// Numbers of the keyframes.
pub(super) fn keyframes(file: &Path) -> Vec<usize> {
    let file = file.to_str().unwrap();
    let arguments =
        ["-v", "error", "-select_streams", "v", "-show_entries", "packet=flags", "-of", "csv=p=0"];
    let (stdout, _) = run("ffprobe", &[&arguments[..], &[file]].concat());
    let text = String::from_utf8(stdout).unwrap();
    text.lines().enumerate().filter(|(_, f)| f.starts_with('K')).map(|(n, _)| n).collect()
}

/// Every value that a field of the H.264 headers takes in the file.
pub(super) fn header_values(file: &Path, field: &str) -> Vec<String> {
    let file = file.to_str().unwrap();
    let arguments = ["-i", file, "-map", "0:v", "-c", "copy", "-bsf:v", "trace_headers"];
    let (_, stderr) = run("ffmpeg", &[&arguments[..], &["-f", "null", "-"]].concat());
    let lines = stderr.lines().filter(|line| line.contains(&format!(" {field} ")));
    let mut values: Vec<String> =
        lines.map(|line| line.rsplit("= ").next().unwrap().to_owned()).collect();
    values.sort();
    values.dedup();
    values
}

/// Where `pattern` lies in `sound`, looked for around `expected`.
pub(super) fn position_of(pattern: &[f32], sound: &[f32], expected: usize) -> usize {
    let first = expected.saturating_sub(1500);
    let last = (expected + 1500).min(sound.len() - pattern.len());
    let fit = |at: &usize| -> f32 { pattern.iter().zip(&sound[*at..]).map(|(a, b)| a * b).sum() };
    (first..=last).max_by(|a, b| fit(a).total_cmp(&fit(b))).unwrap()
}

/// A hash of each decoded picture.
pub(super) fn hashes(file: &Path) -> Vec<String> {
    let text = String::from_utf8(decode(file, &["-map", "0:v", "-f", "framemd5"])).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}
