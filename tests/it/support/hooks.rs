//! An endpoint for webhooks that takes everything and forgets nothing.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::runtime::Runtime;

/// See the module's documentation; closed when it is dropped.
pub struct Hooks {
    told: Arc<Mutex<Vec<Value>>>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Hooks {
    pub fn open() -> Self {
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/hook", post(take)).with_state(Arc::clone(&told));
        runtime.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { told, address, _runtime: runtime }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// How many different events of this name were told.
    pub fn count(&self, name: &str) -> usize {
        let told = self.told.lock().unwrap();
        let ids = told.iter().filter(|body| body["type"] == name).map(|body| &body["id"]);
        ids.map(ToString::to_string).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Everything of this name that was told, as often as it was.
    pub fn bodies(&self, name: &str) -> Vec<Value> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|body| body["type"] == name).cloned().collect()
    }

    /// The events of one room, each once, in the order in which they came.
    pub fn of_room(&self, room: &str) -> Vec<Value> {
        let mut known = std::collections::BTreeSet::new();
        let told = self.told.lock().unwrap();
        let of_room = told.iter().filter(|body| body["data"]["room_id"] == room);
        of_room.filter(|body| known.insert(body["id"].to_string())).cloned().collect()
    }

    /// The first event of this name, once it was told.
    pub fn until(&self, name: &str) -> Value {
        super::until(name, Duration::from_secs(60), || {
            self.told.lock().unwrap().iter().find(|body| body["type"] == name).cloned()
        })
    }
}

async fn take(State(told): State<Arc<Mutex<Vec<Value>>>>, Json(body): Json<Value>) {
    told.lock().unwrap().push(body);
}
