//! The Chromium process: its group, its words, its end.
//!
//! Chromium leads a process group of its own. One task waits for it, then kills
//! what is left of the group, reaps it and removes the files, whoever asked for
//! the end and even if nobody did.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, WaitOptions};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::home::Home;
use super::pipe::{self, Pipe};
use super::user::User;
use super::{BrowserError, Launch, Surface, redact};

/// Last lines of standard error that an error message quotes.
const TAIL_LINES: usize = 12;

/// Longer lines are cut in pieces of this many bytes.
const LINE_LIMIT: u64 = 4096;

/// How long what is left of a killed group may take to vanish. Killed processes
/// go at once unless the machine is stuck.
const GROUP_PATIENCE: Duration = Duration::from_secs(5);

/// Variables that reach Chromium as they are, where set: time, language, fonts
/// and unusual library places.
const PASSED_ON: &[&str] =
    &["TZ", "LANG", "LC_ALL", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "LD_LIBRARY_PATH"];

/// Where the process is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Life {
    Running,
    /// Reaped, with its status in words; the group is being cleared.
    Exited(String),
    /// No process of the group and no file is left.
    Cleared,
}

/// A running Chromium. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    start_ticks: u64,
    life: watch::Receiver<Life>,
    tail: Tail,
}

impl Process {
    /// Starts `program` with the other ends of the pipe that is returned.
    pub(super) fn spawn(
        program: &Path,
        flags: &[String],
        launch: &Launch,
        home: Home,
        user: Option<User>,
    ) -> Result<(Self, Pipe), BrowserError> {
        let failed = |source| BrowserError::Spawn { path: program.to_path_buf(), source };
        let (pipe, ends) = Pipe::open().map_err(failed)?;
        let mut command = Command::new(program);
        command
            .args(flags)
            .env_clear()
            .envs(environment(launch, &home, |name| std::env::var_os(name)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(user) = user {
            // Supplementary groups are dropped along with root.
            command.uid(user.id()).gid(user.id());
        }
        let handed = vec![
            FdMapping { parent_fd: ends.commands, child_fd: pipe::COMMANDS },
            FdMapping { parent_fd: ends.messages, child_fd: pipe::MESSAGES },
        ];
        command.fd_mappings(handed).map_err(|e| failed(io::Error::other(e)))?;
        let mut child = command.spawn().map_err(failed)?;
        // With the command goes what the child has now: only its own ends are left.
        drop(command);
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let Some(pid) = pid else { return Err(failed(std::io::ErrorKind::NotFound.into())) };
        let tail = Tail::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(drain(stderr, tail.clone()));
        }
        let start_ticks = start_ticks(pid).unwrap_or_default();
        let (told, life) = watch::channel(Life::Running);
        tokio::spawn(see_out(child, pid, home, told));
        Ok((Self { pid, start_ticks, life, tail }, pipe))
    }

    /// Process id, which is the group's id too.
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// When it started, in clock ticks since boot; 0 if it died before it was asked.
    pub(super) fn start_ticks(&self) -> u64 {
        self.start_ticks
    }

    /// Resolves with the exit status in words. Cancel safe.
    pub(super) async fn exited(&self) -> String {
        let mut life = self.life.clone();
        let ended = life.wait_for(|life| *life != Life::Running).await;
        match ended.as_deref() {
            Ok(Life::Exited(status)) => status.clone(),
            _ => "ended".into(),
        }
    }

    /// Resolves when nothing of the browser is left. Cancel safe.
    pub(super) async fn cleared(&self) {
        let _ = self.life.clone().wait_for(|life| *life == Life::Cleared).await;
    }

    /// Signals the whole group, while there is one.
    pub(super) fn signal(&self, signal: Signal) {
        // Once the leader is reaped its id may belong to somebody else; from then
        // on the group is the waiting task's business.
        if *self.life.borrow() == Life::Running {
            let _ = rustix::process::kill_process_group(self.pid, signal);
        }
    }

    /// The last words on standard error, without addresses.
    pub(super) fn last_words(&self) -> String {
        self.tail.text()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The complete environment of Chromium.
fn environment(
    launch: &Launch,
    home: &Home,
    inherited: impl Fn(&str) -> Option<OsString>,
) -> Vec<(&'static str, OsString)> {
    let mut all: Vec<(&str, OsString)> = vec![
        ("PATH", "/usr/local/bin:/usr/bin:/bin".into()),
        ("HOME", home.home.clone().into()),
        ("XDG_RUNTIME_DIR", home.home.clone().into()),
        ("TMPDIR", home.home.clone().into()),
        // No desktop is asked about anything.
        ("DBUS_SESSION_BUS_ADDRESS", "disabled:".into()),
    ];
    if let Surface::Screen { wayland_socket, pulse_socket, .. } = &launch.surface {
        let mut server = OsString::from("unix:");
        server.push(pulse_socket);
        all.push(("WAYLAND_DISPLAY", wayland_socket.clone().into()));
        all.push(("PULSE_SERVER", server));
    }
    let zone = &launch.page.time_zone;
    let own = |name: &str| (name == "TZ" && !zone.is_empty()).then(|| zone.into());
    all.extend(
        PASSED_ON.iter().filter_map(|name| Some((*name, own(name).or_else(|| inherited(name))?))),
    );
    all
}

/// Waits for the leader, then clears up behind it.
async fn see_out(mut child: Child, pid: Pid, home: Home, told: watch::Sender<Life>) {
    let status = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => format!("unknown status: {error}"),
    };
    told.send_replace(Life::Exited(status));
    clear_group(pid).await;
    let _ = tokio::task::spawn_blocking(move || home.remove()).await;
    told.send_replace(Life::Cleared);
}

/// Kills and reaps what is left of the group.
async fn clear_group(pid: Pid) {
    let patience = tokio::time::Instant::now() + GROUP_PATIENCE;
    while rustix::process::kill_process_group(pid, Signal::KILL).is_ok() {
        // Orphans become ours where this process is the first of a container;
        // elsewhere the dead wait for init, which may take its time.
        while let Ok(Some(_)) = rustix::process::waitpgid(pid, WaitOptions::NOHANG) {}
        if !is_alive(pid) {
            return;
        }
        if tokio::time::Instant::now() > patience {
            tracing::warn!(group = pid.as_raw_nonzero(), "processes of a browser would not end");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// True while a member of the group is anything but a zombie.
fn is_alive(group: Pid) -> bool {
    let group = group.as_raw_nonzero().to_string();
    let Ok(entries) = std::fs::read_dir("/proc") else { return true };
    entries.flatten().any(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        stat_field(&stat, 5) == Some(group.as_str()) && stat_field(&stat, 3) != Some("Z")
    })
}

/// Field 22 of `/proc/PID/stat` (proc_pid_stat(5)), which together with the pid
/// names a process for good.
fn start_ticks(pid: Pid) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    stat_field(&stat, 22)?.parse().ok()
}

/// Field `number`, 3 or above, of a line of `/proc/PID/stat`.
fn stat_field(stat: &str, number: usize) -> Option<&str> {
    // The name, field 2, is in brackets and may hold blanks and brackets itself.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

/// The last lines of standard error.
#[derive(Debug, Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn text(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Reads standard error to its end, so that Chromium never blocks on it.
async fn drain(stderr: impl AsyncRead + Unpin, tail: Tail) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stderr).take(LINE_LIMIT).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        // What the page writes to its console may hold anything.
        if text.is_empty() || text.contains(":CONSOLE") {
            continue;
        }
        let text = redact::line(text);
        tracing::debug!(target: "roomreel::chromium", "{text}");
        tail.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_stat_line_are_found_whatever_the_name() {
        let rest: Vec<String> = (3..=52).map(|field| format!("f{field}")).collect();
        for name in ["chromium", "a b", "x) (y", ")"] {
            let stat = format!("17 ({name}) {}", rest.join(" "));
            for (number, value) in [(3, "f3"), (5, "f5"), (22, "f22"), (52, "f52")] {
                assert_eq!(stat_field(&stat, number), Some(value), "{name}");
            }
            assert_eq!(stat_field(&stat, 53), None);
        }
        assert_eq!(stat_field("17 (short) S 1", 22), None);
        assert_eq!(stat_field("", 3), None);
    }

    #[test]
    fn this_process_is_alive_and_started_after_boot() {
        let own = Pid::from_raw(std::process::id().cast_signed()).unwrap();
        assert!(start_ticks(own).unwrap() > 0);
        assert!(is_alive(rustix::process::getpgid(None).unwrap()));
        assert!(!is_alive(Pid::from_raw(i32::MAX).unwrap()));
    }

    #[test]
    fn chromium_sees_our_screen_and_speaker_and_no_other() {
        let home = Home {
            dir: "/r".into(),
            profile: "/r/profile".into(),
            home: "/r/home".into(),
            capture: None,
        };
        let mut launch = Launch {
            options: Default::default(),
            page: Default::default(),
            surface: Surface::Screen {
                wayland_socket: "/r/wayland".into(),
                pulse_socket: "/r/pulse".into(),
                width: 1280,
                height: 720,
            },
            runtime_dir: "/r".into(),
            capture_files: None,
            proxy: None,
        };
        let inherited = |name: &str| match name {
            "TZ" => Some("Europe/Berlin".into()),
            "DISPLAY" | "AWS_SECRET_ACCESS_KEY" | "DATABASE_URL" => Some("never".into()),
            _ => None,
        };
        let seen = environment(&launch, &home, inherited);
        let value = |name: &str| {
            seen.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_str().unwrap().to_string())
        };
        assert_eq!(value("WAYLAND_DISPLAY").as_deref(), Some("/r/wayland"));
        assert_eq!(value("PULSE_SERVER").as_deref(), Some("unix:/r/pulse"));
        assert_eq!(value("XDG_RUNTIME_DIR").as_deref(), Some("/r/home"));
        assert_eq!(value("HOME").as_deref(), Some("/r/home"));
        assert_eq!(value("TMPDIR").as_deref(), Some("/r/home"));
        assert_eq!(value("TZ").as_deref(), Some("Europe/Berlin"));
        assert!(seen.iter().all(|(_, v)| v != "never"), "{seen:?}");
        launch.page.time_zone = "Asia/Tokyo".into();
        let seen = environment(&launch, &home, inherited);
        let zones: Vec<_> = seen.iter().filter(|(name, _)| *name == "TZ").collect();
        assert!(matches!(zones[..], [(_, zone)] if zone == "Asia/Tokyo"), "{zones:?}");
    }

    #[tokio::test]
    async fn standard_error_is_kept_without_secrets() {
        let text = "noise\nfailed https://a.example/r?token=secret\nINFO:CONSOLE(1) \"secret\"\n\
                    \u{fffd}\n";
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend([0xff, 0xfe, b'\n']);
        bytes.extend(vec![b'x'; 10_000]);
        let tail = Tail::default();
        drain(&bytes[..], tail.clone()).await;
        let kept = tail.text();
        assert!(kept.starts_with("noise\nfailed https://a.example/…\n"), "{kept}");
        assert!(!kept.contains("secret"));
        for n in 0..100 {
            tail.push(n.to_string());
        }
        assert_eq!(tail.text().lines().count(), TAIL_LINES);
    }
}
