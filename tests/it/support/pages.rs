//! A file server on the loopback for test pages and generated media.

use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use tokio::sync::oneshot;

/// The pages that are part of the tests.
pub fn own_pages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages")
}

/// A path that asks for a password, and takes none.
const PASSWORD: &str = "password";

/// Serves files until it is dropped.
pub struct Pages {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Pages {
    /// Serves the tests' own pages, and behind them what is in `more`.
    pub fn with(more: &Path) -> Self {
        Self::over(vec![own_pages(), more.to_owned()])
    }

    /// Serves `roots` as one tree: a file is looked for in each, in that order.
    pub fn over(roots: Vec<PathBuf>) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("pages".into());
        let thread = thread.spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let app = Router::new().fallback(serve).with_state(Arc::new(roots));
                tokio::select! {
                    served = async { axum::serve(listener, app).await } => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let address = told.recv().unwrap();
        Self { address, stop: Some(stop), thread: Some(thread.unwrap()) }
    }

    /// The URL of `path`, for example `barcode.html` or `dialogs.html?only=print`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

type Roots = Arc<Vec<PathBuf>>;

async fn serve(State(roots): State<Roots>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let asked = Path::new(uri.path().trim_start_matches('/'));
    if asked == Path::new(PASSWORD) {
        let refusal = Response::builder().status(StatusCode::UNAUTHORIZED);
        return refusal
            .header(header::WWW_AUTHENTICATE, "Basic realm=\"pages\"")
            .body(Body::empty())
            .unwrap();
    }
    let inside = asked.components().all(|c| matches!(c, Component::Normal(_)));
    let file = inside.then(|| roots.iter().map(|r| r.join(asked)).find(|p| p.is_file())).flatten();
    let Some(file) = file else { return plain(StatusCode::NOT_FOUND) };
    let bytes = tokio::fs::read(&file).await.unwrap();
    let reply = Response::builder()
        .header(header::CONTENT_TYPE, media_type(&file))
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::ACCEPT_RANGES, "bytes");
    let Some(range) = headers.get(header::RANGE) else {
        return reply.body(Body::from(bytes)).unwrap();
    };
    let Some((first, last)) = range.to_str().ok().and_then(|r| parse_range(r, bytes.len())) else {
        return plain(StatusCode::RANGE_NOT_SATISFIABLE);
    };
    reply
        .status(StatusCode::PARTIAL_CONTENT)
        .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{}", bytes.len()))
        .body(Body::from(bytes[first..=last].to_vec()))
        .unwrap()
}

fn plain(status: StatusCode) -> Response<Body> {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

/// `bytes=5-`, `bytes=5-9` or `bytes=-9` (RFC 9110 section 14.1.2) within `len` bytes:
/// first and last byte.
fn parse_range(value: &str, len: usize) -> Option<(usize, usize)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = match (first, last) {
        ("", suffix) => (len.checked_sub(suffix.parse().ok()?)?, len.checked_sub(1)?),
        (first, "") => (first.parse().ok()?, len.checked_sub(1)?),
        (first, last) => {
            (first.parse().ok()?, last.parse::<usize>().ok()?.min(len.checked_sub(1)?))
        }
    };
    (first <= last).then_some((first, last))
}

/// Browsers ask for little more than this; the rest is sniffed.
fn media_type(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("png") => "image/png",
        Some("gif") => "image/gif",
        Some("svg") => "image/svg+xml",
        Some("mp4") => "video/mp4",
        Some("wav") => "audio/wav",
        _ => "application/octet-stream",
    }
}

#[test]
fn ranges() {
    for (value, want) in [
        ("bytes=0-", Some((0, 9))),
        ("bytes=2-4", Some((2, 4))),
        ("bytes=2-400", Some((2, 9))),
        ("bytes=-3", Some((7, 9))),
        ("bytes=10-", None),
        ("bytes=4-2", None),
        ("lines=1-2", None),
    ] {
        assert_eq!(parse_range(value, 10), want, "{value}");
    }
}

#[tokio::test]
async fn pages_ranges_and_nothing_above_the_root() {
    let pages = Pages::with(&std::env::temp_dir());
    let whole = reqwest::get(pages.url("barcode.html?x=1")).await.unwrap();
    assert_eq!(whole.status(), 200);
    let text = whole.text().await.unwrap();
    assert!(text.starts_with("<!doctype html>"));
    let part = reqwest::Client::new().get(pages.url("barcode.html"));
    let part = part.header("range", "bytes=2-8").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.text().await.unwrap(), &text[2..=8]);
    for path in ["nothing.html", "%2e%2e/it/main.rs", "..%2fit/main.rs"] {
        assert_eq!(reqwest::get(pages.url(path)).await.unwrap().status(), 404, "{path}");
    }
}
