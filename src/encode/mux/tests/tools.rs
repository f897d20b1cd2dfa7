//! What outside tools say about a file.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::media::{BURST, burst_starts};

/// Decodes everything; any complaint fails.
pub(super) fn decodes(path: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i"])
        .arg(path)
        .args(["-map", "0", "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", path.display());
}

/// One stream as `ffprobe` describes it; it decodes to count the frames.
pub(super) fn probe(path: &Path, stream: &str) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_streams", "-of", "json"])
        .args(["-select_streams", stream])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", path.display());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["streams"][0].clone()
}

/// A number that ffprobe prints as a string.
pub(super) fn number(stream: &Value, key: &str) -> f64 {
    let value = stream[key].as_str().unwrap_or_else(|| panic!("no {key} in {stream}"));
    value.parse().unwrap()
}

/// The left channel as a player hears it: each sample at its timestamp, time 0 first.
pub(super) fn hear(path: &Path) -> Vec<i16> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-copyts", "-i"])
        .arg(path)
        .args(["-map", "0:a", "-af", "aresample=async=1:first_pts=0", "-f", "s16le", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    output.stdout.chunks_exact(4).map(|frame| i16::from_le_bytes([frame[0], frame[1]])).collect()
}

/// Every burst that is heard in full comes at exactly its own sample; returns
/// how many there were.
pub(super) fn in_sync(sound: &[i16], heard: &[i16]) -> usize {
    in_sync_from(0, sound, heard)
}

/// The same of a file that begins with sample `from`.
pub(super) fn in_sync_from(from: usize, sound: &[i16], heard: &[i16]) -> usize {
    const REACH: usize = 1500;
    let mut found = 0;
    let starts = burst_starts(sound.len()).filter(|&start| start >= from + REACH);
    for start in starts.map(|start| start - from).filter(|s| s + BURST + REACH <= heard.len()) {
        let burst = &sound[from + start..][..BURST];
        let likeness = |shift: &usize| -> i64 {
            let there = &heard[start + shift - REACH..];
            burst.iter().zip(there).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum()
        };
        let best = (0..2 * REACH).max_by_key(likeness).unwrap();
        assert_eq!(best as i64 - REACH as i64, 0, "burst at {start} is displaced");
        found += 1;
    }
    found
}
