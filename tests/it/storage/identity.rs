//! Keys that are in no configuration, what goes into a request beside the file, and who may
//! see either.

use roomreel::job::Event;

use super::outage::{PATIENCE, Service};
use super::*;
use crate::journal;
use crate::support::hooks::Hooks;
use crate::support::pages::{Pages, own_pages};
use crate::support::process::Running;
use crate::support::stores::{free_port, script};
use crate::support::{certs, quiet, until};

/// A table without a key, by way of `middle`.
fn keyless(store: &S3, middle: &Middle) -> String {
    let table = store.table("main", "").replace(&store.endpoint(), &middle.url());
    let lines =
        table.lines().filter(|line| !line.starts_with("key =") && !line.starts_with("secret ="));
    lines.fold(String::new(), |all, line| all + line + "\n")
}

/// `storage check` with these variables, all of whose requests must bring this session token.
fn assert_identity(bench: &Bench, middle: &Middle, variables: &[(&str, &str)], session: &str) {
    let before = middle.seen().len();
    let config = bench.dir.path().join("roomreel.toml");
    let mut command = roomreel();
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.args(["storage", "check", "main", "--config"]).arg(config);
    let told = run(command.envs(variables.iter().copied()).env("NO_PROXY", "*"));
    let told = told.expect_success("roomreel storage check").stdout;
    assert_eq!(told.matches(" ok").count(), GOOD.len(), "{told}");
    let tokens = middle.headers(&[], "x-amz-security-token");
    let seen = middle.seen();
    let own = seen.iter().zip(&tokens).skip(before);
    // In a signed URL it is part of the query.
    let own: Vec<_> = own.filter(|(line, _)| !line.contains("X-Amz-Signature")).collect();
    assert_eq!(own.len(), 3, "{own:?}");
    for (line, token) in own {
        assert_eq!(token.as_deref(), Some(session), "{line}");
    }
}

#[test]
fn keys_come_from_the_environment_the_machine_or_the_cluster() {
    let store = S3::rclone();
    let middle = Middle::before(store.port);
    let bench = Bench::new(&keyless(&store, &middle));
    let own = [
        ("AWS_ACCESS_KEY_ID", store.key),
        ("AWS_SECRET_ACCESS_KEY", store.secret),
        ("AWS_SESSION_TOKEN", "session-of-the-environment"),
    ];
    assert_identity(&bench, &middle, &own, "session-of-the-environment");

    let (dir, port, tls) = (scratch(), free_port(), free_port());
    certs::issue(dir.path(), "leaf");
    let mut identity = crate::support::tools::python_tool("python");
    identity.arg(script("identity.py")).args([port.to_string(), tls.to_string()]).arg(dir.path());
    let identity = Running::spawn(identity.args([store.key, store.secret]));
    until("the identity's servers", PATIENCE, || {
        assert!(!identity.stderr().contains("Error"), "{}", identity.stderr());
        dir.path().join("ready").exists().then_some(())
    });
    let machine = format!("http://127.0.0.1:{port}");
    let machine = [("AWS_METADATA_ENDPOINT", machine.as_str())];
    assert_identity(&bench, &middle, &machine, "session-of-metadata");

    let (token, authority) = (dir.path().join("token"), dir.path().join("ca.pem"));
    std::fs::write(&token, "token-of-the-cluster").unwrap();
    let service = format!("https://localhost:{tls}");
    let cluster = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/recorder"),
        ("AWS_ENDPOINT_URL_STS", service.as_str()),
        // The system's own authorities know nothing of the test's.
        ("SSL_CERT_FILE", authority.to_str().unwrap()),
    ];
    assert_identity(&bench, &middle, &cluster, "session-of-identity");
}

#[test]
fn encryption_and_storage_class_are_asked_for() {
    let store = S3::rclone();
    let middle = Middle::before(store.port);
    let table =
        |name: &str, more: &str| store.table(name, more).replace(&store.endpoint(), &middle.url());
    let bench = Bench::new(
        &[
            table("managed", "sse = \"AES256\"\nstorage_class = \"STANDARD_IA\"\nprefix = \"a\""),
            table("owned", "sse = \"aws:kms\"\nkms_key = \"alias/recordings\"\nprefix = \"b\""),
            table("plain", "prefix = \"c\""),
        ]
        .concat(),
    );
    let begun = |name: &str, header: &str| {
        let before = middle.count(&["POST", "?uploads"]);
        runtime().block_on(bench.finish(name)).unwrap();
        std::fs::remove_file(bench.dir.path().join(format!("upload.{name}.json"))).unwrap();
        middle.headers(&["POST", "?uploads"], header).get(before).cloned().flatten()
    };
    let (sse, class) = ("x-amz-server-side-encryption", "x-amz-storage-class");
    assert_eq!(begun("managed", sse).as_deref(), Some("AES256"));
    assert_eq!(begun("managed", class).as_deref(), Some("STANDARD_IA"));
    assert_eq!(begun("owned", sse).as_deref(), Some("aws:kms"));
    let key = begun("owned", &format!("{sse}-aws-kms-key-id"));
    assert_eq!(key.as_deref(), Some("alias/recordings"));
    assert_eq!(begun("owned", class), None);
    assert_eq!(begun("plain", sse), None);

    // Google's name for it.
    let google = Gcs::start();
    let middle = Middle::before(google.port);
    let bench = Bench::new(&format!(
        "[[storage.destinations]]\nname = \"main\"\nkind = \"gs\"\nbucket = \"{BUCKET}\"\n\
         endpoint = \"{}\"\ncredentials_file = \"{}\"\npart_mib = 5\n\
         storage_class = \"NEARLINE\"\n",
        middle.url(),
        google.key_file().display()
    ));
    runtime().block_on(bench.finish("main")).unwrap();
    let classes = middle.headers(&["POST", "?uploads"], "x-goog-storage-class");
    assert_eq!(classes, [Some("NEARLINE".to_owned())]);
}

#[test]
fn the_recorder_is_told_no_key_and_the_service_uses_the_environment_s() {
    let _quiet = quiet();
    let (store, pages, hooks) = (S3::rclone(), Pages::over(vec![own_pages()]), Hooks::open());
    let middle = Middle::before(store.port);
    let keys = [("AWS_ACCESS_KEY_ID", store.key), ("AWS_SECRET_ACCESS_KEY", store.secret)];
    let service = Service::with(&keyless(&store, &middle), &hooks, keys.to_vec());
    let id = service.record(&pages.url("noise.html"));
    service.until(&id, "running");
    let processes = until("a recorder and its browser", PATIENCE, || {
        let processes = service.recorder(&id);
        (processes.len() >= 2).then_some(processes)
    });
    for (place, pid) in processes.iter().enumerate() {
        let environment = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap();
        let environment = String::from_utf8_lossy(&environment);
        // Chromium writes over its own.
        assert!(place > 0 || environment.contains("PATH="), "{environment}");
        for secret in ["AWS_", store.secret] {
            assert!(!environment.contains(secret), "{secret} in {environment}");
        }
    }
    until("two recorded seconds", PATIENCE, || {
        let events = journal::read(&service.directory(&id).join("journal.jsonl"));
        let long = |event: &Event| matches!(event, Event::Stats(stats) if stats.elapsed_s >= 2.0);
        events.iter().any(long).then_some(())
    });
    // Nothing that it reads on disk says one either.
    for entry in std::fs::read_dir(service.directory(&id)).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let holds = bytes.windows(store.secret.len()).any(|text| text == store.secret.as_bytes());
        assert!(!holds, "{}", entry.path().display());
    }
    service.ask("POST", "/v2/recordings/room/a/stop", Some(serde_json::json!({}))).unwrap();
    let done = service.until(&id, "completed");
    let asset = &done["recording_assets"][0];
    let keys = store.keys();
    assert_eq!(asset["path"], format!("s3://{BUCKET}/{}", keys[0]));
    assert_eq!(store.read(&keys[0]).0.len() as u64, asset["size"].as_u64().unwrap());
}
