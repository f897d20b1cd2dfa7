//! `roomreel health`: asks the running service whether it can take recordings on.
//! For container engines and scripts that have no HTTP client of their own.

use std::time::Duration;

use anyhow::anyhow;
use reqwest::Client;
use roomreel::config::Config;
use url::Url;

use super::{Exit, runtime, service_url};

/// Beyond this, it does not answer.
const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Debug, clap::Args)]
pub(crate) struct Health {
    /// Configuration file (TOML) of the running service
    #[arg(long)]
    config: Option<std::path::PathBuf>,
    /// Where the service is reached; http:// and server.listen otherwise
    #[arg(long)]
    url: Option<Url>,
}

pub(crate) fn run(args: Health) -> Result<(), Exit> {
    let base = match args.url {
        Some(url) => url,
        None => {
            let config =
                Config::load(args.config.as_deref(), std::env::vars_os()).map_err(Exit::usage)?;
            service_url(&config)?
        }
    };
    let url = base.join("health/ready").map_err(Exit::usage)?;
    runtime()?.block_on(async {
        // A proxy of the environment is none for a service on this machine.
        let client = Client::builder().no_proxy().timeout(PATIENCE).build();
        let answer = client.map_err(Exit::failure)?.get(url).send().await;
        let answer = answer.map_err(|e| Exit::failure(anyhow!("no answer: {e:#}")))?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        println!("{}", text.trim_end());
        match status.is_success() {
            true => Ok(()),
            false => Err(Exit::failure(anyhow!("not ready: {status}"))),
        }
    })
}
