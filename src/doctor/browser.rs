//! A browser really started: its version, its sandbox, the glyphs it has.

use std::path::Path;
use std::time::Duration;

use super::{Finding, machine};
use crate::browser::{Browser, BrowserError, Launch, Surface, find_program};
use crate::config::Config;
use crate::job::PageOptions;
use crate::recorder::place;

/// For an answer of the page.
const PATIENCE: Duration = Duration::from_secs(20);
/// For the first renderer of a browser that just started.
const RENDERER: Duration = Duration::from_secs(5);

/// Draws a character, and tells whether it comes out other than one that no font has;
/// of an emoji, whether it has colour.
const GLYPHS: &str = r#"(() => {
  const drawn = text => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 64;
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    pen.font = '40px sans-serif';
    pen.fillText(text, 4, 48);
    return pen.getImageData(0, 0, 64, 64).data;
  };
  const missing = drawn('\u{10fffd}').join();
  const there = text => { const d = drawn(text); return d.some(v => v) && d.join() !== missing; };
  const colour = drawn('\u{1f389}').some((v, i, d) =>
    i % 4 === 0 && d[i + 3] > 200 && Math.abs(v - d[i + 2]) > 60);
  return [there('A'), there('\u6f22'), there('\u304b'), there('\ud55c'), colour];
})()"#;

/// Starts the browser as a recording would, without a screen, and looks at it.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let options = config.browser.options();
    if find_program(options.program.as_deref()).is_err() {
        // Told already.
        return Vec::new();
    }
    let Ok(runtime) = place::runtime_dir() else { return Vec::new() };
    let launch = Launch {
        options,
        page: PageOptions::default(),
        surface: Surface::Headless { width: 640, height: 480 },
        runtime_dir: runtime.path().to_path_buf(),
        capture_files: None,
        proxy: None,
    };
    let browser = match Browser::launch(launch).await {
        Ok(browser) => browser,
        Err(error) => return vec![not_started(&error)],
    };
    let version = Finding::ok("browser", format!("{} starts", browser.version()));
    let sandbox = match config.browser.no_sandbox {
        true => Finding::warn("sandbox", "is off", "take browser.no_sandbox out"),
        false => judge_sandbox(renderer(browser.pid()).await, browser.uid()),
    };
    let glyphs = browser.page().evaluate::<[bool; 5]>(GLYPHS, PATIENCE).await;
    browser.close(Duration::from_secs(3)).await;
    vec![version, sandbox, judge_glyphs(glyphs.map_err(|error| error.to_string()))]
}

fn not_started(error: &BrowserError) -> Finding {
    let (found, advice) = match error {
        BrowserError::Sandbox => (
            "Chromium finds no way to make its sandbox".to_owned(),
            "see `namespaces`; in a container, use docker/seccomp.json (docs/security.md)",
        ),
        other => (other.to_string(), "run it by hand as the user of the service to see more"),
    };
    Finding::fail("browser", found, advice)
}

/// What the kernel says of a process that shows a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Renderer {
    /// It has a seccomp filter.
    filtered: bool,
    /// It is in a user namespace other than ours, as far as that can be seen.
    apart: Option<bool>,
}

/// The first renderer in the process group of a browser.
async fn renderer(group: u32) -> Option<Renderer> {
    let looked_for = async {
        loop {
            if let Some(found) = processes_of(group).find_map(|pid| renderer_at(&pid)) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(RENDERER, looked_for).await.ok()
}

fn processes_of(group: u32) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(move |path| {
        let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
        // Behind the name, which may hold anything: state, parent, group.
        let group_of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split(' ').nth(3));
        group_of == Some(group.to_string().as_str())
    })
}

fn renderer_at(path: &Path) -> Option<Renderer> {
    let command = std::fs::read(path.join("cmdline")).ok()?;
    let is = |argument: &[u8]| argument.starts_with(b"--type=renderer");
    command.split(|byte| matches!(byte, 0 | b' ')).any(is).then_some(())?;
    let status = std::fs::read_to_string(path.join("status")).ok()?;
    let namespace = |path: &Path| std::fs::read_link(path.join("ns/user")).ok();
    let apart = namespace(path).zip(namespace(Path::new("/proc/self"))).map(|(a, b)| a != b);
    Some(Renderer { filtered: status.lines().any(|line| line == "Seccomp:\t2"), apart })
}

fn judge_sandbox(renderer: Option<Renderer>, uid: u32) -> Finding {
    const CHECK: &str = "sandbox";
    let advice = "do not record strangers' pages with it; see docs/security.md";
    let who = match machine::is_root() {
        true => format!(", as user {uid}"),
        false => String::new(),
    };
    match renderer {
        Some(Renderer { filtered: true, apart: Some(false) }) => {
            Finding::warn(CHECK, "pages run with a system call filter alone", advice)
        }
        Some(Renderer { filtered: true, apart }) => {
            let namespaces = if apart.is_some() { "a user namespace and " } else { "" };
            Finding::ok(CHECK, format!("pages run in {namespaces}a system call filter{who}"))
        }
        Some(Renderer { filtered: false, .. }) => {
            Finding::fail(CHECK, "pages run without a system call filter", advice)
        }
        None => Finding::warn(CHECK, "no process of a page was seen", "try again"),
    }
}

fn judge_glyphs(seen: Result<[bool; 5], String>) -> Finding {
    const CHECK: &str = "fonts";
    let [letters, han, kana, hangul, emoji] = match seen {
        Ok(seen) => seen,
        Err(error) => {
            return Finding::warn(CHECK, format!("could not be looked at: {error}"), "try again");
        }
    };
    if !letters {
        let advice = "install a font, such as the package `fonts-dejavu-core`";
        return Finding::fail(CHECK, "there are none", advice);
    }
    match (han && kana && hangul, emoji) {
        (true, true) => Finding::ok(CHECK, "letters, Chinese, Japanese, Korean, colour emoji"),
        (false, true) => Finding::warn(
            CHECK,
            "Chinese, Japanese or Korean is missing: boxes are recorded",
            "install `fonts-noto-cjk`",
        ),
        (true, false) => Finding::warn(
            CHECK,
            "colour emoji are missing: boxes are recorded",
            "install `fonts-noto-color-emoji`",
        ),
        (false, false) => Finding::warn(
            CHECK,
            "letters alone: boxes are recorded for emoji, Chinese, Japanese, Korean",
            "install `fonts-noto-color-emoji` and `fonts-noto-cjk`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_page_without_a_filter_is_a_failure() {
        let level = |filtered, apart| judge_sandbox(Some(Renderer { filtered, apart }), 1).level;
        assert_eq!(level(false, Some(true)), Level::Fail);
        assert_eq!(level(true, Some(false)), Level::Warn);
        assert_eq!(level(true, Some(true)), Level::Ok);
        assert_eq!(level(true, None), Level::Ok);
        assert_eq!(judge_sandbox(None, 1).level, Level::Warn);
    }

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let advice = |seen| judge_glyphs(Ok(seen)).advice.unwrap_or_default();
        assert_eq!(judge_glyphs(Ok([true; 5])).level, Level::Ok);
        assert!(advice([false; 5]).contains("fonts-dejavu-core"));
        assert!(advice([true, true, true, false, true]).contains("fonts-noto-cjk"));
        assert!(advice([true, true, true, true, false]).contains("fonts-noto-color-emoji"));
        assert_eq!(judge_glyphs(Err("gone".into())).level, Level::Warn);
    }

    #[test]
    fn a_browser_without_a_sandbox_is_a_failure_that_names_the_profile() {
        let finding = not_started(&BrowserError::Sandbox);
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.advice.unwrap().contains("docker/seccomp.json"));
    }
}
