//! The service behind nginx with TLS, by the recipe that is handed out.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::{Certificate, Client, StatusCode, header};
use serde_json::{Value, json};

use crate::support::archive::{Past, fill};
use crate::support::certs::issue;
use crate::support::process::Running;
use crate::support::roomreel::roomreel;
use crate::support::serve::{data, free_port};
use crate::support::{scratch, until};

const FILM: &[u8] = b"film film film";
const KEY: &str = "[{access_key = \"app\", secret = \"0123456789abcdef0123456789abcdef\"}]";

/// nginx on a free port, before a service with one finished recording.
struct Site {
    nginx: Running,
    service: Running,
    port: u16,
    /// Of the service itself.
    inner: u16,
    client: Client,
    token: Option<String>,
    root: tempfile::TempDir,
}

impl Site {
    fn open(keys: bool) -> Self {
        let (root, port, inner) = (scratch(), free_port(), free_port());
        issue(root.path(), "site");
        fill(&data(root.path()), [Past::completed("standup", 10)]);
        let mut command = roomreel();
        command.args(["serve", "--listen", &format!("127.0.0.1:{inner}"), "--data"]);
        command.arg(data(root.path()));
        command.env("ROOMREEL_SERVER__PUBLIC_URL", format!("https://localhost:{port}"));
        let mut token = None;
        if keys {
            command.env("ROOMREEL_AUTH__KEYS", KEY);
            let mut minted = roomreel();
            minted.arg("token").env("ROOMREEL_AUTH__KEYS", KEY);
            let minted = crate::support::process::run(&mut minted).expect_success("token");
            token = Some(minted.stdout.trim().to_owned());
        }
        let service = Running::spawn(&mut command);
        let nginx = Running::spawn(&mut nginx(root.path(), port, inner));
        let authority = std::fs::read(root.path().join("ca.pem")).unwrap();
        let client = Client::builder()
            .no_proxy()
            .add_root_certificate(Certificate::from_pem(&authority).unwrap())
            .build()
            .unwrap();
        for port in [port, inner] {
            until("a port", Duration::from_secs(60), || {
                std::net::TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
        Self { nginx, service, port, inner, client, token, root }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.ask(self.client.get(self.url(path))).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}: {}", self.service.stderr());
        answer.json().await.unwrap()
    }

    /// The link to the recording's file, whose content is put in its place.
    async fn link(&self) -> String {
        let assets = self.get("/v2/recording-assets").await;
        let asset = &assets["data"][0];
        let path = asset["path"].as_str().unwrap().strip_prefix("file://").unwrap();
        std::fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, FILM).unwrap();
        let id = asset["id"].as_str().unwrap();
        let signed = self.get(&format!("/v2/recording-assets/{id}/presigned-url")).await;
        signed["url"].as_str().unwrap().to_owned()
    }
}

/// The recipe, with names, ports and places of this test.
fn nginx(dir: &Path, port: u16, inner: u16) -> Command {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/proxy/nginx.conf");
    let mut site = std::fs::read_to_string(recipe).unwrap();
    for (from, to) in [
        ("listen 443 ssl", format!("listen 127.0.0.1:{port} ssl")),
        ("server_name recorder.example", "server_name localhost".into()),
        ("/etc/ssl/recorder.example.pem", dir.join("site.pem").display().to_string()),
        ("/etc/ssl/private/recorder.example.key", dir.join("site.key").display().to_string()),
        ("http://127.0.0.1:8080", format!("http://127.0.0.1:{inner}")),
    ] {
        assert!(site.contains(from), "the recipe has no {from:?}");
        site = site.replace(from, &to);
    }
    let place = dir.display();
    let whole = format!(
        "daemon off;\nmaster_process off;\npid {place}/nginx.pid;\nerror_log stderr;\n\
         events {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path {place}/a;\n\
         proxy_temp_path {place}/b;\nfastcgi_temp_path {place}/c;\nuwsgi_temp_path {place}/d;\n\
         scgi_temp_path {place}/e;\n{site}\n}}\n"
    );
    std::fs::write(dir.join("nginx.conf"), whole).unwrap();
    // Not on every user's PATH.
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(dir.join("nginx.conf")).arg("-p").arg(dir);
    command
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn links_lead_through_the_proxy_whatever_a_caller_says_of_himself() {
    let site = Site::open(true);
    runtime().block_on(linked(&site));
    drop((site.nginx, site.root));
}

async fn linked(site: &Site) {
    let link = site.link().await;
    assert!(link.starts_with(&site.url("/files/")), "{link}");
    // Of what proxies add, nothing is believed.
    let told = site.client.get(site.url("/v2/recording-assets"));
    let told = site.ask(told).header("x-forwarded-host", "evil.example");
    let told = told.header("x-forwarded-proto", "http").header("forwarded", "host=evil.example");
    assert!(!told.send().await.unwrap().text().await.unwrap().contains("evil"));

    // The link is its own proof; a part of the file is a part behind nginx, too.
    let whole = site.client.get(&link).send().await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    assert_eq!(whole.bytes().await.unwrap(), FILM);
    let part = site.client.get(&link).header(header::RANGE, "bytes=5-8").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), &FILM[5..=8]);
    let forged = link.replace("signature=", "signature=x");
    let forged = site.client.get(forged).send().await.unwrap();
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);

    let bare = site.client.get(site.url("/v2/recordings")).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn without_keys_the_public_name_is_known_and_no_other() {
    let site = Site::open(false);
    runtime().block_on(known(&site));
    drop((site.nginx, site.root));
}

async fn known(site: &Site) {
    let list = || site.client.get(site.url("/v2/recordings"));
    let own = format!("https://localhost:{}", site.port);
    let status =
        |request: reqwest::RequestBuilder| async { request.send().await.unwrap().status() };
    assert_eq!(status(list()).await, StatusCode::OK);
    assert_eq!(status(list().header(header::ORIGIN, &own)).await, StatusCode::OK);
    assert_eq!(status(list().header(header::HOST, "evil.example")).await, StatusCode::FORBIDDEN);
    let foreign = list().header(header::ORIGIN, "https://evil.example");
    assert_eq!(status(foreign).await, StatusCode::FORBIDDEN);
    let forwarded = list().header("x-forwarded-host", "evil.example");
    assert_eq!(status(forwarded).await, StatusCode::OK);
    // A start that a page cannot send is taken for what it is: this one is refused for
    // its meeting's address, behind the checks of the guard.
    let start = site.client.post(site.url("/v2/recordings/room/a/start"));
    let start = start.json(&json!({ "meeting_url": "http://127.0.0.1:1/" })).send().await.unwrap();
    assert_eq!(start.status(), StatusCode::BAD_REQUEST);
    let direct = format!("http://127.0.0.1:{}/v2/recordings", site.inner);
    assert_eq!(status(site.client.get(direct)).await, StatusCode::OK);
}
