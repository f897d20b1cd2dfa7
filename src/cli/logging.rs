//! Log lines on standard error, filtered by `ROOMREEL_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Messages of the DevTools client about unknown enum values are noise: each
/// costs one message, nothing else.
const DEFAULT: &str = "info,chromiumoxide=error";

/// Starts logging; `verbose` shows this crate's debug lines.
pub(crate) fn start(verbose: bool) {
    let fallback = if verbose { "debug,chromiumoxide=error,hyper=info" } else { DEFAULT };
    let filter = EnvFilter::try_from_env("ROOMREEL_LOG").unwrap_or_else(|_| fallback.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
