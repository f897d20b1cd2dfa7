//! Chromium, the real one, through the `browser` door.

mod lives;
mod loads;
mod rooms;
mod sdks;
mod site;

use std::path::Path;
use std::time::Duration;

use roomreel::browser::{Browser, Launch, PageEvent, Surface};
use roomreel::job::{BrowserOptions, PageOptions};
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

/// Far above what any step takes: only what never comes runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    browser: Browser,
    dir: TempDir,
}

async fn launch(change: impl FnOnce(&mut Launch)) -> Running {
    let dir = TempDir::new().unwrap();
    let mut launch = Launch {
        options: BrowserOptions::default(),
        page: PageOptions::default(),
        surface: Surface::Headless { width: 640, height: 480 },
        runtime_dir: dir.path().join("runtime"),
        capture_files: None,
        proxy: None,
    };
    // The temporary directory is its owner's alone; a browser under another user
    // id has to get through it.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(dir.path(), open).unwrap();
    change(&mut launch);
    Running { browser: Browser::launch(launch).await.unwrap(), dir }
}

/// Pids of the living members of a process group (zombies are dead).
pub(crate) fn group(pgid: u32) -> Vec<u32> {
    let stat = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().into_string().unwrap_or_default();
        let Some(text) = pid.parse::<u32>().ok().and_then(|_| stat(&pid)) else { continue };
        let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
        if fields[0] != "Z" && fields[2] == pgid.to_string() {
            members.push(pid.parse().unwrap());
        }
    }
    members
}

/// Pids whose command line names `dir`, whatever group they are in.
fn users_of(dir: &Path) -> Vec<u32> {
    let name = dir.to_str().unwrap().as_bytes();
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(name.len()).any(|part| part == name)
    })
    .collect()
}

async fn next(events: &mut Receiver<PageEvent>, wanted: impl Fn(&PageEvent) -> bool) -> PageEvent {
    let search = async {
        loop {
            let event = events.recv().await.expect("the page's events ended");
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("the event did not come")
}
