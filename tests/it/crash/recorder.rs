//! The recorder of a life: does what a recorder does for its service, without a
//! browser, and kills that service at one step.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use roomreel::clock::Mono;
use roomreel::job::{Command, Event, RecordingSpec, Reply, Stats, StopReason, Summary, What};
use roomreel::recorder::journal::{JOURNAL, Journal};
use roomreel::recorder::place::Lock;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process};

use super::life::{DIR, STEP, TASK};

/// The steps at which it can kill, in their order.
pub(super) const POINTS: &[&str] = &[
    "born",
    "spawned",
    "locked",
    "started",
    "joined",
    "first_frame",
    "pause_heard",
    "paused",
    "resumed",
    "stop_heard",
    "stopped",
    "finalised",
    "finished",
];

/// Wall clock of T0.
const EPOCH_MS: i64 = 1_700_000_000_120;
/// A life takes less; one that was forgotten ends.
const LIFETIME: Duration = Duration::from_secs(120);

struct Recorder {
    dir: PathBuf,
    journal: Option<Journal>,
    /// The service that started it, while it lives.
    parent: Option<Pid>,
    paused: bool,
}

pub(super) fn run() {
    let mut recorder = Recorder {
        dir: std::env::var(DIR).unwrap().into(),
        journal: None,
        parent: getppid(),
        paused: false,
    };
    if std::env::var(TASK).as_deref() == Ok("--salvage") {
        recorder.salvage();
    } else {
        recorder.record();
    }
}

impl Recorder {
    /// Kills the service, and perhaps itself, if this is the step for it.
    fn point(&self, name: &str) {
        let step = std::env::var(STEP).unwrap_or_default();
        let Some((who, at)) = step.split_once(' ') else { return };
        if at != name {
            return;
        }
        // Nobody but the process that started this one, and only if that is a
        // service of these tests.
        let parent = self.parent.filter(|pid| getppid() == Some(*pid)).unwrap();
        let environment = std::fs::read(format!("/proc/{}/environ", parent.as_raw_nonzero()));
        let environment = String::from_utf8_lossy(&environment.unwrap()).into_owned();
        assert!(environment.split('\0').any(|pair| pair == "CRASH_ROLE=service"));
        kill_process(parent, Signal::KILL).unwrap();
        if who == "both" {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    }

    fn tell(&mut self, event: Event) {
        self.journal.as_mut().unwrap().tell(event);
    }

    fn part(&self) -> PathBuf {
        self.dir.join("media.part.mp4")
    }

    fn file(&self, spec: &RecordingSpec) -> PathBuf {
        self.dir.join(format!("Rec-{}-{EPOCH_MS}.mp4", spec.room_id))
    }

    fn record(&mut self) {
        self.point("born");
        let spec = spec();
        self.point("spawned");
        let _lock = Lock::take(&self.dir).unwrap();
        self.point("locked");
        self.journal = Some(Journal::open(Some(&self.dir.join(JOURNAL)), None).unwrap());
        let what = What {
            room_id: spec.room_id.clone(),
            resolution: spec.quality.resolution,
            audio_only: spec.audio_only,
        };
        self.tell(Event::Started { pid: std::process::id(), what: Some(what) });
        self.point("started");
        let socket = listen(&self.dir);
        self.tell(Event::Joined { how: "load".into(), at: Mono(1), reloads: 0 });
        self.point("joined");
        std::fs::write(self.part(), "film").unwrap();
        self.tell(Event::FirstFrame { t0: Mono(1_000_000_000), epoch_ms: EPOCH_MS });
        self.point("first_frame");
        let reason = self.obey(&socket);
        let at = Mono(4_500_000_000);
        self.tell(Event::Stopped { reason, at, recorded_s: 3.5, trimmed_s: 0.0 });
        self.point("stopped");
        std::fs::rename(self.part(), self.file(&spec)).unwrap();
        self.point("finalised");
        self.tell(Event::Finished(summary(&spec)));
        self.point("finished");
    }

    /// Takes orders until one is the stop.
    fn obey(&mut self, socket: &UnixListener) -> StopReason {
        let begun = Instant::now();
        loop {
            assert!(self.dir.is_dir() && begun.elapsed() < LIFETIME, "nobody needs this recorder");
            let Ok((stream, _)) = socket.accept() else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(&stream);
            if reader.read_line(&mut line).is_err() || line.is_empty() {
                continue;
            }
            match serde_json::from_str(&line).unwrap() {
                Command::Stop { reason } => {
                    self.point("stop_heard");
                    reply(&stream);
                    return reason;
                }
                Command::Pause if !self.paused => {
                    self.point("pause_heard");
                    reply(&stream);
                    self.paused = true;
                    self.tell(Event::Paused { at: Mono(2_000_000_000) });
                    self.point("paused");
                }
                Command::Resume if self.paused => {
                    reply(&stream);
                    self.paused = false;
                    self.tell(Event::Resumed { at: Mono(3_000_000_000) });
                    self.point("resumed");
                }
                Command::Pause | Command::Resume | Command::Status => reply(&stream),
            }
        }
    }

    /// Renames what there is, as if that made a file of it.
    fn salvage(&mut self) {
        let spec = spec();
        let _lock = Lock::take(&self.dir).unwrap();
        self.journal = Some(Journal::open(Some(&self.dir.join(JOURNAL)), None).unwrap());
        self.point("salvaging");
        if self.part().exists() {
            std::fs::rename(self.part(), self.file(&spec)).unwrap();
        }
        assert!(self.file(&spec).exists(), "there is nothing to salvage");
        self.tell(Event::Salvaged(summary(&spec)));
        self.point("salvaged");
    }
}

fn spec() -> RecordingSpec {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn listen(dir: &Path) -> UnixListener {
    let socket = UnixListener::bind(dir.join("control.sock")).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Whether anybody is there to read it is not the recorder's concern.
fn reply(mut stream: &UnixStream) {
    let line = serde_json::to_string(&Reply::Ok).unwrap();
    _ = stream.write_all(format!("{line}\n").as_bytes());
}

fn summary(spec: &RecordingSpec) -> Summary {
    let stats = Stats { elapsed_s: 3.5, loudest_dbfs: -10.0, changed_s: 3.0, ..Stats::default() };
    Summary {
        duration_s: 3.5,
        trimmed_s: 0.0,
        bytes: 4,
        width: spec.quality.resolution.width(),
        height: spec.quality.resolution.height(),
        stats,
        ..Summary::default()
    }
}
