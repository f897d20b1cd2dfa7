//! Reads the time code of `barcode.js` out of a recording and judges its cadence.

use std::path::Path;

use super::pictures::seen;
use super::quantile;

/// The code's band: the top sixteenth, two rows of 32 cells.
const BAND: &str = "iw:ih/16:0:0";
const CELLS: usize = 32;
const DATA_BITS: usize = 24;
const CHECK_BITS: usize = 5;
/// How far white and black cells must be apart to be told from each other.
const MIN_CONTRAST: u8 = 60;

/// What one frame of the recording says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When the frame is shown, in seconds of file time.
    pub time: f64,
    /// Page time in milliseconds and count of painted frames; `None`: not readable,
    /// for example mixed of two pictures.
    pub code: Option<(f64, u32)>,
}

/// The code in every frame of `file`.
pub fn readings(file: &Path) -> Vec<Reading> {
    let frames = seen(file, BAND, CELLS, 2).into_iter();
    frames.map(|f| Reading { time: f.time, code: decode(&f.luma) }).collect()
}

/// The same from the first readable frame on: a recording may begin with what the
/// page shows before its script has painted.
pub fn painted(file: &Path) -> Vec<Reading> {
    readings(file).into_iter().skip_while(|r| r.code.is_none()).collect()
}

fn decode(luma: &[u8]) -> Option<(f64, u32)> {
    let (time, count) = luma.split_at(CELLS);
    Some((f64::from(decode_row(time)?) / 10.0, decode_row(count)?))
}

fn decode_row(cells: &[u8]) -> Option<u32> {
    let (white, black) = (cells[0].min(cells[CELLS - 1]), cells[1]);
    if white.checked_sub(black)? < MIN_CONTRAST {
        return None;
    }
    let middle = u16::midpoint(white.into(), black.into());
    let number =
        |bits: &[u8]| bits.iter().fold(0, |v, &b| (v << 1) | u32::from(u16::from(b) > middle));
    let gray = number(&cells[2..2 + DATA_BITS]);
    let check = number(&cells[2 + DATA_BITS..2 + DATA_BITS + CHECK_BITS]);
    // Gray to binary: each bit is the parity of itself and all above it.
    let value = [1, 2, 4, 8, 16].iter().fold(gray, |v, shift| v ^ (v >> shift));
    (value % 31 == check).then_some(value)
}

/// How evenly the page's pictures came through.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// Frames in the file.
    pub frames: usize,
    /// Frames without a readable code.
    pub unreadable: usize,
    /// Frames that show a picture not shown before.
    pub unique: usize,
    /// The same, a second of file time.
    pub unique_per_s: f64,
    /// Frames that show what the frame before showed.
    pub repeats: usize,
    /// Frames that show an earlier picture than the frame before.
    pub backwards: usize,
    /// Longest time for which the file shows one picture, in milliseconds.
    pub largest_gap_ms: f64,
    /// 99 % of new pictures are less than this off the straight line through
    /// (file time, page time), in milliseconds.
    pub deviation_p99_ms: f64,
    /// Page milliseconds a millisecond of file: 1.0 when time passes equally in both.
    pub pace: f64,
}

/// Judges readings of at least three different pictures.
pub fn cadence(readings: &[Reading]) -> Cadence {
    let mut fresh: Vec<(f64, f64)> = Vec::new();
    let (mut repeats, mut backwards, mut unreadable) = (0, 0, 0);
    let mut before: Option<(f64, u32)> = None;
    for reading in readings {
        let Some((ms, count)) = reading.code else {
            unreadable += 1;
            continue;
        };
        match before {
            Some((_, last)) if last == count => repeats += 1,
            Some((last_ms, last)) if count < last || ms < last_ms => backwards += 1,
            _ => fresh.push((reading.time * 1000.0, ms)),
        }
        before = Some((ms, count));
    }
    assert!(
        fresh.len() >= 3,
        "only {} different pictures in {} frames",
        fresh.len(),
        readings.len()
    );
    let times: Vec<f64> = readings.iter().map(|r| r.time * 1000.0).collect();
    let span = times[times.len() - 1] - times[0];
    let period = span / (times.len() - 1) as f64;
    let end = times[times.len() - 1] + period;
    let (pace, offset) = line(&fresh);
    let off: Vec<f64> = fresh.iter().map(|(x, y)| (y - pace * x - offset).abs()).collect();
    let shown_until = fresh[1..].iter().map(|(t, _)| *t).chain([end]);
    Cadence {
        frames: readings.len(),
        unreadable,
        unique: fresh.len(),
        unique_per_s: fresh.len() as f64 * 1000.0 / (span + period),
        repeats,
        backwards,
        largest_gap_ms: fresh.iter().zip(shown_until).map(|((t, _), u)| u - t).fold(0.0, f64::max),
        deviation_p99_ms: quantile(&off, 0.99),
        pace,
    }
}

/// Slope and offset of the least-squares line.
fn line(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let (mx, my) = points.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let covariance: f64 = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let variance: f64 = points.iter().map(|(x, _)| (x - mx).powi(2)).sum();
    let slope = covariance / variance;
    (slope, my - slope * mx)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::super::{browser, media, pages::Pages, scratch};
    use super::*;

    fn row(value: u32) -> Vec<u8> {
        let gray = value ^ (value >> 1);
        let data = (0..DATA_BITS).rev().map(|i| (gray >> i) & 1);
        let check = (0..CHECK_BITS).rev().map(|i| ((value % 31) >> i) & 1);
        let bits = [1, 0].into_iter().chain(data).chain(check).chain([1]);
        bits.map(|b| if b == 1 { 255 } else { 0 }).collect()
    }

    /// A film whose frames carry `codes`, encoded as hard as peers do.
    fn film(dir: &Path, codes: &[(f64, u32)]) -> PathBuf {
        let cells = codes.iter().flat_map(|&(ms, n)| [row((ms * 10.0).round() as u32), row(n)]);
        std::fs::write(dir.join("cells"), cells.flatten().collect::<Vec<u8>>()).unwrap();
        let film = dir.join("film.mp4");
        media::ffmpeg(&format!(
            "-f rawvideo -pix_fmt gray -s 32x2 -r 30 -i {}/cells \
             -vf scale=1280:45:flags=neighbor,pad=1280:720:0:0:gray,format=yuv420p \
             -c:v libx264 -preset ultrafast -crf 30 {}",
            dir.display(),
            film.display()
        ));
        film
    }

    fn even(frames: u32) -> Vec<(f64, u32)> {
        (0..frames).map(|i| (500.0 + f64::from(i) * 1000.0 / 30.0, 15 + i)).collect()
    }

    #[test]
    fn every_bit_survives() {
        let values = (0..24).map(|i| 1 << i).chain([0, 0xff_ffff, 0xaa_aaaa, 1_234_567]);
        for value in values {
            assert_eq!(decode_row(&row(value)), Some(value));
        }
        let mut flipped = row(1_234_567);
        flipped[9] ^= 255;
        assert_eq!(decode_row(&flipped), None);
        assert_eq!(decode_row(&[100; CELLS]), None);
    }

    #[test]
    fn an_even_film_is_found_even() {
        let dir = scratch();
        let found = cadence(&readings(&film(dir.path(), &even(90))));
        assert_eq!((found.frames, found.unique, found.unreadable), (90, 90, 0), "{found:?}");
        assert_eq!((found.repeats, found.backwards), (0, 0));
        assert!((found.unique_per_s - 30.0).abs() < 0.01, "{found:?}");
        assert!(found.largest_gap_ms < 34.0 && found.deviation_p99_ms < 0.1, "{found:?}");
        assert!((found.pace - 1.0).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn planted_faults_are_found() {
        let dir = scratch();
        // A dropped picture whose place the one before takes.
        let mut held = even(90);
        held[40] = held[39];
        let found = cadence(&readings(&film(dir.path(), &held)));
        assert_eq!((found.repeats, found.unique), (1, 89), "{found:?}");
        assert!((found.largest_gap_ms - 66.7).abs() < 0.2, "{found:?}");

        let mut swapped = even(90);
        swapped.swap(50, 51);
        assert_eq!(cadence(&readings(&film(dir.path(), &swapped))).backwards, 1);

        // A frame missing without a trace: the line is off from there on.
        let mut missing = even(90);
        missing.remove(45);
        let found = cadence(&readings(&film(dir.path(), &missing)));
        assert_eq!(found.repeats, 0);
        assert!(found.deviation_p99_ms > 10.0, "{found:?}");

        // Page time at 99 % of its speed.
        let slow: Vec<_> = even(90).iter().map(|&(ms, n)| (ms * 0.99, n)).collect();
        assert!((cadence(&readings(&film(dir.path(), &slow))).pace - 0.99).abs() < 1e-3);
    }

    #[test]
    fn the_page_paints_what_the_judge_reads() {
        let dir = scratch();
        let pages = Pages::with(dir.path());
        for (width, height) in [(1280, 720), (500, 480), (1080, 1920)] {
            let png = dir.path().join("page.png");
            browser::screenshot(&pages.url("barcode.html"), (width, height), &png);
            let film = dir.path().join("page.mp4");
            media::ffmpeg(&format!(
                "-i {} -pix_fmt yuv420p -c:v libx264 -crf 25 {}",
                png.display(),
                film.display()
            ));
            let reading = readings(&film)[0];
            let (ms, count) = reading.code.expect("a readable code");
            assert!(count > 0 && ms > 0.0 && ms < 60_000.0, "{width}x{height}: {ms} ms, {count}");
        }
    }
}
