//! What a meeting's page is opened with: a private authority, a password, headers
//! and cookies for the meeting's site alone, a style sheet, a language, a time
//! zone; and the proxy that leads there. A real Chromium, real sites.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::journal;
use crate::support::process::Running;
use crate::support::recorder::Recorder;
use crate::support::serve::{Serve, data};
use crate::support::{certs, quiet, scratch, tools, until};

/// Nobody but the meeting's site may see one of these.
const SECRETS: [&str; 3] = ["header-s3cret", "cookie-s3cret", "password-s3cret"];

struct Sites {
    process: Running,
    /// Certificates and keys.
    dir: tempfile::TempDir,
}

impl Sites {
    fn open() -> Self {
        let dir = scratch();
        certs::issue(dir.path(), "site");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/scripts/site.cjs");
        let mut node = tools::node();
        node.arg(script).env("CREDENTIALS", "recorder:password-s3cret");
        node.env("CERT", dir.path().join("site.pem")).env("KEY", dir.path().join("site.key"));
        Self { process: Running::spawn(&mut node), dir }
    }

    fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn lines(&self) -> Vec<Value> {
        let text = self.process.stdout();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn port(&self, site: &str) -> u64 {
        until("the sites", Duration::from_secs(20), || self.lines().first()?[site].as_u64())
    }

    /// What `site` was asked so far.
    fn asked(&self, site: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["site"] == site).collect()
    }

    fn until_asked(&self, site: &str, url: &str) -> Value {
        until(&format!("{url} asked for"), Duration::from_secs(90), || {
            let good = |asked: &Value| asked["url"] == url;
            self.asked(site).into_iter().rfind(good)
        })
    }
}

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path(), found),
            _ => found.push(entry.path()),
        }
    }
}

/// Starts a recording of room `a` and returns what the service says of it.
fn start(service: &Serve, wish: &Value) -> Value {
    let answer = Command::new("curl")
        .args(["-s", "-H", "Content-Type: application/json", "-d", &wish.to_string()])
        .arg(service.url("/v2/recordings/room/a/start"))
        .output()
        .unwrap();
    let recording: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(recording["status"], "starting", "{recording}");
    recording
}

#[test]
fn configuration_and_request_open_the_page_and_no_other_site_learns_of_it() {
    let _quiet = quiet();
    let sites = Sites::open();
    let origin = format!("https://localhost:{}", sites.port("meeting"));
    let root = scratch();
    let config = format!(
        "net.allow = [\"127.0.0.0/8\", \"::1/128\"]\n\
         recording.join = \"load\"\n\
         browser.ca_files = [{:?}]\n\
         page.locale = \"de-DE\"\n\
         [[page.sites]]\n\
         origin = \"{origin}\"\n\
         headers = {{ X-Recorder = \"header-s3cret\" }}\n\
         basic_auth = {{ user = \"recorder\", password = \"password-s3cret\" }}\n",
        sites.authority()
    );
    let data = data(root.path());
    let service = Serve::over(root, &config);
    let wish = json!({
        "meeting_url": format!("{origin}/room"),
        "page": {
            "cookies": { "sid": "cookie-s3cret" },
            "css": "#bar { display: none }",
            "time_zone": "Asia/Tokyo",
        },
    });
    let recording = start(&service, &wish);

    let told = sites.until_asked("meeting", "/tell");
    let seen: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
    let expected = json!({
        "language": "de-DE", "locale": "de-DE", "timeZone": "Asia/Tokyo", "hour": 9,
        "bar": "none", "cookie": "",
    });
    assert_eq!(seen, expected);
    let headers = &sites.until_asked("meeting", "/room")["headers"];
    assert_eq!(headers["x-recorder"], "header-s3cret", "{headers}");
    assert_eq!(headers["cookie"], "sid=cookie-s3cret", "{headers}");
    assert!(headers["accept-language"].as_str().unwrap().starts_with("de-DE,de"), "{headers}");

    // Asked by the page, and by a redirect of its own site.
    for url in ["/pixel", "/landed"] {
        let headers = sites.until_asked("other", url)["headers"].to_string();
        assert!(!headers.contains("s3cret") && !headers.contains("x-recorder"), "{headers}");
        assert!(!headers.contains("authorization"), "{headers}");
    }

    // Nothing of it is told, logged, or an argument.
    let id = recording["id"].as_str().unwrap();
    let mut written = Vec::new();
    files_below(&data.join("recordings").join(id), &mut written);
    let log = service.process.stderr();
    let journal = journal::read(&data.join("recordings").join(id).join("journal.jsonl"));
    let group = crate::browser::group(journal::browser(&journal).unwrap());
    let arguments = group.iter().map(|pid| PathBuf::from(format!("/proc/{pid}/cmdline")));
    let texts = written.into_iter().chain(arguments).map(|file| {
        let bytes = std::fs::read(&file).unwrap_or_default();
        (file, String::from_utf8_lossy(&bytes).into_owned())
    });
    let answer = recording.to_string();
    for (place, text) in texts.chain([("log".into(), log), ("answer".into(), answer)]) {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} is in {}", place.display());
        }
    }
}

#[test]
fn a_proxy_leads_to_the_meeting() {
    let _quiet = quiet();
    let (sites, dir) = (Sites::open(), scratch());
    let mut recorder = Recorder::new("http://meeting.test/room", &dir.path().join("rec"));
    let proxy = format!("http://127.0.0.1:{}", sites.port("proxy"));
    recorder.spec["browser"] = json!({ "proxy": proxy });
    let running = recorder.start();
    let patience = Duration::from_secs(60);
    until("a first frame", patience, || journal::t0(&recorder.events()));
    let asked = sites.until_asked("proxy", "http://meeting.test/room");
    assert_eq!(asked["headers"]["host"], "meeting.test", "{asked}");
    running.signal(rustix::process::Signal::TERM);
    running.wait(patience);
}

#[test]
fn the_services_guard_goes_on_through_the_configured_proxy() {
    let _quiet = quiet();
    let sites = Sites::open();
    let proxy = sites.port("proxy");
    let config =
        format!("browser.proxy = \"http://127.0.0.1:{proxy}\"\nrecording.join = \"load\"\n");
    let service = Serve::over(scratch(), &config);
    // A name that only the proxy knows.
    start(&service, &json!({ "meeting_url": "http://meeting.test/room" }));
    sites.until_asked("proxy", "meeting.test:80");
    let asked = sites.until_asked("other", "/room");
    assert_eq!(asked["headers"]["host"], "meeting.test", "{asked}");
    // What the guard refuses is not asked of the proxy: the page's picture is on loopback.
    sites.until_asked("other", "/tell");
    assert!(sites.asked("other").iter().all(|asked| asked["url"] != "/pixel"));
}
