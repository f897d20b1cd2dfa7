//! Listens to a steady sine for lost, repeated and spoilt samples.

use std::f64::consts::TAU;

use super::sound::{RATE, dbfs};
use super::{mean_sd, quantile};

/// Samples a block: 10 ms, whole periods of any multiple of 100 Hz.
const BLOCK: usize = 480;
/// A jump of the phase that one lost sample of 1 kHz exceeds (0.131 rad).
const MAX_JUMP: f64 = 0.065;
/// Share of the tone's power that may be anything else within a block.
const MAX_RESIDUE: f64 = 0.003;

/// What a recorded sine is like.
#[derive(Debug, Clone)]
pub struct Tone {
    /// Hertz, by the phase over the whole.
    pub hertz: f64,
    /// dBFS RMS.
    pub level_dbfs: f64,
    /// Seconds at which the phase jumps, the level breaks in or something else sounds.
    pub glitches: Vec<f64>,
}

/// Judges `samples` (48 kHz) as a sine near `hertz`, a multiple of 100. Pass the steady
/// part: a beginning or end inside counts as a glitch.
pub fn tone(samples: &[f32], hertz: f64) -> Tone {
    let blocks: Vec<Block> = samples.chunks_exact(BLOCK).map(|s| Block::of(s, hertz)).collect();
    assert!(blocks.len() > 10, "too short to judge: {} samples", samples.len());
    let powers: Vec<f64> = blocks.iter().map(|b| b.power).collect();
    let usual_power = quantile(&powers, 0.5);
    // What the phase gains each block because the tone is not exactly `hertz`.
    let steps: Vec<f64> = blocks.windows(2).map(|w| turn(w[1].phase - w[0].phase)).collect();
    let usual_step = quantile(&steps, 0.5);
    let good = |step: &&f64| turn(**step - usual_step).abs() < MAX_JUMP;
    let (drift, _) = mean_sd(&steps.iter().filter(good).copied().collect::<Vec<_>>());

    let mut glitches = Vec::new();
    for (n, block) in blocks.iter().enumerate() {
        let jumps = n > 0 && turn(steps[n - 1] - usual_step).abs() > MAX_JUMP;
        let breaks = (block.power / usual_power - 1.0).abs() > 0.2;
        let residue = block.residue > MAX_RESIDUE * usual_power;
        if jumps || breaks || residue {
            glitches.push((n * BLOCK) as f64 / RATE);
        }
    }
    Tone { hertz: hertz + drift / TAU * RATE / BLOCK as f64, level_dbfs: dbfs(samples), glitches }
}

/// An angle brought into -pi to pi.
fn turn(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}

/// One block against the sine that fits it best.
struct Block {
    phase: f64,
    power: f64,
    /// Power of what the sine leaves over.
    residue: f64,
}

impl Block {
    fn of(samples: &[f32], hertz: f64) -> Self {
        let n = samples.len() as f64;
        let angle = |i: usize| TAU * hertz * i as f64 / RATE;
        let (mut cosine, mut sine, mut total) = (0.0, 0.0, 0.0);
        for (i, &sample) in samples.iter().enumerate() {
            let sample = f64::from(sample);
            cosine += sample * angle(i).cos() * 2.0 / n;
            sine += sample * angle(i).sin() * 2.0 / n;
            total += sample * sample / n;
        }
        let power = cosine.mul_add(cosine, sine * sine) / 2.0;
        Self { phase: cosine.atan2(sine), power, residue: total - power }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{by_length, media, scratch};
    use super::super::sound::pcm;
    use super::*;

    fn sine(hertz: f64, seconds: f64) -> Vec<f32> {
        let count = (seconds * RATE) as usize;
        (0..count).map(|i| (0.5 * (TAU * hertz * i as f64 / RATE).sin()) as f32).collect()
    }

    #[test]
    fn a_clean_sine_after_aac_has_no_glitch() {
        let dir = scratch();
        let file = dir.path().join("tone.mp4");
        media::ffmpeg(&format!(
            "-f lavfi -i aevalsrc=0.5*sin(2*PI*1000*t):s=48000:d={} -ac 2 -c:a aac -b:a 128k {}",
            by_length(5, 600),
            file.display()
        ));
        let samples = pcm(&file);
        let found = tone(&samples[4800..samples.len() - 4800], 1000.0);
        assert!(found.glitches.is_empty(), "{found:?}");
        assert!((found.hertz - 1000.0).abs() < 0.01, "{found:?}");
        assert!((found.level_dbfs + 9.03).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn another_frequency_is_measured() {
        for hertz in [999.0, 1000.5, 1001.0] {
            let found = tone(&sine(hertz, 2.0), 1000.0);
            assert!((found.hertz - hertz).abs() < 0.01, "{hertz}: {found:?}");
            assert!(found.glitches.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn planted_glitches_are_found_where_they_are() {
        let one = |name: &str, samples: &[f32]| {
            let found = tone(samples, 1000.0);
            let near = |t: &&f64| (**t - 1.0).abs() < 0.021;
            assert!(!found.glitches.is_empty(), "{name}: nothing found");
            assert!(
                found.glitches.iter().filter(near).count() == found.glitches.len(),
                "{name}: {found:?}"
            );
        };
        let mut lost = sine(1000.0, 2.0);
        lost.remove(48_100);
        one("one sample lost", &lost);
        let mut doubled = sine(1000.0, 2.0);
        doubled.insert(48_100, doubled[48_099]);
        one("one sample doubled", &doubled);
        let mut click = sine(1000.0, 2.0);
        click[48_100] = 1.0;
        one("a click", &click);
        let mut hole = sine(1000.0, 2.0);
        hole[48_000..48_480].fill(0.0);
        one("10 ms of silence", &hole);
        let mut soft = sine(1000.0, 2.0);
        soft[48_000..48_480].iter_mut().for_each(|s| *s *= 0.7);
        one("10 ms at 0.7", &soft);
    }
}
