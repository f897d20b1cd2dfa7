//! A man in the middle: between a client and a store, and on the test's side. It passes on,
//! throttles, has parts wait for each other, or is not there at all, and remembers what was
//! asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use futures::TryStreamExt;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// See the module's documentation. As an HTTP proxy it leads every name to the store.
pub struct Middle {
    runtime: Runtime,
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Option<JoinHandle<()>>,
}

struct Shared {
    client: reqwest::Client,
    /// Port of the store.
    upstream: u16,
    /// So many requests are throttled, in this way.
    throttled: Mutex<(usize, Throttle)>,
    /// `METHOD /path?query` of everything that was passed on and answered well, and what stood
    /// in its head.
    seen: Mutex<Vec<(String, HeaderMap)>>,
    /// Requests that hold this are throttled for good.
    refused: Mutex<Option<&'static str>>,
    /// So many parts must be here before one is passed on.
    gather: AtomicUsize,
    /// How many are here.
    parts: AtomicUsize,
    /// How many were, at most.
    most_parts: AtomicUsize,
    /// The bodies of all requests that were passed on, if somebody wants them.
    sent: Option<Mutex<Vec<Kept>>>,
}

/// How a store asks to be left alone.
#[derive(Clone, Copy)]
pub enum Throttle {
    /// Amazon's way.
    SlowDown,
    /// HTTP's: 429, with a `Retry-After` and no XML.
    TooMany,
}

impl Throttle {
    fn answer(self) -> Response<Body> {
        match self {
            Self::SlowDown => answer(
                StatusCode::SERVICE_UNAVAILABLE,
                "<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>",
            ),
            Self::TooMany => {
                let mut response = answer(StatusCode::TOO_MANY_REQUESTS, "later");
                response.headers_mut().insert(header::RETRY_AFTER, 1.into());
                response
            }
        }
    }
}

/// One request's body, as it grows.
type Kept = Arc<Mutex<Vec<u8>>>;

impl Middle {
    pub fn before(upstream: u16) -> Self {
        Self::start(upstream, None)
    }

    /// The same, which keeps every byte that goes up, see [`sent`](Self::sent).
    pub fn keeping(upstream: u16) -> Self {
        Self::start(upstream, Some(Mutex::default()))
    }

    fn start(upstream: u16, sent: Option<Mutex<Vec<Kept>>>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            upstream,
            throttled: Mutex::new((0, Throttle::SlowDown)),
            seen: Mutex::default(),
            refused: Mutex::default(),
            gather: AtomicUsize::new(0),
            parts: AtomicUsize::new(0),
            most_parts: AtomicUsize::new(0),
            sent,
        });
        let port = super::stores::free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut middle = Self { runtime, shared, address, server: None };
        middle.open();
        middle
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens.
    pub fn open(&mut self) {
        let listener = self.runtime.block_on(tokio::net::TcpListener::bind(self.address)).unwrap();
        let app = Router::new().fallback(pass_on).with_state(Arc::clone(&self.shared));
        self.server = Some(self.runtime.spawn(async move {
            axum::serve(listener, app).await.unwrap();
        }));
    }

    /// Is not there: no connection can be made, and those that there are end.
    pub fn close(&mut self) {
        // Connections are tasks of their own: only the end of the runtime ends them.
        let fresh = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        self.server = None;
        std::mem::replace(&mut self.runtime, fresh).shutdown_background();
        let gone = || std::net::TcpStream::connect(self.address).is_err().then_some(());
        super::until("a closed port", std::time::Duration::from_secs(10), gone);
    }

    /// Throttles the next requests.
    pub fn throttle(&self, requests: usize, how: Throttle) {
        *self.shared.throttled.lock().unwrap() = (requests, how);
    }

    /// Throttles every request that holds `words`, from now on.
    pub fn refuse(&self, words: Option<&'static str>) {
        *self.shared.refused.lock().unwrap() = words;
    }

    /// Has parts wait until so many are here at once; after that none waits.
    pub fn gather(&self, parts: usize) {
        self.shared.gather.store(parts, Ordering::SeqCst);
    }

    /// How many parts were on their way at once, at most.
    pub fn most_parts(&self) -> usize {
        self.shared.most_parts.load(Ordering::SeqCst)
    }

    /// What was passed on and answered well, oldest first.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().iter().map(|(line, _)| line.clone()).collect()
    }

    /// What the header `name` said in each of those that hold all the words.
    pub fn headers(&self, words: &[&str], name: &str) -> Vec<Option<String>> {
        let seen = self.shared.seen.lock().unwrap();
        let holding = seen.iter().filter(|(line, _)| words.iter().all(|word| line.contains(word)));
        let value = |head: &HeaderMap| Some(head.get(name)?.to_str().unwrap().to_owned());
        holding.map(|(_, head)| value(head)).collect()
    }

    /// The body of every request so far, as far as it came.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        let sent = self.shared.sent.as_ref().unwrap().lock().unwrap();
        sent.iter().map(|body| body.lock().unwrap().clone()).collect()
    }

    /// How many of those hold all the words.
    pub fn count(&self, words: &[&str]) -> usize {
        let holds = |line: &&String| words.iter().all(|word| line.contains(word));
        self.seen().iter().filter(holds).count()
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let throttled = {
        let mut throttled = shared.throttled.lock().unwrap();
        let (left, how) = *throttled;
        throttled.0 = left.saturating_sub(1);
        (left > 0).then_some(how)
    };
    let line = format!("{} {}", request.method(), request.uri());
    let refused = shared.refused.lock().unwrap().filter(|words| line.contains(words));
    if let Some(how) = throttled.or(refused.map(|_| Throttle::SlowDown)) {
        // Who is still writing would hear of a broken pipe and not of the answer.
        let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
        return how.answer();
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let line = format!("{} {path}", parts.method);
    let here = line.contains("partNumber=").then(|| Here::enter(&shared));
    if here.is_some() {
        gathered(&shared).await;
    }
    let head = parts.headers.clone();
    let url = format!("http://127.0.0.1:{}{path}", shared.upstream);
    let kept = shared.sent.as_ref().map(|sent| {
        let kept = Kept::default();
        sent.lock().unwrap().push(Arc::clone(&kept));
        kept
    });
    let body = body.into_data_stream().inspect_ok(move |chunk| {
        if let Some(kept) = &kept {
            kept.lock().unwrap().extend_from_slice(chunk);
        }
    });
    let passed = shared
        .client
        .request(parts.method, url)
        .headers(parts.headers)
        .body(reqwest::Body::wrap_stream(body))
        .send()
        .await;
    let Ok(passed) = passed else {
        return answer(StatusCode::BAD_GATEWAY, "the store does not answer");
    };
    if passed.status().is_success() {
        shared.seen.lock().unwrap().push((line, head));
    }
    let mut response = Response::builder().status(passed.status());
    for (name, value) in passed.headers() {
        if name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            response = response.header(name, value);
        }
    }
    response.body(Body::from_stream(passed.bytes_stream())).unwrap()
}

/// A part that is here, until the value goes.
struct Here(Arc<Shared>);

impl Here {
    fn enter(shared: &Arc<Shared>) -> Self {
        let now = shared.parts.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_parts.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.0.parts.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits for the others, and then long enough for one too many to come as well.
async fn gathered(shared: &Shared) {
    for _ in 0..600 {
        if shared.most_parts.load(Ordering::SeqCst) >= shared.gather.load(Ordering::SeqCst) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    if shared.gather.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn answer(status: StatusCode, text: &'static str) -> Response<Body> {
    Response::builder().status(status).body(text.into()).unwrap()
}
