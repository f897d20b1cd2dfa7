//! Whom a life's events are told to; may kill the service instead of answering.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::post;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[derive(Clone, Default)]
pub(super) struct Receiver(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Everything that was posted, oldest first.
    posted: Mutex<Vec<Value>>,
    /// The service, while there is one.
    service: AtomicI32,
    /// The service is killed at so many posts, each once.
    kills: Mutex<Vec<usize>>,
}

impl Receiver {
    /// One on a free port, and its URL.
    pub(super) async fn open(kills: Vec<usize>) -> (Self, String) {
        let receiver = Self::default();
        *receiver.0.kills.lock().unwrap() = kills;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        (receiver, url)
    }

    /// Says which process posts from now on.
    pub(super) fn watch(&self, service: Pid) {
        self.0.service.store(service.as_raw_nonzero().get(), Ordering::SeqCst);
    }

    pub(super) fn posted(&self) -> Vec<Value> {
        self.0.posted.lock().unwrap().clone()
    }
}

async fn take(State(receiver): State<Receiver>, Json(body): Json<Value>) -> StatusCode {
    let count = {
        let mut posted = receiver.0.posted.lock().unwrap();
        posted.push(body);
        posted.len()
    };
    let kill = receiver.0.kills.lock().unwrap().contains(&count);
    if kill && let Some(pid) = Pid::from_raw(receiver.0.service.swap(0, Ordering::SeqCst)) {
        kill_process(pid, Signal::KILL).unwrap();
    }
    StatusCode::OK
}
