//! Skipped pictures between encoded ones: decoded by FFmpeg, they must be the
//! picture before to the bit, and must not disturb what follows.

use std::time::Duration;

use super::judge;
use super::scene::{EPOCH, HEIGHT, Scene, WIDTH, number_in, picture};
use crate::encode::coder::{Coder, PRIMARY, ParameterSets};
use crate::encode::video::{SKIPS, VideoEncoder};
use crate::job::{Quality, Rate, Resolution};
use crate::media::Pool;

/// How far apart two luma planes are, in the mean.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

#[test]
fn a_repeat_is_the_picture_before_and_the_rest_stays_as_good() {
    let mut scene = Scene::new(30, Duration::from_secs(60));
    let out = scene.directory.path().join("film.mp4");
    // Runs of every length up to longer than `frame_num` wraps, then all moving.
    let painted = |n: u64| match n {
        0..60 => n.is_multiple_of(2),
        60..120 => n.is_multiple_of(7),
        120..240 => n.is_multiple_of(23),
        240..400 => n == 300,
        _ => true,
    };
    scene.encoder.begin(EPOCH);
    for number in 0..450 {
        scene.tick(number, painted(number));
    }
    scene.sound_until(450);
    let stats = scene.encoder.finish(&out).unwrap().stats;
    let fresh = (0..450).filter(|&n| painted(n)).count() as u64;
    assert_eq!((stats.recorded, stats.repeated, stats.late), (450, 450 - fresh, 0));

    let pictures = judge::pictures(&out);
    assert_eq!(pictures.len(), 450);
    let keyframes: Vec<usize> = (0..450).step_by(120).collect();
    assert_eq!(judge::keyframes(&out), keyframes);
    let pool = Pool::new(WIDTH as u32, HEIGHT as u32);
    let (mut shown, mut skipped) = (0, 0);
    for (n, decoded) in pictures.iter().enumerate() {
        if painted(n as u64) {
            shown = n as u64;
        }
        if painted(n as u64) || keyframes.contains(&n) || skipped == SKIPS {
            skipped = 0;
        } else {
            skipped += 1;
            assert!(decoded == &pictures[n - 1], "repeat {n} differs");
        }
        assert_eq!(number_in(decoded), shown, "frame {n}");
        let meant = picture(&pool, shown);
        let off = difference(&decoded[..WIDTH * HEIGHT], &meant.y);
        assert!(off < 3.0, "frame {n} is off by {off}");
    }
}

#[test]
fn the_skipped_picture_fits_every_size_and_rate() {
    let cases =
        [(500, 480, 10, 0), (1080, 1920, 60, 23), (1920, 1080, 30, 51), (1278, 718, 24, 30)];
    for (width, height, fps, crf) in cases {
        let resolution = Resolution::new(width, height).unwrap();
        let quality = Quality { resolution, fps, rate: Rate::Crf(crf), ..Quality::default() };
        let mut encoder = VideoEncoder::open(quality, PRIMARY).unwrap();
        let ParameterSets { sps, pps } = encoder.parameter_sets();
        let pool = Pool::new(width, height);
        let mut stream = Vec::new();
        for unit in [sps, pps] {
            stream.extend([0, 0, 0, 1]);
            stream.extend(unit);
        }
        for number in 0..40_u8 {
            let mut picture = pool.take();
            for (at, luma) in picture.y.iter_mut().enumerate() {
                *luma = ((at as u32 % width) as u8).wrapping_mul(number / 8 + 1);
            }
            picture.u.fill(100 + number / 8);
            picture.v.fill(128);
            let coded = encoder.encode(&picture.into(), number % 8 != 0).unwrap();
            let mut rest = &coded.data[..];
            while let Some((length, more)) = rest.split_first_chunk::<4>() {
                let (unit, after) = more.split_at(u32::from_be_bytes(*length) as usize);
                stream.extend([0, 0, 0, 1]);
                stream.extend(unit);
                rest = after;
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("stream.h264");
        std::fs::write(&file, &stream).unwrap();
        let hashes = judge::hashes(&file);
        assert_eq!(hashes.len(), 40, "{width}x{height}");
        for (n, pair) in hashes.windows(2).enumerate() {
            let n = n + 1;
            let fresh = n % 8 == 0;
            // A keyframe may repeat the picture, but not to the bit.
            if fresh || n % (2 * fps as usize) != 0 {
                assert_eq!(pair[0] != pair[1], fresh, "{width}x{height} frame {n}");
            }
        }
    }
}
