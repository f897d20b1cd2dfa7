//! What is left of a process that was killed: nothing that runs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use roomreel::job::Event;
use rustix::process::{Pid, Signal, kill_process};

use crate::browser::group;
use crate::journal;
use crate::support::pages::{Pages, own_pages};
use crate::support::process::Running;
use crate::support::recorder::Recorder;
use crate::support::roomreel::roomreel;
use crate::support::serve::free_port;
use crate::support::{by_length, quiet, scratch, until};

/// Kills the process alone; its process group stays.
fn kill(process: &Running) {
    kill_process(process.pid(), Signal::KILL).unwrap();
}

fn until_gone(what: &str, groups: &[u32]) {
    until(&format!("the end of {what}"), Duration::from_secs(30), || {
        groups.iter().all(|&pid| group(pid).is_empty()).then_some(())
    });
}

/// Pids of the children that are browsers.
fn browsers_of(parent: Pid) -> Vec<u32> {
    let parent = parent.as_raw_nonzero().to_string();
    let told = Command::new("ps").args(["-o", "pid=,comm=", "--ppid", &parent]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let browsers = told.lines().filter(|line| line.contains("chrom"));
    browsers.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_killed_demo_leaves_no_bots_behind() {
    let _quiet = quiet();
    let address = format!("127.0.0.1:{}", free_port());
    let demo = Running::spawn(roomreel().args(["demo", "--listen", &address, "--bots", "2"]));
    let room = format!("http://{address}/api/rooms/demo");
    until("two bots in the room", Duration::from_secs(90), || {
        let told = Command::new("curl").args(["-s", &room]).output().unwrap();
        let room: serde_json::Value = serde_json::from_slice(&told.stdout).ok()?;
        (room["peers"].as_array()?.len() == 2).then_some(())
    });
    let browsers = browsers_of(demo.pid());
    assert_eq!(browsers.len(), 2, "{browsers:?}");
    kill(&demo);
    until_gone("the bots", &browsers);
}

/// A recorder of `page` that has its first frame, and its newest browser.
fn recording(page: &str, dir: &Path) -> (Recorder, Running, u32) {
    let recorder = Recorder::new(page, dir);
    let running = recorder.start();
    until("a first frame", Duration::from_secs(60), || journal::t0(&recorder.events()));
    let browser = journal::browser(&recorder.events()).unwrap();
    (recorder, running, browser)
}

#[test]
fn a_killed_recorder_leaves_no_browser_behind() {
    let _quiet = quiet();
    let (pages, dir) = (Pages::over(vec![own_pages()]), scratch());
    let (_, running, browser) = recording(&pages.url("barcode.html"), &dir.path().join("rec"));
    kill(&running);
    until_gone("the browser", &[browser]);
}

/// Waits for a browser other than `first`.
fn another_browser(recorder: &Recorder, first: u32) {
    let patience = Duration::from_secs(60);
    until("another browser", patience, || {
        journal::browser(&recorder.events()).filter(|&pid| pid != first)
    });
    let said = |e: &Event| matches!(e, Event::Notice { message } if message.contains("speaker"));
    assert!(recorder.events().iter().any(said), "{:#?}", recorder.events());
}

#[test]
fn a_browser_that_loses_its_speaker_is_replaced() {
    let _quiet = quiet();
    let (pages, dir) = (Pages::over(vec![own_pages()]), scratch());
    let (recorder, running, browser) = recording(&pages.url("tone.html"), &dir.path().join("rec"));
    // The one of Chromium's processes that plays.
    let audio = until("the audio service", Duration::from_secs(20), || {
        group(browser).into_iter().find(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("audio.mojom.AudioService")
        })
    });
    kill_process(Pid::from_raw(audio.cast_signed()).unwrap(), Signal::KILL).unwrap();
    another_browser(&recorder, browser);
    // It is heard again.
    until("sound", Duration::from_secs(60), || {
        let events = recorder.events();
        let newest = events.iter().rposition(|event| matches!(event, Event::Browser { .. }))?;
        let heard = |e: &Event| matches!(e, Event::Stats(stats) if stats.audio_dbfs > -40.0);
        events[newest..].iter().any(heard).then_some(())
    });
    running.signal(Signal::TERM);
    running.wait(Duration::from_secs(60)).expect_success("the recorder");
}

#[test]
fn a_browser_that_never_finds_its_speaker_is_replaced() {
    // It is given fifteen seconds: too long for an ordinary run.
    if by_length(true, false) {
        return;
    }
    let _quiet = quiet();
    let (pages, dir) = (Pages::over(vec![own_pages()]), scratch());
    let mut recorder = Recorder::new(&pages.url("tone.html"), &dir.path().join("rec"));
    recorder.spec["browser"] = serde_json::json!({ "extra_flags": ["--disable-audio-output"] });
    let _running = recorder.start();
    let first =
        until("a browser", Duration::from_secs(60), || journal::browser(&recorder.events()));
    another_browser(&recorder, first);
}
