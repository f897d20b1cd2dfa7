//! The same ends through the service: what its API and its webhooks say of them.

use std::net::SocketAddr;
use std::process::Command;

use roomreel::demo::Bots;
use serde_json::{Value, json};

use super::PATIENCE;
use crate::support::hooks::Hooks;
use crate::support::process::Running;
use crate::support::roomreel::roomreel;
use crate::support::serve::{Serve, free_port};
use crate::support::{quiet, scratch, until};

/// `roomreel serve`, an endpoint for its events, and a demo room beside it.
pub(super) struct Service {
    pub(super) serve: Serve,
    pub(super) hooks: Hooks,
    demo: SocketAddr,
    _demo: Running,
}

impl Service {
    /// With `more` settings, which begin with a table.
    pub(super) fn start(more: &str) -> Self {
        let demo = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let room = Running::spawn(roomreel().args(["demo", "--listen", &demo.to_string()]));
        until("the demo room", PATIENCE, || std::net::TcpStream::connect(demo).ok());
        let hooks = Hooks::open();
        let config = format!(
            "[net]\nallow = [\"127.0.0.1\"]\n[browser]\nloopback_webrtc = true\n\
             [recording]\njoin_timeout = \"10s\"\njoin_reloads = 1\n\
             [[webhooks.endpoints]]\nname = \"app\"\nurl = \"{}\"\n{more}",
            hooks.url()
        );
        Self { serve: Serve::over(scratch(), &config), hooks, demo, _demo: room }
    }

    fn ask(&self, path: &str, body: Option<&Value>) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-H", "Content-Type: application/json", &self.serve.url(path)]);
        if let Some(body) = body {
            curl.args(["-d", &body.to_string()]);
        }
        let answer = curl.output().unwrap().stdout;
        serde_json::from_slice(&answer).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Where the recorder meets the others in a room of the demo.
    pub(super) fn recorder_link(&self, room: &str) -> String {
        self.link(&format!("/preview/{room}/__internal_recorder?skip_preview=true"))
    }

    fn link(&self, path: &str) -> String {
        format!("http://{}{path}", self.demo)
    }

    fn post_to_demo(&self, path: &str) {
        let url = self.link(path);
        let args = ["-sf", "-H", "Content-Type: application/json", "-d", "{}", &url];
        assert!(Command::new("curl").args(args).output().unwrap().status.success(), "{path}");
    }

    /// Starts recording `room` with `own` fields of the request; the recording's id.
    pub(super) fn record(&self, room: &str, link: &str, own: Value) -> String {
        let mut body = json!({
            "meeting_url": link,
            "resolution": { "width": 500, "height": 480 },
            "fps": 15,
        });
        body.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let started = self.ask(&format!("/v2/recordings/room/{room}/start"), Some(&body));
        started["id"].as_str().unwrap_or_else(|| panic!("{started}")).to_owned()
    }

    pub(super) fn until(&self, id: &str, status: &str) -> Value {
        until(&format!("recording {status}"), PATIENCE, || {
            let recording = self.ask(&format!("/v2/recordings/{id}"), None);
            let over = ["completed", "failed"].contains(&recording["status"].as_str().unwrap());
            let log = self.serve.process.stderr();
            assert!(!over || recording["status"] == status, "{recording}\n{log}");
            (recording["status"] == status).then_some(recording)
        })
    }

    /// Waits until the page of the recording shows so many others.
    pub(super) fn until_people(&self, room: &str, people: u32) {
        until(&format!("{people} people in {room}"), PATIENCE, || {
            let shown = self.ask(&format!("/v2/active-rooms/{room}"), None);
            (shown["session"]["people"] == people).then_some(())
        });
    }

    /// What was told of a room once `last` was: each event's name and why it was.
    pub(super) fn told(&self, room: &str, last: &str) -> Vec<(String, String)> {
        let events = until(&format!("{last} of {room}"), PATIENCE, || {
            let events = self.hooks.of_room(room);
            events.iter().any(|event| event["type"] == last).then_some(events)
        });
        let told = events.iter().map(|event| {
            let data = &event["data"];
            let why = data["reason"].as_str().or(data["error_type"].as_str()).unwrap_or_default();
            (event["type"].as_str().unwrap().to_owned(), why.to_owned())
        });
        told.collect()
    }

    #[track_caller]
    pub(super) fn assert_told(&self, room: &str, expected: &[(&str, &str)]) {
        let told = self.told(room, expected.last().unwrap().0);
        let told: Vec<_> = told.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(told, expected, "{room}");
    }
}

/// A person in `room`, on a runtime that lives as long as they do.
pub(super) fn person(service: &Service, room: &str) -> (tokio::runtime::Runtime, Bots) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let bots = runtime.block_on(Bots::launch(service.demo, room, 1)).unwrap();
    (runtime, bots)
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.serve.process.stderr());
        }
    }
}

pub(super) const STARTED: (&str, &str) = ("beam.started.success", "");
pub(super) const RECORDED: (&str, &str) = ("beam.recording.success", "");

pub(super) fn stopped(reason: &str) -> (&str, &str) {
    ("beam.stopped.success", reason)
}

#[test]
fn each_end_of_a_meeting_is_told_by_its_own_name() {
    let _quiet = quiet();
    let service = Service::start("[presence]\nempty_timeout = \"4s\"\nnobody_timeout = \"90s\"\n");

    // Nobody comes.
    let soon = json!({ "nobody_timeout": 4 });
    let id = service.record("nobody", &service.recorder_link("nobody"), soon);
    let failed = service.until(&id, "failed");
    assert_eq!(failed["error"]["type"], "NOBODY_JOINED", "{failed}");
    assert_eq!(failed["recording_assets"], Value::Null, "{failed}");
    let why = [STARTED, stopped("failure: NOBODY_JOINED"), ("beam.failure", "NOBODY_JOINED")];
    service.assert_told("nobody", &why);

    // All leave.
    let (runtime, ada) = person(&service, "left");
    let id = service.record("left", &service.recorder_link("left"), json!({}));
    service.until(&id, "running");
    service.until_people("left", 1);
    std::thread::sleep(std::time::Duration::from_secs(2));
    runtime.block_on(ada.close());
    service.until(&id, "completed");
    service.assert_told("left", &[STARTED, stopped("last peer left"), RECORDED]);

    // The room ends for all, or for the recorder alone.
    let (runtime, ada) = person(&service, "ended");
    for put_out in [true, false] {
        // One with an ordinary role is listed, and can be put out by its number.
        let bot = service.link("/meeting/ended/guest?skip_preview_headful=true&name=Bot");
        let id = service.record("ended", &bot, json!({ "join": "signal" }));
        service.until(&id, "running");
        service.until_people("ended", 1);
        std::thread::sleep(std::time::Duration::from_secs(2));
        if put_out {
            let url = service.link("/api/rooms/ended");
            let room = Command::new("curl").args(["-sf", &url]).output().unwrap().stdout;
            let room: Value = serde_json::from_slice(&room).unwrap();
            let mut peers = room["peers"].as_array().unwrap().iter();
            let bot = &peers.find(|peer| peer["name"] == "Bot").unwrap()["id"];
            service.post_to_demo(&format!("/api/rooms/ended/peers/{bot}/remove"));
        } else {
            service.post_to_demo("/api/rooms/ended/end");
        }
        service.until(&id, "completed");
    }
    let twice = [STARTED, stopped("room ended"), RECORDED].repeat(2);
    until("both", PATIENCE, || (service.hooks.of_room("ended").len() == 6).then_some(()));
    service.assert_told("ended", &twice);
    runtime.block_on(ada.close());
}
