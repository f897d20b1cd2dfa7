//! A machine that gives too little: no descriptors, no processes, no time.

use std::path::Path;
use std::process::Command as Program;

use super::*;

/// What a recorder with a limit of prlimit(1) says, and what its journal does.
fn limited(limit: &str, dir: &Path) -> (crate::support::process::Outcome, Vec<Event>) {
    let recorder = Recorder::new("http://127.0.0.1:1/", dir);
    let mut command = Program::new("prlimit");
    command.arg(limit).arg(env!("CARGO_BIN_EXE_roomreel")).args(["recorder", "--dir"]).arg(dir);
    let said = Running::spawn_with(&mut command, &recorder.spec.to_string()).wait(PATIENCE);
    (said, recorder.events())
}

#[test]
fn too_few_descriptors_are_a_clear_failure() {
    let dir = scratch();
    for most in [12, 16, 20, 24] {
        let (said, _) = limited(&format!("--nofile={most}"), &dir.path().join(most.to_string()));
        assert!(matches!(said.status.code(), Some(1 | 4 | 5)), "{most}: {said:?}");
        assert!(said.stderr.contains("Too many open files"), "{most}: {}", said.stderr);
    }
}

#[test]
fn too_few_processes_are_a_clear_failure() {
    let _quiet = quiet();
    let dir = scratch();
    for most in [1, 8] {
        let (said, events) =
            limited(&format!("--nproc={most}"), &dir.path().join(most.to_string()));
        assert!(matches!(said.status.code(), Some(1 | 4)), "{most}: {said:?}");
        assert!(said.stderr.contains("browser"), "{most}: {}", said.stderr);
        let left = journal::browser(&events).map(group).unwrap_or_default();
        assert!(left.is_empty(), "{most}: {left:?}");
    }
}

/// Busy loops, ended with the value.
struct Stress(Vec<Running>);

impl Stress {
    fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let busy = || Running::spawn(Program::new("sh").args(["-c", "while :; do :; done"]));
        Self((0..3 * cores).map(|_| busy()).collect())
    }
}

#[test]
fn a_machine_that_is_too_busy_keeps_the_time_and_counts_what_it_missed() {
    let _quiet = quiet();
    let recording = Recording::start();
    let stress = Stress::new();
    assert!(!stress.0.is_empty());
    std::thread::sleep(Duration::from_secs(if long() { 60 } else { 6 }));
    drop(stress);
    // As long as the clock says, in order, its sound without a hole: that is judged there.
    let (events, still) = recording.finish();
    let stats = journal::finished(&events).stats;
    println!("{stats:?}, {still:.3} s without a new picture");
    // Each frame of the file is a new picture, or is counted as repeated.
    assert_eq!(stats.painted - stats.superseded, stats.recorded - stats.repeated, "{stats:?}");
}
