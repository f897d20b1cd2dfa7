//! Recordings without a picture: the same clock, the same promises, one track.

use std::path::Path;
use std::time::Duration;

use super::judge;
use super::scene::{EPOCH, Scene, chirp};
use crate::encode::{EncodeEvent, mux};

const HOUR: Duration = Duration::from_secs(3600);

fn streams(file: &Path) -> Vec<String> {
    ["v", "a"].into_iter().flat_map(|kind| judge::probe(file, kind, "codec_name")).collect()
}

#[test]
fn sound_keeps_its_place_and_pauses_are_left_out() {
    let mut scene = Scene::of_sound_alone(30, HOUR);
    let out = scene.directory.path().join("sound.mp4");
    scene.encoder.begin(scene.time(2));
    scene.encoder.pause(scene.time(47));
    scene.encoder.resume(scene.time(77));
    for number in 0..152 {
        // One picture says that the page paints; the screen hands over no other.
        scene.tick(number, number == 0);
        scene.sound_until(number.saturating_sub(9));
    }
    scene.encoder.stop(scene.time(152));
    for number in 152..160 {
        scene.tick(number, false);
    }
    scene.sound_until(160);
    let summary = scene.encoder.finish(&out).unwrap();
    assert_eq!((summary.duration_s, summary.width, summary.height), (4.0, 0, 0));
    assert_eq!(summary.bytes, out.metadata().unwrap().len());
    assert!((summary.stats.loudest_dbfs + 6.02).abs() < 0.1, "{summary:?}");
    assert_eq!(streams(&out), ["codec_name=aac"]);
    let sound = judge::sound(&out, 4 * 48_000);
    // The chirps of ticks 30, 90, 120 and 150, two and later thirty-two ticks earlier.
    for frame in [28, 58, 88, 118] {
        assert_eq!(judge::position_of(&chirp(), &sound, frame * 1600), frame * 1600);
    }
}

#[test]
fn it_ends_by_itself_to_the_sample() {
    let mut scene = Scene::of_sound_alone(11, Duration::from_secs(3));
    let out = scene.directory.path().join("sound.mp4");
    scene.encoder.begin(EPOCH);
    for number in 0..50 {
        scene.tick(number, number == 0);
    }
    scene.sound_until(50);
    let mut told = Vec::new();
    while let Some(event) = scene.events.blocking_recv() {
        told.push(event);
    }
    assert!(matches!(told[1], EncodeEvent::Ended { frames: 33, full: true, .. }), "{told:?}");
    assert_eq!(scene.encoder.finish(&out).unwrap().duration_s, 3.0);
    judge::sound(&out, 3 * 48_000);
}

#[test]
fn a_crash_costs_what_was_not_in_a_fragment() {
    let mut scene = Scene::of_sound_alone(30, HOUR);
    scene.encoder.begin(EPOCH);
    for number in 0..=100 {
        scene.tick(number, number == 0);
        scene.sound_until(number);
    }
    let head = std::fs::metadata(scene.directory.path().join("film.part")).unwrap().len();
    let patience = std::time::Instant::now() + Duration::from_secs(30);
    // Six fragments of half a second.
    while scene.encoder.stats().bytes < head + 30_000 && std::time::Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(1));
    }
    let Scene { encoder, directory, .. } = scene;
    drop(encoder);
    let (part, out) = (directory.path().join("film.part"), directory.path().join("film.mp4"));
    let saved = mux::salvage(&part, &out).unwrap();
    assert!(saved.duration >= Duration::from_millis(2_300), "{saved:?}");
    assert_eq!(saved.frames, 0);
    assert_eq!(streams(&out), ["codec_name=aac"]);
}
