//! Processes that never outlive the test that started them.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a process may take to obey SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running process in a process group of its own, with its output collected.
///
/// Dropping it ends it: SIGTERM, then SIGKILL to its group and to every group that
/// its descendants founded (a recorder's browser has one).
pub struct Running {
    child: Child,
    stdout: Collector,
    stderr: Collector,
}

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status; by signal when it was killed.
    pub status: ExitStatus,
    /// Standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Outcome {
    /// Panics with everything the process said unless it exited with 0.
    pub fn expect_success(self, what: &str) -> Self {
        assert!(
            self.status.success(),
            "{what}: {}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }
}

impl Running {
    /// Starts `command` with nothing on standard input.
    pub fn spawn(command: &mut Command) -> Self {
        Self::spawn_on(command, Stdio::null())
    }

    /// Starts `command` with `text` on standard input.
    pub fn spawn_with(command: &mut Command, text: &str) -> Self {
        let mut running = Self::spawn_on(command, Stdio::piped());
        let mut stdin = running.child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        running
    }

    fn spawn_on(command: &mut Command, stdin: Stdio) -> Self {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", command.get_program().display()));
        let stdout = Collector::start(child.stdout.take().unwrap());
        let stderr = Collector::start(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Process id, and id of its process group.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends `signal` to the process alone.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end; panics (and so kills it) when that takes longer than `patience`.
    pub fn wait(mut self, patience: Duration) -> Outcome {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(
                begun.elapsed() < patience,
                "still running after {patience:?}\n--- stdout\n{}\n--- stderr\n{}",
                self.stdout(),
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        // Orphans may hold the pipes open; what they say is of no interest.
        self.stdout.settle(Duration::from_secs(1));
        self.stderr.settle(Duration::from_secs(1));
        Outcome { status, stdout: self.stdout(), stderr: self.stderr() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Read before the parent dies: orphans lose their way back to it.
        let groups = groups_below(self.pid());
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = rustix::process::kill_process(self.pid(), Signal::TERM);
            let begun = Instant::now();
            while self.child.try_wait().is_ok_and(|ended| ended.is_none())
                && begun.elapsed() < PATIENCE
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = self.child.kill();
        }
        let _ = kill_process_group(self.pid(), Signal::KILL);
        for group in groups {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end, within two minutes.
pub fn run(command: &mut Command) -> Outcome {
    Running::spawn(command).wait(Duration::from_secs(120))
}

/// The process groups of `ancestor`'s living descendants.
fn groups_below(ancestor: Pid) -> Vec<Pid> {
    let processes = processes();
    let mut family = vec![ancestor];
    let mut groups = Vec::new();
    let mut next = 0;
    while next < family.len() {
        let parent = family[next];
        next += 1;
        for process in processes.iter().filter(|p| p.parent == Some(parent)) {
            family.push(process.pid);
            if process.group != ancestor && !groups.contains(&process.group) {
                groups.push(process.group);
            }
        }
    }
    // Never our own: a child that has not reached setpgid yet is still in it.
    groups.retain(|&g| g != rustix::process::getpgrp());
    groups
}

/// One line of the process table.
struct Process {
    pid: Pid,
    parent: Option<Pid>,
    group: Pid,
}

fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|e| parse_stat(&std::fs::read_to_string(e.ok()?.path().join("stat")).ok()?))
        .collect()
}

/// `pid (comm) state ppid pgrp …` (proc_pid_stat(5)); comm may hold anything.
fn parse_stat(line: &str) -> Option<Process> {
    let (pid, _) = line.split_once(' ')?;
    let (_, rest) = line.rsplit_once(')')?;
    // A process that is being reaped has -1 for its group.
    let id = |field: &str| field.parse().ok().filter(|id| *id >= 0);
    let mut fields = rest.split_whitespace().skip(1).map(id);
    Some(Process {
        pid: Pid::from_raw(pid.parse().ok()?)?,
        parent: Pid::from_raw(fields.next()??),
        group: Pid::from_raw(fields.next()??)?,
    })
}

/// A thread that reads a pipe to its end.
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collector {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 64 * 1024];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self { bytes, thread }
    }

    fn settle(&self, patience: Duration) {
        let begun = Instant::now();
        while !self.thread.is_finished() && begun.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}

#[test]
fn output_and_status_are_collected() {
    let outcome = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(outcome.status.code(), Some(3));
}

#[test]
fn a_process_that_is_being_reaped_has_no_group() {
    assert!(parse_stat("7 (sh) S 1 7 7 0 -1").is_some());
    assert!(parse_stat("7 (sh) X 0 -1 -1 0 -1").is_none());
}

#[test]
fn a_signal_reaches_the_process() {
    let running = Running::spawn(Command::new("sleep").arg("1000"));
    running.signal(Signal::INT);
    let outcome = running.wait(Duration::from_secs(5));
    assert_eq!(outcome.status.signal(), Some(Signal::INT.as_raw()));
}

#[test]
fn a_dropped_process_takes_descendants_of_other_groups_with_it() {
    // The child ignores SIGTERM's usual way out: it lives in a session of its own.
    let running = Running::spawn(
        Command::new("sh").args(["-c", "setsid sleep 1000 & echo $!; exec sleep 1000"]),
    );
    let pid = super::until("the pid of the grandchild", Duration::from_secs(5), || {
        running.stdout().trim().parse().ok().and_then(Pid::from_raw)
    });
    super::until("setsid", Duration::from_secs(5), || {
        groups_below(running.pid()).contains(&pid).then_some(())
    });
    drop(running);
    super::until("the end of the grandchild", Duration::from_secs(5), || {
        // An orphan may stay a zombie when nobody reaps in this container.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        stat.map_or(Some(()), |s| s.contains(") Z").then_some(()))
    });
}
