//! `roomreel doctor`: does this machine record, and if not, what to do.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::anyhow;
use roomreel::config::Config;
use roomreel::doctor::{self, Finding, Level};

use super::{Exit, runtime};

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Configuration file (TOML)
    #[arg(long)]
    config: Option<PathBuf>,
    /// The service's data directory; the configured one otherwise
    #[arg(long)]
    data: Option<PathBuf>,
    /// The service's address; the configured one otherwise
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Only look: start no browser, record nothing, ask no storage
    #[arg(long)]
    quick: bool,
    /// One JSON object instead of lines
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Doctor) -> Result<(), Exit> {
    let mut findings = Vec::new();
    let mut tell = |finding: Finding| {
        if !args.json {
            println!("{finding}");
        }
        findings.push(finding);
    };
    match configuration(&args) {
        Ok(config) => {
            tell(Finding {
                check: "configuration".into(),
                level: Level::Ok,
                found: match &args.config {
                    Some(file) => file.display().to_string(),
                    None => "no file: defaults and environment".into(),
                },
                advice: None,
            });
            runtime()?.block_on(async {
                doctor::look(&config, &mut tell).await;
                if !args.quick {
                    doctor::try_out(&config, &mut tell).await;
                }
            });
        }
        // Everything else depends on it.
        Err(problem) => tell(Finding {
            check: "configuration".into(),
            level: Level::Fail,
            found: problem.to_string(),
            advice: Some("config.example.toml has every setting".into()),
        }),
    }
    let worst = doctor::worst(&findings);
    if args.json {
        let whole = serde_json::json!({ "worst": worst, "findings": findings });
        println!("{whole:#}");
    }
    match worst {
        Level::Fail => Err(Exit::failure(anyhow!("recordings would fail; see above"))),
        Level::Ok | Level::Warn => Ok(()),
    }
}

fn configuration(args: &Doctor) -> Result<Config, roomreel::config::ConfigError> {
    let mut config = Config::load(args.config.as_deref(), std::env::vars_os())?;
    if let Some(data) = &args.data {
        config.data.dir.clone_from(data);
    }
    if let Some(listen) = args.listen {
        config.server.listen = listen;
    }
    Ok(config)
}

/// Refuses to go on with what would only fail later; the same lines as the command's.
pub(crate) fn refuse(config: &Config) -> Result<(), Exit> {
    let findings = doctor::quick(config);
    let bad: Vec<&Finding> =
        findings.iter().filter(|finding| finding.level == Level::Fail).collect();
    for finding in &bad {
        eprintln!("{finding}");
    }
    match bad.len() {
        0 => Ok(()),
        _ => Err(Exit::failure(anyhow!("will not start: no recording could be made"))),
    }
}
