//! Recorder processes: how one is started or adopted, its last words, and what
//! it may leave behind.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::told::Told;
use crate::job::RecordingSpec;
use crate::recorder::journal::JOURNAL;
use crate::recorder::place::{LOCK, is_locked};

/// Where a recorder's output goes. A file and not a pipe: the recorder may
/// outlive whoever would read the other end.
pub(super) const LOG: &str = "recorder.log";
/// How often the lock of an adopted recorder is looked at.
const LOCK_POLL: Duration = Duration::from_millis(200);
/// How much of the log a failure quotes, in bytes.
const LAST_WORDS: u64 = 2048;

/// The running binary, even if its file was replaced since.
pub(super) fn this_program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Creates the directory and its parents, closed to other users.
pub(super) fn private_dirs(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A recorder process, ours or one that a service before us started.
pub(super) enum Process {
    /// Started by us.
    Child(Child),
    /// Not our child, so all that is known of it is that it holds its lock.
    Adopted {
        /// The directory it records in.
        dir: PathBuf,
    },
}

impl Process {
    /// Waits for its end; says how it ended, as far as that can be known.
    pub(super) async fn wait(&mut self) -> String {
        match self {
            Self::Child(child) => match child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            },
            Self::Adopted { dir } => {
                while is_locked(&dir.join(LOCK)) {
                    tokio::time::sleep(LOCK_POLL).await;
                }
                "it was started by an earlier run of the service".to_owned()
            }
        }
    }

    /// Sends the signal to the process, or to its whole group, unless it is gone.
    /// Whatever else prevents it is logged.
    pub(super) fn signal(&self, signal: Signal, group: bool, told: &Told) {
        let id = match self {
            Self::Child(child) => child.id(),
            // While it holds its lock, the number in its journal is its own.
            Self::Adopted { dir } => told.recorder.filter(|_| is_locked(&dir.join(LOCK))),
        };
        let Some(pid) = id.filter(|&id| id > 1).and_then(pid) else { return };
        let sent = if group {
            rustix::process::kill_process_group(pid, signal)
        } else {
            rustix::process::kill_process(pid, signal)
        };
        if let Err(error) = sent {
            tracing::warn!(%error, pid = pid.as_raw_nonzero().get(), "cannot signal a recorder");
        }
    }
}

/// What a recorder is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// To record, in a directory that no recorder has written to yet.
    Record,
    /// To make a file of what a dead one left in the directory.
    Salvage,
}

/// Starts `program recorder --dir DIR` in a process group of its own and hands
/// it the spec.
///
/// The spec holds the meeting's token, so it goes through standard input: the
/// arguments and the environment of a process can be read by others.
pub(super) fn spawn(
    program: &Path,
    dir: &Path,
    spec: &RecordingSpec,
    task: Task,
) -> io::Result<Child> {
    if task == Task::Record {
        match DirBuilder::new().mode(0o700).create(dir) {
            // A service before this one came no further.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists && !dir.join(JOURNAL).exists() => {}
            made => made?,
        }
    }
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join(LOG))?;
    let spec = serde_json::to_vec(spec)?;
    let mut command = Command::new(program);
    command.arg0("roomreel").arg("recorder").arg("--dir").arg(dir);
    if task == Task::Salvage {
        command.arg("--salvage");
    }
    command
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(false);
    // The recorder meets hostile pages and needs none of the service's settings, nor
    // the keys to its buckets.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if crate::config::is_setting(&text) || crate::storage::is_credential(&text) {
            command.env_remove(name);
        }
    }
    // Its log is quoted in failures: sentences, whatever format ours has.
    command.env_remove("ROOMREEL_LOG_FORMAT");
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // In a task of its own: a recorder that does not read must not hold up
        // its supervisor. If it is gone already, its exit says more.
        tokio::spawn(async move { stdin.write_all(&spec).await });
    }
    Ok(child)
}

/// The end of the recorder's log, in one line.
pub(super) fn last_words(dir: &Path) -> io::Result<String> {
    let mut log = File::open(dir.join(LOG))?;
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(LAST_WORDS)))?;
    let mut tail = Vec::new();
    log.take(LAST_WORDS).read_to_end(&mut tail)?;
    let text = String::from_utf8_lossy(&tail);
    let clean: String = text.chars().map(|c| if c.is_control() { '\n' } else { c }).collect();
    let lines: Vec<_> = clean.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Ok(lines.join(" / "))
}

/// Kills the process group of `leader`, if that is still the process that
/// started at `start_ticks`. True if it was.
pub(super) fn kill_group_of(leader: u32, start_ticks: u64) -> bool {
    // Signalling "group" 0 or 1 would reach us, or everybody.
    let Some(pid) = pid(leader).filter(|_| leader > 1) else { return false };
    start_of(pid) == Some(start_ticks)
        && rustix::process::kill_process_group(pid, Signal::KILL).is_ok()
}

fn pid(raw: u32) -> Option<Pid> {
    // Beyond i32 there are no processes, and rustix would panic.
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

/// When the process started, in clock ticks since boot: field 22 of
/// `/proc/PID/stat` (proc_pid_stat(5)).
fn start_of(pid: Pid) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name before the last parenthesis may hold spaces; field 3 follows it.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};

    use super::*;

    #[test]
    fn a_group_is_killed_only_if_it_is_the_same_process() {
        let mut sleeper =
            std::process::Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let id = sleeper.id();
        let start = start_of(pid(id).unwrap()).unwrap();
        assert!(!kill_group_of(id, start + 1));
        assert!(sleeper.try_wait().unwrap().is_none());
        assert!(kill_group_of(id, start));
        assert_eq!(sleeper.wait().unwrap().signal(), Some(9));
        assert!(!kill_group_of(id, start));
        assert!(!kill_group_of(0, 0) && !kill_group_of(1, 0) && !kill_group_of(u32::MAX, 0));
    }

    #[test]
    fn last_words_are_short_and_one_line() {
        let dir = tempfile::tempdir().unwrap();
        assert!(last_words(dir.path()).is_err());
        let log = format!("{}\nfirst\r\n\n\u{1b}[31msecond é\n", "x".repeat(5000));
        std::fs::write(dir.path().join(LOG), log).unwrap();
        let words = last_words(dir.path()).unwrap();
        assert!(words.ends_with("x / first / [31msecond é"), "{words}");
        assert!(words.len() <= LAST_WORDS as usize + 16 && !words.contains('\n'));
    }
}
