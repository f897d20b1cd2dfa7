//! Finished files: how long they are kept, how they are handed out, and what
//! becomes of those that nobody knows.

use std::path::Path;
use std::time::SystemTime;

use roomreel::config::Endpoint;

use super::*;
use crate::support::process::Running;
use crate::support::roomreel::roomreel;

/// Records, and is cut off without anything that could be saved; its media stays.
const CUT: &str = r#"
[ "$4" = --salvage ] && exit 1
printf torn > "$3/media.part.mp4"
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}' > "$3/journal.jsonl"
exit 1"#;
/// Finishes at once, and says what it recorded.
const FINISHES: &str = r#"
printf film > "$3/Rec-a-1700000000120.mp4"
echo '{"time":"2023-11-14T22:13:20Z","event":"started","pid":0,"what":{"room_id":"a","resolution":{"width":1280,"height":720},"audio_only":false}}
{"time":"2023-11-14T22:13:20Z","event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}
{"time":"2023-11-14T22:13:20Z","event":"stopped","reason":"room_ended","at":4500000000,"recorded_s":3.5}
{"time":"2023-11-14T22:13:20Z","event":"finished","duration_s":3.5,"bytes":4,"width":1280,"height":720,"stats":{"elapsed_s":3.5,"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":4,"backlog":0}}' > "$3/journal.jsonl"
"#;

impl Api {
    /// Records a room to its end.
    async fn ended_as(&self, room: &str, status: &str) -> Value {
        let (_, recording) = told(self.start(room)).await;
        self.until(id(&recording), status).await
    }

    /// Ends the service as an operator would; what it left.
    async fn ended(self) -> tempfile::TempDir {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
        self.root
    }
}

/// `roomreel serve` over what an [`Api`] left, with more settings.
struct Serve {
    process: Running,
    base: String,
}

impl Serve {
    async fn over(root: &Path, settings: &str) -> Self {
        let config = root.join("roomreel.toml");
        std::fs::write(&config, settings).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let mut command = roomreel();
        command.args(["serve", "--listen", &listen, "--config"]).arg(config);
        command.arg("--data").arg(root.join("data"));
        Self { process: Running::spawn(&mut command), base: format!("http://{listen}") }
    }

    /// Asks until the answer is so; the limit ends a broken test.
    async fn until(&self, path: &str, so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..600 {
            if let Ok(answer) = reqwest::get(format!("{}{path}", self.base)).await
                && let Ok(value) = answer.json::<Value>().await
                && so(&value)
            {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{path} never became so: {}", self.process.stderr());
    }

    /// Waits for a line of the log that has all of these parts.
    async fn says(&self, parts: &[&str]) {
        for _ in 0..600 {
            let log = self.process.stderr();
            if log.lines().any(|line| parts.iter().all(|part| line.contains(part))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no line with {parts:?} in: {}", self.process.stderr());
    }
}

#[tokio::test]
async fn files_are_removed_when_their_time_is_over_and_media_that_is_none_never() {
    let api = Api::new(FINISHES).await;
    let done = api.ended_as("a", "completed").await;
    let file = done["recording_assets"][0]["path"].as_str().unwrap().to_owned();
    let file = file.strip_prefix("file://").unwrap();
    let root = api.ended().await;
    let api = Api::over(root, CUT, |_| {}).await;
    let cut = api.ended_as("b", "failed").await;
    assert_eq!(cut["recording_assets"], Value::Null);
    let root = api.ended().await;
    assert_eq!(std::fs::read(file).unwrap(), b"film");
    let dir = |recording: &Value| root.path().join("data/recordings").join(id(recording));
    assert!(dir(&done).is_dir() && dir(&cut).join("media.part.mp4").exists());

    // Not yet.
    let kept = Serve::over(root.path(), "[storage]\nretention = \"1h\"\n").await;
    kept.until("/v2/recording-assets", |page| page["data"][0]["size"] == 4).await;
    drop(kept);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let serve = Serve::over(root.path(), "[storage]\nretention = \"1s\"\n").await;
    serve.until("/v2/recording-assets", |page| page["data"] == json!([])).await;
    assert!(!Path::new(file).exists());
    serve.says(&["removed a file", "beam/a/20231114/Rec-a-1700000000120.mp4", "bytes=4"]).await;
    serve.says(&["holds media, kept", id(&cut)]).await;
    serve.says(&["removed the journal and log", id(&done)]).await;
    assert!(!dir(&done).exists() && dir(&cut).join("media.part.mp4").exists());
    // The recordings are still known, without their files.
    let left = serve.until(&format!("/v2/recordings/{}", id(&done)), |_| true).await;
    assert_eq!(left["status"], "completed");
    assert!(left["recording_assets"].as_array().is_none_or(Vec::is_empty), "{left}");
    let gone = reqwest::get(format!(
        "{}/v2/recording-assets/{}/presigned-url",
        serve.base,
        id(&done["recording_assets"][0])
    ));
    assert_eq!(gone.await.unwrap().status(), 404);
}

#[tokio::test]
async fn what_the_database_forgot_is_adopted_and_what_nobody_knows_is_listed() {
    let api = Api::new(FINISHES).await;
    let done = api.ended_as("a", "completed").await;
    let root = api.ended().await;
    let data = root.path().join("data");
    for entry in std::fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("roomreel.db") {
            std::fs::remove_file(path).unwrap();
        }
    }
    // A directory without anything of a recording, and one without a recording's name.
    std::fs::create_dir(data.join("recordings/64b3f0a1c2d3e4f5a6b7c8d9")).unwrap();
    std::fs::create_dir(data.join("recordings/holiday")).unwrap();
    // An old file that no recording made, and one that may be on its way.
    let day = data.join("files/beam/x/20200101");
    std::fs::create_dir_all(&day).unwrap();
    for name in ["Rec-x-1.mp4", "Rec-x-2.mp4"] {
        std::fs::write(day.join(name), "stray").unwrap();
    }
    let old = std::fs::File::options().write(true).open(day.join("Rec-x-1.mp4")).unwrap();
    old.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();

    let serve = Serve::over(root.path(), "").await;
    let path = format!("/v2/recordings/{}", id(&done));
    let found = serve.until(&path, |r| r["status"] == "completed").await;
    assert_eq!((&found["room_id"], &found["started_at"]), (&json!("a"), &done["started_at"]));
    assert_eq!(found["recording_assets"][0]["path"], done["recording_assets"][0]["path"]);
    let warning = found["warnings"][0].as_str().unwrap();
    assert!(warning.contains("found on disk"), "{found}");
    serve.says(&["adopting a recording that nobody knows", id(&done)]).await;
    serve.says(&["holds no journal", "64b3f0a1c2d3e4f5a6b7c8d9"]).await;
    serve.says(&["no recording is known for this file", "beam/x/20200101/Rec-x-1.mp4"]).await;
    assert!(!serve.process.stderr().contains("Rec-x-2.mp4"), "{}", serve.process.stderr());
    assert!(!serve.process.stderr().contains("no recording is known for this file: beam/a"));
    assert!(data.join("recordings/holiday").is_dir() && day.join("Rec-x-1.mp4").exists());
}

#[tokio::test]
async fn what_is_deleted_is_gone_from_everywhere() {
    let api = Api::with(FINISHES, |config| {
        config.webhooks.endpoints = vec![Endpoint {
            name: "app".into(),
            url: "http://127.0.0.1:9/".into(),
            headers: Default::default(),
            events: Vec::new(),
            secrets: Vec::new(),
        }];
    })
    .await;
    let done = api.ended_as("a", "completed").await;
    let path = format!("/v2/recordings/{}", id(&done));
    let asset = id(&done["recording_assets"][0]).to_owned();
    let link = api.get(&format!("/v2/recording-assets/{asset}/presigned-url")).await;
    let root = api.ended().await;

    let serve = Serve::over(root.path(), "").await;
    serve.until("/health/live", |_| true).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let removed = client.delete(format!("{}{path}", serve.base)).send().await.unwrap();
    assert_eq!(removed.status(), 200);
    let removed: Value = removed.json().await.unwrap();
    assert_eq!(removed["id"], done["id"]);
    serve.says(&["recording removed on request", id(&done)]).await;
    for path in [path.clone(), format!("/v2/recording-assets/{asset}")] {
        let answer = client.get(format!("{}{path}", serve.base)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let download = reqwest::Url::parse(link["url"].as_str().unwrap()).unwrap();
    let download = format!("{}{}?{}", serve.base, download.path(), download.query().unwrap());
    assert_eq!(client.get(download).send().await.unwrap().status(), 404);
    let history = serve.until("/v2/analytics/webhooks?status=all&limit=100", |_| true).await;
    assert!(!history.to_string().contains(id(&done)), "{history}");
    assert!(!root.path().join("data/recordings").join(id(&done)).exists());
    assert!(files(&root.path().join("data/files")).is_empty());
    let again = client.delete(format!("{}{path}", serve.base)).send().await.unwrap();
    assert_eq!(again.status(), 404);
}

/// Every file below `dir`.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn a_recording_that_goes_on_is_not_deleted() {
    let api = Api::new(STAYS).await;
    let (_, recording) = told(api.start("a")).await;
    let path = format!("/v2/recordings/{}", id(&recording));
    let (status, refusal) = told(api.request(Method::DELETE, &path)).await;
    assert_eq!(status, 409, "{refusal}");
    assert_eq!(api.get(&path).await["status"], "starting");
}

#[tokio::test]
async fn links_begin_as_callers_reach_the_service_and_end_in_time() {
    let api = Api::with(FINISHES, |config| {
        config.server.public_url = Some("https://rec.example/base".parse().unwrap());
    })
    .await;
    let done = api.ended_as("a", "completed").await;
    let asset = id(&done["recording_assets"][0]);
    let presign = format!("/v2/recording-assets/{asset}/presigned-url?presign_duration=1");
    let link = api.get(&presign).await;
    assert_eq!(link["expiry"], 1);
    let url = link["url"].as_str().unwrap();
    let path = url.strip_prefix("https://rec.example/base").unwrap();
    assert!(path.starts_with(&format!("/files/{asset}/Rec-a-1700000000120.mp4?")), "{url}");
    // What the proxy passes on, under the public name.
    let fetch = || api.request(Method::GET, path).header("host", "rec.example").send();
    let film = fetch().await.unwrap();
    if film.status() == 200 {
        assert_eq!(film.bytes().await.unwrap().as_ref(), b"film");
    }
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let late = fetch().await.unwrap();
    assert_eq!(late.status(), 403);
    let refusal: Value = serde_json::from_str(&late.text().await.unwrap()).unwrap();
    assert!(refusal.to_string().contains("expired"), "{refusal}");
}
