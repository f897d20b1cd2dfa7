//! A man in the middle: between a client and a store, and on the test's side. It passes on,
//! throttles, or is not there at all, and remembers what was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
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
    /// So many requests are answered with 503 `SlowDown`.
    slow_downs: Mutex<usize>,
    /// `METHOD /path?query` of everything that was passed on and answered well.
    seen: Mutex<Vec<String>>,
}

impl Middle {
    pub fn before(upstream: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            upstream,
            slow_downs: Mutex::new(0),
            seen: Mutex::default(),
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

    /// Answers the next requests with 503.
    pub fn slow_down(&self, requests: usize) {
        *self.shared.slow_downs.lock().unwrap() = requests;
    }

    /// What was passed on and answered well, oldest first.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many of those hold all the words.
    pub fn count(&self, words: &[&str]) -> usize {
        let holds = |line: &&String| words.iter().all(|word| line.contains(word));
        self.seen().iter().filter(holds).count()
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let throttled = {
        let mut left = shared.slow_downs.lock().unwrap();
        let throttled = *left > 0;
        *left = left.saturating_sub(1);
        throttled
    };
    if throttled {
        let body =
            "<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>";
        return answer(StatusCode::SERVICE_UNAVAILABLE, body);
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let line = format!("{} {path}", parts.method);
    let url = format!("http://127.0.0.1:{}{path}", shared.upstream);
    let passed = shared
        .client
        .request(parts.method, url)
        .headers(parts.headers)
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .send()
        .await;
    let Ok(passed) = passed else {
        return answer(StatusCode::BAD_GATEWAY, "the store does not answer");
    };
    if passed.status().is_success() {
        shared.seen.lock().unwrap().push(line);
    }
    let mut response = Response::builder().status(passed.status());
    for (name, value) in passed.headers() {
        if name != header::TRANSFER_ENCODING && name != header::CONNECTION {
            response = response.header(name, value);
        }
    }
    response.body(Body::from_stream(passed.bytes_stream())).unwrap()
}

fn answer(status: StatusCode, text: &'static str) -> Response<Body> {
    Response::builder().status(status).body(text.into()).unwrap()
}
