//! How the node takes what a recorder process does, above all what it should
//! not do. The recorders are shell scripts that misbehave on purpose.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use futures::future::FutureExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::*;
use crate::clock::Mono;
use crate::job::{Event, FailureKind, PageOptions, State, Stats, Summary};
use crate::store::SqliteStore;

/// What every stand-in begins with: its directory, a way to write the journal,
/// and a wait that ends with the test.
const PRELUDE: &str = r#"#!/bin/bash
dir=$3
[ "$4" = --salvage ] && exit 1
say() { printf '%s\n' "$1" >> "$dir/journal.jsonl"; }
hold() { while [ -d "$dir" ] && [ ! -e "$dir/go" ]; do sleep 0.05; done; }
"#;

const URL: &str = "https://meet.example/room?auth_token=s3cr3t-t0k3n&skip_preview=true";

struct Bench {
    root: tempfile::TempDir,
    node: Node,
    store: Arc<dyn Store>,
}

fn line(event: &Event) -> String {
    serde_json::to_string(event).unwrap()
}

fn first_frame() -> String {
    line(&Event::FirstFrame { t0: Mono(1_000_000_000), epoch_ms: 1_700_000_000_123 })
}

fn stopped() -> String {
    line(&Event::Stopped {
        reason: StopReason::ClientRequest,
        at: Mono(6_500_000_000),
        recorded_s: 6.0,
        trimmed_s: 0.0,
    })
}

fn finished() -> String {
    let stats = Stats::default();
    line(&Event::Finished(Summary {
        duration_s: 5.5,
        bytes: 4,
        width: 720,
        height: 1280,
        stats,
        trimmed_s: 0.0,
        ..Summary::default()
    }))
}

async fn bench_with(script: &str, change: impl FnOnce(&mut Config)) -> Bench {
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("recorder.sh");
    // Written by another process: a descriptor of ours, inherited by a fork in
    // another test, would make the script busy.
    let mut install = std::process::Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(&program)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(install.stdin.take().unwrap(), "{PRELUDE}{script}").unwrap();
    assert!(install.wait().unwrap().success());

    let mut config = Config { recorder_program: Some(program), ..Config::default() };
    config.data.dir = root.path().join("data");
    config.recording.max_concurrent = 2;
    change(&mut config);
    std::fs::create_dir(&config.data.dir).unwrap();
    let database = config.data.dir.join("test.db");
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&database).await.unwrap());
    let base = "http://127.0.0.1:1".parse().unwrap();
    let storage = Arc::new(Storage::open(&config.data.dir, base, &config.storage).unwrap());
    let node = Node::open(&config, Arc::clone(&store), storage, Arc::default()).unwrap();
    Bench { root, node, store }
}

async fn bench(script: &str) -> Bench {
    bench_with(script, |_| {}).await
}

async fn impatient(script: &str) -> Bench {
    bench_with(script, |config| config.recording.stop_grace = Duration::from_millis(300)).await
}

fn wanted(room: &str) -> Wanted {
    Wanted {
        room_id: room.into(),
        session: None,
        meeting_url: URL.into(),
        page: URL.parse().unwrap(),
        quality: None,
        join: None,
        max_duration: None,
        presence: None,
        audio_only: false,
        destination: None,
        webhook: None,
        page_options: PageOptions::default(),
        warnings: Vec::new(),
    }
}

impl Bench {
    async fn start(&self) -> Recording {
        self.node.start(wanted("room")).await.unwrap()
    }

    fn dir(&self, recording: &Recording) -> PathBuf {
        self.root.path().join("data/recordings").join(recording.id.to_string())
    }

    async fn until(&self, id: Id, done: impl Fn(&Recording) -> bool) -> Recording {
        eventually(async || Some(self.store.get(id).await.unwrap().unwrap()).filter(&done)).await
    }

    /// Starts one and waits for its end.
    async fn outcome(&self) -> Recording {
        let id = self.start().await.id;
        self.until(id, |r| r.state.is_final()).await
    }
}

/// Asks again until there is something; the limit only ends a broken test.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1200 {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never happened");
}

fn failure(recording: &Recording) -> (FailureKind, &str) {
    let failure = recording.failure.as_ref().expect("a failure");
    (failure.kind, &failure.message)
}

#[tokio::test]
async fn an_exit_without_a_word_is_an_internal_error_with_the_last_words() {
    let bench = bench("echo \"panicked at $(cat | tr -d '{}' )\" >&2; exit 3").await;
    let failed = bench.outcome().await;
    let (kind, message) = failure(&failed);
    assert_eq!((failed.state, kind), (State::Failed, FailureKind::InternalError));
    assert!(message.contains("exit status: 3") && message.contains("panicked at"), "{message}");
    assert!(message.contains("meet.example/room?") && !message.contains("s3cr3t"), "{message}");
    // The room and the slot are free again.
    let again = eventually(async || bench.node.start(wanted("room")).await.ok()).await;
    bench.until(again.id, |r| r.state.is_final()).await;
}

#[tokio::test]
async fn a_recorder_that_cannot_be_started_is_an_internal_error() {
    let bench = bench_with("", |c| c.recorder_program = Some("/no/such/recorder".into())).await;
    let failed = bench.outcome().await;
    assert!(failure(&failed).1.contains("could not be started"));
}

#[tokio::test]
async fn the_spec_goes_through_standard_input_alone() {
    let script = "cat > $dir/spec; echo \"$@\" > $dir/args; env > $dir/env; \
                  cat /proc/self/stat > $dir/stat; exit 0";
    let bench = bench(script).await;
    let failed = bench.outcome().await;
    let dir = bench.dir(&failed);
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let spec: RecordingSpec = serde_json::from_str(&read("spec")).unwrap();
    assert_eq!((spec.id, spec.room_id), (failed.id.to_string(), "room".to_owned()));
    assert_eq!(spec.meeting_url.as_str(), URL);
    assert_eq!(spec.max_duration_s, 14_400.0);
    let args = read("args");
    let (verb, path) = args.trim_end().split_once(" --dir ").unwrap();
    assert_eq!((verb, Path::new(path)), ("recorder", &*dir.canonicalize().unwrap()));
    assert!(!read("env").contains("s3cr3t"));
    // Its own process group (field 5) is not ours.
    let group: i32 = read("stat").split_whitespace().nth(4).unwrap().parse().unwrap();
    assert_ne!(group, rustix::process::getpgrp().as_raw_nonzero().get());
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn half_lines_and_garbage_do_not_hide_a_recording() {
    let event = first_frame();
    let (first, rest) = event.split_at(20);
    let bench = bench(&format!(
        r#"printf '%s' '{first}' >> "$dir/journal.jsonl"; sleep 0.3; say '{rest}'
        say 'no json'; say '{{"event":"unheard_of"}}'; say ''; hold
        echo film > "$dir/Rec-room-1700000000123.mp4"
        say '{}'; say '{}'; printf '{{"event":"fai' >> "$dir/journal.jsonl""#,
        stopped(),
        finished()
    ))
    .await;
    let started = bench.start().await;
    let running = bench.until(started.id, |r| r.state == State::Running).await;
    let t0 = DateTime::from_timestamp_millis(1_700_000_000_123);
    assert_eq!(running.started_at, t0);
    std::fs::write(bench.dir(&started).join("go"), "").unwrap();

    let done = bench.until(started.id, |r| r.state.is_final()).await;
    assert_eq!((done.state, &done.failure), (State::Completed, &None));
    assert_eq!(done.stopped_at, t0.map(|t0| t0 + TimeDelta::milliseconds(5_500)));
    assert_eq!(done.stop_reason, Some(StopReason::ClientRequest));
    let [asset] = &done.assets[..] else { panic!("{:?}", done.assets) };
    assert_eq!((asset.size, asset.duration()), (5, 6));
    assert_eq!(asset.resolution.to_string(), "720x1280");
    assert_eq!(asset.path, "beam/room/20231114/Rec-room-1700000000123.mp4");
    let file = bench.root.path().join("data/files").join(&asset.path);
    assert_eq!(std::fs::read(file).unwrap(), b"film\n");
}

#[tokio::test]
async fn a_finished_file_that_is_not_there_is_a_failure() {
    let bench =
        bench(&format!("say '{}'; say '{}'; say '{}'", first_frame(), stopped(), finished())).await;
    let failed = bench.outcome().await;
    assert_eq!(failure(&failed).0, FailureKind::InternalError);
    assert!(failed.assets.is_empty() && failed.stopped_at.is_some());
}

#[tokio::test]
async fn a_failure_is_taken_over_without_its_secrets() {
    let failed = line(&Event::Failed {
        kind: FailureKind::MaxRetriesReached,
        message: format!("gave up on {URL}"),
        file: None,
    });
    let bench = bench(&format!("say '{failed}'; say '{}'", finished())).await;
    let failed = bench.outcome().await;
    let told = (FailureKind::MaxRetriesReached, "gave up on https://meet.example/room?***");
    assert_eq!(failure(&failed), told);
}

#[tokio::test]
async fn a_stop_reaches_the_recorder_even_before_its_socket_exists() {
    let bench = bench("hold").await;
    let started = bench.start().await;
    let dir = bench.dir(&started);
    eventually(async || dir.exists().then_some(())).await;
    let stopping = bench.node.stop(started.id).await.unwrap();
    assert_eq!((stopping.state, stopping.stopped_at), (State::Stopping, None));
    assert_eq!(bench.node.stop_room("room").await.unwrap()[0].state, State::Stopping);

    let socket = tokio::net::UnixListener::bind(dir.join("control.sock")).unwrap();
    let (mut stream, _) = socket.accept().await.unwrap();
    let mut command = String::new();
    BufReader::new(&mut stream).read_line(&mut command).await.unwrap();
    assert_eq!(command, "{\"command\":\"stop\",\"reason\":\"client_request\"}\n");
    stream.write_all(b"{\"reply\":\"ok\"}\n").await.unwrap();
    std::fs::write(dir.join("Rec-room-1700000000123.mp4"), "film").unwrap();
    let journal = [first_frame(), stopped(), finished(), String::new()].join("\n");
    std::fs::write(dir.join("journal.jsonl"), journal).unwrap();
    std::fs::write(dir.join("go"), "").unwrap();

    let done = bench.until(started.id, |r| r.state.is_final()).await;
    assert_eq!(done.state, State::Completed);
    // The first frame came after the stop and is known all the same.
    assert_eq!(done.started_at, DateTime::from_timestamp_millis(1_700_000_000_123));
    assert!(matches!(bench.node.stop(started.id).await, Err(StopError::NotActive)));
    assert!(matches!(bench.node.stop_room("room").await, Err(StopError::NotActive)));
}

#[tokio::test]
async fn a_recorder_that_ignores_its_stop_is_killed() {
    let bench = impatient("trap '' TERM; hold").await;
    let started = bench.start().await;
    eventually(async || bench.dir(&started).exists().then_some(())).await;
    bench.node.stop(started.id).await.unwrap();
    let failed = bench.until(started.id, |r| r.state.is_final()).await;
    assert_eq!(failure(&failed), (FailureKind::BeamStopped, "Beam stopped too early"));
    assert_eq!(failed.started_at, None);
}

#[tokio::test]
async fn one_that_was_recording_gets_a_signal_it_can_answer_first() {
    let bench = impatient(&format!(
        "trap \"say '{}'; exit 0\" TERM; say '{}'; hold",
        stopped().replace('"', "\\\""),
        first_frame()
    ))
    .await;
    let started = bench.start().await;
    bench.until(started.id, |r| r.state == State::Running).await;
    bench.node.stop(started.id).await.unwrap();
    let failed = bench.until(started.id, |r| r.state.is_final()).await;
    assert_eq!(failed.stop_reason, Some(StopReason::ClientRequest), "{failed:?}");
    assert!(failure(&failed).1.contains("exit status: 0"));
}

#[tokio::test]
async fn a_recorder_that_stays_after_its_end_gives_up_its_slot() {
    let failed = line(&Event::Failed {
        kind: FailureKind::InternalError,
        message: "no disk".into(),
        file: None,
    });
    let bench = bench_with(&format!("say '{failed}'; trap '' TERM; hold"), |config| {
        config.recording.stop_grace = Duration::from_millis(300);
        config.recording.max_concurrent = 1;
    })
    .await;
    assert_eq!(failure(&bench.outcome().await).1, "no disk");
    let next = eventually(async || bench.node.start(wanted("other")).await.ok()).await;
    bench.until(next.id, |r| r.state.is_final()).await;
}

#[tokio::test]
async fn a_browser_left_behind_is_killed() {
    let bench = bench(
        r#"setsid sleep 300 & browser=$!; sleep 0.2; echo $browser > "$dir/browser"
        start=$(awk '{print $22}' /proc/$browser/stat)
        say "{\"event\":\"browser\",\"pid\":$browser,\"start_ticks\":$start,\"version\":\"x\"}"
        kill -SEGV $$"#,
    )
    .await;
    let failed = bench.outcome().await;
    assert!(failure(&failed).1.contains("SIGSEGV"), "{failed:?}");
    let pid = std::fs::read_to_string(bench.dir(&failed).join("browser")).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    // Gone, or a zombie that whoever is process 1 here has yet to reap.
    eventually(async || match std::fs::read_to_string(&stat) {
        Ok(stat) => stat.contains(") Z ").then_some(()),
        Err(_) => Some(()),
    })
    .await;
}

#[tokio::test]
async fn slots_and_rooms_are_limits() {
    let bench = bench("hold").await;
    bench.start().await;
    assert!(matches!(bench.node.start(wanted("room")).await, Err(StartError::RoomHeld)));
    bench.node.start(wanted("b")).await.unwrap();
    assert!(matches!(bench.node.start(wanted("c")).await, Err(StartError::Full { slots: 2 })));
    // Both are true; the room is the better answer.
    assert!(matches!(bench.node.start(wanted("b")).await, Err(StartError::RoomHeld)));
}

#[tokio::test]
async fn a_start_is_done_whole_although_its_caller_goes_away() {
    let bench = bench("hold").await;
    assert!(bench.node.start(wanted("room")).now_or_never().is_none());
    let found = eventually(async || bench.store.holder("room").await.unwrap()).await;
    let dir = bench.dir(&found);
    eventually(async || dir.join("recorder.log").exists().then_some(())).await;
}

#[tokio::test]
async fn a_shutdown_asks_everybody_waits_and_leaves_who_is_not_done() {
    let bench = impatient("echo $$ > $dir/pid; hold; echo done > $dir/done").await;
    let started = bench.start().await;
    let pid = bench.dir(&started).join("pid");
    eventually(async || std::fs::read_to_string(&pid).ok().filter(|p| !p.is_empty())).await;
    bench.node.shutdown().await;
    assert_eq!(bench.store.get(started.id).await.unwrap().unwrap().state, State::Stopping);
    assert!(matches!(bench.node.start(wanted("b")).await, Err(StartError::Closing)));
    // It is still there, and nobody forces it.
    std::fs::write(bench.dir(&started).join("go"), "").unwrap();
    eventually(async || bench.dir(&started).join("done").exists().then_some(())).await;
}

#[tokio::test]
async fn a_shutdown_ends_when_the_last_recorder_does() {
    let bench = bench("hold").await;
    let started = bench.start().await;
    let dir = bench.dir(&started);
    eventually(async || dir.exists().then_some(())).await;
    let go = async {
        bench.until(started.id, |r| r.state == State::Stopping).await;
        std::fs::write(dir.join("go"), "").unwrap();
    };
    tokio::join!(bench.node.shutdown(), go);
    let failed = bench.store.get(started.id).await.unwrap().unwrap();
    assert_eq!(failure(&failed).0, FailureKind::BeamStopped);
}

#[tokio::test]
async fn nothing_is_started_on_a_disk_that_is_nearly_full() {
    let bench = bench_with("hold", |config| config.data.min_free = u64::MAX).await;
    let refused = bench.node.start(wanted("room")).await;
    assert!(
        matches!(refused, Err(StartError::NoSpace { free, needed: u64::MAX }) if free < u64::MAX)
    );
    assert!(bench.store.holder("room").await.unwrap().is_none());
}
