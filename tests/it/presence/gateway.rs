//! Janus ends a meeting: by its own API, or by its death. The service says why.

use std::time::Duration;

use serde_json::json;

use super::PATIENCE;
use super::served::{RECORDED, STARTED, Service, stopped};
use crate::support::browser::Publisher;
use crate::support::janus::Janus;
use crate::support::{media, quiet, scratch};

#[test]
fn put_out_of_janus_its_room_destroyed_and_its_gateway_killed() {
    let _quiet = quiet();
    let feeds = scratch();
    media::feeds(feeds.path(), "alice", "blue", 880);
    let service = Service::start("");
    let meet = || {
        let janus = Janus::start();
        let alice = Publisher::join(&janus.publisher_url("alice"), feeds.path(), "alice");
        janus.wait_for_publishers(&["alice"], PATIENCE);
        (janus, alice)
    };
    let record = |room: &str, janus: &Janus| {
        let id = service.record(room, &janus.watcher_url("recorder"), json!({ "join": "auto" }));
        service.until(&id, "running");
        service.until_people(room, 1);
        std::thread::sleep(Duration::from_secs(2));
        id
    };

    let (janus, alice) = meet();
    let id = record("kicked", &janus);
    janus.kick("recorder");
    service.until(&id, "completed");
    service.assert_told("kicked", &[STARTED, stopped("room ended"), RECORDED]);
    let log = service.serve.process.stderr();
    assert!(log.contains("was put out of the meeting"), "{log}");

    let id = record("destroyed", &janus);
    janus.destroy();
    service.until(&id, "completed");
    service.assert_told("destroyed", &[STARTED, stopped("room ended"), RECORDED]);
    drop((janus, alice));

    // A gateway that is gone may come back: it is waited for, and the page loaded again.
    let (janus, _alice) = meet();
    let id = record("killed", &janus);
    janus.kill();
    let failed = service.until(&id, "failed");
    assert_eq!(failed["error"]["type"], "MAX_RETRIES_REACHED", "{failed}");
    assert_eq!(failed["recording_assets"][0]["status"], "failed", "{failed}");
    let why = "MAX_RETRIES_REACHED";
    let told = [STARTED, stopped("failure: MAX_RETRIES_REACHED"), ("beam.failure", why)];
    service.assert_told("killed", &told);
}
