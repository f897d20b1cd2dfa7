//! SIGTERM to a service that records: what can be finished is, and what cannot is
//! handed over to the next service.

use std::path::PathBuf;

use super::*;
use crate::browser::group;

/// A service with `stop_grace`, and a recording that has some of its file.
fn recording(pages: &Pages, stop_grace: &str) -> (Service, String, PathBuf) {
    let settings = format!("[recording]\nstop_grace = \"{stop_grace}\"\n");
    let service = Service::with(scratch(), free_port(), |data| {
        std::fs::write(data.join("roomreel.toml"), settings).unwrap();
    });
    let body = json!({ "meeting_url": pages.url("barcode.html"), "join": "load" });
    let recording = service.post("/v2/recordings/room/a/start", &body);
    let id = recording["id"].as_str().unwrap().to_owned();
    let log = service.data.path().join("recordings").join(&id).join("journal.jsonl");
    let some = |e: &Event| matches!(e, Event::Stats(stats) if stats.elapsed_s >= 2.0);
    until("two seconds of file", Duration::from_secs(60), || {
        journal::read(&log).iter().any(some).then_some(())
    });
    (service, id, log)
}

/// Ends the service by SIGTERM, which is no failure; what it leaves on the disk.
fn terminate(service: Service) -> tempfile::TempDir {
    let Service { process, data, .. } = service;
    process.signal(Signal::TERM);
    process.wait(Duration::from_secs(90)).expect_success("roomreel serve");
    data
}

fn recorder(log: &Path) -> Pid {
    let pid = journal::read(log).into_iter().find_map(|event| match event {
        Event::Started { pid, .. } => Pid::from_raw(pid.cast_signed()),
        _ => None,
    });
    pid.unwrap()
}

#[test]
fn recordings_are_finished_within_the_grace() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let (service, id, log) = recording(&pages, "60s");
    let data = terminate(service);
    // Before anybody else looks at it.
    let events = journal::read(&log);
    let length = journal::finished(&events).duration_s;
    assert!(length >= 2.0, "{length} s");
    assert!(group(journal::browser(&events).unwrap()).is_empty(), "the browser is still there");
    let service = Service::over(data);
    let done = service.until(&id, "completed");
    assert_eq!(decodes_silently(&service.file(&done)), Ok(()));
}

#[test]
fn a_recorder_that_needs_longer_is_handed_over_to_the_next_service() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let (service, id, log) = recording(&pages, "1s");
    let recorder = recorder(&log);
    // It cannot finish while it is stopped.
    kill_process(recorder, Signal::STOP).unwrap();
    let data = terminate(service);
    assert!(rustix::process::test_kill_process(recorder).is_ok(), "the recorder was killed");
    let stopped = journal::stop(&journal::read(&log));
    assert_eq!(stopped, None, "it was stopped within the grace");
    kill_process(recorder, Signal::CONT).unwrap();
    let service = Service::over(data);
    let done = service.until(&id, "completed");
    let file = service.file(&done);
    assert_eq!(decodes_silently(&file), Ok(()));
    assert!(probe(&file).duration >= 2.0);
}
