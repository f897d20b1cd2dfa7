//! A meeting's token is nowhere that others can look: no process of the recording
//! shows it, and nothing that is left of the recording holds it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use roomreel::job::{Command, Event, StopReason};

use crate::support::pages::{Pages, own_pages};
use crate::support::recorder::Recorder;
use crate::support::{quiet, scratch, until};

const TOKEN: &str = "s3cr3t-t0k3n-0f-th3-m33ting";

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes())
}

/// Files under `dir` that hold the token.
fn leaks(dir: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            leaks(&path, found);
        } else if holds(&std::fs::read(&path).unwrap_or_default()) {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn no_process_shows_the_token_and_nothing_that_is_left_holds_it() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let dir = scratch();
    let dir = dir.path().join("recording");
    let url = pages.url(&format!("barcode.html?auth_token={TOKEN}"));
    let recorder = Recorder::new(&url, &dir);
    let running = recorder.start();
    until("a first frame", Duration::from_secs(60), || {
        recorder.events().iter().any(|e| matches!(e, Event::FirstFrame { .. })).then_some(())
    });
    let mut seen = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else {
            continue;
        };
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(process.path().join(file)).unwrap_or_default();
            // The test's own process may say what it likes.
            assert!(!holds(&text) || pid == std::process::id(), "{file} of {pid}");
        }
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        seen += u32::from(String::from_utf8_lossy(&line).contains("chromium"));
    }
    assert!(seen > 2, "no Chromium was seen");
    let mode = std::fs::metadata(&dir).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    std::thread::sleep(Duration::from_secs(2));
    recorder.tell(Command::Stop { reason: StopReason::ClientRequest });
    let said = running.wait(Duration::from_secs(60)).expect_success("roomreel recorder");
    assert!(!holds(said.stderr.as_bytes()), "{}", said.stderr);
    // It says that it is confined, or why not.
    assert!(said.stderr.contains("confined"), "{}", said.stderr);
    let mut found = Vec::new();
    leaks(&dir, &mut found);
    assert_eq!(found, Vec::<String>::new());
}
