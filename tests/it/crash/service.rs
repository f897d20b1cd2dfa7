//! The service of a life: the real one, over a store with a tripwire.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use roomreel::config::{Config, Endpoint};
use roomreel::http::Server;
use tokio_util::sync::CancellationToken;

use super::life::{CALL, DATA, LISTEN, PROGRAM, RECEIVER};
use super::tripwire::Tripwire;

fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Runs until it is killed.
pub(super) fn run() {
    let data = PathBuf::from(told(DATA));
    let mut config = Config { recorder_program: Some(told(PROGRAM).into()), ..Config::default() };
    config.server.listen = told(LISTEN).parse().unwrap();
    config.recording.max_concurrent = 4;
    config.net.allow = vec!["127.0.0.0/8".parse().unwrap()];
    config.webhooks.retries = vec![Duration::from_millis(100); 50];
    config.webhooks.endpoints = vec![Endpoint {
        name: "app".into(),
        url: told(RECEIVER).as_str().into(),
        headers: Default::default(),
        events: Vec::new(),
        secrets: Vec::new(),
    }];
    config.data.dir = data.join("data");
    // "before Complete 1" or "after Complete 1".
    let at = told(CALL);
    let at = at.split_once(' ').map(|(when, call)| (call.to_owned(), when == "before"));
    let log = data.join("calls");
    tracing_subscriber::fmt().with_env_filter("roomreel=debug").with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let wire = |inner| Arc::new(Tripwire { inner, at, log, calls: Default::default() }) as _;
        let server = Server::bind_over(&config, wire).await.unwrap();
        server.run(CancellationToken::new()).await.unwrap();
    });
}
