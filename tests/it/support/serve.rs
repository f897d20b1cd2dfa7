//! `roomreel serve` as an operator starts it: a configuration file, a free port.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::process::Running;
use super::roomreel::roomreel;
use super::until;

/// A service of the binary under test, ended with the value.
pub struct Serve {
    /// The process, for its log and signals.
    pub process: Running,
    address: String,
    /// Its data directory and configuration file; goes when the process has.
    root: tempfile::TempDir,
}

impl Serve {
    /// Starts it with the TOML `config` over what is in [`data`] of `root`.
    pub fn over(root: tempfile::TempDir, config: &str) -> Self {
        let file = root.path().join("roomreel.toml");
        std::fs::write(&file, config).unwrap();
        let port = free_port();
        let process = Running::spawn(
            roomreel()
                .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"])
                .arg(&file)
                .arg("--data")
                .arg(data(root.path())),
        );
        let service = Self { process, address: format!("127.0.0.1:{port}"), root };
        until("the service listening", Duration::from_secs(30), || {
            std::net::TcpStream::connect(&service.address).ok()
        });
        service
    }

    /// Where its configuration is, and its [`data`].
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Where a service under `root` keeps its data.
pub fn data(root: &Path) -> std::path::PathBuf {
    root.join("data")
}

/// A port of the loopback that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
