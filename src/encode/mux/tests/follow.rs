//! A part file watched while it grows, and its keyframes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use super::super::{Film, MuxError, Scout, Settings, finalise};
use super::media::{FRAMES, Media, RATE, Recording, make};
use super::tools::{decodes, hear, in_sync_from, number, probe};

/// Fragments of 25 frames and a keyframe every 60: most lie inside a fragment.
const FPS: u32 = 50;
/// The newest keyframe of the first six fragments.
const NEWEST: u64 = 120;

fn started() -> (Media, Recording) {
    let media = make(FPS);
    let recording = Recording::new(&media, &media.settings());
    (media, recording)
}

fn append(part: &Path, fragment: &[u8]) {
    OpenOptions::new().append(true).open(part).unwrap().write_all(fragment).unwrap();
}

#[test]
fn who_comes_late_sees_all_from_the_newest_keyframe_on() {
    let (media, recording) = started();
    let part = recording.part("a.part", 6);
    let mut follower = Scout::open(&part).unwrap().follow().unwrap();
    let mut stream = follower.head().unwrap();
    let mut take = |stream: &mut Vec<u8>| {
        let mut fragments = 0;
        while let Some(fragment) = follower.next_fragment().unwrap() {
            stream.extend(fragment);
            fragments += 1;
        }
        fragments
    };
    assert_eq!(take(&mut stream), 2);
    for fragment in &recording.fragments[6..] {
        // What is not whole yet is not there yet.
        let (first, rest) = fragment.split_at(fragment.len() / 2);
        append(&part, first);
        assert_eq!(take(&mut stream), 0);
        append(&part, rest);
        assert_eq!(take(&mut stream), 1);
    }
    let out = recording.path("live.mp4");
    fs::write(&out, stream).unwrap();
    decodes(&out);
    let video = probe(&out, "v:0");
    assert_eq!(number(&video, "nb_read_frames"), (FRAMES - NEWEST) as f64);
    assert_eq!(number(&video, "start_time"), 0.0);
    let from = NEWEST * RATE / u64::from(FPS);
    assert!(in_sync_from(from as usize, &media.sound, &hear(&out)) >= 1);
}

#[test]
fn sound_alone_is_heard_from_its_newest_fragment_on() {
    let media = make(30);
    let settings = Settings { video: None, ..media.settings() };
    let recording = Recording::new(&media, &settings);
    let part = recording.part("a.part", 4);
    let mut scout = Scout::open(&part).unwrap();
    assert!(!scout.has_video());
    assert_eq!(scout.keyframe().unwrap(), None);
    let mut follower = scout.follow().unwrap();
    let mut stream = follower.head().unwrap();
    recording.fragments[4..].iter().for_each(|fragment| append(&part, fragment));
    while let Some(fragment) = follower.next_fragment().unwrap() {
        stream.extend(fragment);
    }
    let out = recording.path("live.m4a");
    fs::write(&out, stream).unwrap();
    decodes(&out);
    let packets: u32 = recording.index.fragments[3..].iter().map(|f| f.counts[0]).sum();
    let heard = number(&probe(&out, "a:0"), "nb_read_frames");
    // Of the first one, what an encoder puts before the sound is not played.
    assert!((f64::from(packets) - heard).abs() <= 1.0, "{heard} of {packets}");
}

/// Frame `number` of a file, or the only one of a stream, as pixels.
fn pixels(path: &Path, number: u64) -> Vec<u8> {
    let select = format!("select=eq(n\\,{number})");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-vf", &select, "-frames:v", "1", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout.len(), 320 * 240 * 3 / 2);
    output.stdout
}

#[test]
fn a_keyframe_is_all_that_a_decoder_needs() {
    let (_, recording) = started();
    let part = recording.part("a.part", 1);
    let mut scout = Scout::open(&part).unwrap();
    let first = scout.keyframe().unwrap().unwrap();
    assert_eq!(scout.keyframe().unwrap().as_ref(), Some(&first));
    recording.fragments[1..6].iter().for_each(|fragment| append(&part, fragment));
    let newest = scout.keyframe().unwrap().unwrap();
    assert_ne!(newest, first);

    let out = recording.path("out.mp4");
    finalise(&recording.whole("whole"), &out, &recording.index).unwrap();
    let alone = recording.path("key.h264");
    fs::write(&alone, &newest).unwrap();
    assert!(pixels(&alone, 0) == pixels(&out, NEWEST));

    // The finished file gives the same.
    let film = Film::open(File::open(&out).unwrap(), &out).unwrap().unwrap();
    let times: Vec<u128> = film.keyframes().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times, [0, 1200, 2400, 3600]);
    assert_eq!(film.duration().as_millis(), 3980);
    assert_eq!(film.read(0).unwrap(), Some(first));
    assert_eq!(film.read(2).unwrap(), Some(newest));
    assert_eq!(film.read(4).unwrap(), None);
}

#[test]
fn what_is_no_part_file_is_refused() {
    let (_, recording) = started();
    let out = recording.path("out.mp4");
    let part = recording.whole("whole");
    assert!(matches!(Film::open(File::open(&part).unwrap(), &part), Err(MuxError::Verify(_))));
    finalise(&part, &out, &recording.index).unwrap();
    // Finished: a moov, but nothing grows behind it.
    assert!(matches!(Scout::open(&out), Err(MuxError::NotPart(_))));
    fs::write(&part, b"not a film").unwrap();
    assert!(matches!(Scout::open(&part), Err(MuxError::NotPart(_))));
    fs::write(&part, &recording.head.bytes[..40]).unwrap();
    assert!(matches!(Scout::open(&part), Err(MuxError::Empty)));
}
