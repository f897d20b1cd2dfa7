//! Flashes and beeps of `sync.html` and `tiles.html`: do picture and sound agree?

use std::path::Path;

use super::pictures::seen;
use super::sound::{RATE, pcm};
use super::{mean_sd, quantile};

/// Where pages flash: the bottom sixteenth.
const BAND: &str = "iw:ih/16:0:ih*15/16";
/// A flash is this much brighter than the dark, of 255.
const MIN_CONTRAST: u8 = 60;
/// A beep begins after at least this much quiet, in samples.
const QUIET: usize = 14_400;
/// A beep is at least this loud.
const MIN_PEAK: f32 = 0.02;

/// Seconds of file time at which the band turns from dark to bright.
pub fn flashes(file: &Path) -> Vec<f64> {
    let frames = seen(file, BAND, 1, 1);
    let light = || frames.iter().map(|f| f.luma[0]);
    let (dark, bright) = (light().min().unwrap(), light().max().unwrap());
    if bright - dark < MIN_CONTRAST {
        return Vec::new();
    }
    let middle = u8::midpoint(dark, bright);
    let onsets = frames.windows(2).filter(|w| w[0].luma[0] <= middle && w[1].luma[0] > middle);
    onsets.map(|w| w[1].time).collect()
}

/// Seconds of file time at which a beep begins: half of its loudness after quiet.
pub fn beeps(file: &Path) -> Vec<f64> {
    onsets(&pcm(file)).into_iter().map(|n| n as f64 / RATE).collect()
}

fn onsets(samples: &[f32]) -> Vec<usize> {
    let peak = samples.iter().fold(0.0_f32, |a, s| a.max(s.abs()));
    if peak < MIN_PEAK {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut last_loud = None::<usize>;
    for (n, sample) in samples.iter().enumerate() {
        if sample.abs() < peak / 2.0 {
            continue;
        }
        // A file that begins inside a beep does not show where the beep began.
        if last_loud.map_or(n >= QUIET, |last| n - last >= QUIET) {
            found.push(n);
        }
        last_loud = Some(n);
    }
    found
}

/// How flashes and beeps go together.
#[derive(Debug, Clone)]
pub struct Sync {
    /// Pairs of a flash and its beep.
    pub pairs: usize,
    /// Flashes and beeps without a partner within half a second.
    pub single: usize,
    /// Beep minus flash, mean in milliseconds: positive when sound is late.
    pub mean_ms: f64,
    /// The same, the one in the middle.
    pub median_ms: f64,
    /// Standard deviation of the same.
    pub sd_ms: f64,
}

/// Pairs the flashes with the beeps of `file`; panics when there is no pair at all.
pub fn sync(file: &Path) -> Sync {
    paired(&flashes(file), &beeps(file))
}

/// The same of what is before and of what is after `at` seconds.
pub fn before_and_after(file: &Path, at: f64) -> [Sync; 2] {
    let (flashes, beeps) = (flashes(file), beeps(file));
    let parts = [true, false].map(|early| {
        [&flashes, &beeps].map(|times| {
            times.iter().copied().filter(|time| (*time < at) == early).collect::<Vec<_>>()
        })
    });
    parts.map(|[flashes, beeps]| paired(&flashes, &beeps))
}

fn paired(flashes: &[f64], beeps: &[f64]) -> Sync {
    let nearest = |flash: &f64| {
        let offsets = beeps.iter().map(|beep| (beep - flash) * 1000.0);
        offsets.min_by(|a, b| a.abs().total_cmp(&b.abs())).filter(|o| o.abs() < 500.0)
    };
    let offsets: Vec<f64> = flashes.iter().filter_map(nearest).collect();
    let (mean_ms, sd_ms) = mean_sd(&offsets);
    let single = flashes.len() + beeps.len() - 2 * offsets.len().min(beeps.len());
    let median_ms = quantile(&offsets, 0.5);
    Sync { pairs: offsets.len(), single, mean_ms, median_ms, sd_ms }
}

#[cfg(test)]
mod tests {
    use super::super::super::{media, scratch};
    use super::*;

    #[test]
    fn the_film_itself_is_exact() {
        let dir = scratch();
        let film = dir.path().join("sync.mp4");
        media::sync_film(&film, 8);
        let seconds: Vec<f64> = (1..8).map(f64::from).collect();
        let (flashes, beeps) = (flashes(&film), beeps(&film));
        assert_eq!(flashes.len(), 7, "{flashes:?}");
        assert_eq!(beeps.len(), 7, "{beeps:?}");
        for ((second, flash), beep) in seconds.iter().zip(&flashes).zip(&beeps) {
            assert!((flash - second).abs() < 1e-4, "{flashes:?}");
            // A sine from zero takes 1/12 of its period to half of its peak.
            assert!((beep - second).abs() < 2e-4, "{beeps:?}");
        }
    }

    #[test]
    fn a_shifted_sound_and_a_lost_beep_are_found() {
        let dir = scratch();
        let (film, shifted) = (dir.path().join("sync.mp4"), dir.path().join("shifted.mp4"));
        media::sync_film(&film, 8);
        // Encoded as recordings are, so that priming and its edit list take part.
        for (shift, command) in [
            (0.0, "-c:v copy -c:a aac"),
            (40.0, "-c:v copy -af adelay=40:all=1 -c:a aac"),
            (-25.0, "-c:v copy -af atrim=start=0.025,asetpts=PTS-STARTPTS -c:a aac"),
        ] {
            media::ffmpeg(&format!("-i {} {command} {}", film.display(), shifted.display()));
            let found = sync(&shifted);
            assert_eq!((found.pairs, found.single), (7, 0), "{found:?}");
            assert!((found.mean_ms - shift).abs() < 0.5 && found.sd_ms < 0.2, "{shift}: {found:?}");
        }
        media::ffmpeg(&format!(
            "-i {} -c:v copy -af volume=0:enable=between(t\\,2.9\\,3.5) -c:a aac {}",
            film.display(),
            shifted.display()
        ));
        let found = sync(&shifted);
        assert_eq!((found.pairs, found.single), (6, 1), "{found:?}");
    }

    #[test]
    fn neither_light_nor_sound_is_no_event() {
        let dir = scratch();
        let film = dir.path().join("dark.mp4");
        media::ffmpeg(&format!(
            "-f lavfi -i color=black:s=320x180:r=30:d=2 \
             -f lavfi -i anullsrc=r=48000:cl=stereo -t 2 -c:v libx264 -c:a aac {}",
            film.display()
        ));
        assert!(flashes(&film).is_empty() && beeps(&film).is_empty());
    }
}
