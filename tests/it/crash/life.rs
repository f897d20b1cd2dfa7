//! One life of a recording: started, paused, resumed and stopped by a caller that
//! does not give up when the service is gone, but starts it again.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use roomreel::job::Event;
use serde_json::{Value, json};

use super::receiver::Receiver;
use crate::journal;
use crate::support::process::Running;
use crate::support::scratch;

/// What a process of these tests is: `service` or `recorder`.
pub(super) const ROLE: &str = "CRASH_ROLE";
/// For a service: where everything of the life is.
pub(super) const DATA: &str = "CRASH_DATA";
/// For a service: the address it listens on.
pub(super) const LISTEN: &str = "CRASH_LISTEN";
/// For a service: its recorder.
pub(super) const PROGRAM: &str = "CRASH_PROGRAM";
/// For a service: whom it tells.
pub(super) const RECEIVER: &str = "CRASH_RECEIVER";
/// For a service: `before` or `after` and the call it dies at.
pub(super) const CALL: &str = "CRASH_CALL";
/// For a recorder: `service` or `both` and the step it kills them at.
pub(super) const STEP: &str = "CRASH_STEP";
/// For a recorder: its directory.
pub(super) const DIR: &str = "CRASH_DIR";
/// For a recorder: `--salvage`, or nothing.
pub(super) const TASK: &str = "CRASH_TASK";

/// Ends a test that waits for what never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the service is killed.
#[derive(Debug, Clone)]
pub(super) enum Kill {
    /// At a call to the store, named as the tripwire names it.
    Call { call: String, before: bool },
    /// At a step of the recorder, perhaps together with it.
    Step { point: &'static str, both: bool },
    /// While the receiver holds so manieth post.
    Post(usize),
}

/// A life, and the kills in it, each in the process that comes after the one before.
pub(super) struct Life {
    kills: Vec<Kill>,
    /// The page, for a real recorder.
    page: Option<String>,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) status: String,
    /// Names of events, each once, in the order in which they first came.
    pub(super) events: Vec<String>,
    /// Calls of all its services.
    pub(super) calls: Vec<String>,
}

impl Story {
    /// True if it ended so, and told just this, in this order.
    pub(super) fn tells(&self, status: &str, events: &[&str]) -> bool {
        self.status == status && self.events == events
    }
}

impl Life {
    pub(super) fn scripted(kills: Vec<Kill>) -> Self {
        Self { kills, page: None }
    }

    pub(super) fn real(page: &str, kills: Vec<Kill>) -> Self {
        Self { kills, page: Some(page.to_owned()) }
    }

    pub(super) fn name(&self) -> String {
        format!("killed at {:?}", self.kills)
    }

    /// Lives it; `events` is how many are to be told in the end.
    pub(super) async fn live(self, events: usize) -> Story {
        let real = self.page.is_some();
        let mut caller = Caller::begin(self).await;
        let id = caller.start().await;
        caller.until(&id, |r| r["status"] != "starting").await;
        caller.act("pause").await;
        caller.until(&id, |r| r["paused"] == true).await;
        caller.until_told(&id, |e| matches!(e, Event::Paused { .. })).await;
        caller.act("resume").await;
        caller.until_told(&id, |e| matches!(e, Event::Resumed { .. })).await;
        if real {
            // With less than a second in its file it would have failed.
            caller.until_told(&id, |e| matches!(e, Event::Stats(s) if s.elapsed_s >= 1.5)).await;
        }
        caller.act("stop").await;
        let done = caller.until(&id, |_| false).await;
        caller.until_delivered(events).await;
        caller.end(&done).await
    }
}

/// Who asks, and starts the service whenever it is gone.
struct Caller {
    dir: tempfile::TempDir,
    kills: std::vec::IntoIter<Kill>,
    /// Kills that have not come yet.
    left: usize,
    program: PathBuf,
    page: String,
    receiver: Receiver,
    told: String,
    service: Running,
    api: String,
    client: reqwest::Client,
}

impl Caller {
    async fn begin(life: Life) -> Self {
        let posts = life.kills.iter().filter_map(|kill| match kill {
            Kill::Post(post) => Some(*post),
            _ => None,
        });
        let (receiver, told) = Receiver::open(posts.collect()).await;
        let dir = scratch();
        let (program, page) = match life.page {
            Some(page) => (env!("CARGO_BIN_EXE_roomreel").into(), page),
            None => (script(dir.path()), "https://meet.example/".to_owned()),
        };
        let left = life.kills.len();
        let mut kills = life.kills.into_iter();
        let (service, api) = serve(dir.path(), &program, &told, kills.next().as_ref());
        receiver.watch(service.pid());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut caller =
            Self { dir, kills, left, program, page, receiver, told, service, api, client };
        caller.get("/health/live").await;
        caller
    }

    /// One request; `None` if the service is gone or not there yet.
    async fn ask(&self, method: reqwest::Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.client.request(method, format!("{}{path}", self.api));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_str(&answer.text().await.ok()?).ok()?))
    }

    /// Starts the service again if it was killed.
    async fn revive(&mut self) {
        let Some(status) = self.service.ended() else {
            return tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(status.signal(), Some(9), "{status}: {}", self.service.stderr());
        self.left = self.left.checked_sub(1).expect("a death that nobody wanted");
        let next = self.kills.next();
        (self.service, self.api) = serve(self.dir.path(), &self.program, &self.told, next.as_ref());
        self.receiver.watch(self.service.pid());
    }

    async fn get(&mut self, path: &str) -> Value {
        let begun = Instant::now();
        loop {
            match self.ask(reqwest::Method::GET, path, &Value::Null).await {
                Some((200, value)) => return value,
                Some((status, value)) => panic!("{path}: {status} {value}"),
                None => self.revive().await,
            }
            assert!(begun.elapsed() < PATIENCE, "no answer to {path}: {}", self.service.stderr());
        }
    }

    /// Starts it once, however often it has to be asked for.
    async fn start(&mut self) -> String {
        let body = json!({ "meeting_url": self.page, "join": "load" });
        loop {
            let known = self.get("/v2/recordings").await;
            if let Some(recording) = known["data"].get(0) {
                return recording["id"].as_str().unwrap().to_owned();
            }
            let path = "/v2/recordings/room/a/start";
            if let Some(told) = self.ask(reqwest::Method::POST, path, &body).await {
                assert_eq!(told.0, 200, "{told:?}");
            }
        }
    }

    /// Gives an order that may be given twice; a recording that is over takes none.
    async fn act(&mut self, order: &str) {
        let path = format!("/v2/recordings/room/a/{order}");
        loop {
            match self.ask(reqwest::Method::POST, &path, &json!({})).await {
                Some((200 | 404, _)) => return,
                Some(other) => panic!("{order}: {other:?}"),
                None => self.revive().await,
            }
        }
    }

    /// Waits for the recording to be so, or to be over.
    async fn until(&mut self, id: &str, so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let recording = self.get(&format!("/v2/recordings/{id}")).await;
            if so(&recording) || ["completed", "failed"].iter().any(|s| recording["status"] == *s) {
                return recording;
            }
            assert!(begun.elapsed() < PATIENCE, "{recording}\n{}", self.service.stderr());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits for the recorder to have told it, or for the recording to be over.
    async fn until_told(&mut self, id: &str, so: impl Fn(&Event) -> bool) {
        let path = self.dir.path().join("data/recordings").join(id).join("journal.jsonl");
        self.until(id, |_| journal::read(&path).iter().any(&so)).await;
    }

    /// Waits until so many events were delivered, none is left, and every kill
    /// has come.
    async fn until_delivered(&mut self, events: usize) {
        let begun = Instant::now();
        loop {
            let pending = self.get("/v2/analytics/webhooks?status=pending").await;
            let taken = self.get("/v2/analytics/webhooks?status=success").await;
            let count = |page: &Value| page["events"].as_array().unwrap().len();
            let killed = self.left == 0 && self.service.ended().is_none();
            if count(&pending) == 0 && count(&taken) == events && killed {
                return;
            }
            let told = self.receiver.posted();
            assert!(
                begun.elapsed() < PATIENCE,
                "{pending}\n{taken}\n{told:#?}\n{}",
                self.service.stderr()
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    async fn end(mut self, recording: &Value) -> Story {
        // Nothing is left half done, and nothing was done twice.
        let all = self.get("/v2/recordings").await;
        assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all}");
        let posted = self.receiver.posted();
        let mut events: Vec<(String, &Value)> = Vec::new();
        for body in &posted {
            let name = body["type"].as_str().unwrap();
            match events.iter().find(|(known, _)| known == name) {
                // A repeat is the same event.
                Some((_, first)) => {
                    assert_eq!(first["id"], body["id"], "{posted:#?}");
                    assert_eq!(first["timestamp"], body["timestamp"], "{posted:#?}");
                }
                None => events.push((name.to_owned(), body)),
            }
            assert_eq!(body["data"]["beam_id"], posted[0]["data"]["beam_id"], "{posted:#?}");
            // The contract's event of the file does not have it.
            if name != "beam.recording.success" {
                assert_eq!(body["data"]["job_id"], recording["id"], "{posted:#?}");
            }
        }
        for asset in recording["recording_assets"].as_array().into_iter().flatten() {
            let path = asset["path"].as_str().unwrap().strip_prefix("file://").unwrap();
            assert_eq!(asset["size"], std::fs::metadata(path).unwrap().len(), "{recording}");
        }
        let kept = recording["recording_assets"].as_array().map_or(0, Vec::len);
        let begun = events.iter().any(|(name, _)| name == "beam.started.success");
        assert_eq!(kept, usize::from(begun), "{recording}");
        let calls = std::fs::read_to_string(self.dir.path().join("calls")).unwrap();
        Story {
            status: recording["status"].as_str().unwrap().to_owned(),
            events: events.into_iter().map(|(name, _)| name).collect(),
            calls: calls.lines().map(str::to_owned).collect(),
        }
    }
}

/// This binary as a process of `role`.
fn again(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::the_processes_of_these_tests", "--nocapture"]);
    command.env(ROLE, role);
    command
}

fn serve(dir: &Path, program: &Path, told: &str, kill: Option<&Kill>) -> (Running, String) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let mut command = again("service");
    command.env(DATA, dir).env(LISTEN, &listen).env(PROGRAM, program).env(RECEIVER, told);
    match kill {
        Some(Kill::Call { call, before }) => {
            let when = if *before { "before" } else { "after" };
            command.env(CALL, format!("{when} {call}"));
        }
        Some(Kill::Step { point, both }) => {
            let who = if *both { "both" } else { "service" };
            command.env(STEP, format!("{who} {point}"));
        }
        Some(Kill::Post(_)) | None => {}
    }
    (Running::spawn(&mut command), format!("http://{listen}"))
}

/// `SCRIPT recorder --dir DIR [--salvage]` is this binary as a recorder.
fn script(dir: &Path) -> PathBuf {
    let path = dir.join("recorder.sh");
    let program = std::env::current_exe().unwrap();
    let text = format!(
        "#!/bin/bash\n{ROLE}=recorder {DIR}=\"$3\" {TASK}=\"$4\" exec {program:?} \
         --exact crash::the_processes_of_these_tests --nocapture\n"
    );
    // Written by another process: a descriptor of ours, inherited by a fork in
    // another test, would make the script busy.
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut install.stdin.take().unwrap(), text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
    path
}
