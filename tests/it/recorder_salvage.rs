//! What `roomreel recorder --salvage` makes of the directory of a recorder that
//! was killed.

use std::time::Duration;

use roomreel::job::{Event, Summary};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::journal;
use crate::support::judge::{decodes_silently, probe};
use crate::support::pages::{Pages, own_pages};
use crate::support::recorder::Recorder;
use crate::support::{quiet, scratch, until};

const PATIENCE: Duration = Duration::from_secs(30);

fn salvaged(events: &[Event]) -> Vec<Summary> {
    let summary = |event: &Event| match event {
        Event::Salvaged(summary) => Some(summary.clone()),
        _ => None,
    };
    events.iter().filter_map(summary).collect()
}

#[test]
fn a_killed_recorder_leaves_a_file_to_salvage() {
    let _quiet = quiet();
    let dir = scratch();
    let pages = Pages::over(vec![own_pages()]);
    let recorder = Recorder::new(&pages.url("barcode.html"), &dir.path().join("recording"));
    let running = recorder.start();
    until("a first frame", PATIENCE, || journal::t0(&recorder.events()));
    let counted = |e: &Event| matches!(e, Event::Stats(stats) if stats.elapsed_s >= 2.0);
    until("two seconds", PATIENCE, || recorder.events().iter().any(counted).then_some(()));
    // While it lives the directory is its own.
    let refused = recorder.salvage().wait(PATIENCE);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");

    let browser = journal::browser(&recorder.events()).unwrap();
    running.signal(Signal::KILL);
    let _ = kill_process_group(Pid::from_raw(browser.cast_signed()).unwrap(), Signal::KILL);
    running.wait(PATIENCE);

    recorder.salvage().wait(PATIENCE).expect_success("recorder --salvage");
    let file = recorder.file();
    assert_eq!(decodes_silently(&file), Ok(()));
    let events = recorder.events();
    let first = salvaged(&events);
    assert_eq!(first.len(), 1, "{events:#?}");
    assert!((probe(&file).duration - first[0].duration_s).abs() < 0.05, "{first:?}");
    assert!(first[0].duration_s >= 1.0 && first[0].stats.recorded >= 60, "{first:?}");
    assert_eq!((first[0].width, first[0].height), (1280, 720));
    assert_eq!(first[0].bytes, std::fs::metadata(&file).unwrap().len());

    // Again, and after a death between the file's last name and the journal.
    for torn in ["", "{\"time\":\"2026"] {
        let log = dir.path().join("recording/journal.jsonl");
        let text = std::fs::read_to_string(&log).unwrap();
        std::fs::write(&log, text + torn).unwrap();
        recorder.salvage().wait(PATIENCE).expect_success("recorder --salvage again");
    }
    let again = salvaged(&recorder.events());
    assert_eq!(again, [first[0].clone(), first[0].clone(), first[0].clone()]);
    assert_eq!(decodes_silently(&file), Ok(()));
}

#[test]
fn without_a_recording_there_is_nothing_to_salvage() {
    let dir = scratch();
    let recorder = Recorder::new("http://127.0.0.1:1/", &dir.path().join("recording"));
    let said = recorder.salvage().wait(PATIENCE);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(matches!(recorder.events()[..], [Event::Notice { .. }]), "{:?}", recorder.events());
}
