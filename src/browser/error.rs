//! Why there is no browser.

use std::io;
use std::path::PathBuf;

use super::START_TIMEOUT;
use super::cdp::CallError;

/// Why there is no browser.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// None is installed.
    #[error(
        "no Chromium found: install the package `chromium` (Debian, Fedora, Alpine) or \
         `google-chrome-stable`, or name the binary in the browser options"
    )]
    NotFound,
    /// The named one cannot be used.
    #[error("the browser {} cannot be used: {problem}", path.display())]
    Program {
        /// The one that was named.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It does not know what is needed of it.
    #[error("{found} is too old: Chromium {oldest} or newer is needed")]
    TooOld {
        /// What the browser calls itself.
        found: String,
        /// The oldest major version that will do.
        oldest: u32,
    },
    /// A file or directory could not be prepared.
    #[error("cannot prepare {} for the browser: {source}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A certificate authority cannot be made known to it.
    #[error("cannot make the browser trust {}: {problem}", path.display())]
    Authority {
        /// The file with the certificate.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The unprivileged user cannot get to a path.
    #[error(
        "the browser runs as user id {user} and cannot reach {}: {} lets nobody else through \
         (chmod o+x it, or choose another place)",
        path.display(), dir.display()
    )]
    Closed {
        /// What it has to reach.
        path: PathBuf,
        /// The directory in the way.
        dir: PathBuf,
        /// The user id it was to run as.
        user: u32,
    },
    /// The program could not be started.
    #[error("cannot start {}: {source}", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The limit of open files is too low for Chromium.
    #[error(
        "no browser starts where only {limit} files may be open at once: raise it to 1024 at \
         least (ulimit -n, LimitNOFILE=)"
    )]
    Files {
        /// The limit of each process.
        limit: u64,
    },
    /// The machine does not allow Chromium's sandbox.
    #[error(
        "Chromium cannot set up its sandbox: allow unprivileged user namespaces to it \
         (in a container by a seccomp profile that permits clone and unshare)"
    )]
    Sandbox,
    /// It ended before its page could be driven.
    #[error("the browser ended during its start ({status}): {stderr}")]
    Died {
        /// Its exit status.
        status: String,
        /// Its last words.
        stderr: String,
    },
    /// It is there and does nothing.
    #[error("the browser was not ready within {} s: {stderr}", START_TIMEOUT.as_secs())]
    Late {
        /// Its last words.
        stderr: String,
    },
    /// It refused one of the first commands.
    #[error("the browser cannot be set up: {0}")]
    Setup(#[from] CallError),
}
