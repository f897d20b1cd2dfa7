//! `roomreel doctor`, once for real and once for each bad condition that can be made here;
//! and `serve`, which refuses what could only fail.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::process::{Outcome, Running};
use crate::support::roomreel::roomreel;
use crate::support::stores::S3;
use crate::support::{quiet, scratch};

/// Two browsers and three seconds of recording, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

fn doctor(config: &str, dir: &Path) -> Command {
    let file = dir.join("roomreel.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = roomreel();
    command.args(["doctor", "--json", "--config"]).arg(file);
    command
}

/// The level and the text of what was looked at under this name.
fn finding(outcome: &Outcome, check: &str) -> (String, String) {
    let told: Value = serde_json::from_str(&outcome.stdout).expect(&outcome.stdout);
    let all = told["findings"].as_array().unwrap();
    let found = all.iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check} in {}", outcome.stdout));
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("level"), text("found") + " -> " + &text("advice"))
}

#[track_caller]
fn assert_fails(outcome: &Outcome, check: &str, words: &[&str]) {
    let (level, text) = finding(outcome, check);
    assert_eq!(level, "fail", "{check}: {text}");
    for word in words {
        assert!(text.contains(word), "{check}: {text}");
    }
}

#[test]
fn on_a_machine_that_records_everything_is_found_well() {
    let _quiet = quiet();
    let dir = scratch();
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[data]\ndir = {:?}\nmin_free = 0\n",
        dir.path().join("data")
    );
    let outcome = Running::spawn(&mut doctor(&config, dir.path())).wait(PATIENCE);
    let outcome = outcome.expect_success("roomreel doctor");
    for check in ["chromium", "encoders", "browser", "sandbox", "fonts", "data", "port", "clock"] {
        let (level, text) = finding(&outcome, check);
        assert_eq!(level, "ok", "{check}: {text}");
    }
    let (_, sandbox) = finding(&outcome, "sandbox");
    assert!(sandbox.contains("system call filter"), "{sandbox}");
    // On a busy machine frames come late, which is a warning and no failure.
    let (level, recording) = finding(&outcome, "recording");
    assert_ne!(level, "fail", "{recording}");
    assert!(recording.starts_with("3.0"), "{recording}");
    assert!(!dir.path().join("data").exists(), "it left something behind");
}

#[test]
fn what_is_bad_is_named_with_what_to_do() {
    let dir = scratch();
    let store = S3::rclone();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "[server]\nlisten = \"{}\"\n\
         [data]\ndir = \"/proc/sys/roomreel\"\n\
         [browser]\nprogram = \"/nowhere/chromium\"\n\
         [[storage.destinations]]\nname = \"main\"\nkind = \"s3\"\nbucket = \"recordings\"\n\
         region = \"us-east-1\"\nendpoint = \"{}\"\nkey = \"{}\"\nsecret = \"NOTTHESECRET\"\n",
        taken.local_addr().unwrap(),
        store.endpoint(),
        store.key,
    );
    let outcome = Running::spawn(&mut doctor(&config, dir.path())).wait(PATIENCE);
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert_fails(&outcome, "port", &["in use", "server.listen"]);
    assert_fails(&outcome, "data", &["/proc/sys", "data.dir"]);
    assert_fails(&outcome, "chromium", &["/nowhere/chromium", "install"]);
    assert_fails(&outcome, "recording", &["Chromium"]);
    assert_fails(&outcome, "storage main", &["write", "storage check main"]);
    assert!(!outcome.stdout.contains("NOTTHESECRET"), "the secret is told");
}

#[test]
fn limits_that_the_machine_sets_are_seen() {
    let dir = scratch();
    let file = dir.path().join("roomreel.toml");
    std::fs::write(&file, "[recording]\nmax_concurrent = 2\n").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 200 && exec \"$0\" doctor --quick --json --config \"$1\""]);
    shell.arg(roomreel().get_program()).arg(file);
    shell.env("TMPDIR", "/nowhere").current_dir(dir.path());
    let outcome = Running::spawn(&mut shell).wait(PATIENCE);
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert_fails(&outcome, "open files", &["200", "LimitNOFILE"]);
    assert_fails(&outcome, "temporary", &["/nowhere", "TMPDIR"]);
}

#[test]
fn a_configuration_that_is_wrong_is_the_only_finding() {
    let dir = scratch();
    let outcome = Running::spawn(&mut doctor("[server]\nport = 1\n", dir.path())).wait(PATIENCE);
    assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
    assert_fails(&outcome, "configuration", &["port", "config.example.toml"]);
}

#[test]
fn the_service_does_not_start_on_what_could_only_fail() {
    let dir = scratch();
    let serve = |data: &str, more: &[(&str, &str)]| {
        let mut command = roomreel();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data", data]);
        command.envs(more.iter().copied());
        Running::spawn(&mut command).wait(PATIENCE)
    };
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    for (data, more, words) in [
        (
            data,
            vec![("ROOMREEL_BROWSER__PROGRAM", "/nowhere/chromium")],
            ["fail  chromium", "install"],
        ),
        ("/proc/sys/roomreel", vec![], ["fail  data", "data.dir"]),
        (data, vec![("TMPDIR", "/nowhere")], ["fail  temporary", "TMPDIR"]),
    ] {
        let outcome = serve(data, &more);
        assert_eq!(outcome.status.code(), Some(1), "{}", outcome.stderr);
        for word in words {
            assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
        }
    }
    assert!(!Path::new(data).exists());
}
