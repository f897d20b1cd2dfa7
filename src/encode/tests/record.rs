//! Whole recordings, and what can go wrong with one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::judge;
use super::scene::{CELL, COLOURS, EPOCH, HEIGHT, Scene, WIDTH, chirp, config, number_in};
use crate::clock::Mono;
use crate::encode::{EncodeError, EncodeEvent, Encoder, ErrorKind, mux};
use crate::job::{Quality, Rate, Stats};
use crate::media::{Pool, Tick};

const HOUR: Duration = Duration::from_secs(3600);

/// Everything told until the file is drained.
fn events(scene: &mut Scene) -> Vec<EncodeEvent> {
    let mut events = Vec::new();
    loop {
        let event = scene.events.blocking_recv().expect("the encoder tells its end");
        let last = matches!(event, EncodeEvent::Drained { .. } | EncodeEvent::Failed(_));
        events.push(event);
        if last {
            return events;
        }
    }
}

fn numbers(file: &Path) -> Vec<u64> {
    judge::pictures(file).iter().map(|picture| number_in(picture)).collect()
}

#[test]
fn every_frame_once_in_order_with_the_sound_where_it_belongs() {
    let mut scene = Scene::new(30, HOUR);
    let out = scene.directory.path().join("film.mp4");
    // Two ticks and the sound of half a second lie before the beginning.
    scene.encoder.begin(scene.time(2));
    for number in 0..155 {
        if number == 152 {
            scene.encoder.stop(scene.time(152));
        }
        scene.tick(number, true);
        scene.sound_until(number.saturating_sub(9));
    }
    scene.sound_until(155);

    let told = events(&mut scene);
    let (t0, end) = (scene.time(2), scene.time(152));
    assert!(matches!(told[0], EncodeEvent::FirstFrame { t0: t } if t == t0), "{told:?}");
    let EncodeEvent::Ended { end: cut, frames: 150, trimmed: 0, full: false } = told[1] else {
        panic!("{told:?}")
    };
    let EncodeEvent::Drained { end: told_end, frames: 150 } = told[2] else { panic!("{told:?}") };
    assert_eq!(told_end, cut);
    assert!(told_end.since(end).max(end.since(told_end)) < Duration::from_micros(1));
    let part = scene.directory.path().join("film.part");
    assert_eq!(scene.encoder.stats().bytes, part.metadata().unwrap().len());

    let summary = scene.encoder.finish(&out).unwrap();
    assert_eq!((summary.duration_s, summary.width, summary.height), (5.0, 640, 480));
    assert_eq!(summary.bytes, out.metadata().unwrap().len());
    let Stats { painted, recorded, repeated, late, superseded, elapsed_s, .. } = summary.stats;
    assert_eq!((painted, recorded, repeated, late, superseded), (150, 150, 0, 0, 0));
    assert!(!summary.stats.uniform && summary.stats.changed_s > 4.9, "{summary:?}");
    assert!((summary.stats.loudest_dbfs + 6.02).abs() < 0.1, "{summary:?}");
    assert_eq!(elapsed_s, 5.0);
    assert!(!part.exists());

    assert_eq!(numbers(&out), (2..152).collect::<Vec<_>>());
    assert_eq!(judge::keyframes(&out), [0, 120]);
    let sound = judge::sound(&out, 5 * 48_000);
    // The first second's chirp began two ticks before T0.
    for second in 1..5 {
        let expected = second * 48_000 - 3_200;
        assert_eq!(judge::position_of(&chirp(), &sound, expected), expected);
    }
}

#[test]
fn the_stream_is_what_players_are_told() {
    let mut scene = Scene::new(25, HOUR);
    let out = scene.directory.path().join("film.mp4");
    scene.encoder.begin(EPOCH);
    for number in 0..50 {
        scene.tick(number, number % 3 != 2);
    }
    scene.sound_until(50);
    scene.encoder.finish(&out).unwrap();

    let video = "profile,has_b_frames,pix_fmt,color_range,color_space,color_transfer,\
                 color_primaries,r_frame_rate,duration,nb_frames";
    assert_eq!(
        judge::probe(&out, "v", video),
        [
            "profile=High",
            "has_b_frames=0",
            "pix_fmt=yuv420p",
            "color_range=tv",
            "color_space=bt709",
            "color_transfer=bt709",
            "color_primaries=bt709",
            "r_frame_rate=25/1",
            "duration=2.000000",
            "nb_frames=50",
        ]
    );
    let sound = "codec_name,profile,sample_rate,channels,duration";
    assert_eq!(
        judge::probe(&out, "a", sound),
        ["codec_name=aac", "profile=LC", "sample_rate=48000", "channels=2", "duration=2.000000"]
    );
    // What the settings ask of x264 is in the stream, not dropped on the way.
    assert_eq!(judge::header_values(&out, "entropy_coding_mode_flag"), ["1"]);
    assert_eq!(judge::header_values(&out, "transform_8x8_mode_flag"), ["1"]);
    assert_eq!(judge::header_values(&out, "max_num_ref_frames"), ["1"]);
    // Fine pictures have no need of it.
    assert_eq!(judge::header_values(&out, "disable_deblocking_filter_idc"), ["1"]);

    let rgb = judge::first_in_rgb(&out);
    for (index, colour) in COLOURS.into_iter().enumerate() {
        let at = ((HEIGHT - CELL / 2) * WIDTH + index * CELL + CELL / 2) * 3;
        for (seen, meant) in rgb[at..at + 3].iter().zip(colour) {
            assert!(seen.abs_diff(meant) <= 3, "{:?} for {colour:?}", &rgb[at..at + 3]);
        }
    }
}

#[test]
fn coarse_pictures_are_deblocked_and_those_that_repeat_one_are_not_again() {
    for rate in [Rate::Crf(35), Rate::Bitrate(1000)] {
        let scene = Scene::at(Quality { rate, ..Quality::default() });
        let out = scene.directory.path().join("film.mp4");
        scene.encoder.begin(EPOCH);
        for number in 0..50 {
            scene.tick(number, number % 3 != 2);
        }
        scene.encoder.finish(&out).unwrap();
        let filter = judge::header_values(&out, "disable_deblocking_filter_idc");
        assert_eq!(filter, ["0", "1"], "{rate:?}");
    }
}

#[test]
fn a_pause_is_in_neither_track() {
    let mut scene = Scene::new(30, HOUR);
    let out = scene.directory.path().join("film.mp4");
    scene.encoder.begin(EPOCH);
    for number in 0..150 {
        match number {
            45 => scene.encoder.pause(scene.time(45)),
            // Not on a tick: the next one counts.
            74 => scene.encoder.resume(Mono(scene.time(74).0 + 1_000_000)),
            _ => {}
        }
        scene.tick(number, true);
        scene.sound_until(number.saturating_sub(9));
    }
    scene.sound_until(150);
    scene.encoder.stop(scene.time(150));
    scene.tick(150, true);
    let summary = scene.encoder.finish(&out).unwrap();
    assert_eq!((summary.duration_s, summary.stats.recorded), (4.0, 120));
    assert_eq!(numbers(&out), (0..45).chain(75..150).collect::<Vec<_>>());
    let sound = judge::sound(&out, 4 * 48_000);
    // The chirps of ticks 30, 90 and 120, each at the frame that shows its tick.
    for frame in [30, 60, 90] {
        assert_eq!(judge::position_of(&chirp(), &sound, frame * 1600), frame * 1600);
    }
}

#[test]
fn a_pause_does_not_count_towards_the_longest_duration_and_is_on_disk() {
    let mut scene = Scene::new(10, Duration::from_secs(2));
    let out = scene.directory.path().join("film.mp4");
    scene.encoder.begin(EPOCH);
    scene.encoder.pause(scene.time(13));
    scene.encoder.resume(scene.time(60));
    for number in 0..50 {
        scene.tick(number, true);
        scene.sound_until(number);
    }
    // All that came before the pause, though no fragment was full.
    let part = scene.directory.path().join("film.part");
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    let on_disk = |part: &Path| mux_frames(part) == 13;
    while !on_disk(&part) {
        assert!(std::time::Instant::now() < patience, "{} frames on disk", mux_frames(&part));
        std::thread::sleep(Duration::from_millis(10));
    }
    for number in 50..80 {
        scene.tick(number, true);
        scene.sound_until(number);
    }
    scene.sound_until(80);
    let told = events(&mut scene);
    let Some(EncodeEvent::Ended { end, frames: 20, trimmed: 0, full: true }) = told.get(1) else {
        panic!("{told:?}")
    };
    assert_eq!(*end, scene.time(67));
    let summary = scene.encoder.finish(&out).unwrap();
    assert_eq!(summary.duration_s, 2.0);
    assert_eq!(numbers(&out), (0..13).chain(60..67).collect::<Vec<_>>());
}

/// Frames that a crash now would leave.
fn mux_frames(part: &Path) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let (copy, out) = (dir.path().join("copy"), dir.path().join("out"));
    std::fs::copy(part, &copy).unwrap();
    mux::salvage(&copy, &out).map_or(0, |file| file.frames)
}

#[test]
fn one_colour_all_along_is_uniform_until_it_is_not() {
    for (patch, uniform) in [(0, true), (1000, true), (20_000, false)] {
        let scene = Scene::new(10, HOUR);
        let pool = Pool::new(WIDTH as u32, HEIGHT as u32);
        scene.encoder.begin(EPOCH);
        for index in 0..15 {
            let mut picture = pool.take();
            // Every picture its own colour, one of them with something on it.
            picture.y.fill(100 + index as u8);
            picture.u.fill(90);
            picture.v.fill(140);
            picture.y[50_000..50_000 + if index == 7 { patch } else { 0 }].fill(16);
            let picture = Some(Arc::new(picture));
            scene.tick_with(Tick { at: scene.time(index), index, picture, superseded: 0 });
        }
        let summary = scene.encoder.finish(&scene.directory.path().join("film.mp4")).unwrap();
        assert_eq!(summary.stats.uniform, uniform, "{patch} pixels");
    }
}

#[test]
fn dropped_without_an_end_it_leaves_a_file_that_plays() {
    let mut scene = Scene::new(30, HOUR);
    scene.encoder.begin(EPOCH);
    // What was handed in last may wait for its fragment: the screen goes on.
    let written = |stats: Stats| stats.recorded >= 100 && stats.bytes >= 200_000;
    let mut number = 0;
    while !written(scene.encoder.stats()) {
        assert!(number < 10_000, "nothing is written: {:?}", scene.encoder.stats());
        scene.tick(number, true);
        scene.sound_until(number);
        number += 1;
    }
    let Scene { encoder, directory, .. } = scene;
    drop(encoder);
    let part = directory.path().join("film.part");
    let seen = numbers(&part);
    assert!(seen.len() >= 30, "{}", seen.len());
    assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>());
    let out = directory.path().join("film.mp4");
    mux::salvage(&part, &out).unwrap();
    assert_eq!(numbers(&out)[..seen.len()], seen);
}

#[test]
fn an_overloaded_encoder_repeats_exactly_what_it_says() {
    let mut scene = Scene::new(30, HOUR);
    let out = scene.directory.path().join("film.mp4");
    scene.encoder.begin(EPOCH);
    let ticks: Vec<_> = (0..120).map(|number| scene.make_tick(number, true)).collect();
    for tick in ticks {
        scene.encoder.intake().tick(tick);
    }
    scene.sound_until(120);
    scene.encoder.stop(scene.time(120));
    scene.tick(120, false);
    let summary = scene.encoder.finish(&out).unwrap();
    let seen = numbers(&out);
    assert_eq!(seen.len(), 120);
    assert!(seen.is_sorted());
    let repeats = seen.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    let stats = summary.stats;
    assert!(repeats > 0, "a hundred pictures at once are too many");
    assert_eq!((stats.recorded, stats.repeated, stats.late), (120, repeats, repeats));
    assert_eq!((stats.painted, stats.superseded), (120, repeats));
    // What no pile-up could reach was recorded.
    assert_eq!((seen[0], seen[119]), (0, 119));
}

#[test]
fn the_longest_duration_ends_the_file_without_a_stop() {
    let mut scene = Scene::new(10, Duration::from_millis(1500));
    let out = scene.directory.path().join("film.mp4");
    scene.encoder.begin(EPOCH);
    for number in 0..40 {
        scene.tick(number, true);
    }
    scene.sound_until(40);
    let told = events(&mut scene);
    let Some(EncodeEvent::Ended { end, frames: 15, trimmed: 0, full: true }) = told.get(1) else {
        panic!("{told:?}")
    };
    assert_eq!(*end, scene.time(15));
    assert!(matches!(told[2], EncodeEvent::Drained { frames: 15, .. }), "{told:?}");
    scene.encoder.stop(scene.time(40));
    assert_eq!(scene.encoder.finish(&out).unwrap().duration_s, 1.5);
    assert_eq!(numbers(&out), (0..15).collect::<Vec<_>>());
}

#[test]
fn the_end_that_was_given_up_is_in_the_sound_and_the_picture_no_more() {
    let record = |trim: &[Option<u64>]| {
        let mut scene = Scene::new(30, HOUR);
        let out = scene.directory.path().join("film.mp4");
        scene.encoder.begin(scene.time(0));
        for number in 0..150 {
            if number == 100 {
                for wish in trim {
                    scene.encoder.trim(wish.map(|number| scene.time(number)));
                }
            }
            scene.tick(number, true);
            scene.sound_until(number.saturating_sub(9));
        }
        scene.encoder.stop(scene.time(150));
        scene.tick(150, true);
        scene.sound_until(155);
        let told = events(&mut scene);
        let Some(EncodeEvent::Ended { frames, trimmed, .. }) = told.get(1) else {
            panic!("{told:?}")
        };
        assert!(matches!(told[2], EncodeEvent::Drained { frames: f, .. } if f == *frames));
        let (frames, trimmed) = (*frames, *trimmed);
        let summary = scene.encoder.finish(&out).unwrap();
        assert!((summary.duration_s - frames as f64 / 30.0).abs() < 1e-6);
        assert_eq!(summary.trimmed_s, trimmed as f64 / 30.0);
        assert_eq!((numbers(&out), trimmed), ((0..frames).collect::<Vec<_>>(), 150 - frames));
        let sound = judge::sound(&out, frames as usize * 1600);
        (frames, sound)
    };
    let (all, whole) = record(&[]);
    assert_eq!(all, 150);
    for (trim, frames) in [
        (vec![Some(107)], 107),
        (vec![Some(60), Some(91)], 91),
        (vec![Some(60), None], 150),
        // Nothing comes after it.
        (vec![Some(400)], 150),
    ] {
        let (kept, sound) = record(&trim);
        assert_eq!(kept, frames, "{trim:?}");
        // Sample for sample what the whole file has there. The codec's last packet is
        // only half decoded without the next one.
        let sure = sound.len() - 2048;
        let off = (0..sure).find(|&at| (sound[at] - whole[at]).abs() > 1e-4);
        assert_eq!(off, None, "{trim:?}");
    }
}

#[test]
fn without_a_speaker_the_file_has_silence() {
    let scene = Scene::new(30, HOUR);
    let out = scene.directory.path().join("film.mp4");
    scene.encoder.begin(EPOCH);
    for number in 0..45 {
        scene.tick(number, true);
    }
    let summary = scene.encoder.finish(&out).unwrap();
    assert_eq!((summary.stats.audio_dbfs, summary.stats.loudest_dbfs), (-120.0, -120.0));
    let sound = judge::sound(&out, 72_000);
    assert!(sound.iter().all(|sample| sample.abs() < 1e-4));
}

#[test]
fn nothing_recorded_is_an_error_of_its_own() {
    let scene = Scene::new(30, HOUR);
    scene.encoder.begin(EPOCH);
    scene.tick(0, false);
    let error = scene.encoder.finish(&scene.directory.path().join("film.mp4")).unwrap_err();
    assert_eq!((error.kind(), error), (ErrorKind::Empty, EncodeError::Empty));
}

#[test]
fn noise_does_not_fill_the_disk() {
    let scene = Scene::new(30, HOUR);
    scene.encoder.begin(EPOCH);
    let pool = Pool::new(WIDTH as u32, HEIGHT as u32);
    let mut state = 1_u32;
    for index in 0..120 {
        let mut picture = pool.take();
        for luma in &mut picture.y {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *luma = (state >> 24) as u8;
        }
        let picture = Some(Arc::new(picture));
        scene.tick_with(Tick { at: scene.time(index), index, picture, superseded: 0 });
    }
    let summary = scene.encoder.finish(&scene.directory.path().join("film.mp4")).unwrap();
    assert_eq!(summary.stats.recorded, 120);
    // The ceiling is 4.1 Mb/s and a burst of two seconds; freely it would be 20 MB.
    assert!(summary.bytes < 4_147_200 / 8 * 6, "{} bytes in 4 s", summary.bytes);
}

#[test]
fn a_picture_of_another_size_fails_the_encoder_and_keeps_the_file() {
    let mut scene = Scene::new(30, HOUR);
    scene.encoder.begin(EPOCH);
    scene.tick(0, true);
    let picture = std::sync::Arc::new(crate::media::Pool::new(64, 64).take());
    let tick =
        crate::media::Tick { at: scene.time(1), index: 1, picture: Some(picture), superseded: 0 };
    scene.encoder.intake().tick(tick);
    // A command, or they would wait for the rest of their fragment.
    scene.encoder.stop(scene.time(2));
    let told = events(&mut scene);
    let Some(EncodeEvent::Failed(error)) = told.last() else { panic!("{told:?}") };
    assert_eq!(error.kind(), ErrorKind::Encoder);
    let finish = scene.encoder.finish(&scene.directory.path().join("film.mp4"));
    assert_eq!(finish.unwrap_err(), *error);
    assert!(scene.directory.path().join("film.part").exists());
}

#[test]
fn settings_that_no_encoder_takes_are_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let part = directory.path().join("film.part");
    let (sender, _events) = tokio::sync::mpsc::unbounded_channel();
    let error = Encoder::start(config(&part, 0, HOUR), sender).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Encoder);
    assert!(error.to_string().contains("fps must be"), "{error}");
    assert!(!part.exists());
}

#[test]
fn a_path_that_cannot_be_written_is_told_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("nowhere").join("film.part");
    let taken = directory.path().join("film.part");
    std::fs::write(&taken, "precious").unwrap();
    for path in [&missing, &taken] {
        let (sender, _events) = tokio::sync::mpsc::unbounded_channel();
        let error = Encoder::start(config(path, 30, HOUR), sender).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disk);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(std::fs::read(&taken).unwrap(), b"precious");
}
