//! `roomreel upload`: asks the running service to upload a kept file again.

use std::time::Duration;

use anyhow::{Context, anyhow};
use reqwest::{Client, Method};
use roomreel::config::Config;
use roomreel::token::{Keys, mint_management};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::args::Upload;
use super::{Exit, runtime, service_url};

/// How long the token is good that is minted for this.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long the service may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at an upload that is waited for.
const POLL: Duration = Duration::from_secs(1);

/// What is read of an answer, good or bad.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<String>,
    error: Option<Failure>,
    recording_assets: Option<Vec<Asset>>,
}

#[derive(Deserialize)]
struct Failure {
    r#type: String,
    message: String,
}

#[derive(Deserialize)]
struct Asset {
    path: String,
}

pub(crate) fn run(args: Upload) -> Result<(), Exit> {
    let config = Config::load(args.config.as_deref(), std::env::vars_os()).map_err(Exit::usage)?;
    let base = match args.url {
        Some(url) => url,
        None => service_url(&config)?,
    };
    let keys = Keys::new(config.auth.keys);
    let token = keys.find(None).and_then(|key| mint_management(key, TOKEN_LIFE));
    let service = Service { client: Client::new(), base, token };
    runtime()?.block_on(async {
        let path = format!("v2/recordings/{}", args.id);
        let mut answer = service.ask(Method::POST, &format!("{path}/upload")).await?;
        while args.wait && answer.status == "post_processing" {
            tokio::time::sleep(POLL).await;
            answer = service.ask(Method::GET, &path).await?;
        }
        println!("{}", answer.status);
        for asset in answer.recording_assets.iter().flatten() {
            println!("{}", asset.path);
        }
        match answer.error {
            Some(error) => Err(Exit::failure(anyhow!("{}: {}", error.r#type, error.message))),
            None => Ok(()),
        }
    })
}

struct Service {
    client: Client,
    base: Url,
    token: Option<SecretString>,
}

impl Service {
    async fn ask(&self, method: Method, path: &str) -> Result<Answer, Exit> {
        let url = self.base.join(path).map_err(Exit::usage)?;
        let mut request = self.client.request(method, url).timeout(PATIENCE);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let about = || format!("the service at {} does not answer", self.base);
        let answer = request.send().await.with_context(about).map_err(Exit::failure)?;
        let good = answer.status().is_success();
        let told: Answer = answer.json().await.with_context(about).map_err(Exit::failure)?;
        if good {
            return Ok(told);
        }
        let words = [vec![told.message], told.details].concat().join(": ");
        Err(Exit::failure(anyhow!(words)))
    }
}
