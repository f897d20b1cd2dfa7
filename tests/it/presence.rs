//! Recordings that end because of who is there: the demo room and Janus, everybody in
//! browsers of their own, time-outs shortened as a user would shorten them.

// On purpose: no other test may record meanwhile, and each has a runtime of its own.
#![allow(clippy::await_holding_lock)]

mod gateway;
mod served;
mod trimmed;

use std::path::PathBuf;
use std::time::Duration;

use roomreel::job::{Event, FailureKind, StopReason};
use roomreel::recorder::journal::Line;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::demo::{Demo, Guest, RECORDER};
use crate::journal;
use crate::support::browser::Publisher;
use crate::support::janus::Janus;
use crate::support::judge::{decodes_silently, mediainfo_objections, probe};
use crate::support::pages::Pages;
use crate::support::process::{Outcome, Running};
use crate::support::roomreel::{Record, roomreel};
use crate::support::serve::free_port;
use crate::support::{long, media, quiet, scratch, until};

/// Above what an end takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Longer than any of these recordings.
const MOST: Duration = Duration::from_secs(600);

/// What stays of an empty end, in seconds, as configured.
const KEPT: f64 = 3.0;

/// A recording that is under way, and what it says of the room.
struct Watched {
    running: Option<Running>,
    dir: tempfile::TempDir,
}

impl Watched {
    fn start(url: &str, join: &str, options: &[&str]) -> Self {
        let dir = scratch();
        let log = dir.path().join("out.jsonl");
        let record = Record::new(url, &dir.path().join("out.mp4"), MOST)
            .option("--join", join)
            .option("--journal", log.to_str().unwrap())
            .with(&["--loopback-webrtc"])
            .with(options);
        Self { running: Some(record.start()), dir }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out.mp4")
    }

    fn lines(&self) -> Vec<Line> {
        journal::lines(&self.dir.path().join("out.jsonl"))
    }

    /// Each count of the others that was told, oldest first.
    fn counts(&self) -> Vec<Option<u32>> {
        let count = |line: Line| match line.event {
            Event::Peers { count, .. } => Some(count),
            _ => None,
        };
        self.lines().into_iter().filter_map(count).collect()
    }

    /// Waits until `tail` are the newest counts that are known.
    fn until_counts(&self, tail: &[u32]) {
        until(&format!("the counts {tail:?}"), PATIENCE, || {
            let known: Vec<u32> = self.counts().into_iter().flatten().collect();
            known.ends_with(tail).then_some(())
        });
    }

    fn has_begun(&self) -> bool {
        self.lines().iter().any(|line| matches!(line.event, Event::FirstFrame { .. }))
    }

    fn wait(&mut self) -> Outcome {
        self.running.take().unwrap().wait(PATIENCE)
    }

    /// Waits for a recording that ends well; its reason, its seconds and what was cut.
    fn ends(&mut self) -> (StopReason, f64, f64) {
        self.wait().expect_success("roomreel record");
        let stopped = |line: Line| match line.event {
            Event::Stopped { reason, recorded_s, trimmed_s, .. } => {
                Some((reason, recorded_s, trimmed_s))
            }
            _ => None,
        };
        self.lines().into_iter().find_map(stopped).unwrap()
    }

    fn failure(&self) -> FailureKind {
        let failed = |line: Line| match line.event {
            Event::Failed { kind, .. } => Some(kind),
            _ => None,
        };
        self.lines().into_iter().find_map(failed).unwrap()
    }

    /// The file ends a few seconds after the last one left, and is whole.
    fn has_no_dead_tail(&self) {
        let lines = self.lines();
        let begun = lines.iter().find(|l| matches!(l.event, Event::FirstFrame { .. })).unwrap();
        let left = lines.iter().rfind(|l| matches!(l.event, Event::Peers { count: Some(0), .. }));
        let shown = (left.unwrap().time - begun.time).as_seconds_f64();
        let file = probe(&self.out());
        // The journal is written a moment after the looks and the frames that it tells of.
        let tail = file.duration - shown;
        assert!((tail - KEPT).abs() < 1.0, "{tail} s of an empty room: {lines:#?}");
        assert_eq!(decodes_silently(&self.out()), Ok(()));
        assert_eq!(mediainfo_objections(&self.out()), Vec::<String>::new());
    }
}

const SHORT: &[&str] = &["--empty-timeout", "8s", "--nobody-timeout", "60s"];

#[tokio::test(flavor = "multi_thread")]
async fn all_leave_one_returns_and_the_file_ends_with_the_last() {
    let _quiet = quiet();
    let demo = Demo::start().await;
    let options = [SHORT, &["--trim-start"]].concat();
    let mut recording = Watched::start(demo.link(RECORDER).as_str(), "signal", &options);
    let guest = Guest::start().await;
    let link = demo.link("/meeting/demo/guest?skip_preview_headful=true&name=Eve");
    recording.until_counts(&[0]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!recording.has_begun(), "{:#?}", recording.lines());
    guest.open(&link).await;
    recording.until_counts(&[0, 1]);
    until("a file that begins with the guest", PATIENCE, || recording.has_begun().then_some(()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let nowhere = "about:blank".parse().unwrap();
    guest.open(&nowhere).await;
    recording.until_counts(&[0, 1, 0]);
    // Within the time-out, though not at once.
    tokio::time::sleep(Duration::from_secs(4)).await;
    guest.open(&link).await;
    recording.until_counts(&[0, 1, 0, 1]);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(recording.lines().iter().all(|l| !matches!(l.event, Event::Stopped { .. })));
    // The second time there is no goodbye.
    let group = Pid::from_raw(guest.browser.pid().cast_signed()).unwrap();
    kill_process_group(group, Signal::KILL).unwrap();
    let (reason, seconds, cut) = recording.ends();
    assert_eq!(reason, StopReason::LastPeerLeft);
    assert_eq!(recording.counts().into_iter().flatten().collect::<Vec<_>>(), [0, 1, 0, 1, 0]);
    assert!((3.5..8.0).contains(&cut), "{cut} s were cut");
    assert!((probe(&recording.out()).duration - seconds).abs() < 0.05, "{seconds} s");
    recording.has_no_dead_tail();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_and_nothing_is_kept() {
    let _quiet = quiet();
    let demo = Demo::start().await;
    let options = ["--nobody-timeout", "5s"];
    let mut recording = Watched::start(demo.link(RECORDER).as_str(), "signal", &options);
    let ended = recording.wait();
    assert_eq!(ended.status.code(), Some(8), "{ended:?}");
    assert_eq!(recording.failure(), FailureKind::NobodyJoined);
    let left: Vec<_> = std::fs::read_dir(recording.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["out.jsonl"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_is_put_out_and_one_whose_room_ends_stop_at_once() {
    let _quiet = quiet();
    let demo = Demo::start().await;
    let guest = Guest::start().await;
    guest.open(&demo.link("/meeting/demo/guest?skip_preview_headful=true&name=Eve")).await;
    guest.until("roomreel.joined").await;
    for put_out in [true, false] {
        // A bot with an ordinary role is listed, and can be put out by its number.
        let bot = demo.link("/meeting/demo/guest?skip_preview_headful=true&name=Bot");
        let mut recording = Watched::start(bot.as_str(), "signal", SHORT);
        recording.until_counts(&[1]);
        until("a first frame", PATIENCE, || recording.has_begun().then_some(()));
        tokio::time::sleep(Duration::from_secs(2)).await;
        let peers = demo.peers().await;
        let bot = peers.iter().find(|peer| peer["name"] == "Bot").unwrap();
        let path = match put_out {
            true => format!("/api/rooms/demo/peers/{}/remove", bot["id"]),
            false => "/api/rooms/demo/end".to_owned(),
        };
        assert_eq!(demo.post(&path).await, 200);
        let (reason, _, cut) = recording.ends();
        assert_eq!((reason, cut), (StopReason::RoomEnded, 0.0));
        assert_eq!(decodes_silently(&recording.out()), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_server_dies_is_waited_for_and_then_given_up() {
    let _quiet = quiet();
    let address = format!("127.0.0.1:{}", free_port());
    let serve = || Running::spawn(roomreel().args(["demo", "--listen", &address]));
    let kill = |server: Running| kill_process_group(server.pid(), Signal::KILL).unwrap();
    let link = |path: &str| format!("http://{address}{path}");
    let server = serve();
    until("the room's server", PATIENCE, || std::net::TcpStream::connect(&address).ok());
    let guest = Guest::start().await;
    let eve = "/meeting/demo/guest?skip_preview_headful=true&name=Eve";
    guest.open(&link(eve).parse().unwrap()).await;
    guest.until("roomreel.joined").await;
    // Long enough for pages to find their way back.
    let options = ["--join-timeout", "12s", "--join-reloads", "1", "--empty-timeout", "60s"];
    let mut recording = Watched::start(&link(RECORDER), "signal", &options);
    recording.until_counts(&[1]);
    until("a first frame", PATIENCE, || recording.has_begun().then_some(()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    kill(server);
    until("an unknown room", PATIENCE, || recording.counts().contains(&None).then_some(()));
    let server = serve();
    until("the guest again", PATIENCE, || {
        (recording.counts().last() == Some(&Some(1))).then_some(())
    });
    kill(server);
    let ended = recording.wait();
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert_eq!(recording.failure(), FailureKind::MaxRetriesReached);
    assert_eq!(recording.counts().last(), Some(&None));
    // What had been recorded is there.
    assert_eq!(decodes_silently(&recording.out()), Ok(()));
}

/// Five minutes, which only a long run waits for.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_sets_a_time_out_and_it_is_five_minutes() {
    if !long() {
        return;
    }
    let _quiet = quiet();
    let demo = Demo::start().await;
    let guest = Guest::start().await;
    guest.open(&demo.link("/meeting/demo/guest?skip_preview_headful=true&name=Eve")).await;
    let mut recording = Watched::start(demo.link(RECORDER).as_str(), "signal", &[]);
    recording.until_counts(&[1]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    guest.open(&"about:blank".parse().unwrap()).await;
    recording.until_counts(&[0]);
    let ended = recording.running.take().unwrap().wait(Duration::from_secs(400));
    ended.expect_success("roomreel record");
    let lines = recording.lines();
    let time =
        |wanted: fn(&Event) -> bool| lines.iter().rfind(|line| wanted(&line.event)).unwrap().time;
    let left = time(|event| matches!(event, Event::Peers { count: Some(0), .. }));
    let stopped = time(|event| matches!(event, Event::Stopped { .. }));
    let waited = (stopped - left).as_seconds_f64();
    assert!((300.0..310.0).contains(&waited), "{waited} s");
    let end = lines.iter().find_map(|line| match line.event {
        Event::Stopped { reason, trimmed_s, .. } => Some((reason, trimmed_s)),
        _ => None,
    });
    let (reason, cut) = end.unwrap();
    assert_eq!(reason, StopReason::LastPeerLeft);
    assert!((cut - (waited - KEPT)).abs() < 2.0, "{cut} s were cut, {waited} s waited");
    recording.has_no_dead_tail();
}

#[test]
fn a_page_that_wants_a_camera_and_never_joins_leaves_no_file() {
    let _quiet = quiet();
    let page = "<!doctype html><p>Waiting for your camera<script>
        window.pc = new RTCPeerConnection();
        navigator.mediaDevices.getUserMedia({ video: true })
          .then((s) => s.getTracks().forEach((t) => pc.addTrack(t)))
          .catch((e) => { document.querySelector('p').textContent = e.name; });</script>";
    let dir = scratch();
    std::fs::write(dir.path().join("camera.html"), page).unwrap();
    let pages = Pages::with(dir.path());
    let options = ["--join-timeout", "4s", "--join-reloads", "1"];
    let mut recording = Watched::start(&pages.url("camera.html"), "auto", &options);
    let ended = recording.wait();
    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert_eq!(recording.failure(), FailureKind::MaxRetriesReached);
    assert!(!recording.out().exists());
    assert!(!recording.out().with_extension("part.mp4").exists());
}

/// In Janus a publisher who says goodbye is gone at once; one whose browser is killed
/// is a ghost for a minute, which only a long run waits for.
#[test]
fn janus_publishers_leave_or_die_and_the_recorder_leaves_no_ghost() {
    let _quiet = quiet();
    let feeds = scratch();
    media::feeds(feeds.path(), "alice", "blue", 880);
    media::feeds(feeds.path(), "bob", "green", 660);
    let janus = Janus::start();
    for (name, dies) in [("alice", false), ("bob", true)] {
        if dies && !long() {
            continue;
        }
        let publisher = Publisher::join(&janus.publisher_url(name), feeds.path(), name);
        janus.wait_for_publishers(&[name], PATIENCE);
        let mut recording = Watched::start(&janus.watcher_url("recorder"), "auto", SHORT);
        recording.until_counts(&[1]);
        let how = recording.lines().into_iter().find_map(|line| match line.event {
            Event::Joined { how, .. } => Some(how),
            _ => None,
        });
        assert_eq!(how.as_deref(), Some("janus"));
        std::thread::sleep(Duration::from_secs(3));
        match dies {
            true => publisher.kill(),
            false => janus.leave(name),
        }
        let (reason, _, cut) = recording.ends();
        assert_eq!(reason, StopReason::LastPeerLeft);
        assert!((3.5..8.0).contains(&cut), "{cut} s were cut");
        recording.has_no_dead_tail();
        until("a room without the recorder", Duration::from_secs(5), || {
            janus.participants().iter().all(|p| p.name != "recorder").then_some(())
        });
    }
}
