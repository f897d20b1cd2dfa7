//! The binary under test, run as a user would.

// Recording tests are its users.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::Running;

/// A `roomreel` command of the binary that Cargo built for these tests.
pub fn roomreel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roomreel"));
    // Settings of the developer's shell must not decide a test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOMREEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// One `roomreel record` into a file.
pub struct Record {
    command: Command,
    duration: Duration,
}

impl Record {
    /// `url` into `out` for `duration`, at 1280x720 and joined by loading.
    pub fn new(url: &str, out: &Path, duration: Duration) -> Self {
        let mut command = roomreel();
        command.args(["record", url, "-o"]).arg(out);
        command.arg("--duration").arg(format!("{}s", duration.as_secs()));
        Self { command, duration }
            .option("--resolution", "1280x720")
            .option("--join", "load")
            .option("--fps", "30")
    }

    /// Sets `--name value`, in place of an earlier value.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        let args: Vec<_> = self.command.get_args().map(ToOwned::to_owned).collect();
        let mut fresh = roomreel();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if arg == name {
                args.next();
            } else {
                fresh.arg(arg);
            }
        }
        fresh.args([name, value]);
        self.command = fresh;
        self
    }

    /// Sets a switch or an option that is given once.
    pub fn with(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        Running::spawn(&mut self.command)
    }

    /// Runs it to its end; panics unless it succeeds. Start and end of a browser
    /// on a busy machine may take a minute on top of the recording.
    pub fn run(self) {
        let patience = self.duration + Duration::from_secs(60);
        self.start().wait(patience).expect_success("roomreel record");
    }
}

#[test]
fn an_option_given_twice_counts_once() {
    let record = Record::new("http://x/", Path::new("o.mp4"), Duration::from_secs(5))
        .option("--join", "media");
    let args: Vec<_> = record.command.get_args().map(|a| a.to_str().unwrap()).collect();
    assert_eq!(
        args.join(" "),
        "record http://x/ -o o.mp4 --duration 5s --resolution 1280x720 --fps 30 --join media"
    );
}
