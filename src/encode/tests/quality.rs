//! What is asked of picture and sound is in the file.

use std::time::{Duration, Instant};

use super::judge;
use super::scene::{EPOCH, HEIGHT, Scene, WIDTH, number_in, picture};
use crate::encode::mux;
use crate::job::{Quality, Rate};
use crate::media::{Block, Pool, Tick};

/// Seconds of hissing, moving noise: it takes as much as it is given. The video's
/// bytes and the sound's, and where the keyframes are.
fn noise(quality: Quality, seconds: u64) -> (u64, u64, Vec<usize>) {
    let scene = Scene::at(quality);
    let out = scene.directory.path().join("film.mp4");
    scene.encoder.begin(EPOCH);
    let pool = Pool::new(WIDTH as u32, HEIGHT as u32);
    let mut state = 1_u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    for index in 0..seconds * u64::from(quality.fps) {
        let mut picture = pool.take();
        // Of 64 pixels each, so that even little describes it.
        for row in picture.y.chunks_mut(WIDTH * 8) {
            let (first, rest) = row.split_at_mut(WIDTH);
            first.chunks_mut(8).for_each(|cell| cell.fill(random()));
            rest.chunks_mut(WIDTH).for_each(|line| line.copy_from_slice(first));
        }
        picture.u.fill(128);
        picture.v.fill(128);
        let picture = Some(picture.into());
        scene.tick_with(Tick { at: scene.time(index), index, picture, superseded: 0 });
    }
    for second in 0..seconds + 1 {
        let samples = (0..96_000).map(|_| f32::from(random()) / 512.0 - 0.25).collect();
        let block = Block { epoch: EPOCH, position: second * 48_000, samples };
        scene.encoder.intake().block(block);
    }
    scene.encoder.finish(&out).unwrap();
    let bytes = |select| {
        let found = judge::probe(&out, select, "bit_rate");
        found[0].strip_prefix("bit_rate=").unwrap().parse::<u64>().unwrap() * seconds / 8
    };
    (bytes("v"), bytes("a"), judge::keyframes(&out))
}

#[test]
fn bitrates_and_keyframes_are_as_asked_for() {
    let usual = Quality::default();
    for (quality, keyframes) in [
        (Quality { rate: Rate::Bitrate(300), audio_bitrate: 64, ..usual }, vec![0, 120]),
        (
            Quality {
                rate: Rate::Bitrate(2000),
                keyframe_interval_s: 1.0,
                audio_bitrate: 256,
                ..usual
            },
            (0..240).step_by(30).collect(),
        ),
        (
            Quality { rate: Rate::Bitrate(1000), fps: 11, keyframe_interval_s: 0.5, ..usual },
            (0..88).step_by(6).collect(),
        ),
    ] {
        let Rate::Bitrate(kilobits) = quality.rate else { unreachable!() };
        let (picture, sound, found) = noise(quality, 8);
        assert_eq!(found, keyframes, "{quality:?}");
        // Within a tenth over eight seconds; the codec of the sound, of its own mind,
        // within a fifth.
        let of = |bytes: u64, kilobits: u32| bytes as f64 * 8.0 / 8000.0 / f64::from(kilobits);
        let (picture, sound) = (of(picture, kilobits), of(sound, quality.audio_bitrate));
        assert!((0.9..1.1).contains(&picture), "{picture} of what is asked for: {quality:?}");
        assert!((0.8..1.2).contains(&sound), "{sound} of what is asked for: {quality:?}");
    }
}

/// The promise is half a second for a fragment, however far the next keyframe is.
#[test]
fn a_crash_costs_no_more_for_a_long_keyframe_interval() {
    let mut scene = Scene::at(Quality { keyframe_interval_s: 20.0, ..Quality::default() });
    let part = scene.directory.path().join("film.part");
    scene.encoder.begin(EPOCH);
    for number in 0..100 {
        scene.tick(number, true);
        scene.sound_until(number);
    }
    // 90 frames are six fragments; what follows waits for the seventh.
    let patience = Instant::now() + Duration::from_secs(20);
    let (copy, out) = (scene.directory.path().join("copy"), scene.directory.path().join("out"));
    let saved = loop {
        std::fs::copy(&part, &copy).unwrap();
        let saved = mux::salvage(&copy, &out).map_or(0, |file| file.frames);
        if saved >= 90 {
            break saved;
        }
        assert!(Instant::now() < patience, "{saved} frames are on disk");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(saved <= 100);
    assert_eq!(judge::pictures(&out).len() as u64, saved);
    assert_eq!(judge::keyframes(&out), [0]);
}

/// A calm page, two seconds of noise, a calm page: to players it is one stream.
#[test]
fn a_page_that_begins_to_flicker_gets_another_quantiser_at_once_and_its_own_back() {
    let scene = Scene::new(30, Duration::from_secs(60));
    let out = scene.directory.path().join("film.mp4");
    scene.encoder.begin(EPOCH);
    let pool = Pool::new(WIDTH as u32, HEIGHT as u32);
    let mut state = 1_u32;
    let noisy = 150..210;
    for index in 0..450 {
        if !noisy.contains(&index) {
            scene.tick(index, true);
            continue;
        }
        let mut picture = pool.take();
        for luma in &mut picture.y {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *luma = (state >> 24) as u8;
        }
        let picture = Some(picture.into());
        scene.tick_with(Tick { at: scene.time(index), index, picture, superseded: 0 });
    }
    scene.encoder.finish(&out).unwrap();

    let pictures = judge::pictures(&out);
    assert_eq!(pictures.len(), 450);
    for (index, picture) in pictures.iter().enumerate() {
        if !noisy.contains(&(index as u64)) {
            assert_eq!(number_in(picture), index as u64);
        }
    }
    let keyframes = judge::keyframes(&out);
    assert_eq!(keyframes[..2], [0, 120]);
    assert!((151..165).contains(&keyframes[2]), "{keyframes:?}");
    assert!(keyframes.len() <= 7, "{keyframes:?}");
    assert_eq!(judge::header_values(&out, "seq_parameter_set_id").len(), 1);
    let quantisers = judge::header_values(&out, "slice_qp_delta");
    let quantisers: Vec<i32> = quantisers.iter().map(|delta| delta.parse().unwrap()).collect();
    let range = quantisers.iter().max().unwrap() - quantisers.iter().min().unwrap();
    assert!(range >= 15, "{quantisers:?}");
    // The last calm group is as fine as the first.
    let difference = |index: usize| {
        let meant = picture(&pool, index as u64);
        let luma = &pictures[index][..WIDTH * HEIGHT];
        let sum: u64 = luma.iter().zip(&meant.y).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / luma.len() as f64
    };
    assert!(difference(449) < difference(149) * 1.5 + 0.2);
}
