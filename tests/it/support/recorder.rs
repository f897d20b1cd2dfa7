//! `roomreel recorder` as the service runs it: a directory, a spec on standard
//! input, commands on its socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use roomreel::job::{Command, Event, Reply};
use serde_json::{Value, json};

use super::process::Running;
use super::roomreel::roomreel;
use crate::journal;

/// The room of every spec.
pub const ROOM: &str = "6110";

/// A recording's directory and its spec.
pub struct Recorder {
    dir: PathBuf,
    /// The spec as JSON: tests change what they are about.
    pub spec: Value,
}

impl Recorder {
    /// A recorder of `url` in `dir`, which it makes, at 1280x720 and 30 fps,
    /// joined by loading.
    pub fn new(url: &str, dir: &Path) -> Self {
        let spec = json!({
            "id": "6a5f00000000000000000001",
            "room_id": ROOM,
            "meeting_url": url,
            "quality": {"resolution": {"width": 1280, "height": 720}, "fps": 30, "crf": 23},
            "join": "load",
            "join_timeout_s": 60.0,
            "join_reloads": 0,
            "max_duration_s": 600.0,
            "browser": {},
            // The pages of tests are on this machine.
            "egress": {"mode": "open"},
        });
        Self { dir: dir.to_path_buf(), spec }
    }

    /// Starts it to record.
    pub fn start(&self) -> Running {
        self.spawn(&[])
    }

    /// Starts it to salvage.
    pub fn salvage(&self) -> Running {
        self.spawn(&["--salvage"])
    }

    fn spawn(&self, args: &[&str]) -> Running {
        let mut command = roomreel();
        command.args(["recorder", "--dir"]).arg(&self.dir).args(args);
        Running::spawn_with(&mut command, &self.spec.to_string())
    }

    /// What its journal says so far.
    pub fn events(&self) -> Vec<Event> {
        journal::read(&self.dir.join("journal.jsonl"))
    }

    /// The finished file, by the contract's name.
    pub fn file(&self) -> PathBuf {
        let epoch = self.events().iter().find_map(|event| match event {
            Event::FirstFrame { epoch_ms, .. } => Some(*epoch_ms),
            _ => None,
        });
        self.dir.join(format!("Rec-{ROOM}-{}.mp4", epoch.unwrap()))
    }

    /// Gives a command over the control socket and returns the answer.
    pub fn tell(&self, command: Command) -> Reply {
        let mut stream = UnixStream::connect(self.dir.join("control.sock")).unwrap();
        let mut line = serde_json::to_string(&command).unwrap();
        line.push('\n');
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}
