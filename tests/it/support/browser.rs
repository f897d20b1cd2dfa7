//! Browsers of tests: other people in a meeting, and a look at a page.

use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process_group};

use super::process::{Running, run};

/// Debian's wrapper script adds flags of its own; this is what it starts.
pub const BINARY: &str = "/usr/lib/chromium/chromium";

/// A headless Chromium with a profile in `profile`.
fn chromium(profile: &Path) -> Command {
    let program = if Path::new(BINARY).exists() { BINARY } else { "chromium" };
    let mut command = Command::new(program);
    command.args(["--headless", "--no-first-run", "--disable-gpu", "--disable-breakpad"]);
    command.args(["--disable-background-networking", "--disable-component-update"]);
    command.args(["--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars"]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    // Chromium refuses its sandbox to root. These browsers see pages of ours only.
    if rustix::process::geteuid().is_root() {
        command.arg("--no-sandbox");
    }
    command
}

/// Paints two seconds of `url` in a window of `size` into a PNG.
pub fn screenshot(url: &str, size: (u32, u32), png: &Path) {
    let profile = super::scratch();
    run(chromium(profile.path())
        .arg(format!("--window-size={},{}", size.0, size.1))
        .arg("--virtual-time-budget=2000")
        .arg(format!("--screenshot={}", png.display()))
        .arg(url))
    .expect_success("chromium");
}

/// Somebody in a meeting, with camera and microphone fed from files.
///
/// Dropping it ends the browser without a word to the meeting, as a crash would; how to
/// leave politely is for the meeting to know.
pub struct Publisher {
    browser: Running,
    /// Deleted after the browser is gone.
    _profile: tempfile::TempDir,
}

impl Publisher {
    /// Joins at `url` with `NAME.mjpeg` and `NAME.wav` of `feeds`, see [`super::media::feeds`].
    pub fn join(url: &str, feeds: &Path, name: &str) -> Self {
        let profile = super::scratch();
        let feed = |kind: &str| feeds.join(name).with_extension(kind).display().to_string();
        let browser = Running::spawn(
            chromium(profile.path())
                .args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"])
                .arg(format!("--use-file-for-fake-video-capture={}", feed("mjpeg")))
                .arg(format!("--use-file-for-fake-audio-capture={}", feed("wav")))
                .args(["--autoplay-policy=no-user-gesture-required", "--mute-audio"])
                // A machine without a network has no other way between two of its browsers.
                .arg("--allow-loopback-in-peer-connection")
                .arg("--disable-features=WebRtcHideLocalIpsWithMdns")
                .arg("--remote-debugging-port=0")
                .arg(url),
        );
        Self { browser, _profile: profile }
    }

    /// Kills the browser with all its processes: it can say goodbye to nobody.
    pub fn kill(self) {
        let _ = kill_process_group(self.browser.pid(), Signal::KILL);
    }
}
