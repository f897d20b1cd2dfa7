//! The service and all that it started, killed with -9 at any moment: the next
//! service saves what was recorded without a hand.

use std::time::Instant;

use roomreel::clock::Mono;
use rustix::process::kill_process_group;

use super::*;
use crate::browser::group;
use crate::support::by_length;
use crate::support::judge::code;

/// Seconds of file after which the kill comes, another each time.
fn somewhere(round: u64) -> f64 {
    let seed = u64::from(std::process::id()) + round;
    1.5 + (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 2_000) as f64 / 1000.0
}

#[test]
fn everything_is_killed_at_once_and_the_next_service_saves_it() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let body = json!({ "meeting_url": pages.url("barcode.html"), "join": "load" });
    let mut service = Service::start();
    for round in 0..by_length(2, 20) {
        let recording = service.post("/v2/recordings/room/a/start", &body);
        let id = recording["id"].as_str().unwrap_or_else(|| panic!("{recording}")).to_owned();
        let log = service.data.path().join("recordings").join(&id).join("journal.jsonl");
        let t0 =
            until("a first frame", Duration::from_secs(60), || journal::t0(&journal::read(&log)));
        let since = || (Mono::now().0 - t0) as f64 / 1e9;
        let moment = somewhere(round);
        while since() < moment {
            std::thread::sleep(Duration::from_millis(1));
        }
        let events = journal::read(&log);
        let browser = journal::browser(&events).unwrap();
        let recorder = events.iter().find_map(|event| match event {
            Event::Started { pid, .. } => Pid::from_raw(pid.cast_signed()),
            _ => None,
        });
        let killed = since();
        service.process.signal(Signal::KILL);
        kill_process(recorder.unwrap(), Signal::KILL).unwrap();
        let _ = kill_process_group(Pid::from_raw(browser.cast_signed()).unwrap(), Signal::KILL);
        let died = Instant::now();
        until("the end of every process", Duration::from_secs(60), || {
            group(browser).is_empty().then_some(())
        });
        let took = died.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?} until no process was left");
        let Service { process, data, .. } = service;
        process.wait(Duration::from_secs(30));

        service = Service::over(data);
        let failed = until("the end of the recording", Duration::from_secs(90), || {
            let recording = service.get(&format!("/v2/recordings/{id}"));
            (recording["status"] == "failed").then_some(recording)
        });
        let file = service.file(&failed);
        assert_eq!(decodes_silently(&file), Ok(()));
        let picture = code::readings(&file).len() as f64 / 30.0;
        let heard = sound::pcm(&file).len() as f64 / 48_000.0;
        println!("killed at {killed:.3} s: {picture:.3} s of picture, {heard:.3} s of sound");
        assert!(killed - picture <= 1.0, "{picture} s of {killed} s of picture");
        assert!(killed - heard <= 1.5, "{heard} s of {killed} s of sound");
    }
}
