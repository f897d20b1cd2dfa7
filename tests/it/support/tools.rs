//! Where the tools are that `scripts/setup test` installs from the lists in `tests/tools`.
//!
//! Tests that run a program of the outside world ask here, so that a machine
//! without it says what to do instead of "no such file".

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program of `target/tools/venv/bin`, such as `schemathesis` or `python`.
pub fn python_tool(name: &str) -> Command {
    let path = existing(&root().join("venv/bin").join(name));
    let mut command = Command::new(path);
    // Settings of the developer's shell must not lead it to other packages.
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
    command
}

/// A directory of `target/tools/node_modules`, such as `@100mslive/server-sdk`.
pub fn npm_package(name: &str) -> PathBuf {
    existing(&root().join("node_modules").join(name))
}

/// `node`, with the packages of `target/tools/node_modules` in reach of `require`.
/// ES modules do not read that: import those by their path under [`npm_package`].
pub fn node() -> Command {
    let mut command = Command::new("node");
    command.env("NODE_PATH", existing(&root().join("node_modules"))).env_remove("NODE_OPTIONS");
    command
}

/// Where the files of a Debian package are: in their places if it is installed, or in
/// `target/tools` where `scripts/setup` had to unpack it.
pub fn debian_root(package: &str) -> PathBuf {
    let unpacked = root().join(package);
    if unpacked.exists() { unpacked } else { "/".into() }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools")
}

fn existing(path: &Path) -> PathBuf {
    assert!(path.exists(), "{} is missing: run scripts/setup test", path.display());
    path.to_owned()
}

#[test]
fn a_tool_that_is_missing_says_what_installs_it() {
    let told = std::panic::catch_unwind(|| python_tool("no-such-tool")).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.contains("no-such-tool is missing: run scripts/setup test"), "{told}");
}

#[test]
fn node_finds_every_package_of_the_list() {
    let list = include_str!("../../tools/npm.txt");
    for line in list.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (name, version) = line.rsplit_once('@').unwrap();
        let about = std::fs::read_to_string(npm_package(name).join("package.json")).unwrap();
        let about: serde_json::Value = serde_json::from_str(&about).unwrap();
        assert_eq!(about["version"], version, "{name}: run scripts/setup test");
    }
    let script = "process.stdout.write(typeof require('@100mslive/server-sdk').SDK)";
    let told = node().args(["-e", script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout), "function", "{told:?}");
}
