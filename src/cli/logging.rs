//! Log lines on standard error, filtered by `ROOMREEL_LOG`, as text or, with
//! `ROOMREEL_LOG_FORMAT=json`, as one JSON object a line.

use std::io::IsTerminal;

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use super::Exit;

/// Messages of the DevTools client about unknown enum values are noise: each
/// costs one message, nothing else.
const DEFAULT: &str = "info,chromiumoxide=error";

/// Starts logging; `verbose` shows this crate's debug lines.
pub(crate) fn start(verbose: bool) -> Result<(), Exit> {
    let fallback = if verbose { "debug,chromiumoxide=error,hyper=info" } else { DEFAULT };
    let filter = EnvFilter::try_from_env("ROOMREEL_LOG").unwrap_or_else(|_| fallback.into());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let format = std::env::var("ROOMREEL_LOG_FORMAT").unwrap_or_default();
    match format.as_str() {
        "" | "text" => lines.init(),
        "json" => lines.json().flatten_event(true).with_span_list(false).init(),
        other => {
            let problem = anyhow!("ROOMREEL_LOG_FORMAT: {other:?} is neither text nor json");
            return Err(Exit::usage(problem));
        }
    }
    Ok(())
}
