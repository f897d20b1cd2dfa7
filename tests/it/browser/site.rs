//! A web site of the test's own on a free port.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use tokio::sync::mpsc;
use url::Url;

pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    /// Bodies posted to `/tell`.
    pub(crate) told: mpsc::UnboundedReceiver<String>,
    server: tokio::task::JoinHandle<()>,
}

type Shared = Arc<(mpsc::UnboundedSender<String>, String)>;

impl Site {
    /// `html` is the page at `/`.
    pub(crate) async fn open(html: &str) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let router = Router::new()
            .route("/", get(|State(s): State<Shared>| async move { Html(s.1.clone()) }))
            .route("/status/{code}", get(status))
            .route("/hang", get(std::future::pending::<()>))
            .route("/redirect", get(|| async { Redirect::to("/") }))
            .route("/nothing", get(|| async { StatusCode::NO_CONTENT }))
            .route("/tell", post(tell_it))
            .with_state(Arc::new((tell, html.to_string())));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, told, server }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn status(Path(code): Path<u16>) -> Response {
    (StatusCode::from_u16(code).unwrap(), Html("<p>sorry")).into_response()
}

async fn tell_it(State(shared): State<Shared>, body: String) {
    let _ = shared.0.send(body);
}
