//! A real recording whose bucket goes away, twice, while the service is killed, twice; and a
//! machine that is lost for good.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use roomreel::job::Event;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use crate::journal;
use crate::support::hooks::Hooks;
use crate::support::judge::{boxes, decodes_silently};
use crate::support::middle::Middle;
use crate::support::pages::{Pages, own_pages};
use crate::support::process::Running;
use crate::support::roomreel::roomreel;
use crate::support::stores::{S3, free_port};
use crate::support::{by_length, quiet, scratch, until};

pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// `roomreel serve` over one directory, started as often as it takes.
pub(super) struct Service {
    dir: tempfile::TempDir,
    port: u16,
    environment: Vec<(&'static str, &'static str)>,
    process: Option<Running>,
}

impl Service {
    /// Recordings go to the store by way of `middle`, in parts of 5 MiB from the first MiB on.
    fn start(store: &S3, middle: &Middle, hooks: &Hooks) -> Self {
        let table = store.table("main", "").replace(&store.endpoint(), &middle.url());
        Self::with(&table, hooks, Vec::new())
    }

    /// Over one destination, with more in its environment.
    pub(super) fn with(
        table: &str,
        hooks: &Hooks,
        environment: Vec<(&'static str, &'static str)>,
    ) -> Self {
        let (dir, port) = (scratch(), free_port());
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\n[data]\ndir = \"{}\"\n\
             [net]\nallow = [\"127.0.0.1\"]\n[storage]\nahead_mib = 1\n{table}\n\
             [[webhooks.endpoints]]\nname = \"app\"\nurl = \"{}\"\n",
            dir.path().join("data").display(),
            hooks.url()
        );
        std::fs::write(dir.path().join("roomreel.toml"), config).unwrap();
        let mut service = Self { dir, port, environment, process: None };
        service.open();
        service
    }

    fn open(&mut self) {
        let config = self.dir.path().join("roomreel.toml");
        let mut command = roomreel();
        command.args(["serve", "--config"]).arg(config).envs(self.environment.iter().copied());
        self.process = Some(Running::spawn(&mut command));
        until("an answer of the service", PATIENCE, || self.ask("GET", "/health/live", None));
    }

    /// Kills the service alone; its recorders go on.
    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(Signal::KILL);
            // Dropped as it is, it would take its descendants along.
            std::mem::forget(process);
        }
        until("the end of the service", PATIENCE, || {
            std::net::TcpListener::bind(("127.0.0.1", self.port)).ok()
        });
    }

    pub(super) fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut curl = Command::new("curl");
        curl.args(["-s", "-X", method, "-H", "Content-Type: application/json", &url]);
        if let Some(body) = body {
            curl.args(["-d", &body.to_string()]);
        }
        serde_json::from_slice(&curl.output().unwrap().stdout).ok()
    }

    /// What `/metrics` says is still to be uploaded.
    fn backlog(&self) -> u64 {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        let text = Command::new("curl").args(["-s", &url]).output().unwrap().stdout;
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix("roomreel_upload_backlog_bytes "));
        value.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    }

    pub(super) fn record(&self, page: &str) -> String {
        let body = json!({ "meeting_url": page, "join": "load" });
        let started = self.ask("POST", "/v2/recordings/room/a/start", Some(body)).unwrap();
        started["id"].as_str().unwrap_or_else(|| panic!("{started}")).to_owned()
    }

    pub(super) fn until(&self, id: &str, status: &str) -> Value {
        until(&format!("recording {status}"), PATIENCE, || {
            let recording = self.ask("GET", &format!("/v2/recordings/{id}"), None)?;
            assert_ne!(recording["status"], "failed", "{recording}");
            (recording["status"] == status).then_some(recording)
        })
    }

    pub(super) fn directory(&self, id: &str) -> PathBuf {
        self.dir.path().join("data/recordings").join(id)
    }

    /// The recorder and its browser.
    pub(super) fn recorder(&self, id: &str) -> Vec<Pid> {
        let events = journal::read(&self.directory(id).join("journal.jsonl"));
        let pids = events.iter().filter_map(|event| match event {
            Event::Started { pid, .. } | Event::Browser { pid, .. } => Some(pid.cast_signed()),
            _ => None,
        });
        pids.filter_map(Pid::from_raw).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Recorders of a service that was killed are nobody's descendants.
        let entries = std::fs::read_dir(self.dir.path().join("data/recordings"));
        for entry in entries.into_iter().flatten().flatten() {
            for pid in self.recorder(&entry.file_name().to_string_lossy()) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
        }
    }
}

fn part(middle: &Middle, number: usize) -> usize {
    middle.count(&["PUT", &format!("partNumber={number}&")])
}

fn until_part(middle: &Middle, number: usize) {
    until(&format!("part {number}"), PATIENCE, || (part(middle, number) > 0).then_some(()));
}

#[test]
fn a_bucket_that_is_away_twice_gets_the_whole_recording_once() {
    let _quiet = quiet();
    let away = by_length(Duration::from_secs(4), Duration::from_secs(180));
    let (store, pages, hooks) = (S3::swift(), Pages::over(vec![own_pages()]), Hooks::open());
    let mut middle = Middle::before(store.port);
    let mut service = Service::start(&store, &middle, &hooks);
    let id = service.record(&pages.url("noise.html"));

    // Parts go up while it records; the bucket goes away, and the service with it.
    until_part(&middle, 2);
    middle.close();
    std::thread::sleep(away / 2);
    service.kill();
    service.open();
    std::thread::sleep(away / 2);
    middle.open();
    until_part(&middle, 3);

    // The same at its end.
    middle.close();
    service.ask("POST", "/v2/recordings/room/a/stop", Some(json!({}))).unwrap();
    service.until(&id, "post_processing");
    let (file, bytes) = until("the finished file", PATIENCE, || {
        let entries = std::fs::read_dir(service.directory(&id)).unwrap().flatten();
        let mut files = entries.map(|entry| entry.path());
        let file = files.find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("Rec-") && name.ends_with(".mp4")
        })?;
        let bytes = std::fs::read(&file).ok()?;
        Some((file, bytes))
    });
    std::thread::sleep(away / 2);
    service.kill();
    service.open();
    std::thread::sleep(away / 2);
    assert_eq!(service.until(&id, "post_processing")["recording_assets"], Value::Null);
    // What the bucket lacks is told: not all of the file, and not nothing.
    let backlog = until("a backlog", PATIENCE, || Some(service.backlog()).filter(|b| *b > 0));
    assert!(backlog < bytes.len() as u64, "{backlog} of {}", bytes.len());
    middle.open();
    let done = service.until(&id, "completed");
    assert_eq!(service.backlog(), 0);

    // Once, whole, and as it was on disk.
    let asset = &done["recording_assets"][0];
    let path = asset["path"].as_str().unwrap();
    let keys = store.keys();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(path, format!("s3://recordings/{}", keys[0]));
    let (found, media_type) = store.read(&keys[0]);
    assert_eq!(
        (found.len() as u64, media_type.as_str()),
        (asset["size"].as_u64().unwrap(), "video/mp4")
    );
    assert!(found == bytes);
    assert_eq!(store.ask("uploads", &[]).as_deref(), Ok("0"));
    until("room on the disk", PATIENCE, || (!file.exists()).then_some(()));
    // The head, which its reserve of 8 MiB makes longer than a part, went up twice: for whoever
    // loses the machine and for good. What is behind it went up once.
    assert_eq!((part(&middle, 1), part(&middle, 2), part(&middle, 3)), (2, 2, 1));

    let copy = scratch();
    let copy = copy.path().join("read-back.mp4");
    std::fs::write(&copy, &found).unwrap();
    assert_eq!(decodes_silently(&copy), Ok(()));
    assert!(boxes::is_fast_start(&copy));

    // Who was told can fetch it.
    let told = hooks.until("beam.recording.success");
    let link = told["data"]["recording_presigned_url"].as_str().unwrap().to_owned();
    let film = Command::new("curl").args(["-sf", &link]).output().unwrap().stdout;
    assert!(film == bytes, "{link}");
    assert_eq!(hooks.count("beam.recording.success"), 1);
    assert_eq!(hooks.count("beam.failure"), 0);
}

#[test]
fn a_lost_machine_has_left_its_parts_behind() {
    let _quiet = quiet();
    let (store, pages, hooks) = (S3::swift(), Pages::over(vec![own_pages()]), Hooks::open());
    let middle = Middle::before(store.port);
    let mut service = Service::start(&store, &middle, &hooks);
    let id = service.record(&pages.url("noise.html"));
    until_part(&middle, 3);
    let lost = service.recorder(&id);
    service.kill();
    for pid in lost {
        let _ = kill_process(pid, Signal::KILL);
        let _ = kill_process_group(pid, Signal::KILL);
    }
    // An operator makes an object of what is there.
    let key = store.ask("complete", &[]).unwrap();
    let (bytes, _) = store.read(&key);
    assert!(bytes.len() >= (3 * 5) << 20, "{}", bytes.len());
    let copy = scratch();
    let copy = copy.path().join("left.mp4");
    std::fs::write(&copy, bytes).unwrap();
    // The last fragment may be torn: what plays before it counts.
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "quiet", "-i"]).arg(&copy).args(["-map", "0:v", "-f", "framemd5", "-"]);
    let told = String::from_utf8(ffmpeg.output().unwrap().stdout).unwrap();
    let frames = told.lines().filter(|line| !line.starts_with('#')).count();
    assert!(told.contains("#dimensions 0: 1280x720"), "{told}");
    assert!(frames >= 60, "{frames} frames");
}
