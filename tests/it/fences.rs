//! Dependencies point one way: a crate with a door is used behind it only, and
//! leaf modules do not know the service around them.

use std::fs;
use std::path::{Path, PathBuf};

/// A crate (as `use` spells it) and the modules that may name it.
const DOORS: &[(&str, &[&str])] = &[
    ("chromiumoxide", &["browser"]),
    ("wayland_server", &["display"]),
    ("wayland_protocols", &["display"]),
    ("pulseaudio", &["speaker"]),
    ("ffmpeg_next", &["encode"]),
    ("mp4_atom", &["encode"]),
    ("yuv", &["display", "encode"]),
    ("image", &["encode"]),
    ("axum", &["http", "demo"]),
    ("askama", &["http"]),
    ("landlock", &["recorder"]),
    ("hyper", &["net"]),
    ("hyper_util", &["net"]),
    ("sqlx", &["store"]),
    ("reqwest", &["cli", "net", "webhook"]),
    ("jsonwebtoken", &["token", "demo"]),
    ("object_store", &["storage"]),
    ("metrics_exporter_prometheus", &["metrics"]),
];

/// A module and the modules of this crate that it must not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "job",
        &[
            "http", "store", "node", "recorder", "browser", "display", "speaker", "encode", "room",
            "config", "storage", "webhook", "net", "token",
        ],
    ),
    (
        "session",
        &[
            "http", "store", "node", "recorder", "browser", "display", "speaker", "encode", "room",
            "config", "storage", "webhook", "net", "token", "job",
        ],
    ),
    (
        "display",
        &[
            "http", "store", "node", "recorder", "browser", "speaker", "encode", "room", "config",
            "timeline", "job",
        ],
    ),
    (
        "speaker",
        &[
            "http", "store", "node", "recorder", "browser", "display", "encode", "room", "config",
            "timeline", "job",
        ],
    ),
    (
        "timeline",
        &[
            "http", "store", "node", "recorder", "browser", "display", "speaker", "encode", "room",
            "config",
        ],
    ),
    (
        "encode",
        &["http", "store", "node", "recorder", "browser", "display", "speaker", "room", "config"],
    ),
    (
        "browser",
        &["http", "store", "node", "recorder", "display", "speaker", "encode", "config", "room"],
    ),
    ("room", &["http", "store", "node", "recorder", "display", "speaker", "encode", "config"]),
    ("recorder", &["http", "store", "node", "config", "storage", "webhook", "token"]),
    (
        "store",
        &[
            "http", "node", "recorder", "browser", "display", "speaker", "encode", "room",
            "storage", "webhook", "config",
        ],
    ),
    ("storage", &["http", "node", "recorder", "browser", "store", "webhook"]),
    ("webhook", &["http", "node", "recorder", "browser", "automation"]),
    ("metrics", &["http", "recorder", "browser", "config", "storage", "webhook", "automation"]),
    ("automation", &["http", "recorder", "browser", "storage", "webhook"]),
    ("net", &["http", "node", "recorder", "browser", "store", "webhook", "config"]),
    // It asks the other rooms, and the service itself it is no part of.
    ("doctor", &["http", "node", "store", "webhook", "automation"]),
];

/// Rooms that only the command line names.
const NOBODYS: &[&str] = &["doctor"];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// `src/encode/mux.rs` belongs to module `encode`.
fn module_of(src: &Path, file: &Path) -> String {
    let first = file.strip_prefix(src).unwrap().components().next().unwrap();
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_string()
}

fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn violations() -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 10, "found only {} sources", files.len());
    let mut found = Vec::new();
    for file in files {
        let module = module_of(&src, &file);
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in code_lines(&text) {
            let place = || format!("{}:{}", file.strip_prefix(&src).unwrap().display(), number + 1);
            for (name, rooms) in DOORS {
                if line.contains(&format!("{name}::")) && !rooms.contains(&module.as_str()) {
                    found.push(format!("{} names {name}", place()));
                }
            }
            for room in NOBODYS.iter().filter(|room| **room != module) {
                if line.contains(&format!("crate::{room}::")) {
                    found.push(format!("{} names crate::{room}", place()));
                }
            }
            for (_, forbidden) in FORBIDDEN.iter().filter(|(m, _)| *m == module) {
                for other in *forbidden {
                    if line.contains(&format!("crate::{other}::"))
                        || line.contains(&format!("crate::{other};"))
                    {
                        found.push(format!("{} names crate::{other}", place()));
                    }
                }
            }
        }
    }
    found
}

#[test]
fn dependencies_point_one_way() {
    let found = violations();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Where a recording's own code may ask what time of day it is: for names and for
/// what people read. Everything else goes by the monotonic clock, which nobody sets.
const WALL_CLOCK: &[&str] =
    &["encode.rs", "recorder/journal.rs", "recorder/recover.rs", "recorder/studio.rs"];

#[test]
fn a_recording_goes_by_the_monotonic_clock() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let rooms =
        ["display", "speaker", "timeline", "encode", "recorder", "browser", "room", "clock"];
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(&src).unwrap().display().to_string();
        let tests = name.contains("tests") || WALL_CLOCK.contains(&name.as_str());
        if tests || !rooms.contains(&module_of(&src, &file).as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let asks = |line: &&str| {
            ["SystemTime::now", "Utc::now", "Local::now", "ClockId::Realtime"]
                .iter()
                .any(|clock| line.contains(clock))
        };
        found.extend(
            code_lines(code).map(|(_, line)| line).filter(asks).map(|l| format!("{name}: {l}")),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
