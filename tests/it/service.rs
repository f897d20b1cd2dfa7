//! The whole service with real recorders: rooms of the bundled demo, recorded by
//! way of the API.

mod dashboard;
mod killed;
mod sigterm;
mod soak;
mod told;
mod verdicts;
mod watched;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use roomreel::demo::Bots;
use roomreel::job::Event;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::journal;
use crate::support::judge::{boxes, decodes_silently, keyframe_gaps, pictures, probe, sound};
use crate::support::pages::{Pages, own_pages};
use crate::support::process::Running;
use crate::support::roomreel::roomreel;
use crate::support::{quiet, scratch, until};

/// `roomreel serve --demo` on free ports.
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
        Self::over(scratch())
    }

    /// The same over what another one left.
    fn over(data: tempfile::TempDir) -> Self {
        Self::with(data, free_port(), |_| {})
    }

    /// The same with the demo on a known port, and settings in `roomreel.toml` if
    /// `prepare` writes that into the data directory.
    fn with(data: tempfile::TempDir, demo: u16, prepare: impl FnOnce(&Path)) -> Self {
        prepare(data.path());
        let api = free_port();
        let mut command = roomreel();
        command.args(["serve", "--listen", &format!("127.0.0.1:{api}")]);
        // Beside the demo, tests record pages of their own.
        command.args(["--allow-net", "127.0.0.0/8"]);
        command.args(["--demo", &format!("127.0.0.1:{demo}"), "--data"]).arg(data.path());
        let settings = data.path().join("roomreel.toml");
        if settings.exists() {
            command.arg("--config").arg(settings);
        }
        let process = Running::spawn(&mut command);
        let service = Self {
            process,
            api: format!("http://127.0.0.1:{api}"),
            demo: format!("127.0.0.1:{demo}"),
            data,
        };
        until("an answer of the service", Duration::from_secs(30), || {
            curl(&["-sf", &format!("{}/health/live", service.api)]).map(|_| ())
        });
        service
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = curl(&[
            "-s",
            "-X",
            "POST",
            "-H",
            "Content-Type: application/json",
            "-d",
            &body.to_string(),
            &format!("{}{path}", self.api),
        ]);
        serde_json::from_str(&answer.unwrap()).unwrap()
    }

    fn get(&self, path: &str) -> Value {
        serde_json::from_str(&curl(&["-s", &format!("{}{path}", self.api)]).unwrap()).unwrap()
    }

    /// What the demo says of one of its rooms.
    fn demo_room(&self, room: &str) -> Value {
        let url = format!("http://{}/api/rooms/{room}", self.demo);
        serde_json::from_str(&curl(&["-s", &url]).unwrap()).unwrap()
    }

    fn recorder_link(&self, room: &str) -> String {
        format!("http://{}/preview/{room}/__internal_recorder?skip_preview=true", self.demo)
    }

    fn start_recording(&self, room: &str, width: u32, height: u32) -> String {
        self.start_with(room, json!({ "resolution": { "width": width, "height": height } }))
    }

    /// Starts it with `own` fields of the request.
    fn start_with(&self, room: &str, own: Value) -> String {
        let path = format!("/v2/recordings/room/{room}/start");
        let mut body = json!({ "meeting_url": self.recorder_link(room) });
        body.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let recording = self.post(&path, &body);
        assert_eq!(recording["status"], "starting", "{recording}");
        recording["id"].as_str().unwrap().to_owned()
    }

    fn until(&self, id: &str, status: &str) -> Value {
        until(&format!("recording {status}"), Duration::from_secs(90), || {
            let recording = self.get(&format!("/v2/recordings/{id}"));
            assert_ne!(recording["status"], "failed", "{recording}\n{}", self.process.stderr());
            (recording["status"] == status).then_some(recording)
        })
    }

    /// The finished file of a completed recording.
    fn file(&self, recording: &Value) -> std::path::PathBuf {
        let asset = &recording["recording_assets"][0];
        assert_eq!(asset["type"], "room-composite", "{recording}");
        let path = asset["path"].as_str().unwrap().strip_prefix("file://").unwrap();
        assert_eq!(asset["size"], std::fs::metadata(path).unwrap().len());
        path.into()
    }
}

fn curl(args: &[&str]) -> Option<String> {
    let done = Command::new("curl").args(args).output().unwrap();
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
}

/// Bots in `room`, on a runtime that lives as long as they do.
fn bots(service: &Service, room: &str, count: usize) -> (tokio::runtime::Runtime, Bots) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let address = service.demo.parse().unwrap();
    let bots = runtime.block_on(Bots::launch(address, room, count)).unwrap();
    (runtime, bots)
}

#[track_caller]
fn assert_shows_and_sounds(file: &Path, width: u32, height: u32) {
    assert_eq!(decodes_silently(file), Ok(()));
    assert!(boxes::is_fast_start(file));
    let video = probe(file).video.unwrap();
    assert_eq!((video.width, video.height), (width, height));
    let heard = sound::dbfs(&sound::pcm(file));
    assert!(heard > -50.0, "{heard} dBFS");
    let frames = pictures::seen(file, "iw:ih:0:0", 64, 36);
    let (first, last) = (&frames[frames.len() / 2].luma, &frames[frames.len() - 1].luma);
    let changed = first.iter().zip(last).filter(|(a, b)| a.abs_diff(**b) > 8).count();
    assert!(changed > 0, "nothing moves in {}", file.display());
}

#[test]
fn a_room_with_four_people_is_recorded_by_the_api_in_both_sizes() {
    let _quiet = quiet();
    let service = Service::start();
    let (runtime, bots) = bots(&service, "demo", 4);
    let preset = json!({
        "preset": "1080p30", "fps": 25, "bitrate": 1200, "keyframe_interval": 1,
        "audio_bitrate": 64,
    });
    let size = json!({ "resolution": { "width": 1280, "height": 720 } });
    for (own, width, height, fps) in [(size, 1280, 720, 30), (preset, 1920, 1080, 25)] {
        let id = service.start_with("demo", own);
        let again = service.post(
            "/v2/recordings/room/demo/start",
            &json!({"meeting_url": service.recorder_link("demo")}),
        );
        assert_eq!(
            (&again["code"], &again["message"]),
            (&json!(409), &json!("beam already started"))
        );
        service.until(&id, "running");
        std::thread::sleep(Duration::from_secs(5));
        let page = service.post("/v2/recordings/room/demo/stop", &json!({}));
        assert_eq!(page["data"][0]["id"], json!(id), "{page}");
        let recording = service.until(&id, "completed");
        let file = service.file(&recording);
        assert_shows_and_sounds(&file, width, height);
        let (video, audio) = (probe(&file).video.unwrap(), probe(&file).audio.unwrap());
        assert_eq!(video.avg_frame_rate, format!("{fps}/1"));
        if fps == 25 {
            let gaps = keyframe_gaps(&file);
            assert!(
                gaps.len() >= 4 && gaps.iter().all(|gap| (gap - 1.0).abs() < 0.001),
                "{gaps:?}"
            );
            // Half as much again for two seconds is what a burst may take.
            let most = 1_200_000.0 * 1.5 * (video.duration + 2.0) / video.duration;
            assert!((video.bit_rate as f64) < most, "{video:?}");
            assert!((40_000..72_000).contains(&audio.bit_rate), "{audio:?}");
        } else {
            assert!((80_000..140_000).contains(&audio.bit_rate), "{audio:?}");
        }
    }
    let none = service.post("/v2/recordings/room/demo/stop", &json!({}));
    assert_eq!((&none["code"], &none["message"]), (&json!(404), &json!("beam not found")));
    runtime.block_on(bots.close());
}

#[test]
fn two_rooms_are_recorded_at_the_same_time() {
    let _quiet = quiet();
    let service = Service::start();
    let (one_runtime, one) = bots(&service, "one", 1);
    let (two_runtime, two) = bots(&service, "two", 1);
    let ids = ["one", "two"].map(|room| service.start_recording(room, 1280, 720));
    for id in &ids {
        service.until(id, "running");
    }
    std::thread::sleep(Duration::from_secs(5));
    for room in ["one", "two"] {
        service.post(&format!("/v2/recordings/room/{room}/stop"), &json!({}));
    }
    for id in &ids {
        let recording = service.until(id, "completed");
        assert_shows_and_sounds(&service.file(&recording), 1280, 720);
    }
    one_runtime.block_on(one.close());
    two_runtime.block_on(two.close());
}

#[test]
fn a_meeting_that_cannot_be_joined_fails_and_says_why() {
    let _quiet = quiet();
    let service = Service::start();
    let path = "/v2/recordings/room/nowhere/start";
    let link = format!("http://127.0.0.1:{}/?auth_token=s3cret", free_port());
    let recording = service.post(path, &json!({"meeting_url": link}));
    let id = recording["id"].as_str().unwrap().to_owned();
    let failed = until("a failed recording", Duration::from_secs(90), || {
        let recording = service.get(&format!("/v2/recordings/{id}"));
        (recording["status"] == "failed").then_some(recording)
    });
    assert_eq!(failed["recording_assets"], Value::Null, "{failed}");
    assert_eq!(failed["error"]["type"], "MAX_RETRIES_REACHED", "{failed}");
    assert!(!service.process.stderr().contains("s3cret"), "{}", service.process.stderr());
    // Nothing that looks like a recording is left behind.
    let dir = service.data.path().join("recordings").join(&id);
    let files = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    let films: Vec<_> = files.filter(|name| name.to_string_lossy().ends_with(".mp4")).collect();
    assert!(films.is_empty(), "{films:?}");
}

#[test]
fn a_service_killed_while_it_records_brings_the_recording_to_its_end() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let service = Service::start();
    let body = json!({ "meeting_url": pages.url("barcode.html"), "join": "load" });
    let recording = service.post("/v2/recordings/room/a/start", &body);
    let id = recording["id"].as_str().unwrap().to_owned();
    service.until(&id, "running");
    service.process.signal(Signal::KILL);
    let Service { process, data, .. } = service;
    process.wait(Duration::from_secs(30));

    let service = Service::over(data);
    assert_eq!(service.until(&id, "running")["room_id"], "a");
    std::thread::sleep(Duration::from_secs(3));
    let stopped = service.post("/v2/recordings/room/a/stop", &json!({}));
    assert_eq!(stopped["data"][0]["id"], id, "{stopped}");
    let done = service.until(&id, "completed");
    let file = service.file(&done);
    assert_eq!(decodes_silently(&file), Ok(()));
    assert!(probe(&file).duration >= 3.0);
}

#[test]
fn what_a_killed_recorder_recorded_is_kept_and_called_a_failure() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let service = Service::start();
    let body = json!({ "meeting_url": pages.url("barcode.html"), "join": "load" });
    let recording = service.post("/v2/recordings/room/a/start", &body);
    let id = recording["id"].as_str().unwrap().to_owned();
    let log = service.data.path().join("recordings").join(&id).join("journal.jsonl");
    let long = |e: &Event| matches!(e, Event::Stats(stats) if stats.elapsed_s >= 2.0);
    until("two seconds of file", Duration::from_secs(60), || {
        (log.exists() && journal::read(&log).iter().any(long)).then_some(())
    });
    let recorder = journal::read(&log).into_iter().find_map(|event| match event {
        Event::Started { pid, .. } => Pid::from_raw(pid.cast_signed()),
        _ => None,
    });
    kill_process(recorder.unwrap(), Signal::KILL).unwrap();
    let failed = until("the failure", Duration::from_secs(60), || {
        let recording = service.get(&format!("/v2/recordings/{id}"));
        (recording["status"] == "failed").then_some(recording)
    });
    assert_eq!(failed["error"]["type"], "INTERNAL_ERROR", "{failed}");
    assert_eq!(failed["recording_assets"][0]["status"], "failed", "{failed}");
    let file = service.file(&failed);
    assert_eq!(decodes_silently(&file), Ok(()));
    assert!(probe(&file).duration >= 1.0);
    // The room is free again.
    let next = service.post("/v2/recordings/room/a/start", &body);
    assert_eq!(next["status"], "starting", "{next}");
}
