//! The files of the container image agree with each other and with the rest. That the
//! image records is `scripts/container`'s to show.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use roomreel::config::Config;
use roomreel::http;
use serde_json::Value;

use crate::support::process::run;
use crate::support::tools::python_tool;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// What engines do with a call by docker/seccomp.json: its rules, first to last.
struct Profile(Value);

impl Profile {
    fn read() -> Self {
        Self(serde_json::from_str(&text("docker/seccomp.json")).unwrap())
    }

    fn allows(&self, name: &str, first: u64) -> bool {
        let rules = self.0["syscalls"].as_array().unwrap();
        rules.iter().any(|rule| {
            let named = rule["names"].as_array().unwrap().iter().any(|n| n == name);
            assert_eq!(rule["action"], "SCMP_ACT_ALLOW");
            named
                && rule["args"].as_array().into_iter().flatten().all(|arg| {
                    assert_eq!(arg["index"], 0);
                    let number = |key: &str| arg[key].as_u64().unwrap();
                    match arg["op"].as_str().unwrap() {
                        "SCMP_CMP_EQ" => first == number("value"),
                        "SCMP_CMP_MASKED_EQ" => first & number("value") == number("valueTwo"),
                        other => panic!("{other}"),
                    }
                })
        })
    }
}

/// Flags of clone(2), and families of socket(2).
const NEWUSER: u64 = 0x1000_0000;
const NEWPID: u64 = 0x2000_0000;
const NEWNET: u64 = 0x4000_0000;
const NEWNS: u64 = 0x0002_0000;
const THREAD: u64 = 0x003d_0f00;
const SIGCHLD: u64 = 17;

#[test]
fn the_seccomp_profile_lets_a_browser_make_its_sandbox() {
    let profile = Profile::read();
    let sandbox = NEWUSER | NEWPID | NEWNET;
    for (name, first) in [
        ("clone", sandbox | SIGCHLD),
        ("clone", THREAD),
        ("clone", SIGCHLD),
        ("unshare", NEWUSER),
        ("chroot", 0),
        ("seccomp", 1),
        ("prctl", 38),
        ("landlock_create_ruleset", 0),
        ("landlock_add_rule", 0),
        ("landlock_restrict_self", 0),
        ("memfd_create", 0),
        ("socket", 1),
        ("socket", 2),
        ("socket", 10),
        ("socket", 16),
        ("flock", 0),
        ("setpriority", 0),
        ("statx", 0),
        ("rseq", 0),
    ] {
        assert!(profile.allows(name, first), "{name} {first:#x}");
    }
}

#[test]
fn the_seccomp_profile_lets_nobody_mount_trace_load_or_configure() {
    let profile = Profile::read();
    assert_eq!(profile.0["defaultAction"], "SCMP_ACT_ERRNO");
    // libc falls back to what is filtered when a call does not exist (ENOSYS).
    assert_eq!(profile.0["defaultErrnoRet"], 38);
    for name in [
        "mount",
        "umount2",
        "pivot_root",
        "move_mount",
        "fsopen",
        "open_tree",
        "setns",
        "ptrace",
        "process_vm_readv",
        "bpf",
        "perf_event_open",
        "keyctl",
        "add_key",
        "io_uring_setup",
        "userfaultfd",
        "init_module",
        "kexec_load",
        "reboot",
        "swapon",
        "clock_settime",
        "clone3",
        "open_by_handle_at",
        "iopl",
        "syslog",
        "quotactl",
        "acct",
        "personality",
    ] {
        assert!(!profile.allows(name, 0), "{name}");
    }
    assert!(!profile.allows("unshare", NEWUSER | NEWNS));
    assert!(!profile.allows("clone", NEWUSER | NEWNS | SIGCHLD));
    // AF_PACKET, AF_ALG, AF_VSOCK
    for family in [17, 38, 40] {
        assert!(!profile.allows("socket", family), "{family}");
    }
}

/// The packages that the command after `apt-get install` names, from `from` on.
fn installed(dockerfile: &str, from: &str) -> BTreeSet<String> {
    let stage = dockerfile.split_once(from).unwrap().1;
    let command = stage.split_once("--no-install-recommends").unwrap().1;
    let command = command.split("&&").next().unwrap();
    let words = command.split_whitespace().filter(|word| *word != "\\" && !word.starts_with('$'));
    words.filter(|word| !word.starts_with('/') && !word.ends_with(')')).map(str::to_owned).collect()
}

/// What `scripts/setup demo` installs.
fn set_up() -> BTreeSet<String> {
    let script = text("scripts/setup");
    let list = script.split_once("packages=(").unwrap().1.split_once(')').unwrap().0;
    list.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_image_has_the_packages_that_a_machine_is_set_up_with() {
    let dockerfile = text("docker/Dockerfile");
    let build = installed(&dockerfile, "AS build");
    let runs = installed(&dockerfile, "# --- what runs");
    // Judging files and looking at processes is the tests'.
    let judges: BTreeSet<String> = ["ffmpeg", "procps"].map(str::to_owned).into();
    let wanted: BTreeSet<String> = set_up().difference(&judges).cloned().collect();
    let both: BTreeSet<String> = build.union(&runs).cloned().collect();
    let missing: Vec<_> = wanted.difference(&both).collect();
    assert!(missing.is_empty(), "not in docker/Dockerfile: {missing:?}");
    let more: Vec<_> = both.difference(&wanted).map(String::as_str).collect();
    assert_eq!(more, ["libnss3-tools", "tini"]);
    assert!(runs.iter().any(|package| package == "chromium"));
}

#[test]
fn the_image_is_built_by_a_compiler_that_is_new_enough() {
    let of = |file: &str, before: &str| {
        let text = text(file);
        let line = text.lines().find_map(|line| line.strip_prefix(before)).unwrap();
        line.trim_matches(['"', ' ']).to_owned()
    };
    let (image, wanted) =
        (of("docker/Dockerfile", "ARG RUST="), of("Cargo.toml", "rust-version = "));
    assert!(image.starts_with(&wanted), "{image} in the image, {wanted} in Cargo.toml");
}

#[test]
fn whatever_the_image_copies_and_composition_mounts_is_there() {
    let ignored = text(".dockerignore");
    let sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let dockerfile = text("docker/Dockerfile");
    let copies = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    for copy in copies.filter(|copy| !copy.starts_with("--from")) {
        let names: Vec<&str> = copy.split_whitespace().collect();
        for name in &names[..names.len() - 1] {
            assert!(root().join(name).exists(), "{name}");
            assert!(sent.contains(name), "{name} is not sent by .dockerignore");
        }
    }
    let services = composition("compose.yaml")["services"].clone();
    for (name, service) in services.as_object().unwrap() {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let from = volume.as_str().unwrap().split(':').next().unwrap();
            let there = !from.starts_with('.') || root().join("docker").join(from).is_file();
            assert!(there, "{name} mounts {from}");
        }
    }
    let options = services["roomreel"]["security_opt"].as_array().unwrap();
    assert!(options.iter().any(|option| option == "seccomp:seccomp.json"));
    for part in ["compose.nvidia.yaml", "compose.vaapi.yaml"] {
        assert!(composition(part)["services"]["roomreel"].is_object(), "{part}");
    }
}

/// A file of docker/, as JSON.
fn composition(name: &str) -> Value {
    let mut python = python_tool("python");
    python
        .args(["-c", "import sys,json,yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"]);
    python.arg(root().join("docker").join(name));
    let outcome = run(&mut python).expect_success(name);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn the_service_of_the_composition_would_start() {
    let service = composition("compose.yaml")["services"]["roomreel"].clone();
    let example = text("docker/example.env");
    let given: Vec<(&str, &str)> = example
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect();
    // As the composition fills in ${NAME} and ${NAME:?why}.
    let filled = |text: &str| {
        let mut text = text.to_owned();
        for (name, value) in &given {
            while let Some(at) = text.find(&format!("${{{name}")) {
                let end = at + text[at..].find('}').unwrap();
                text.replace_range(at..=end, value);
            }
        }
        assert!(!text.contains("${"), "{text}");
        text
    };
    let mut environment: Vec<(String, String)> = service["environment"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), filled(value.as_str().unwrap())))
        .collect();
    let dockerfile = text("docker/Dockerfile");
    for line in dockerfile.lines().filter(|line| line.contains("ROOMREEL_")) {
        let set = line.trim_start_matches("ENV").trim().trim_end_matches('\\').trim();
        let (name, value) = set.split_once('=').unwrap();
        environment.push((name.to_owned(), value.to_owned()));
    }
    let environment = environment.into_iter().map(|(name, value)| (name.into(), value.into()));
    let config = Config::load(Some(&root().join("docker/roomreel.toml")), environment).unwrap();
    http::check(&config).unwrap();
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.data.dir, Path::new("/data"));
    assert_eq!(config.auth.keys.len(), 1);
    assert_eq!(config.storage.destinations[0].bucket, "recordings");
}

#[test]
fn the_dashboard_that_is_provided_is_the_documented_one() {
    let dashboard: Value = serde_json::from_str(&text("docs/grafana.json")).unwrap();
    assert_eq!(dashboard["title"], "roomreel");
    let mounts = composition("compose.yaml")["services"]["grafana"]["volumes"].to_string();
    let folder = composition("grafana/dashboards.yaml")["providers"][0]["options"]["path"].clone();
    assert!(mounts.contains(folder.as_str().unwrap()), "{mounts}");
    let scraped = composition("prometheus.yml")["scrape_configs"][0].clone();
    assert_eq!(scraped["static_configs"][0]["targets"][0], "roomreel:8080");
    let token = scraped["authorization"]["credentials_file"].as_str().unwrap().to_owned();
    let made = composition("compose.yaml")["services"]["token"]["command"][0].to_string();
    assert!(made.contains(&token), "{made}");
}
