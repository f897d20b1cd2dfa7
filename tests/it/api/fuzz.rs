//! The API's own document held to what the service really answers, by an
//! OpenAPI fuzzer (`schemathesis`).

use std::process::Stdio;

use crate::support::{scratch, tools};

use super::*;

/// A recorder that is done at once: what was started soon has a file and assets.
const FINISHES: &str = r#"
printf film > "$3/Rec-a-1700000000120.mp4"
stats='{"elapsed_s":3.5,"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":4,"backlog":0}'
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}
{"event":"stopped","reason":"room_ended","at":4500000000}
{"event":"finished","duration_s":3.5,"bytes":4,"width":1280,"height":720,"stats":'"$stats"'}' > "$3/journal.jsonl"
"#;

/// Not asked: whether what the schema allows is taken (rules between fields, and
/// where a URL may lead, are in no schema), and whether what it forbids is refused
/// (an empty parameter is as good as none, which the document says in words).
const NOT_ASKED: &str = "positive_data_acceptance,negative_data_rejection";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fuzzer_finds_no_server_error_and_no_answer_outside_the_document() {
    let key = tokens::key("fuzzer");
    let token = tokens::token(&key);
    let api = Api::with(FINISHES, |config| config.auth.keys = vec![key]).await;
    for room in ["a", "b"] {
        let started = api.start(room).header(header::AUTHORIZATION, &token);
        assert_eq!(told(started).await.0, 200);
    }
    let here = scratch();
    let mut fuzzer = tokio::process::Command::from(tools::python_tool("schemathesis"));
    fuzzer.args(["run", &format!("http://{}/openapi.json", api.address)]);
    fuzzer.args(["--header", &format!("Authorization: {token}")]);
    fuzzer.args(["--checks", "all", "--exclude-checks", NOT_ASKED]);
    // The same requests in every run, so that a failure is seen again.
    fuzzer.args(["--generation-deterministic", "--max-examples", "20"]);
    fuzzer.args(["--no-color", "--no-shrink", "--continue-on-failure"]);
    let fuzzer = fuzzer.current_dir(here.path()).stdin(Stdio::null()).kill_on_drop(true).output();
    let found = tokio::time::timeout(Duration::from_secs(240), fuzzer).await.unwrap().unwrap();
    let report = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success(), "{report}\n{}", String::from_utf8_lossy(&found.stderr));
    let cases = report.split("Test cases:").nth(1).and_then(|rest| rest.split_whitespace().next());
    assert!(cases.is_some_and(|n| n.parse::<u32>().unwrap() > 500), "{report}");
}
