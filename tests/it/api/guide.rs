//! The documents are true: their commands do what they say to a real service, their
//! settings are taken, their links lead somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document, by its path from the root.
fn documents() -> Vec<PathBuf> {
    let of = |dir: &str| {
        let entries = std::fs::read_dir(root().join(dir)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let documents = paths.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
        documents.collect::<Vec<_>>()
    };
    let mut all = [of("."), of("docs")].concat();
    all.sort();
    assert!(all.len() >= 12, "{all:?}");
    all
}

/// The blocks of a document that are in a language.
fn blocks(document: &Path, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(document).unwrap();
    let mut found = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in text.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(kind)) => open = Some((kind == language, String::new())),
            (Some(_), Some(_)) => {
                found.extend(open.take().filter(|(wanted, _)| *wanted).map(|(_, block)| block));
            }
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{}: a block does not end", document.display());
    found
}

/// Runs a block of commands as somebody would who copied it; an answer that is no
/// success fails.
async fn run(block: String) {
    let strict = "curl() { command curl --silent --show-error --fail-with-body --max-time 30 \"$@\" \
                  || exit 1; echo; }";
    let done = tokio::process::Command::new("bash")
        .args(["-ec", &format!("{strict}\n{block}")])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{block}\n{said}\n{complained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_api_guide_work() {
    let runs = r#"echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}' > "$3/journal.jsonl""#;
    let api = Api::new(&format!("{runs}\n{STAYS}")).await;
    for room in ["retro", "all-hands"] {
        told(api.start(room)).await;
    }
    let rooms = api.get("/v2/recordings?room_id=all-hands").await;
    let other = rooms["data"][0].clone();
    let retro = api.get("/v2/recordings?room_id=retro").await;
    api.until(id(&retro["data"][0]), "running").await;
    let mut commands = 0;
    for block in blocks(&root().join("docs/api.md"), "sh") {
        // A player's window; `service::watched` plays it.
        if block.starts_with("curl") && !block.contains("ffplay") {
            commands += block.matches("curl ").count();
            let here = block.replace("127.0.0.1:8080", &api.address.to_string());
            run(here.replace("65a1b2c3d4e5f60718293a4b", id(&other))).await;
        }
    }
    assert!(commands >= 9, "{commands}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipes_start_recordings() {
    let api = Api::new(STAYS).await;
    let mut started = 0;
    for block in blocks(&root().join("docs/recipes.md"), "sh") {
        started += 1;
        // Each in a room of its own, where the document has one for all.
        let block = block.replace("/room/standup/", &format!("/room/standup-{started}/"));
        run(format!("ROOMREEL=http://{}\n{block}", api.address)).await;
    }
    let all = api.get("/v2/recordings?limit=100").await;
    assert_eq!(all["data"].as_array().unwrap().len(), started, "{all}");
    assert!(started >= 4);
}

#[test]
fn settings_in_documents_are_settings() {
    let dir = tempfile::tempdir().unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for document in documents() {
        for block in blocks(&document, "toml") {
            let file = dir.path().join("roomreel.toml");
            std::fs::write(&file, &block).unwrap();
            if let Err(error) = Config::load(Some(&file), []) {
                wrong.push(format!("{}: {error}\n{block}", document.display()));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 5, "{seen}");
}

/// What a heading is called in a link to it, as forges make it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn anchors(document: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(document).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut seen = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link}", document.display());
            let known = heading.is_empty() || anchors(&target).contains(heading);
            assert!(known, "{}: {link}: no such heading", document.display());
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");
}
