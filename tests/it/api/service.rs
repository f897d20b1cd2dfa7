//! The service as a whole: who may reach it, how it starts, ends and logs.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Method, header};
use roomreel::config::Config;
use roomreel::http::{ServeError, serve};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{Api, FINALISES, STAYS, URL, id, start_path, stop_path, told};

#[tokio::test]
async fn a_page_in_a_browser_cannot_drive_it() {
    let api = Api::with(STAYS, |c| c.server.allowed_hosts = vec!["recorder.internal".into()]).await;
    let port = api.address.port();
    let local = format!("localhost:{port}");
    let rebound = format!("evil.example:{port}");
    let neighbour = format!("http://localhost:{}", port ^ 1);
    let own = format!("http://{local}");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("host", &local)], 200),
        (&[("host", "recorder.internal")], 200),
        (&[("host", &local), ("origin", &own), ("sec-fetch-site", "same-origin")], 200),
        (&[("host", &rebound)], 403),
        (&[("host", &rebound), ("origin", &format!("http://{rebound}"))], 403),
        (&[("host", "localhost")], 403),
        (&[("host", &local), ("origin", "https://evil.example")], 403),
        (&[("host", &local), ("origin", "null")], 403),
        (&[("host", &local), ("origin", &neighbour)], 403),
        (&[("host", &local), ("sec-fetch-site", "cross-site")], 403),
        (&[("host", &local), ("sec-fetch-site", "same-site")], 403),
        (&[("content-type", "text/plain")], 415),
        (&[("content-type", "application/x-www-form-urlencoded")], 415),
        (&[("content-type", "")], 415),
    ];
    for (n, (headers, expected)) in cases.iter().enumerate() {
        for (method, path) in [
            (Method::POST, start_path(&format!("room-{n}"))),
            (Method::POST, stop_path(&format!("room-{n}"))),
            (Method::GET, "/v2/recordings".to_owned()),
        ] {
            let mut request = api.request(method.clone(), &path);
            if method == Method::POST {
                request = request.body(json!({ "meeting_url": URL }).to_string());
                request = request.header("content-type", "application/json");
            } else if *expected == 415 {
                continue;
            }
            let mut map = header::HeaderMap::new();
            for (name, value) in *headers {
                map.insert(header::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
            }
            let (status, value) = told(request.headers(map)).await;
            assert_eq!(status, *expected, "{method} {path} {headers:?} -> {value}");
        }
    }
    // No host at all, as HTTP/1.0 allows.
    let answer = api.raw("GET /health/live HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 403"), "{answer}");
    // A preflight is granted nothing.
    let response = api.request(Method::OPTIONS, &start_path("a")).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
}

#[tokio::test]
async fn without_tokens_it_listens_on_loopback_alone() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let mut config = Config::default();
        config.server.listen = address.parse().unwrap();
        config.data.dir = PathBuf::from("never-created");
        let error = serve(config, CancellationToken::new()).await.unwrap_err();
        assert!(matches!(error, ServeError::NotLoopback(_)));
        let text = error.to_string();
        assert!(text.contains(address) && text.contains("no API tokens"), "{text}");
        assert!(!PathBuf::from("never-created").exists());
    }
}

#[tokio::test]
async fn what_prevents_a_start_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.listen = taken.local_addr().unwrap();
    config.data.dir = root.path().join("data");
    let error = serve(config.clone(), CancellationToken::new()).await.unwrap_err().to_string();
    assert!(error.contains(&format!("cannot listen on {}", config.server.listen)), "{error}");

    std::fs::write(root.path().join("file"), "").unwrap();
    config.data.dir = root.path().join("file");
    config.server.listen.set_port(0);
    let error = serve(config, CancellationToken::new()).await.unwrap_err().to_string();
    assert!(error.contains("cannot use the data directory"), "{error}");
}

#[tokio::test]
async fn a_shutdown_stops_recordings_and_ends() {
    let api = Api::with(FINALISES, |c| c.recording.stop_grace = Duration::from_secs(600)).await;
    let (_, recording) = told(api.start("a")).await;
    api.until(id(&recording), "post_processing").await;
    // A client that keeps its connection open must not keep the service.
    let idle = TcpStream::connect(api.address).await.unwrap();
    api.shutdown.cancel();
    // Still answering, and taking nothing on, while the file is finished.
    let mut refused = told(api.start("b")).await;
    while refused.0 == 200 {
        refused = told(api.start("c")).await;
    }
    for entry in std::fs::read_dir(api.root.path().join("data/recordings")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::write(path.join("go"), "").unwrap();
        }
    }
    api.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(api.address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn a_token_is_not_logged() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    // For all threads, as one subscriber for this thread alone would miss what
    // others registered before it. The other tests' lines are judged with ours.
    tracing_subscriber::fmt()
        .with_env_filter("roomreel=trace")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let api = Api::new(&format!("echo 'cannot open {URL}' >&2; exit 1")).await;
    let (_, recording) = told(api.start("a")).await;
    let path = format!("/v2/recordings/{}", id(&recording));
    api.until(id(&recording), "failed").await;
    api.get("/v2/recordings?room_id=s3cr3t-t0k3n").await;
    api.get(&format!("{path}?token=s3cr3t-t0k3n")).await;
    told(api.post(&start_path("a"), r#"{"meeting_url":["s3cr3t-t0k3n"]}"#)).await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let told = |words: &[&str]| text.lines().any(|line| words.iter().all(|w| line.contains(w)));
    assert!(told(&["request", "method=GET", &path, "status=200"]), "{text}");
    assert!(told(&["request", "method=POST", "/v2/recordings/room/a/start", "status=400"]));
    assert!(told(&["ERROR", "recording failed", id(&recording), "cannot open https://meet"]));
    assert!(!text.contains("s3cr3t"), "{text}");
}
