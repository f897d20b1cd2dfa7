//! The recordings API over real HTTP. What a recorder does is scripted here;
//! that it records is tested elsewhere.

mod assets;
mod bad_input;
mod dashboard;
mod errors;
mod fuzz;
mod guide;
mod leftovers;
mod metrics;
mod pages;
mod receivers;
mod recordings;
mod restarts;
mod rooms;
mod service;
mod tokens;
mod uploads;
mod webhooks;

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, header};
use roomreel::config::Config;
use roomreel::http::{ServeError, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// A recorder that stays until its directory is gone.
const STAYS: &str = r#"while [ -d "$3" ]; do sleep 0.05; done"#;
/// One that fails at once.
const FAILS: &str = "exit 1";
/// One that has taken its last frame and finalises until told to go on.
const FINALISES: &str = r#"
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}
{"event":"stopped","reason":"room_ended","at":4500000000}' > "$3/journal.jsonl"
while [ -d "$3" ] && [ ! -e "$3/go" ]; do sleep 0.05; done
printf film > "$3/Rec-a-1700000000120.mp4"
echo '{"event":"finished","duration_s":3.5,"bytes":4,"width":1280,"height":720,"stats":{"elapsed_s":3.5,
"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":4,"backlog":0}}' |
    tr -d '\n' >> "$3/journal.jsonl"
echo >> "$3/journal.jsonl"
"#;

const URL: &str =
    "https://meet.example/preview/a/recorder?auth_token=s3cr3t-t0k3n&skip_preview=true";

struct Api {
    root: tempfile::TempDir,
    address: SocketAddr,
    client: reqwest::Client,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<Result<(), ServeError>>,
}

impl Api {
    async fn new(recorder: &str) -> Self {
        Self::with(recorder, |_| {}).await
    }

    async fn with(recorder: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::over(tempfile::tempdir().unwrap(), recorder, change).await
    }

    /// The same over what another one left.
    async fn over(
        root: tempfile::TempDir,
        recorder: &str,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let program = root.path().join("recorder.sh");
        // Written by another process: a descriptor of ours, inherited by a fork
        // in another test, would make the script busy.
        let mut install = std::process::Command::new("install")
            .args(["-m", "755", "/dev/stdin"])
            .arg(&program)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(install.stdin.take().unwrap(), "#!/bin/bash\n{recorder}").unwrap();
        assert!(install.wait().unwrap().success());

        let mut config = Config { recorder_program: Some(program), ..Config::default() };
        config.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.data.dir = root.path().join("data");
        config.recording.max_concurrent = 100;
        config.recording.stop_grace = Duration::from_millis(200);
        change(&mut config);
        let server = Server::bind(&config).await.unwrap();
        let (address, shutdown) = (server.address(), CancellationToken::new());
        let server = tokio::spawn(server.run(shutdown.clone()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { root, address, client, shutdown, server }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.request(Method::POST, path);
        request.header(header::CONTENT_TYPE, "application/json").body(body)
    }

    fn start(&self, room: &str) -> RequestBuilder {
        self.post(&start_path(room), json!({ "meeting_url": URL }).to_string())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, value) = told(self.request(Method::GET, path)).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Asks until the recording has the status; the limit ends a broken test.
    async fn until(&self, id: &str, status: &str) -> Value {
        for _ in 0..1200 {
            let recording = self.get(&format!("/v2/recordings/{id}")).await;
            if recording["status"] == status {
                return recording;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never became {status}");
    }

    /// Waits until nothing is to be told any more and the outcome of each event is
    /// written down, which is a moment after its receiver has it.
    async fn all_told(&self) {
        let mut pending = Value::Null;
        for _ in 0..1200 {
            pending = self.get("/v2/analytics/webhooks?status=pending").await;
            if pending["events"] == json!([]) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still on its way: {pending}");
    }

    /// Sends bytes as they are and returns the whole answer.
    async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // One that is refused may be closed before it is written whole.
        _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        // A server that refuses a body may reset the rest of the connection.
        _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

fn start_path(room: &str) -> String {
    format!("/v2/recordings/room/{room}/start")
}

fn stop_path(room: &str) -> String {
    format!("/v2/recordings/room/{room}/stop")
}

/// Status and JSON of an answer, whose outside is the same for all.
async fn told(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "application/json;charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    let text = response.text().await.unwrap();
    assert!(text.ends_with("}\n"), "{text:?}");
    let value: Value = serde_json::from_str(&text).unwrap();
    if status != StatusCode::OK {
        assert_eq!(value["code"], status.as_u16());
        assert!(value["message"].as_str().is_some_and(|m| !m.is_empty()));
        let keys = value.as_object().unwrap().keys().filter(|k| *k != "details");
        assert_eq!(keys.collect::<Vec<_>>(), ["code", "message"]);
    }
    (status.as_u16(), value)
}

fn id(recording: &Value) -> &str {
    recording["id"].as_str().unwrap()
}
