//! How a recording ends: by a signal, by the page, or by `kill -9`; the file is
//! good each time.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use roomreel::clock::Mono;
use roomreel::job::{Event, StopReason};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::journal;
use crate::support::judge::{boxes, code, decodes_silently, probe};
use crate::support::pages::Pages;
use crate::support::process::Running;
use crate::support::roomreel::Record;
use crate::support::{by_length, quiet, scratch, until};

const LONG: Duration = Duration::from_secs(600);

fn start(url: &str, out: &Path) -> Running {
    let log = out.with_extension("jsonl");
    let recording = Record::new(url, out, LONG).option("--journal", log.to_str().unwrap()).start();
    until("a first frame", Duration::from_secs(30), || journal::t0(&journal::read(&log)));
    recording
}

fn barcode() -> Pages {
    Pages::over(vec![crate::support::pages::own_pages()])
}

#[test]
fn one_interrupt_finishes_the_file() {
    let _quiet = quiet();
    let dir = scratch();
    let out = dir.path().join("out.mp4");
    let pages = barcode();
    let recording = start(&pages.url("barcode.html"), &out);
    std::thread::sleep(Duration::from_secs(2));
    recording.signal(Signal::INT);
    let said = recording.wait(Duration::from_secs(30)).expect_success("roomreel record");
    assert!(said.stdout.contains("out.mp4"), "{said:?}");
    assert_eq!(decodes_silently(&out), Ok(()));
    let events = journal::read(&out.with_extension("jsonl"));
    let stopped = |e: &Event| matches!(e, Event::Stopped { reason: StopReason::ClientRequest, .. });
    assert!(events.iter().any(stopped), "{events:#?}");
}

#[test]
fn a_second_interrupt_leaves_a_part_file_that_plays() {
    let _quiet = quiet();
    let dir = scratch();
    let out = dir.path().join("out.mp4");
    // Its farewell takes longer than the recorder has patience with.
    let page = "<!doctype html><body style='background:#246'>
        <h1 style='font:bold 30vh serif;color:#fff'>A page</h1><script>
        addEventListener('pagehide', () => {
            const until = Date.now() + 5000;
            while (Date.now() < until);
        });</script>";
    let address = super::record_refusals::serve(
        Router::new().route("/", get(move || async move { Html(page) })),
    );
    let recording = start(&format!("http://{address}/"), &out);
    let browser = journal::browser(&journal::read(&out.with_extension("jsonl"))).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    recording.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    recording.signal(Signal::INT);
    let ended = recording.wait(Duration::from_secs(30));
    let part = out.with_extension("part.mp4");
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    assert!(ended.stderr.contains("roomreel salvage"), "{ended:?}");
    assert!(!out.exists() && boxes::is_fragmented(&part));
    assert_eq!(decodes_silently(&part), Ok(()));
    until("that the browser is gone", Duration::from_secs(30), || {
        crate::browser::group(browser).is_empty().then_some(())
    });
}

#[test]
fn the_page_ends_it() {
    let _quiet = quiet();
    let page = "<!doctype html><body style='background:#246'>
        <h1 style='font:bold 30vh serif;color:#fff'>A page</h1><script>
        window.roomreel = {joined: true, peers: 2, ended: false};
        setTimeout(() => { roomreel.ended = true; }, 3000);</script>";
    let dir = scratch();
    let out = dir.path().join("out.mp4");
    let address = super::record_refusals::serve(
        Router::new().route("/", get(move || async move { Html(page) })),
    );
    let log = dir.path().join("log");
    Record::new(&format!("http://{address}/"), &out, Duration::from_secs(60))
        .option("--join", "signal")
        .option("--journal", log.to_str().unwrap())
        .run();
    let events = journal::read(&log);
    assert!(events.contains(&Event::Peers { count: Some(2), peers: vec![] }), "{events:#?}");
    let ended = |e: &Event| matches!(e, Event::Stopped { reason: StopReason::RoomEnded, .. });
    assert!(events.iter().any(ended), "{events:#?}");
    let length = probe(&out).duration;
    assert!((1.0..10.0).contains(&length), "{length} s");
}

#[test]
fn killing_everything_costs_less_than_a_second_of_picture() {
    let _quiet = quiet();
    let pages = barcode();
    for round in 0..by_length(2_u64, 20) {
        let dir = scratch();
        let out = dir.path().join("out.mp4");
        let recording = start(&pages.url("barcode.html"), &out);
        // Another phase of fragment and sync every round.
        std::thread::sleep(Duration::from_millis(2_500 + round * 137));
        let browser = journal::browser(&journal::read(&out.with_extension("jsonl"))).unwrap();
        let killed = Mono::now();
        recording.signal(Signal::KILL);
        let group = Pid::from_raw(browser.cast_signed()).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        recording.wait(Duration::from_secs(10));

        let part = out.with_extension("part.mp4");
        assert!(boxes::is_fragmented(&part));
        let t0 = journal::t0(&journal::read(&out.with_extension("jsonl"))).unwrap();
        let recorded = (killed.0 - t0) as f64 / 1e9;
        let readings = code::readings(&part);
        let picture = readings.len() as f64 / 30.0;
        let sound = crate::support::judge::sound::pcm(&part).len() as f64 / 48_000.0;
        println!("{recorded:.3} s recorded, {picture:.3} s of picture, {sound:.3} s of sound");
        assert!(recorded - picture <= 1.0, "{picture} s of {recorded} s of picture");
        assert!(recorded - sound <= 1.5, "{sound} s of {recorded} s of sound");
        let seen = code::cadence(&code::painted(&part));
        assert_eq!((seen.unreadable, seen.backwards), (0, 0), "{seen:?}");
    }
}

#[test]
fn a_browser_that_dies_leaves_a_gap_and_not_an_end() {
    let _quiet = quiet();
    let dir = scratch();
    let out = dir.path().join("out.mp4");
    let pages = barcode();
    let recording = start(&pages.url("barcode.html"), &out);
    std::thread::sleep(Duration::from_secs(2));
    let log = out.with_extension("jsonl");
    let first = journal::browser(&journal::read(&log)).unwrap();
    let group = Pid::from_raw(first.cast_signed()).unwrap();
    kill_process_group(group, Signal::KILL).unwrap();
    until("a second browser", Duration::from_secs(30), || {
        journal::browser(&journal::read(&log)).filter(|pid| *pid != first)
    });
    std::thread::sleep(Duration::from_secs(4));
    recording.signal(Signal::INT);
    recording.wait(Duration::from_secs(30)).expect_success("roomreel record");
    assert_eq!(decodes_silently(&out), Ok(()));
    let events = journal::read(&log);
    let clock = (journal::stop(&events).unwrap() - journal::t0(&events).unwrap()) as f64 / 1e9;
    assert!((probe(&out).duration - clock).abs() <= 0.045);
    // The new page counts from one again: both pages are in the file.
    let codes: Vec<u32> =
        code::readings(&out).into_iter().filter_map(|r| Some(r.code?.1)).collect();
    assert!(codes.windows(2).any(|w| w[1] < w[0]), "the second page is not in the file");
}
