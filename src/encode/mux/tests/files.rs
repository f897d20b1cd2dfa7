//! The files that come out are whole, exact and in sync.

use std::fs;
use std::path::Path;

use super::super::{COMPACT_MAX, Finished, Method, finalise, in_place, salvage};
use super::media::{FRAMES, Media, Recording, make, media};
use super::tools::{decodes, hear, in_sync, number, probe};

/// A finished file of the whole recording.
fn judge(path: &Path, media: &Media) {
    decodes(path);
    let fps = f64::from(media.video.fps);
    let length = FRAMES as f64 / fps;
    let video = probe(path, "v:0");
    let audio = probe(path, "a:0");
    for stream in [&video, &audio] {
        assert!((number(stream, "duration") - length).abs() < 0.001, "{stream}");
        assert_eq!(number(stream, "start_time"), 0.0);
    }
    assert_eq!(number(&video, "nb_frames"), FRAMES as f64);
    assert_eq!(number(&video, "nb_read_frames"), FRAMES as f64);
    assert_eq!(video["avg_frame_rate"], format!("{}/1", media.video.fps));
    assert_eq!(video["r_frame_rate"], format!("{}/1", media.video.fps));
    assert_eq!(video["profile"], "High");
    assert_eq!(video["sample_aspect_ratio"], "1:1");
    for key in ["color_space", "color_transfer", "color_primaries"] {
        assert_eq!(video[key], "bt709");
    }
    assert_eq!(video["color_range"], "tv");
    assert_eq!(audio["codec_name"], "aac");
    assert!(in_sync(&media.sound, &hear(path)) >= 3);
}

fn check(finished: &Finished, media: &Media, method: Method) {
    assert_eq!(finished.method, method);
    assert_eq!(finished.frames, FRAMES);
    let length = FRAMES as f64 / f64::from(media.video.fps);
    assert!((finished.duration.as_secs_f64() - length).abs() < 1e-6);
    assert_eq!(finished.bytes, fs::metadata(&finished.path).unwrap().len());
    judge(&finished.path, media);
}

#[test]
fn a_short_recording_is_compacted() {
    let media = media();
    let recording = Recording::new(media, &media.settings());
    let (part, out) = (recording.whole("a.part"), recording.path("a.mp4"));
    let finished = finalise(&part, &out, &recording.index).unwrap();
    check(&finished, media, Method::Compact);
    assert!(!part.exists());
    let overhead = finished.bytes - recording.index.media_bytes();
    assert!(overhead < 5000, "{overhead} bytes besides the media");
}

#[test]
fn a_long_recording_is_finished_in_place() {
    let media = media();
    let recording = Recording::new(media, &media.settings());
    assert!(recording.index.media_bytes() < COMPACT_MAX);
    let (part, out) = (recording.whole("a.part"), recording.path("a.mp4"));
    in_place::finish(&part, &recording.index).unwrap().unwrap();
    // Turned over under its old name: what is missing is the rename.
    judge(&part, media);
    check(&salvage(&part, &out).unwrap(), media, Method::InPlace);
    assert!(!part.exists());
    // Asked once more, it finds the work done.
    check(&salvage(&part, &out).unwrap(), media, Method::InPlace);
}

#[test]
fn a_reserve_that_is_too_small_is_left_alone() {
    let media = media();
    let mut settings = media.settings();
    settings.max_duration = std::time::Duration::ZERO;
    let mut recording = Recording::new(media, &settings);
    // The slack covers seconds of tables; pretend a longer recording.
    recording.index.media_at = recording.index.reserve_at + 1024;
    let part = recording.whole("a.part");
    let before = fs::read(&part).unwrap();
    assert!(in_place::finish(&part, &recording.index).unwrap().is_none());
    assert!(before == fs::read(&part).unwrap());
}

#[test]
fn a_growing_file_plays_in_sync() {
    let media = media();
    let recording = Recording::new(media, &media.settings());
    for count in [1, 2, recording.fragments.len() / 2, recording.fragments.len()] {
        let part = recording.part(&format!("{count}.part"), count);
        decodes(&part);
        let video = probe(&part, "v:0");
        let frames = (15 * count as u64).min(FRAMES);
        assert_eq!(number(&video, "nb_read_frames"), frames as f64);
        assert_eq!(number(&video, "start_time"), 0.0);
        let bursts = in_sync(&media.sound, &hear(&part));
        assert!(bursts + 1 >= count / 2, "{bursts} bursts in {count} fragments");
    }
}

#[test]
fn a_salvaged_file_is_the_finished_one() {
    let media = media();
    let recording = Recording::new(media, &media.settings());
    let (part, out) = (recording.whole("a.part"), recording.path("a.mp4"));
    check(&salvage(&part, &out).unwrap(), media, Method::Compact);
    assert!(!part.exists());
}

#[test]
fn every_frame_rate_is_exact() {
    for fps in [10, 29, 60] {
        let media = make(fps);
        let recording = Recording::new(&media, &media.settings());
        let (part, out) = (recording.whole("a.part"), recording.path("a.mp4"));
        judge(&finalise(&part, &out, &recording.index).unwrap().path, &media);
    }
}

#[test]
fn sound_alone_makes_a_file() {
    let media = media();
    let mut settings = media.settings();
    settings.video = None;
    let recording = Recording::new(media, &settings);
    let part = recording.whole("a.part");
    decodes(&part);
    in_sync(&media.sound, &hear(&part));
    let copy = recording.path("b.part");
    fs::copy(&part, &copy).unwrap();
    let seconds = media.sound.len() as f64 / 48_000.0;
    for out in [finalise(&part, &recording.path("a.mp4"), &recording.index).unwrap(), {
        in_place::finish(&copy, &recording.index).unwrap().unwrap();
        salvage(&copy, &recording.path("b.mp4")).unwrap()
    }] {
        decodes(&out.path);
        assert_eq!(out.frames, 0);
        assert!((number(&probe(&out.path, "a:0"), "duration") - seconds).abs() < 0.001);
        assert!(in_sync(&media.sound, &hear(&out.path)) >= 3);
    }
}
