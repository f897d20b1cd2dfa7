//! Decoded sound in file time.

use std::path::Path;

use super::decoded;

/// Samples a second of everything here.
pub const RATE: f64 = 48_000.0;

/// The sound of `file`, both channels mixed, 48 kHz, -1 to 1; sample `n` is heard at
/// `n / 48000` s of file time. Where the file has no sound there is silence, so
/// that holes and a late start keep what follows in its place.
pub fn pcm(file: &Path) -> Vec<f32> {
    let filter = "aresample=48000:async=1:min_hard_comp=0.001:first_pts=0";
    let args = ["-map", "0:a:0", "-af", filter, "-ac", "1"];
    let bytes = decoded(file, &args, "f32le");
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Loudness of `samples`, dBFS RMS; -120 for silence.
pub fn dbfs(samples: &[f32]) -> f64 {
    assert!(!samples.is_empty(), "no sound at all");
    let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64;
    (10.0 * power.log10()).max(-120.0)
}

#[cfg(test)]
mod tests {
    use super::super::super::{media, scratch};
    use super::*;

    #[test]
    fn level_and_length() {
        let dir = scratch();
        let file = dir.path().join("tone.wav");
        media::ffmpeg(&format!(
            "-f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t):s=48000:d=2 {}",
            file.display()
        ));
        let samples = pcm(&file);
        assert_eq!(samples.len(), 96_000);
        // Half of full scale is -6.02 dB, its RMS 3.01 dB less.
        assert!((dbfs(&samples) + 9.03).abs() < 0.05, "{}", dbfs(&samples));
        assert!((dbfs(&[0.0; 10]) + 120.0).abs() < 1e-9);
    }

    #[test]
    fn a_late_start_keeps_its_place() {
        let dir = scratch();
        let file = dir.path().join("late.mp4");
        media::ffmpeg(&format!(
            "-f lavfi -i testsrc2=s=320x240:r=30:d=3 -itsoffset 0.75 \
             -f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t):s=48000:d=2 \
             -c:v libx264 -c:a flac -strict -2 {}",
            file.display()
        ));
        let samples = pcm(&file);
        let first = samples.iter().position(|s| s.abs() > 0.1).unwrap();
        assert!((first as f64 / RATE - 0.75).abs() < 0.002, "{first}");
    }
}
