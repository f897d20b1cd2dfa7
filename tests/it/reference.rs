//! What shells and readers are told of the command line.

use std::process::Command;

use crate::support::process::run;
use crate::support::roomreel::roomreel;
use crate::support::scratch;

#[test]
fn bash_completes_commands_and_options() {
    let script = run(roomreel().args(["completions", "bash"])).expect_success("completions");
    let complete = |words: &[&str]| {
        let line = format!(
            "{}\nCOMP_WORDS=({}); COMP_CWORD={}; _roomreel roomreel \"{}\" \"{}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.stdout,
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        run(Command::new("bash").args(["--norc", "-c", &line])).expect_success("bash").stdout
    };
    assert_eq!(complete(&["roomreel", "stor"]).trim(), "storage");
    assert_eq!(complete(&["roomreel", "serve", "--allow"]).trim(), "--allow-net");
    // Nobody types it.
    assert!(!complete(&["roomreel", "record"]).contains("recorder"));
}

#[test]
fn the_other_shells_have_scripts_of_their_own() {
    let script = |shell: &str| {
        run(roomreel().args(["completions", shell])).expect_success("completions").stdout
    };
    assert!(script("zsh").starts_with("#compdef roomreel"));
    assert!(script("fish").contains("complete -c roomreel"));
}

#[test]
fn each_command_has_a_page() {
    let first = run(roomreel().arg("man")).expect_success("man").stdout;
    assert!(first.contains(".TH roomreel 1"), "{first}");
    let dir = scratch();
    run(roomreel().args(["man", "--dir"]).arg(dir.path())).expect_success("man --dir");
    for page in ["roomreel", "roomreel-record", "roomreel-serve", "roomreel-storage-check"] {
        let text = std::fs::read_to_string(dir.path().join(format!("{page}.1"))).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(!dir.path().join("roomreel-recorder.1").exists(), "nobody types it");
}
