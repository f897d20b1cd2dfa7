//! Starting and ending: nothing may be left, nothing may be waited for in vain.

use std::path::Path;
use std::time::Duration;

use roomreel::browser::{Browser, BrowserError, Gone, Launch, LoadError, PageEvent, Surface};
use roomreel::job::{BrowserOptions, PageOptions};
use rustix::process::{Pid, Signal};

use super::site::Site;
use super::{PATIENCE, group, launch, next, users_of};

/// The value of `name:` in a process's status.
fn status(pid: u32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_string())
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[tokio::test]
async fn a_browser_is_sandboxed_and_leaves_nothing_behind() {
    let running = launch(|_| ()).await;
    let browser = running.browser;
    let pid = browser.pid();
    assert!(browser.version().contains("Chrome/"), "{}", browser.version());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(stat.split(' ').any(|field| field == browser.start_ticks().to_string()));

    let members = group(pid);
    let renderers: Vec<u32> = members
        .iter()
        .copied()
        .filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("--type=renderer")
        })
        .collect();
    // The last of a tab that was closed at the start may end meanwhile.
    let confined = renderers.iter().filter_map(|renderer| {
        let namespaces = status(*renderer, "NSpid")?.split_whitespace().count();
        Some((status(*renderer, "Seccomp")?, namespaces))
    });
    let confined: Vec<(String, usize)> = confined.collect();
    assert!(!confined.is_empty());
    for (filter, namespaces) in confined {
        assert_eq!(filter, "2", "no filter");
        assert_ne!(namespaces, 1);
    }
    assert!(status(pid, "Uid").is_some());
    for pid in &members {
        let Some(uids) = status(*pid, "Uid") else { continue };
        assert!(!uids.split_whitespace().any(|id| id == "0"));
        if rustix::process::geteuid().is_root() {
            assert!(status(*pid, "Groups").is_none_or(|groups| groups.is_empty()));
        }
    }
    assert!(!is_empty(&running.dir.path().join("runtime")));
    // No DevTools port: nobody else on the machine can drive it.
    assert_eq!(crate::record_alone::listening("-tl", &members), Vec::<String>::new());

    let mut site = Site::open(
        "<script>addEventListener('pagehide', () => navigator.sendBeacon('/tell', 'left'))</script>",
    )
    .await;
    browser.page().goto(&site.url("/"), PATIENCE).await.unwrap();
    browser.close(PATIENCE).await;
    assert_eq!(site.told.recv().await.as_deref(), Some("left"));
    assert_eq!(group(pid), Vec::<u32>::new());
    assert_eq!(users_of(running.dir.path()), Vec::<u32>::new());
    if !is_empty(&running.dir.path().join("runtime")) {
        std::process::Command::new("ls").arg("-laR").arg(running.dir.path()).status().unwrap();
    }
    assert!(is_empty(&running.dir.path().join("runtime")));
}

#[tokio::test]
async fn a_killed_browser_is_gone_at_once() {
    let running = launch(|_| ()).await;
    let pid = running.browser.pid();
    let leader = Pid::from_raw(pid.cast_signed()).unwrap();
    let site = Site::open("<p>hello").await;
    let hanging = site.url("/hang");
    let lost = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        rustix::process::kill_process(leader, Signal::KILL).unwrap();
        running.browser.gone().await
    };
    let page = running.browser.page();
    let (load, gone) = tokio::time::timeout(PATIENCE, async {
        tokio::join!(page.goto(&hanging, PATIENCE * 2), lost)
    })
    .await
    .expect("the loss went unnoticed");
    assert!(matches!(load, Err(LoadError::Browser(_))), "{load:?}");
    assert!(matches!(&gone, Gone::Exited { status, .. } if status.contains('9')), "{gone:?}");
    running.browser.close(PATIENCE).await;
    assert_eq!(group(pid), Vec::<u32>::new());
    if !is_empty(&running.dir.path().join("runtime")) {
        std::process::Command::new("ls").arg("-laR").arg(running.dir.path()).status().unwrap();
    }
    assert!(is_empty(&running.dir.path().join("runtime")));
}

#[tokio::test]
async fn a_dropped_browser_goes_with_all_its_processes() {
    let running = launch(|_| ()).await;
    let pid = running.browser.pid();
    drop(running.browser);
    let cleared = async {
        while !group(pid).is_empty() || !is_empty(&running.dir.path().join("runtime")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, cleared).await.expect("something is left");
}

#[tokio::test]
async fn a_crashed_page_is_told_and_can_be_loaded_again() {
    let running = launch(|_| ()).await;
    let page = running.browser.page();
    let mut events = page.events().unwrap();
    let site = Site::open("<title>here</title>").await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    let crash = page.goto(&url::Url::parse("chrome://crash").unwrap(), PATIENCE).await;
    assert!(matches!(crash, Err(LoadError::Crashed)), "{crash:?}");
    assert_eq!(next(&mut events, |_| true).await, PageEvent::Crashed);
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    assert_eq!(page.evaluate::<String>("document.title", PATIENCE).await.unwrap(), "here");
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn a_browser_that_cannot_start_says_why() {
    let dir = tempfile::TempDir::new().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let program = dir.path().join("not-chromium");
    std::fs::write(&program, "#!/bin/sh\necho out of luck >&2\nexit 3\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    let runtime_dir = dir.path().join("runtime");
    let launch = Launch {
        options: BrowserOptions { program: Some(program), ..BrowserOptions::default() },
        page: PageOptions::default(),
        surface: Surface::Headless { width: 640, height: 480 },
        runtime_dir: runtime_dir.clone(),
        capture_files: None,
        proxy: None,
    };
    let error = Browser::launch(launch).await.unwrap_err();
    assert!(
        matches!(&error, BrowserError::Died { status, stderr }
            if status.contains('3') && stderr == "out of luck"),
        "{error:?}"
    );
    assert!(is_empty(&runtime_dir));
}
