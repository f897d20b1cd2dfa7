//! A machine that gives too little: no descriptors, no processes, no time.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command as Program;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

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
    // With fewer than four the program's libraries do not load.
    for most in [4, 5, 6, 7, 8, 9, 12, 16, 24, 31, 32, 36, 160, 255] {
        let (said, _) = limited(&format!("--nofile={most}"), &dir.path().join(most.to_string()));
        assert!(matches!(said.status.code(), Some(1 | 4 | 5)), "{most}: {said:?}");
        let named = ["Too many open files", "files may be open at once"];
        assert!(named.iter().any(|n| said.stderr.contains(n)), "{most}: {}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "{most}: {}", said.stderr);
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

/// The screen that a browser was given: it lies beside its profile.
fn screen_of(browser: u32) -> UnixStream {
    let line = std::fs::read(format!("/proc/{browser}/cmdline")).unwrap();
    let line = String::from_utf8_lossy(&line).into_owned();
    let profile = line.split(['\0', ' ']).find_map(|part| part.strip_prefix("--user-data-dir="));
    UnixStream::connect(Path::new(profile.unwrap()).with_file_name("wayland-0")).unwrap()
}

/// Sends `wl_display.sync` with as many descriptors as one message may carry, which
/// that request takes none of.
fn burden(screen: &UnixStream, file: &File, id: u32) -> rustix::io::Result<usize> {
    let sync: Vec<u8> = [1, 12 << 16, id].into_iter().flat_map(u32::to_ne_bytes).collect();
    let files = [file.as_fd(); 28];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(28))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&files)));
    sendmsg(screen, &[IoSlice::new(&sync)], &mut ancillary, SendFlags::NOSIGNAL)
}

#[test]
fn a_browser_that_leaves_no_descriptors_is_replaced_and_the_recording_goes_on() {
    let _quiet = quiet();
    let recording = Recording::start();
    let recorder = recording.running.pid().as_raw_nonzero().get();
    // A limit that the flood reaches and its replacement does not.
    let limit = ["--pid", &recorder.to_string(), "--nofile=1024:1024"];
    assert!(Program::new("prlimit").args(limit).status().unwrap().success());
    let taken = || std::fs::read_dir(format!("/proc/{recorder}/fd")).unwrap().count();
    let (screen, file) = (screen_of(recording.browser), File::open("/dev/null").unwrap());
    for id in 2..60 {
        burden(&screen, &file, id).unwrap();
        let before = Instant::now();
        while taken() < 28 * (id as usize - 1) {
            assert!(before.elapsed() < PATIENCE, "{} descriptors", taken());
            std::thread::sleep(Duration::from_millis(1));
        }
        if taken() > 1024 * 3 / 4 + 20 {
            break;
        }
    }
    until("that it is noticed", PATIENCE, || {
        noticed(&recording.recorder.events(), "no descriptors").then_some(())
    });
    drop(screen);
    until("another browser", PATIENCE, || {
        journal::browser(&recording.recorder.events()).filter(|&pid| pid != recording.browser)
    });
    recording.until_painted();
    assert!(taken() < 500, "{} descriptors", taken());
    let (events, still) = recording.finish();
    println!("{still:.3} s without a new picture");
    assert!(noticed(&events, "starting browser 2"), "{events:#?}");
}

/// Requests as fast as they are taken, from a connection that reads its answers.
fn flood(screen: &UnixStream, enough: &AtomicBool) -> u64 {
    let mut answers = screen.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        // Until it is closed, by whichever end.
        let _ = std::io::copy(&mut answers, &mut std::io::sink());
    });
    let (mut id, mut sent) = (2_u32, 0);
    while !enough.load(Ordering::Relaxed) {
        let syncs = (0..64).flat_map(|n| [1, 12 << 16, id + n]).flat_map(u32::to_ne_bytes);
        let mut screen = screen;
        if screen.write_all(&syncs.collect::<Vec<_>>()).is_err() {
            break;
        }
        // Ids of answered callbacks are free again; these come round late enough.
        id = if id > 60_000 { 2 } else { id + 64 };
        sent += 64;
    }
    let _ = screen.shutdown(std::net::Shutdown::Both);
    reader.join().unwrap();
    sent
}

#[test]
fn a_browser_that_floods_the_screen_costs_pictures_and_not_the_recording() {
    let _quiet = quiet();
    let recording = Recording::start();
    let screen = screen_of(recording.browser);
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&screen, &enough));
        // As long as it lasts, or until its browser is held to account for it.
        let patience = Instant::now() + by_length(Duration::from_secs(8), Duration::from_secs(20));
        while Instant::now() < patience
            && !noticed(&recording.recorder.events(), "starting browser 2")
        {
            std::thread::sleep(Duration::from_millis(100));
        }
        enough.store(true, Ordering::Relaxed);
        let sent = flood.join().unwrap();
        println!("{sent} requests");
        assert!(sent > 10_000, "no flood: {sent} requests");
    });
    recording.until_painted();
    // As long as the clock says, its sound without a hole: that is judged there.
    let (_, still) = recording.finish();
    println!("{still:.3} s without a new picture");
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
