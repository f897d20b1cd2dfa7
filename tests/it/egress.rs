//! A recorded page cannot get inside: a real Chromium, a page that tries every
//! way it has, and a server inside that counts who comes.

mod service;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::response::{Html, Redirect};
use axum::routing::get;
use futures::FutureExt;
use roomreel::browser::{Browser, Launch, LoadError, Surface};
use roomreel::job::{BrowserOptions, Event, FailureKind, PageOptions};
use roomreel::net::{Guard, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use crate::support::recorder::Recorder;
use crate::support::{quiet, scratch};

const PATIENCE: Duration = Duration::from_secs(60);

/// Every way that the page tries, as it shows at the server: the path, or the
/// first byte of what is no HTTP.
const WAYS: &[&str] = &[
    "fetch", "post", "xhr", "beacon", "image", "script", "style", "frame", "video", "events",
    "socket", "worker", "redirect", "form", "turn",
];

/// A server inside: whoever connects is counted.
struct Inside {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Inside {
    async fn open(ip: &str) -> Self {
        let listener = TcpListener::bind((ip.parse::<IpAddr>().unwrap(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    let mut head = [0; 2048];
                    let count = stream.read(&mut head).await.unwrap_or(0);
                    let text = String::from_utf8_lossy(&head[..count]).into_owned();
                    let path = text.split(' ').nth(1).and_then(|path| path.strip_prefix('/'));
                    log.lock().unwrap().push(path.unwrap_or("turn").to_owned());
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
                        Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\nhi";
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap().clone();
        seen.sort();
        seen.dedup();
        seen
    }
}

/// The outside: the page that tries, and redirects to wherever it is told.
async fn outside(ip: &str) -> SocketAddr {
    let listener = TcpListener::bind((ip.parse::<IpAddr>().unwrap(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let to = |Query(query): Query<Vec<(String, String)>>| async move {
        Redirect::temporary(&query.into_iter().find(|(key, _)| key == "url").unwrap().1)
    };
    let page = || async { Html(include_str!("../pages/inside.html")) };
    let app = Router::new().route("/inside.html", get(page)).route("/to", get(to));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// A browser behind `proxy`, or with the network for itself.
async fn browser(proxy: Option<&Proxy>) -> (Browser, tempfile::TempDir) {
    let dir = scratch();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let launch = Launch {
        options: BrowserOptions {
            // Else the local network is closed to pages by Chromium itself, for now.
            extra_flags: vec!["--disable-features=LocalNetworkAccessChecks".into()],
            ..BrowserOptions::default()
        },
        page: PageOptions::default(),
        surface: Surface::Headless { width: 640, height: 480 },
        runtime_dir: dir.path().join("runtime"),
        capture_files: None,
        proxy: proxy.map(Proxy::address),
    };
    let browser = Browser::launch(launch).await.unwrap();
    if let Some(proxy) = proxy {
        proxy.admit(browser.uid());
    }
    (browser, dir)
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// What the page at `outside` reached of `inside`, by its own word.
async fn try_all(browser: &Browser, page: &str, to: &str) -> serde_json::Value {
    let page = url(&format!("http://{page}/inside.html?to={to}"));
    browser.page().goto(&page, PATIENCE).await.unwrap();
    browser.page().evaluate("tryAll()", PATIENCE).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reaches_nothing_inside_in_any_way() {
    let outside = outside("127.0.0.1").await;
    let open = Inside::open("127.0.0.2").await;
    let (free, _dir) = browser(None).await;
    try_all(&free, &outside.to_string(), &open.address.to_string()).await;
    free.close(PATIENCE).await;
    let seen = open.seen();
    for way in WAYS {
        assert!(seen.iter().any(|s| s == way), "the page's {way} proves nothing: {seen:?}");
    }

    let inside = Inside::open("127.0.0.2").await;
    let guard =
        Guard::new(["127.0.0.1/32".parse().unwrap()]).with_lookup(Arc::new(|name: &str| {
            let found = match name {
                "room.test" => vec!["127.0.0.1".parse().unwrap()],
                "inside.test" => vec!["127.0.0.2".parse().unwrap()],
                _ => vec![],
            };
            std::future::ready(Ok(found)).boxed()
        }));
    let (proxy, mut refusals) = Proxy::start(guard, Vec::new()).await.unwrap();
    let (guarded, _dir) = browser(Some(&proxy)).await;
    let page = format!("room.test:{}", outside.port());
    for host in ["127.0.0.2", "inside.test"] {
        let to = format!("{host}:{}", inside.address.port());
        let ends = try_all(&guarded, &page, &to).await;
        for way in ["fetch", "post", "xhr", "image", "script", "socket", "worker", "redirect"] {
            assert_eq!(ends[way], "failed", "{host} by {way}: {ends}");
        }
        let told = refusals.recv().await.unwrap();
        assert_eq!(told.authority, to);
        assert!(told.why.contains("127.0.0.2"), "{told:?}");
    }
    assert_eq!(inside.seen(), Vec::<String>::new());

    // Other spellings, and what no name server is asked about.
    for host in ["169.254.169.254", "localhost", "[::1]", "0.0.0.0", "2130706434", "0x7f.2"] {
        let way =
            format!("fetch('http://{host}:{}/x', {{mode: 'no-cors'}})", inside.address.port());
        let ask = format!("{way}.then(() => 'reached', () => 'failed')");
        let end: String = guarded.page().evaluate(&ask, PATIENCE).await.unwrap();
        assert_eq!(end, "failed", "{host}");
    }
    assert_eq!(inside.seen(), Vec::<String>::new());

    // The page itself led inside, by a redirect and by its own script.
    let target = format!("http://{}/moved", inside.address);
    let redirect = url(&format!("http://{page}/to?url={target}"));
    let error = guarded.page().goto(&redirect, PATIENCE).await.unwrap_err();
    assert!(matches!(error, LoadError::Unreachable { .. }), "{error}");
    let asked = guarded.page().requested_authority().unwrap();
    assert_eq!(asked, inside.address.to_string());
    let why = proxy.why(&asked).unwrap();
    assert!(why.contains("127.0.0.2 is not a public address"), "{why}");
    assert_eq!(inside.seen(), Vec::<String>::new());
    guarded.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_its_mind_is_refused_when_it_does() {
    let outside = outside("127.0.0.1").await;
    // The same port inside, as rebinding needs.
    let listener = TcpListener::bind(("127.0.0.2", outside.port())).await.unwrap();
    let turned = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&turned);
    let lookup = Arc::new(move |_: &str| {
        let ip = if now.load(Ordering::SeqCst) { "127.0.0.2" } else { "127.0.0.1" };
        std::future::ready(Ok(vec![ip.parse().unwrap()])).boxed()
    });
    let guard = Guard::new(["127.0.0.1/32".parse().unwrap()]).with_lookup(lookup);
    let (proxy, mut refusals) = Proxy::start(guard, Vec::new()).await.unwrap();
    let (browser, _dir) = browser(Some(&proxy)).await;
    let page = format!("http://room.test:{}/inside.html?to=x", outside.port());
    browser.page().goto(&url(&page), PATIENCE).await.unwrap();
    turned.store(true, Ordering::SeqCst);
    // Same origin, so the page could read the answer.
    let ask = "fetch('/secret').then(answer => answer.text(), () => 'failed')";
    assert_eq!(browser.page().evaluate::<String>(ask, PATIENCE).await.unwrap(), "failed");
    assert!(refusals.recv().await.unwrap().why.contains("leads to 127.0.0.2"));
    assert!(listener.accept().now_or_never().is_none());
    browser.close(PATIENCE).await;
}

#[test]
fn a_recording_led_inside_fails_and_says_so() {
    let _quiet = quiet();
    let servers = tokio::runtime::Runtime::new().unwrap();
    let outside = servers.block_on(outside("127.0.0.1"));
    let inside = servers.block_on(Inside::open("127.0.0.2"));
    let dir = scratch();
    let url = format!("http://{outside}/to?url=http://{}/latest?token=s3cr3t", inside.address);
    let mut recorder = Recorder::new(&url, &dir.path().join("r"));
    recorder.spec["egress"] = serde_json::json!({
        "mode": "guarded", "networks": ["127.0.0.1/32"], "sockets": [], "closed_ports": [],
    });
    let ended = recorder.start().wait(PATIENCE);
    assert!(!ended.status.success());
    assert_eq!(inside.seen(), Vec::<String>::new());
    let events = recorder.events();
    let failed = events.iter().find_map(|event| match event {
        Event::Failed { kind, message, .. } => Some((*kind, message.clone())),
        _ => None,
    });
    let (kind, message) = failed.unwrap();
    assert_eq!(kind, FailureKind::MaxRetriesReached);
    assert!(
        message.contains("meeting_url: 127.0.0.2 is not a public address")
            && message.contains("--allow-net 127.0.0.2/32"),
        "{message}"
    );
    let kept = |event: &Event| matches!(event, Event::Notice { message } if message.starts_with("the page was kept from"));
    assert!(events.iter().any(kept), "{events:#?}");
    assert!(!format!("{events:?}{}", ended.stderr).contains("s3cr3t"));
}
