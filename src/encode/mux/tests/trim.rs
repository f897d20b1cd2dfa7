//! A file that ends early: exact in both tracks, and without a byte of the rest.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::super::{Index, Method, finalise, in_place, salvage_to};
use super::media::{FRAMES, Media, RATE, Recording, media};
use super::tools::{decodes, hear, in_sync, number, probe};

/// One frame, the edges of fragments of 15, the middle of one, all but one.
const CUTS: [u64; 7] = [1, 15, 16, 37, 60, 100, FRAMES - 1];

fn sound(frames: u64) -> u64 {
    frames * RATE / 30
}

fn cut(recording: &Recording, frames: u64) -> Index {
    let mut index = recording.index.clone();
    index.cut(frames, sound(frames));
    index
}

/// Whether `part` lies anywhere in `whole`.
fn holds(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

#[track_caller]
fn judge(path: &Path, media: &Media, frames: u64) {
    decodes(path);
    let length = frames as f64 / 30.0;
    for stream in ["v:0", "a:0"] {
        let stream = probe(path, stream);
        assert!((number(&stream, "duration") - length).abs() < 0.001, "{stream}");
        assert_eq!(number(&stream, "start_time"), 0.0);
    }
    assert_eq!(number(&probe(path, "v:0"), "nb_read_frames"), frames as f64);
    assert!(in_sync(&media.sound, &hear(path)) as u64 + 1 >= frames / 30);

    let bytes = fs::read(path).unwrap();
    let packets = (sound(frames) + 1024).div_ceil(1024) as usize;
    let kept: HashSet<&[u8]> = media.packets[..packets].iter().map(Vec::as_slice).collect();
    for (frame, _) in &media.frames[frames as usize..] {
        assert!(!holds(&bytes, frame), "a frame of the end is in the file");
    }
    // Packets of silence are like those that stay.
    for packet in media.packets[packets..].iter().filter(|packet| !kept.contains(packet.as_slice()))
    {
        assert!(!holds(&bytes, packet), "sound of the end is in the file");
    }
}

#[test]
fn what_is_left_out_is_in_no_byte_whichever_way_it_is_finished() {
    let media = media();
    let recording = Recording::new(media, &media.settings());
    // What is looked for can be found.
    let whole = fs::read(recording.whole("whole")).unwrap();
    assert!(holds(&whole, &media.frames[FRAMES as usize - 1].0));
    for frames in CUTS {
        let index = cut(&recording, frames);
        let (part, out) = (recording.whole("a.part"), recording.path("a.mp4"));
        let finished = finalise(&part, &out, &index).unwrap();
        assert_eq!((finished.frames, finished.method), (frames, Method::Compact));
        assert!((finished.duration.as_secs_f64() - frames as f64 / 30.0).abs() < 1e-6);
        judge(&out, media, frames);

        let part = recording.whole("b.part");
        in_place::finish(&part, &index).unwrap().unwrap();
        judge(&part, media, frames);
        // What lies before the last half second that stays is as it was recorded,
        // and may have been uploaded long ago.
        let after = fs::read(&part).unwrap();
        let media_at = recording.head.media_at as usize;
        let sure: usize = recording.fragments[..(frames / 15) as usize].iter().map(Vec::len).sum();
        assert!(after[media_at..media_at + sure] == whole[media_at..media_at + sure]);
        fs::remove_file(&part).unwrap();
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn a_crash_while_it_is_finished_leaves_it_to_a_salvage_that_trims() {
    let media = media();
    let recording = Recording::new(media, &media.settings());
    for frames in CUTS {
        let out = recording.path("a.mp4");
        let part = recording.whole("a.part");
        let saved = salvage_to(&part, &out, Some(frames as f64 / 30.0)).unwrap();
        assert_eq!((saved.frames, saved.method), (frames, Method::Compact));
        judge(&out, media, frames);
        fs::remove_file(&out).unwrap();

        // Turned over, with the holes still full.
        let part = recording.whole("b.part");
        let index = cut(&recording, frames);
        let plan = in_place::plan(&index).unwrap().unwrap();
        let file = fs::File::options().write(true).open(&part).unwrap();
        file.set_len(index.end).unwrap();
        for write in plan.prepare.iter().chain([&plan.flip]) {
            write.apply(&file).unwrap();
        }
        salvage_to(&part, &out, Some(frames as f64 / 30.0)).unwrap();
        judge(&out, media, frames);
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn sound_alone_is_cut_too() {
    let media = media();
    let mut settings = media.settings();
    settings.video = None;
    let recording = Recording::new(media, &settings);
    let (part, out) = (recording.whole("a.part"), recording.path("a.mp4"));
    finalise(&part, &out, &cut(&recording, 100)).unwrap();
    decodes(&out);
    assert!((number(&probe(&out, "a:0"), "duration") - 100.0 / 30.0).abs() < 0.001);
    assert!(in_sync(&media.sound, &hear(&out)) >= 2);
    let packets = (sound(100) as usize + 1024).div_ceil(1024);
    let bytes = fs::read(&out).unwrap();
    assert!(!holds(&bytes, &media.packets[packets..].concat()));
}
