//! Loudness of the last second of sound and of its loudest sample, for the
//! stats. Pure.

use crate::media::SAMPLE_RATE;

/// What silence reads, in dBFS.
pub(super) const SILENCE: f64 = -120.0;

/// RMS over both channels, renewed each second of sound.
#[derive(Debug)]
pub(super) struct Level {
    /// Sum of squares of the second that is under way.
    sum: f64,
    /// Sample frames of it so far.
    frames: u64,
    dbfs: f64,
    /// The largest sample so far, without its sign; 1 is full scale.
    peak: f32,
}

impl Level {
    pub(super) fn new() -> Self {
        Self { sum: 0.0, frames: 0, dbfs: SILENCE, peak: 0.0 }
    }

    /// Takes interleaved stereo.
    pub(super) fn add(&mut self, samples: &[f32]) {
        for pair in samples.chunks_exact(2) {
            let square = |sample: f32| f64::from(sample) * f64::from(sample);
            let energy = square(pair[0]) + square(pair[1]);
            if energy.is_finite() {
                self.sum += energy;
                self.peak = self.peak.max(pair[0].abs()).max(pair[1].abs());
            }
            self.advance(1);
        }
    }

    /// Takes sample frames of silence.
    pub(super) fn add_silence(&mut self, mut frames: u64) {
        while frames > 0 {
            let step = frames.min(u64::from(SAMPLE_RATE) - self.frames);
            self.advance(step);
            frames -= step;
        }
    }

    fn advance(&mut self, frames: u64) {
        self.frames += frames;
        if self.frames >= u64::from(SAMPLE_RATE) {
            let mean = self.sum / (2 * self.frames) as f64;
            self.dbfs = (10.0 * mean.log10()).max(SILENCE);
            (self.sum, self.frames) = (0.0, 0);
        }
    }

    /// dBFS RMS of the last whole second; [`SILENCE`] at least.
    pub(super) fn dbfs(&self) -> f64 {
        self.dbfs
    }

    /// dBFS of the loudest sample ever; [`SILENCE`] at least, and 0 at most, which
    /// is all that the file can hold.
    pub(super) fn loudest_dbfs(&self) -> f64 {
        (20.0 * f64::from(self.peak).log10()).clamp(SILENCE, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_half_scale_and_silence() {
        let mut level = Level::new();
        assert_eq!((level.dbfs(), level.loudest_dbfs()), (SILENCE, SILENCE));
        level.add(&[0.0, -0.001].repeat(100));
        assert!((level.loudest_dbfs() + 60.0).abs() < 1e-3);
        level = Level::new();
        level.add(&[1.0, -1.0].repeat(48_000));
        assert!(level.dbfs().abs() < 1e-9);
        level.add(&[0.5, 0.5].repeat(48_000));
        assert!((level.dbfs() + 6.02).abs() < 0.01);
        level.add(&[f32::NAN, f32::INFINITY]);
        level.add_silence(100_000);
        assert_eq!(level.dbfs(), SILENCE);
        assert_eq!(level.loudest_dbfs(), 0.0);
        level.add(&[3.0, 0.0]);
        assert_eq!(level.loudest_dbfs(), 0.0);
    }
}
