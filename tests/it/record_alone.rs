//! While it records there is nothing but the recorder and its browser: no display
//! server, no sound server, and no door but those between the two.

use std::process::Command;
use std::time::Duration;

use crate::browser::group;
use crate::journal;
use crate::support::pages::{Pages, own_pages};
use crate::support::recorder::Recorder;
use crate::support::{quiet, scratch, until};

/// The listening sockets of some processes as `ss` shows them; `kind` is `-xl` for
/// unix sockets, `-tl` for TCP, `-ul` for UDP.
pub(crate) fn listening(kind: &str, pids: &[u32]) -> Vec<String> {
    let told = Command::new("ss").args(["-H", "-n", "-p", kind]).output().unwrap();
    assert!(told.status.success(), "{told:?}");
    let of_ours = |line: &&str| pids.iter().any(|pid| line.contains(&format!("pid={pid},")));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    told.lines().filter(of_ours).map(ToOwned::to_owned).collect()
}

#[test]
fn nothing_listens_but_screen_speaker_and_control() {
    let _quiet = quiet();
    let (pages, dir) = (Pages::over(vec![own_pages()]), scratch());
    let recorder = Recorder::new(&pages.url("tone.html"), &dir.path().join("rec"));
    let running = recorder.start();
    until("a first frame", Duration::from_secs(60), || journal::t0(&recorder.events()));
    let browser = journal::browser(&recorder.events()).unwrap();
    let own = running.pid().as_raw_nonzero().get().unsigned_abs();

    let sockets = listening("-xl", &[own]);
    for door in ["wayland", "pulse", "control.sock"] {
        assert_eq!(sockets.iter().filter(|s| s.contains(door)).count(), 1, "{door}: {sockets:#?}");
    }
    assert_eq!(sockets.len(), 3, "{sockets:#?}");
    let family: Vec<u32> = group(browser).into_iter().chain([own]).collect();
    for kind in ["-tl", "-ul"] {
        assert_eq!(listening(kind, &family), Vec::<String>::new());
    }
    // A browser's own door keeps a second one off its profile.
    let browsers = listening("-xl", &group(browser));
    assert!(browsers.iter().all(|s| s.contains("SingletonSocket")), "{browsers:#?}");

    for pid in group(browser) {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut names = environment.split(|&byte| byte == 0);
        assert!(!names.any(|v| v.starts_with(b"DISPLAY=")), "{pid} has a DISPLAY");
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        assert!(name.is_empty() || name.starts_with("chrom"), "{name} runs beside the browser");
    }
}
