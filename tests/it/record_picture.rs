//! The picture of a recording: the right format, every painted frame once, the
//! right colours. How smooth it is on a quiet machine is the bench's business.

use std::path::Path;
use std::time::Duration;

use roomreel::job::Summary;

use crate::journal;
use crate::support::judge::{boxes, code, colours, decodes_silently, keyframe_gaps};
use crate::support::judge::{mediainfo_objections, pictures, probe};
use crate::support::pages::Pages;
use crate::support::roomreel::Record;
use crate::support::{by_length, quiet, scratch};

/// Records `page` of the tests' own pages at 1280x720; returns what the journal says
/// of the file.
fn record(page: &str, seconds: u64, out: &Path) -> Summary {
    record_with(page, &[], seconds, out)
}

/// The same with other options.
fn record_with(page: &str, options: &[(&str, &str)], seconds: u64, out: &Path) -> Summary {
    let pages = Pages::over(vec![crate::support::pages::own_pages()]);
    let log = out.with_extension("jsonl");
    let usual = Record::new(&pages.url(page), out, Duration::from_secs(seconds))
        .option("--journal", log.to_str().unwrap());
    options.iter().fold(usual, |record, (name, value)| record.option(name, value)).run();
    assert!(!out.with_extension("part.mp4").exists(), "the part file is still there");
    journal::finished(&journal::read(&log))
}

#[track_caller]
fn assert_is_a_player_s_file(file: &Path, [width, height, fps]: [u32; 3], seconds: u64) {
    let found = probe(file);
    assert_eq!(found.streams, 2, "{found:?}");
    let (video, audio) = (found.video.unwrap(), found.audio.unwrap());
    assert_eq!((&*video.codec_name, &*video.profile), ("h264", "High"));
    assert_eq!((&*video.pix_fmt, video.width, video.height), ("yuv420p", width, height));
    assert_eq!(video.color_range.as_deref(), Some("tv"));
    for tag in [&video.color_space, &video.color_primaries, &video.color_transfer] {
        assert_eq!(tag.as_deref(), Some("bt709"), "{video:?}");
    }
    let rate = format!("{fps}/1");
    assert_eq!((&video.avg_frame_rate, &video.r_frame_rate), (&rate, &rate));
    assert_eq!(video.nb_frames, seconds * u64::from(fps));
    assert_eq!((&*audio.codec_name, &*audio.profile), ("aac", "LC"));
    assert_eq!((audio.sample_rate, audio.channels), (48_000, 2));
    assert_eq!((video.start_time, audio.start_time), (0.0, 0.0));
    let exact = seconds as f64;
    assert!((video.duration - exact).abs() < 0.001, "{video:?}");
    assert!((audio.duration - exact).abs() < 0.001, "{audio:?}");
    assert!(boxes::is_fast_start(file) && !boxes::is_fragmented(file));
    assert_eq!(decodes_silently(file), Ok(()));
    assert_eq!(mediainfo_objections(file), Vec::<String>::new());
}

/// The distance from keyframe to keyframe, in all of the file.
#[track_caller]
fn assert_keyframes(file: &Path, seconds: f64) {
    let gaps = keyframe_gaps(file);
    let off = |gap: &f64| (gap - seconds).abs() > 0.001;
    assert!(!gaps.is_empty() && !gaps.iter().any(off), "{gaps:?}");
}

#[test]
fn every_painted_frame_is_in_it_once_and_repeats_are_told() {
    let _quiet = quiet();
    let dir = scratch();
    let out = dir.path().join("barcode.mp4");
    let seconds = by_length(8, 60);
    let told = record("barcode.html", seconds, &out);
    assert_is_a_player_s_file(&out, [1280, 720, 30], seconds);
    assert_keyframes(&out, 4.0);

    let readings = code::readings(&out);
    assert_eq!(readings.len() as u64, told.stats.recorded);
    let blank = readings.iter().take_while(|r| r.code.is_none()).count();
    let seen = code::cadence(&readings[blank..]);
    println!("{blank} before the first code, then {seen:?}\n{told:?}");
    assert_eq!((seen.unreadable, seen.backwards), (0, 0), "{seen:?}");
    // Whatever the page showed before its first code may be one picture or more.
    let told_repeats = told.stats.repeated as usize;
    assert!((seen.repeats..=seen.repeats + blank).contains(&told_repeats), "{seen:?} {told:?}");
    assert_eq!(told.bytes, std::fs::metadata(&out).unwrap().len());
    // Page time and file time pass equally: from the first picture to the last they
    // differ by no more than the longest time that one picture stood still.
    let coded = || readings[blank..].iter().filter_map(|r| Some((r.time * 1000.0, r.code?.0)));
    let (first, last) = (coded().next().unwrap(), coded().next_back().unwrap());
    let apart = ((last.0 - first.0) - (last.1 - first.1)).abs();
    assert!(apart <= seen.largest_gap_ms + 50.0, "{apart} ms apart: {seen:?}");
}

#[test]
fn other_sizes_and_rates_are_exact() {
    let _quiet = quiet();
    type Case<'a> = (&'a [(&'a str, &'a str)], [u32; 3], f64);
    let cases: [Case<'_>; 3] = [
        (&[("--resolution", "1920x1080"), ("--keyframe-interval", "1s")], [1920, 1080, 30], 1.0),
        // The length of a keyframe interval need not be one of the fragments'.
        (
            &[("--resolution", "720x1280"), ("--fps", "24"), ("--keyframe-interval", "0.75")],
            [720, 1280, 24],
            0.75,
        ),
        (
            &[
                ("--resolution", "500x480"),
                ("--fps", "60"),
                ("--bitrate", "400"),
                ("--keyframe-interval", "0.5s"),
            ],
            [500, 480, 60],
            0.5,
        ),
    ];
    for (options, form, keyframes) in cases {
        let dir = scratch();
        let out = dir.path().join("size.mp4");
        let told = record_with("barcode.html", options, 2, &out);
        assert_eq!((told.width, told.height), (form[0], form[1]));
        assert_is_a_player_s_file(&out, form, 2);
        assert_keyframes(&out, keyframes);
        // The page fills the picture: its code is readable where it was painted.
        let seen = code::cadence(&code::painted(&out));
        assert_eq!((seen.unreadable, seen.backwards), (0, 0), "{options:?}: {seen:?}");
    }
}

#[test]
fn colours_come_out_as_they_were_painted() {
    let _quiet = quiet();
    let dir = scratch();
    let out = dir.path().join("patches.mp4");
    record("patches.html", 3, &out);
    for second in [0.1, 1.5, 2.8] {
        let worst = colours::worst(&colours::painted(), &colours::recorded(&out, second));
        assert!(worst <= 3.0, "{worst}/255 off at {second} s");
    }
}

#[test]
fn dialogs_windows_and_prints_never_show_and_never_stop_it() {
    let _quiet = quiet();
    let dir = scratch();
    let out = dir.path().join("dialogs.mp4");
    record("dialogs.html", by_length(8, 20), &out);
    let readings = code::painted(&out);
    let seen = code::cadence(&readings);
    let covered: Vec<_> = readings.iter().filter(|r| r.code.is_none()).map(|r| r.time).collect();
    assert_eq!((covered, seen.backwards), (vec![], 0), "{seen:?}");
    // A page that a dialog held up would show one picture for as long.
    assert!(seen.largest_gap_ms < 1500.0, "{seen:?}");
    // The page's own background, all along, where a box or window would cover it.
    let corner = pictures::seen(&out, "32:32:iw-64:ih/2", 1, 1);
    let (low, high) = corner
        .iter()
        .fold((255, 0), |(low, high), frame| (frame.luma[0].min(low), frame.luma[0].max(high)));
    assert!(high - low <= 4, "the background went from {low} to {high}");
}
