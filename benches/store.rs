//! How quickly the API answers when the store is full: a real `roomreel serve`
//! over ten thousand recordings, asked over HTTP. `scripts/bench-store` runs it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

#[path = "../tests/it/support/archive.rs"]
mod archive;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use archive::Past;
use serde_json::Value;

const RECORDINGS: i64 = 10_000;
const ROOMS: i64 = 100;
/// One of so many has failed.
const FAILED: i64 = 20;
/// Questions of each kind, and those before that nobody counts.
const QUESTIONS: usize = 500;
const WARM_UP: usize = 50;

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn room(n: i64) -> String {
    format!("room-{}", n % ROOMS)
}

fn main() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let began = Instant::now();
    // Younger than `storage.retention`: the sweeper has nothing to do.
    let past = (1..=RECORDINGS).rev();
    archive::fill(&data, past.map(|n| Past::completed(&room(n), n).or_failed(n % FAILED == 0)));
    eprintln!("{RECORDINGS} recordings inserted in {:.1} s", began.elapsed().as_secs_f64());

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let _service = Service(
        Command::new(env!("CARGO_BIN_EXE_roomreel"))
            .args(["serve", "--listen", &address, "--data"])
            .arg(&data)
            .env("ROOMREEL_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ask_all(&format!("http://{address}")));
}

async fn ask_all(base: &str) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str| -> Result<String, reqwest::Error> {
        client.get(format!("{base}{path}")).send().await?.error_for_status()?.text().await
    };
    let patience = Instant::now();
    while get("/health/live").await.is_err() {
        assert!(patience.elapsed() < Duration::from_secs(30), "the service does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let page =
        async |path: &str| -> Value { serde_json::from_str(&get(path).await.unwrap()).unwrap() };
    let newest = page("/v2/recordings?limit=100").await;
    let one = newest["data"][50].clone();
    let (id, session) = (one["id"].as_str().unwrap(), one["session_id"].as_str().unwrap());
    // Page by page to the middle of everything.
    let mut deep = newest["last"].as_str().unwrap().to_owned();
    for _ in 0..RECORDINGS / 200 {
        let next = page(&format!("/v2/recordings?limit=100&start={deep}")).await;
        deep = next["last"].as_str().unwrap().to_owned();
    }
    let assets = page("/v2/recording-assets").await;
    let asset = assets["data"][5]["id"].as_str().unwrap();

    let questions = [
        ("get a recording", format!("/v2/recordings/{id}")),
        ("list, newest 10", "/v2/recordings".to_owned()),
        ("list, newest 100", "/v2/recordings?limit=100".to_owned()),
        ("list, 100 from the middle", format!("/v2/recordings?limit=100&start={deep}")),
        ("list, one room", format!("/v2/recordings?room_id={}", room(7))),
        (
            "list, one room's completed",
            format!("/v2/recordings?room_id={}&status=completed", room(7)),
        ),
        ("list, failed", "/v2/recordings?status=failed&limit=100".to_owned()),
        ("list, running (none)", "/v2/recordings?status=running".to_owned()),
        ("list, one session", format!("/v2/recordings?session_id={session}")),
        ("get an asset", format!("/v2/recording-assets/{asset}")),
        ("list assets, newest 100", "/v2/recording-assets?limit=100".to_owned()),
        ("list assets, one room", format!("/v2/recording-assets?room_id={}", room(7))),
        ("list assets, failed (none)", "/v2/recording-assets?status=failed".to_owned()),
        ("pre-signed URL", format!("/v2/recording-assets/{asset}/presigned-url")),
    ];
    println!("{RECORDINGS} recordings, {QUESTIONS} requests each, one after the other over HTTP\n");
    println!("| | median, ms | 99th percentile, ms |\n|---|---|---|");
    for (name, path) in questions {
        let mut took = Vec::with_capacity(QUESTIONS);
        for _ in 0..WARM_UP + QUESTIONS {
            let asked = Instant::now();
            get(&path).await.unwrap();
            took.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        let counted = &mut took[WARM_UP..];
        counted.sort_by(f64::total_cmp);
        let (median, late) = (counted[QUESTIONS / 2], counted[QUESTIONS * 99 / 100]);
        println!("| {name} | {median:.2} | {late:.2} |");
    }
}
