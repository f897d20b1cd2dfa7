//! The service's own API and the pages that it records.

use std::process::Command;
use std::time::Duration;

use roomreel::job::Event;
use serde_json::{Value, json};

use super::{Inside, WAYS, outside};
use crate::journal;
use crate::support::process::Running;
use crate::support::roomreel::roomreel;
use crate::support::{quiet, scratch, until};

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn curl(args: &[&str]) -> Value {
    let done = Command::new("curl").arg("-sf").args(args).output().unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_default()
}

/// Even where this machine's own addresses are allowed.
#[test]
fn a_recorded_page_cannot_call_the_service_that_records_it() {
    let _quiet = quiet();
    let servers = tokio::runtime::Runtime::new().unwrap();
    let page = servers.block_on(outside("127.0.0.1"));
    let neighbour = servers.block_on(Inside::open("127.0.0.1"));
    let (data, port) = (scratch(), free_port());
    let service = Running::spawn(
        roomreel()
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(data.path())
            .args(["--allow-net", "127.0.0.1/32"])
            // Chromium itself would keep a page from the local network, for now.
            .env(
                "ROOMREEL_BROWSER__EXTRA_FLAGS",
                "[\"--disable-features=LocalNetworkAccessChecks\"]",
            ),
    );
    let api = format!("http://127.0.0.1:{port}");
    until("an answer of the service", Duration::from_secs(30), || {
        Some(()).filter(|()| !curl(&[&format!("{api}/health/live")]).is_null())
    });
    let meeting = format!(
        "http://{page}/inside.html?go&to=127.0.0.1:{port}&to=localhost:{port}&to={}",
        neighbour.address
    );
    let start = json!({"meeting_url": meeting, "join": "load", "max_duration": 6}).to_string();
    let path = format!("{api}/v2/recordings/room/a/start");
    let recording = curl(&["-H", "Content-Type: application/json", "-d", &start, &path]);
    let id = recording["id"].as_str().unwrap();
    until("the end of the recording", Duration::from_secs(90), || {
        let now = curl(&[&format!("{api}/v2/recordings/{id}")]);
        assert_ne!(now["status"], "failed", "{now}");
        (now["status"] == "completed").then_some(())
    });
    // The page did try: what is not ours it reached.
    let seen = neighbour.seen();
    for way in WAYS {
        assert!(seen.iter().any(|s| s == way), "the page's {way} proves nothing: {seen:?}");
    }
    let log = service.stderr();
    assert!(log.contains("/v2/recordings/room/a/start"), "{log}");
    for way in WAYS {
        assert!(!log.contains(&format!("path=/{way}")), "{way} reached the API: {log}");
    }
    let told = journal::read(&data.path().join("recordings").join(id).join("journal.jsonl"));
    let kept = |event: &Event| matches!(event, Event::Notice { message } if message.contains("closed to pages"));
    assert!(told.iter().any(kept), "{told:#?}");
}
