//! What cannot be recorded says why, ends with the right code, and leaves no
//! file that looks like a recording.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;

use crate::support;

const USAGE: i32 = 2;
const NOT_JOINED: i32 = 3;
const BROWSER: i32 = 4;
const DISK: i32 = 5;

/// Runs `roomreel record` on `url` with `more` arguments; returns exit code and
/// standard error, and checks that nothing was left in the output's directory.
fn refused(url: &str, more: &[&str]) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = run(url, &dir.path().join("out.mp4"), more);
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.is_empty(), "{url} left {left:?}; it said: {said}");
    (code, said)
}

fn run(url: &str, out: &Path, more: &[&str]) -> (i32, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_roomreel"))
        .args(["record", url, "--duration", "2s", "-o"])
        .arg(out)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (done.status.code().unwrap_or(-1), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[track_caller]
fn assert_says(answer: &(i32, String), code: i32, words: &[&str]) {
    let (got, said) = answer;
    assert_eq!(*got, code, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

/// A server of this test's own; it lives as long as the test binary.
pub fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(
            async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            },
        );
    });
    address
}

#[test]
fn arguments_that_cannot_be_right_name_themselves() {
    let url = "http://127.0.0.1:9/";
    for (more, words) in [
        (vec!["--resolution", "400x720"], vec!["resolution.width", "500 to 1920"]),
        (vec!["--resolution", "1281x720"], vec!["odd", "even"]),
        (vec!["--resolution", "1920x1920"], vec!["too large"]),
        (vec!["--resolution", "big"], vec!["WIDTHxHEIGHT"]),
        (vec!["--fps", "61"], vec!["fps", "10 to 60"]),
        (vec!["--preset", "4k"], vec!["--preset", "720p30"]),
        (
            vec!["--crf", "20", "--bitrate", "2000"],
            vec!["--crf", "cannot be used with", "--bitrate"],
        ),
        (vec!["--bitrate", "50", "--crf", "20"], vec!["cannot be used with"]),
        (vec!["--bitrate", "50"], vec!["bitrate", "139 to 40000 kb/s"]),
        (vec!["--keyframe-interval", "30s"], vec!["keyframe_interval", "0.5 to 20 seconds"]),
        (vec!["--audio-bitrate", "500"], vec!["audio_bitrate", "32 to 320 kb/s"]),
        (vec!["--join", "perhaps"], vec!["auto, signal, media, load"]),
        (vec!["--duration", "soon"], vec!["--duration"]),
    ] {
        // The last duration given wins, so it is tested without the default one.
        let answer = if more[0] == "--duration" {
            let done = Command::new(env!("CARGO_BIN_EXE_roomreel"))
                .args(["record", url, "-o", "unused.mp4"])
                .args(&more)
                .output()
                .unwrap();
            (done.status.code().unwrap(), String::from_utf8_lossy(&done.stderr).into_owned())
        } else {
            refused(url, &more)
        };
        assert_says(&answer, USAGE, &words);
    }
}

#[test]
fn only_http_and_https_are_recorded() {
    for url in ["file:///etc/passwd", "chrome://version", "javascript:alert(1)", "ftp://x/", "x y"]
    {
        assert_says(&refused(url, &[]), USAGE, &["meeting_url"]);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_said_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    // No browser could start here: the output has to be looked at first.
    let no_browser = ["--browser", "/nonexistent"];
    let missing = run("http://127.0.0.1:9/", &dir.path().join("no/out.mp4"), &no_browser);
    assert_says(&missing, DISK, &["out.mp4"]);
    let directory = run("http://127.0.0.1:9/", dir.path(), &no_browser);
    assert_says(&directory, DISK, &["directory"]);
}

#[test]
fn a_missing_browser_says_what_to_install() {
    let answer = refused("http://127.0.0.1:9/", &["--browser", "/nonexistent/chromium"]);
    assert_says(&answer, BROWSER, &["/nonexistent/chromium", "install"]);
}

#[test]
fn pages_that_do_not_load_say_why() {
    let _quiet = support::quiet();
    let address = serve(
        Router::new()
            .route("/missing", get(|| async { (StatusCode::NOT_FOUND, "no such room") }))
            .route("/broken", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "oops") }))
            .route("/slow", get(std::future::pending::<&'static str>)),
    );
    let page = |path: &str| format!("http://{address}{path}?auth_token=s3cret");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();

    let answers = [
        (refused(&page("/missing"), &[]), vec!["404"]),
        (refused(&page("/broken"), &[]), vec!["500"]),
        (refused(&page("/slow"), &["--join-timeout", "3s"]), vec!["3 s"]),
        (
            refused(&format!("http://{closed}/?auth_token=s3cret"), &[]),
            vec!["nothing listens", "ERR_CONNECTION_REFUSED"],
        ),
        (refused("http://no-such-host.invalid/", &[]), vec!["DNS"]),
    ];
    for (answer, words) in answers {
        assert_says(&answer, NOT_JOINED, &words);
        assert!(!answer.1.contains("s3cret"), "a token was printed: {}", answer.1);
    }
}

#[test]
fn a_page_that_never_joins_is_no_recording() {
    let _quiet = support::quiet();
    let page =
        "<!doctype html><title>lobby</title><script>window.roomreel = {joined: false}</script>";
    let address = serve(Router::new().route("/", get(move || async move { Html(page) })));
    let answer = refused(
        &format!("http://{address}/"),
        &["--join", "auto", "--join-timeout", "3s", "--join-reloads", "1"],
    );
    assert_says(
        &answer,
        NOT_JOINED,
        &["Beam couldn't connect to Meeting URL after 2 tries", "did not join"],
    );
}

#[test]
fn an_untrusted_certificate_is_refused() {
    let _quiet = support::quiet();
    let dir = tempfile::tempdir().unwrap();
    let (key, cert) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}"), "-key"])
        .arg(&key)
        .arg("-cert")
        .arg(&cert)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let up = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let answer = refused(&format!("https://127.0.0.1:{port}/"), &[]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(up, "the TLS server did not start");
    assert_says(&answer, NOT_JOINED, &["certificate"]);
}
