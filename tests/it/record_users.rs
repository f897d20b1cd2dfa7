//! Root and an ordinary user record alike, with Chromium's sandbox on and without
//! any display or sound server.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::journal;
use crate::support::judge::{code, decodes_silently};
use crate::support::pages::{Pages, own_pages};
use crate::support::process::Running;
use crate::support::{quiet, scratch, until};

/// What no recording may need.
const SERVERS: &[&str] = &["Xvfb", "Xorg", "weston", "pulseaudio", "pipewire", "wireplumber"];

/// A process of a recording's browser.
#[derive(Debug)]
struct Process {
    /// `renderer`, `gpu-process`, …; empty for the browser itself.
    kind: String,
    uid: u32,
    /// 2: a seccomp filter is on.
    seccomp: String,
}

/// Every process of the group that the browser leads.
fn browser_processes(group: u32) -> Vec<Process> {
    let text = |dir: &Path, file: &str| {
        let bytes = std::fs::read(dir.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', "\n")
    };
    let dirs = std::fs::read_dir("/proc").unwrap().filter_map(|e| Some(e.ok()?.path()));
    let of_group = dirs.filter(|dir| {
        let stat = text(dir, "stat");
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(2) == Some(&group.to_string())
    });
    of_group
        .filter_map(|dir| {
            let arguments = text(&dir, "cmdline");
            // Chromium's children put blanks between their arguments.
            let kind =
                arguments.split_whitespace().find_map(|a| a.strip_prefix("--type=")).unwrap_or("");
            let status = text(&dir, "status");
            let seccomp = status.lines().find_map(|l| l.strip_prefix("Seccomp:")).unwrap_or("");
            Some(Process {
                kind: kind.to_owned(),
                uid: std::fs::metadata(&dir).ok()?.uid(),
                seccomp: seccomp.trim().to_owned(),
            })
        })
        .collect()
}

fn names_of_all_processes() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let names = entries.filter_map(|e| std::fs::read_to_string(e.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

/// Records the barcode for some seconds as `user` (`None`: whoever runs the tests).
fn record_as(user: Option<u32>) {
    let dir = scratch();
    // Somebody else may not enter where the tests' own build lies.
    let program: PathBuf = dir.path().join("roomreel");
    std::fs::copy(env!("CARGO_BIN_EXE_roomreel"), &program).unwrap();
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(dir.path(), everybody).unwrap();
    let (out, log) = (dir.path().join("out.mp4"), dir.path().join("log.jsonl"));
    let pages = Pages::over(vec![own_pages()]);

    let mut command = Command::new(&program);
    command.args(["record", &pages.url("barcode.html"), "--duration", "5s", "-o"]);
    command.arg(&out).arg("--journal").arg(&log).env_remove("DISPLAY").current_dir("/");
    if let Some(user) = user {
        command.uid(user).gid(user).env("HOME", dir.path()).env_remove("XDG_RUNTIME_DIR");
    }
    let recording = Running::spawn(&mut command);
    until("a first frame", Duration::from_secs(60), || journal::t0(&journal::read(&log)));
    let processes = browser_processes(journal::browser(&journal::read(&log)).unwrap());
    let servers = names_of_all_processes();
    recording.wait(Duration::from_secs(60)).expect_success("roomreel record");

    let renderers: Vec<_> = processes.iter().filter(|p| p.kind == "renderer").collect();
    assert!(!renderers.is_empty(), "{processes:#?}");
    for renderer in renderers {
        assert_eq!(renderer.seccomp, "2", "the sandbox is off: {renderer:?}");
    }
    for process in &processes {
        assert_ne!(process.uid, 0, "Chromium runs as root: {process:?}");
        if let Some(user) = user {
            assert_eq!(process.uid, user, "{process:?}");
        }
    }
    for server in SERVERS {
        assert!(!servers.iter().any(|name| name == server), "{server} is running");
    }
    assert_eq!(decodes_silently(&out), Ok(()));
    let seen = code::cadence(&code::painted(&out));
    assert_eq!((seen.unreadable, seen.backwards), (0, 0), "{seen:?}");
}

#[test]
fn whoever_runs_it_records_with_the_sandbox_on() {
    let _quiet = quiet();
    record_as(None);
}

#[test]
fn an_ordinary_user_records_as_root_does() {
    let _quiet = quiet();
    if rustix::process::geteuid().is_root() {
        record_as(Some(54_321));
    } else {
        // Then the test above has shown it already, and root cannot be had.
        record_as(None);
    }
}
