//! A file whose empty end was left out, judged whole: on its way into a bucket, while it
//! grows and afterwards, no byte of what was cut off goes up.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;

use roomreel::job::Event;
use serde_json::json;

use super::served::{Service, person};
use super::{KEPT, PATIENCE};
use crate::journal;
use crate::support::judge::{boxes, decodes_silently, mediainfo_objections, probe};
use crate::support::middle::Middle;
use crate::support::process::run;
use crate::support::serve::data;
use crate::support::stores::S3;
use crate::support::{quiet, scratch, until};

/// Laid over a corner of the room: no two frames are alike, and all of them are heavy.
const STATIC: &str = "
    html::after {
      content: ''; position: fixed; right: 0; bottom: 0; width: 640px; height: 480px;
      z-index: 99999; pointer-events: none;
      background:
        repeating-radial-gradient(#000 0 0.0001%, #fff 0 0.0002%) 50% 0/2500px 2500px,
        repeating-conic-gradient(#000 0 0.0001%, #fff 0 0.0002%) 60% 60%/2500px 2500px;
      background-blend-mode: difference;
      animation: static 600s linear;
    }
    @keyframes static { to { background-size: 90000px 90000px; } }";

/// One sample of a file that is being written.
struct Sample {
    /// Seconds of the file at which it is shown or heard.
    at: f64,
    bytes: Vec<u8>,
}

/// The samples of what there is of a growing file; a torn end is left out.
fn samples(part: &Path) -> Vec<Sample> {
    let out = run(Command::new("ffprobe")
        .args(["-v", "quiet", "-of", "csv=p=0"])
        .args(["-show_entries", "packet=pts_time,size,pos"])
        .arg(part));
    let bytes = std::fs::read(part).unwrap();
    let sample = |line: &str| {
        let mut fields = line.split(',');
        let (at, size) = (fields.next()?.parse().ok()?, fields.next()?.parse::<usize>().ok()?);
        let pos = fields.next()?.parse::<usize>().ok()?;
        Some(Sample { at, bytes: bytes.get(pos..pos + size)?.to_vec() })
    };
    out.stdout.lines().filter_map(sample).collect()
}

const NEEDLE: usize = 32;

/// Bytes of a sample that is not like any other: a frame that repeats the one before, and
/// silence, are shorter.
const TELLING: usize = 1000;

/// Which of the samples have any of their bytes, 32 in a row, in one of the bodies. Those
/// that are too short to be told from one another are in none.
fn found(samples: &[Sample], bodies: &[Vec<u8>]) -> HashSet<usize> {
    let mut needles: HashMap<&[u8; 8], Vec<(usize, &[u8])>> = HashMap::new();
    let telling = samples.iter().enumerate().filter(|(_, sample)| sample.bytes.len() >= TELLING);
    for (number, sample) in telling {
        for needle in sample.bytes.chunks_exact(NEEDLE) {
            let head = needle.first_chunk().unwrap();
            needles.entry(head).or_default().push((number, needle));
        }
    }
    let mut found = HashSet::new();
    for body in bodies {
        for window in body.windows(NEEDLE) {
            let Some(candidates) = needles.get(window.first_chunk().unwrap()) else { continue };
            found.extend(candidates.iter().filter(|(_, n)| *n == window).map(|(number, _)| number));
        }
    }
    found
}

#[test]
fn what_was_cut_off_is_in_no_byte_that_went_up() {
    let _quiet = quiet();
    let store = S3::swift();
    let middle = Middle::keeping(store.port);
    let table = store.table("main", "").replace(&store.endpoint(), &middle.url());
    let settings =
        format!("[presence]\nempty_timeout = \"12s\"\n[storage]\nahead_mib = 1\n{table}");
    let service = Service::start(&settings);
    let (runtime, ada) = person(&service, "studio");
    let own = json!({
        "resolution": { "width": 1280, "height": 720 },
        "fps": 30,
        "page": { "css": STATIC },
    });
    let id = service.record("studio", &service.recorder_link("studio"), own);
    service.until(&id, "running");
    service.until_people("studio", 1);
    let dir = data(service.serve.root()).join("recordings").join(&id);
    let part = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
    let part = part.into_iter().find(|p| p.to_string_lossy().ends_with(".part.mp4")).unwrap();
    // Two parts of 5 MiB are on their way while it is being recorded.
    until("a second part", PATIENCE, || {
        (middle.count(&["PUT", "partNumber=2&"]) > 0).then_some(())
    });
    runtime.block_on(ada.close());
    service.until_people("studio", 0);
    let log = dir.join("journal.jsonl");
    let told = |wanted: fn(&Event) -> bool| {
        journal::lines(&log).into_iter().rfind(|line| wanted(&line.event)).unwrap().time
    };
    let begun = told(|event| matches!(event, Event::FirstFrame { .. }));
    let left = told(|event| matches!(event, Event::Peers { count: Some(0), .. }));
    let left = (left - begun).as_seconds_f64();
    // What the file would be if nothing were cut off, most of the way to its end.
    let kept = scratch();
    let copy = kept.path().join("copy.mp4");
    until("ten empty seconds", PATIENCE, || {
        let newest = journal::read(&log).into_iter().rev().find_map(|event| match event {
            Event::Stats(stats) => Some(stats.elapsed_s),
            _ => None,
        });
        (newest? > left + 9.5).then_some(())
    });
    std::fs::copy(&part, &copy).unwrap();
    let grown = samples(&copy);
    let recording = service.until(&id, "completed");

    // The object plays, is whole, and ends a few seconds after the last one left.
    let keys = store.keys();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let object = kept.path().join("object.mp4");
    std::fs::write(&object, store.read(&keys[0]).0).unwrap();
    assert_eq!(decodes_silently(&object), Ok(()));
    assert_eq!(mediainfo_objections(&object), Vec::<String>::new());
    assert!(boxes::is_fast_start(&object));
    let length = probe(&object).duration;
    assert!((length - left - KEPT).abs() < 1.0, "{length} s, the last one left at {left} s");
    let asset = &recording["recording_assets"][0];
    assert_eq!(asset["size"], std::fs::metadata(&object).unwrap().len());

    // Nothing that is shown or heard later went up, neither in the file nor in a part that
    // was sent while nobody knew yet how long the file would be.
    let cut = grown.iter().filter(|sample| sample.at >= length).count();
    let bytes: usize = grown.iter().filter(|s| s.at >= length).map(|s| s.bytes.len()).sum();
    assert!(cut > 100 && bytes > 5 << 20, "only {cut} samples of {bytes} bytes were cut off");
    let found = found(&grown, &middle.sent());
    let late = found.iter().map(|n| &grown[*n]).filter(|sample| sample.at >= length);
    let late: Vec<_> = late.map(|sample| (sample.at, sample.bytes.len())).collect();
    assert!(late.is_empty(), "of {length} s went up what is shown at {late:?}");
    // One that is looked for is found.
    let early = |sample: &Sample| sample.at < length - 0.1 && sample.bytes.len() >= TELLING;
    let missed = grown.iter().enumerate().filter(|(n, s)| early(s) && !found.contains(n)).count();
    assert_eq!(missed, 0, "of {} samples", grown.len());
    eprintln!("{cut} samples of {bytes} bytes were cut off; {} requests", middle.sent().len());
}
