//! Real recordings of the demo room that end because everybody left: by a rule
//! when the room's webhook says so, and by a backend that follows the guide's chain.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use roomreel::demo::Bots;
use roomreel::job::{Event, StopReason};
use serde_json::{Value, json};

use crate::journal;
use crate::support::judge::{decodes_silently, probe};
use crate::support::process::Running;
use crate::support::roomreel::roomreel;
use crate::support::{by_length, quiet, scratch, until};

const PASSCODE: &str = "correct horse battery staple";

/// `roomreel serve --demo` with rules.
struct Service {
    process: Running,
    api: String,
    demo: String,
    data: tempfile::TempDir,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Service {
    fn start() -> Self {
        let (api, demo, data) = (free_port(), free_port(), scratch());
        let config = data.path().join("roomreel.toml");
        let settings = format!(
            r#"
            [meeting]
            url_template = "http://127.0.0.1:{demo}/preview/{{room_id}}/{{role}}?skip_preview=true"
            [[hooks.senders]]
            name = "demo"
            headers = {{ X-Passcode = "{PASSCODE}" }}
            [automation]
            start_on_join = true
            stop_when_alone = true
            "#
        );
        std::fs::write(&config, settings).unwrap();
        let process = Running::spawn(
            roomreel()
                .args(["serve", "--listen", &format!("127.0.0.1:{api}")])
                .args(["--demo", &format!("127.0.0.1:{demo}"), "--data"])
                .arg(data.path())
                .arg("--config")
                .arg(config)
                .env("ROOMREEL_LOG_FORMAT", "json"),
        );
        let (api, demo) = (format!("http://127.0.0.1:{api}"), format!("127.0.0.1:{demo}"));
        let service = Self { process, api, demo, data };
        until("an answer of the service", Duration::from_secs(30), || {
            service.ask(&["-f", "/health/live"])
        });
        service
    }

    /// What `curl` makes of the arguments, the last of which is a path.
    fn ask(&self, args: &[&str]) -> Option<Value> {
        let (path, args) = args.split_last().unwrap();
        let url = format!("{}{path}", self.api);
        let done = Command::new("curl").arg("-s").args(args).arg(url).output().unwrap();
        done.status.success().then(|| serde_json::from_slice(&done.stdout).unwrap())
    }

    fn get(&self, path: &str) -> Value {
        self.ask(&[path]).unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let passcode = format!("X-Passcode: {PASSCODE}");
        let json = "Content-Type: application/json";
        self.ask(&["-X", "POST", "-H", json, "-H", &passcode, "-d", &body.to_string(), path])
            .unwrap()
    }

    /// Tells, as a meeting software would, what a peer of `room` does now.
    fn tell(&self, room: &str, kind: &str, own: &Value) {
        let mut data = json!({
            "room_id": room, "session_id": "6110bb814b9e1ba5dd3dc85b", "peer_id": "peer-ada",
            "user_name": "Ada", "role": "host",
        });
        data.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let id = uuid::Uuid::new_v4();
        let event = json!({ "version": "2.0", "id": id, "type": kind, "data": data });
        assert_eq!(self.post("/v2/hooks/room", &event), json!({ "result": "taken" }));
    }

    fn until(&self, id: &str, status: &str) -> Value {
        until(&format!("recording {status}"), Duration::from_secs(90), || {
            let recording = self.get(&format!("/v2/recordings/{id}"));
            assert_ne!(recording["status"], "failed", "{recording}\n{}", self.process.stderr());
            (recording["status"] == status).then_some(recording)
        })
    }

    /// Checks the finished file of a recording that ended for `reason`; its seconds.
    fn finished(&self, recording: &Value, reason: StopReason) -> f64 {
        let id = recording["id"].as_str().unwrap();
        let journal = self.data.path().join("recordings").join(id).join("journal.jsonl");
        let told = journal::read(&journal).into_iter().find_map(|event| match event {
            Event::Stopped { reason, .. } => Some(reason),
            _ => None,
        });
        assert_eq!(told, Some(reason));
        let path = recording["recording_assets"][0]["path"].as_str().unwrap();
        let file = Path::new(path.strip_prefix("file://").unwrap());
        assert_eq!(decodes_silently(file), Ok(()));
        probe(file).duration
    }
}

/// A bot in `room`, on a runtime that lives as long as it does.
fn bot(service: &Service, room: &str) -> (tokio::runtime::Runtime, Bots) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let address = service.demo.parse().unwrap();
    let bots = runtime.block_on(Bots::launch(address, room, 1)).unwrap();
    (runtime, bots)
}

fn seconds_between(from: &Value, to: &Value) -> f64 {
    let time = |value: &Value| -> chrono::DateTime<chrono::Utc> {
        value.as_str().unwrap().parse().unwrap()
    };
    (time(to) - time(from)).as_seconds_f64()
}

#[test]
fn a_room_records_itself_and_is_finished_when_the_last_one_has_left() {
    let _quiet = quiet();
    let service = Service::start();

    // The room's webhooks start and stop it.
    let (runtime, ada) = bot(&service, "standup");
    service.tell("standup", "session.open.success", &json!({}));
    let joined_at = chrono::Utc::now();
    service.tell("standup", "peer.join.success", &json!({ "joined_at": joined_at }));
    let recording = until("a recording", Duration::from_secs(10), || {
        service.get("/v2/recordings?room_id=standup")["data"][0].as_object().cloned()
    });
    assert_eq!(recording["session_id"], "6110bb814b9e1ba5dd3dc85b");
    let id = recording["id"].as_str().unwrap();
    service.until(id, "running");
    std::thread::sleep(Duration::from_secs(4));
    runtime.block_on(ada.close());
    let (left_at, left) = (chrono::Utc::now(), Instant::now());
    let leave = json!({ "joined_at": joined_at, "left_at": left_at, "reason": "client request" });
    service.tell("standup", "peer.leave.success", &leave);
    let recording = service.until(id, "completed");
    let took = left.elapsed();
    eprintln!("from the last peer.leave.success to the finished file: {took:.2?}");
    // A neighbour's build must not fail an ordinary run.
    assert!(took < by_length(Duration::from_secs(20), Duration::from_secs(3)), "{took:?}");
    let duration = service.finished(&recording, StopReason::LastPeerLeft);
    let meeting = seconds_between(&recording["started_at"], &json!(left_at));
    assert!(duration > 3.0, "{duration} s");
    let tail = duration - meeting;
    eprintln!("recorded after the last one had left: {tail:.2} s");
    assert!(tail < by_length(10.0, 2.0), "{tail} s of an empty room");

    // Each line of the log is JSON, and those of a recording name it and its room.
    let log = service.process.stderr();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let joined = lines.iter().find(|line| line["message"] == "joined").expect(&log);
    assert_eq!((&joined["id"], &joined["span"]["room_id"]), (&json!(id), &json!("standup")));

    // What is handed to others has the whole story, and no token.
    let report =
        roomreel().args(["bug-report", id, "--data"]).arg(service.data.path()).output().unwrap();
    let report = String::from_utf8(report.stdout).unwrap();
    for part in [id, "LastPeerLeft", "\"event\":\"joined\"", "# Log of the recorder", "kernel: "] {
        assert!(report.contains(part), "{part} is missing: {report}");
    }
    assert!(!report.contains("skip_preview=true"), "{report}");

    // Nobody tells of this room: a backend asks who is in it.
    let (runtime, ada) = bot(&service, "chain");
    let recording = service.post("/v2/recordings/room/chain/start", &json!({}));
    let id = recording["id"].as_str().unwrap();
    service.until(id, "running");
    let roles = |people: u32| {
        until(&format!("{people} people in the room"), Duration::from_secs(30), || {
            let room = service.ask(&["-f", "/v2/active-rooms/chain"])?;
            (room["session"]["people"] == people).then(|| {
                assert_eq!(room["session"]["id"], recording["session_id"]);
                let peers = service.get("/v2/active-rooms/chain/peers")["peers"].clone();
                let roles = peers.as_object().unwrap().values();
                roles.map(|peer| peer["role"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            })
        })
    };
    let mut both = roles(1);
    both.sort();
    assert_eq!(both, ["", "__internal_recorder"]);
    std::thread::sleep(Duration::from_secs(1));
    runtime.block_on(ada.close());
    assert_eq!(roles(0), ["__internal_recorder"]);
    let page = service.post("/v2/recordings/room/chain/stop", &json!({}));
    assert_eq!(page["data"][0]["id"], id, "{page}");
    let recording = service.until(id, "completed");
    service.finished(&recording, StopReason::ClientRequest);
    // It is over for whoever asks now.
    let nothing = service.get("/v2/active-rooms/chain");
    assert_eq!(nothing["code"], 404, "{nothing}");
}
