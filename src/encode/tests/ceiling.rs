//! Pages that ask for more bits than there are: what x264 makes of them stays at the
//! ceiling, and a group that wants an encoder which cannot be had gets the one before.

use std::sync::Arc;

use crate::encode::coder::{Coder, PRIMARY};
use crate::encode::video::{VideoEncoder, bits};
use crate::job::{Quality, Rate, Resolution};
use crate::media::{Picture, Pool};

/// Small, as noise is dear.
fn quality(crf: u8) -> Quality {
    let resolution = Resolution::new(500, 480).unwrap();
    Quality { resolution, rate: Rate::Crf(crf), ..Quality::default() }
}

/// Another picture of noise for each number.
fn noise(pool: &Pool, number: u64) -> Arc<Picture> {
    let mut picture = pool.take();
    let mut state = number * 2 + 1;
    for luma in &mut picture.y {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *luma = 16 + (state >> 56) as u8 % 220;
    }
    Arc::new(picture)
}

#[test]
fn a_page_that_flashes_noise_stays_at_the_ceiling() {
    let seconds = 20;
    for crf in [15, 25] {
        let quality = quality(crf);
        let mut encoder = VideoEncoder::open(quality, PRIMARY).unwrap();
        let pool = Pool::new(500, 480);
        let mut picture = noise(&pool, 0);
        let (mut bytes, mut keyframes) = (0, 0);
        for number in 0..seconds * u64::from(quality.fps) {
            let flashes = (number / 10).is_multiple_of(2);
            if flashes {
                picture = noise(&pool, number);
            }
            let coded = encoder.encode(&picture, !flashes).unwrap();
            bytes += coded.data.len() as u64;
            keyframes += u64::from(coded.keyframe);
        }
        // With what may come at once, in about a second and a half.
        let most = bits(quality).most * (seconds + 2) * 11 / 10;
        assert!(bytes * 8 < most, "crf {crf}: {} of {most} bits", bytes * 8);
        assert!(keyframes <= seconds, "crf {crf}: {keyframes} keyframes");
    }
}

#[test]
fn a_group_whose_encoder_cannot_be_had_is_coded_by_the_one_before() {
    let quality = quality(20);
    let mut encoder = VideoEncoder::open(quality, PRIMARY).unwrap();
    // Another's parameter sets would not fit.
    encoder.misnumber();
    let pool = Pool::new(500, 480);
    let mut keyframes = Vec::new();
    for number in 0..240 {
        let coded = encoder.encode(&noise(&pool, number), false).unwrap();
        if coded.keyframe {
            keyframes.push(number);
        }
    }
    // Tried early once, and then only where a keyframe is due.
    assert!(keyframes.len() == 3 && keyframes[1] < 30, "{keyframes:?}");
    assert_eq!(keyframes[2] - keyframes[1], 120, "{keyframes:?}");
}
