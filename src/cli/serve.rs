//! `roomreel serve`: the recording service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use roomreel::config::Config;
use roomreel::demo::{self, DemoConfig};
use roomreel::http;
use tokio_util::sync::CancellationToken;

use super::args::Serve;
use super::{Exit, doctor, runtime, shutdown_on_signal};

pub(crate) fn run(args: Serve) -> Result<(), Exit> {
    let mut config =
        Config::load(args.config.as_deref(), std::env::vars_os()).map_err(Exit::usage)?;
    if let Some(listen) = args.listen {
        config.server.listen = listen;
    }
    if let Some(data) = args.data {
        config.data.dir = data;
    }
    config.net.allow.extend(args.allow_net);
    if let Some(demo) = args.demo {
        // The demo room and its peers are on this machine.
        config.browser.loopback_webrtc = true;
        config.net.sockets.extend(reached_by(demo));
    }
    doctor::refuse(&config)?;
    http::check(&config).map_err(Exit::usage)?;
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        shutdown_on_signal(shutdown.clone()).map_err(Exit::failure)?;
        if let Some(listen) = args.demo {
            let room = DemoConfig { listen, ..DemoConfig::default() };
            tokio::spawn(run_demo(room, shutdown.clone()));
        }
        http::serve(config, shutdown).await.map_err(Exit::failure)
    })
}

/// Where a page on this machine finds what listens at `address`.
fn reached_by(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        .map(|ip: IpAddr| SocketAddr::new(ip, address.port()))
        .into()
}

async fn run_demo(room: DemoConfig, shutdown: CancellationToken) {
    if let Err(error) = demo::run(room, shutdown).await {
        tracing::error!(%error, "the demo room is closed");
    }
}
