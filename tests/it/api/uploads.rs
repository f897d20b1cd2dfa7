//! What becomes of a file that its storage does not take, or takes late.

use roomreel::config::{Destination, Kind};

use super::webhooks::{Receiver, names, tells};
use super::*;
use crate::support::middle::Middle;
use crate::support::process::run;
use crate::support::roomreel::roomreel;
use crate::support::stores::{BUCKET, S3};

/// Finishes a file at once.
pub(super) const DONE: &str = r#"
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}
{"event":"stopped","reason":"room_ended","at":4500000000}' > "$3/journal.jsonl"
printf film > "$3/Rec-a-1700000000120.mp4"
echo '{"event":"finished","duration_s":3.5,"bytes":4,"width":1280,"height":720,"stats":{"elapsed_s":3.5,"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":4,"backlog":0}}' >> "$3/journal.jsonl"
"#;
pub(super) const KEY: &str = "beam/a/20231114/Rec-a-1700000000120.mp4";

/// Not tried twice.
pub(super) fn bucket(name: &str, store: &S3, endpoint: String) -> Destination {
    Destination {
        bucket: BUCKET.into(),
        endpoint,
        key: store.key.into(),
        secret: store.secret.into(),
        part_mib: 5,
        retry_for: Some(Duration::ZERO),
        ..Destination::new(name, Kind::S3)
    }
}

/// The store's servers and clients are processes that are waited for.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_storage_takes_is_kept_and_uploaded_when_somebody_asks() {
    let mut store = blocking(S3::rclone).await;
    store.kill();
    let (receiver, url) = Receiver::open(false).await;
    let api = Api::with(DONE, |config| {
        tells(config, &url);
        config.storage.destinations = vec![bucket("main", &store, store.endpoint())];
    })
    .await;
    let (_, recording) = told(api.start("a")).await;
    assert_eq!(recording["destination"], "main");
    let id = id(&recording).to_owned();
    let failed = api.until(&id, "failed").await;
    assert_eq!(failed["error"]["type"], "UPLOAD_ERROR", "{failed}");
    let why = failed["error"]["message"].as_str().unwrap();
    assert!(why.contains("main: it cannot be reached"), "{why}");
    let kept = &failed["recording_assets"][0];
    assert_eq!(kept["status"], "failed");
    let path = kept["path"].as_str().unwrap().strip_prefix("file://").unwrap().to_owned();
    assert_eq!(std::fs::read(&path).unwrap(), b"film");
    let listed = api.get("/v2/recording-assets?status=failed").await;
    assert_eq!(listed["data"][0]["id"], kept["id"]);
    let bodies = receiver.until(3).await;
    assert_eq!(names(&bodies)[2], "beam.failure");
    assert_eq!(bodies[2]["data"]["error_type"], "UPLOAD_ERROR");
    let link = bodies[2]["data"]["recording_presigned_url"].as_str().unwrap();
    assert_eq!(api.client.get(link).send().await.unwrap().bytes().await.unwrap(), "film");

    // Still away: it fails again, and nothing is lost.
    let upload = format!("/v2/recordings/{id}/upload");
    let (status, asked) = told(api.post(&upload, "")).await;
    assert_eq!((status, &asked["status"]), (200, &json!("post_processing")));
    receiver.until(4).await;
    let again = api.until(&id, "failed").await;
    assert_eq!(again["recording_assets"][0]["id"], kept["id"]);

    let store = blocking(move || {
        store.open();
        store
    })
    .await;
    let service = format!("http://{}", api.address);
    let command = id.clone();
    let done =
        blocking(move || run(roomreel().args(["upload", &command, "--wait", "--url", &service])));
    let done = done.await.expect_success("roomreel upload");
    assert_eq!(done.stdout, format!("completed\ns3://{BUCKET}/{KEY}\n"));
    let completed = api.until(&id, "completed").await;
    let asset = &completed["recording_assets"][0];
    assert_eq!((&asset["id"], &asset["status"]), (&kept["id"], &json!("completed")));
    assert_eq!(completed["error"], Value::Null);
    let bodies = receiver.until(5).await;
    assert_eq!(names(&bodies)[4], "beam.recording.success");
    let link = bodies[4]["data"]["recording_presigned_url"].as_str().unwrap();
    assert!(link.starts_with(&store.endpoint()), "{link}");
    assert_eq!(api.client.get(link).send().await.unwrap().bytes().await.unwrap(), "film");
    assert!(!std::path::Path::new(&path).exists());

    let (status, refused) = told(api.post(&upload, "")).await;
    assert_eq!((status, &refused["message"]), (409, &json!("nothing to upload")));
    let unknown = format!("/v2/recordings/{}/upload", "0".repeat(24));
    assert_eq!(told(api.post(&unknown, "")).await.0, 404);

    // Removed with the recording, from the bucket.
    let gone = told(api.request(Method::DELETE, &format!("/v2/recordings/{id}"))).await;
    assert_eq!(gone.0, 200);
    assert!(blocking(move || store.keys()).await.is_empty());
}

#[tokio::test]
async fn the_backup_takes_what_the_destination_does_not() {
    let backup = tempfile::tempdir().unwrap();
    let api = Api::with(DONE, |config| {
        let away = Destination {
            bucket: "b".into(),
            endpoint: "http://127.0.0.1:1".into(),
            key: "k".into(),
            secret: "s".into(),
            backup: "shelf".into(),
            retry_for: Some(Duration::ZERO),
            ..Destination::new("away", Kind::S3)
        };
        let shelf = Destination {
            dir: backup.path().into(),
            prefix: "late".into(),
            ..Destination::new("shelf", Kind::Fs)
        };
        config.storage.destinations = vec![away, shelf];
    })
    .await;
    let (status, refused) = told(api.start("a")).await;
    assert_eq!(status, 400);
    let why = "destination: is required, as there are several: give one of away, shelf";
    assert_eq!(refused["details"], json!([why]));
    for (name, status) in [("default", 400), ("away", 200)] {
        let body = json!({ "meeting_url": URL, "destination": name }).to_string();
        let (found, recording) = told(api.post(&start_path("a"), body)).await;
        assert_eq!(found, status, "{recording}");
        if status == 200 {
            let completed = api.until(id(&recording), "completed").await;
            let asset = &completed["recording_assets"][0];
            let file = backup.path().canonicalize().unwrap().join("late").join(KEY);
            assert_eq!(asset["path"], format!("file://{}", file.display()));
            assert_eq!(std::fs::read(file).unwrap(), b"film");
            let link = format!(
                "/v2/recording-assets/{}/presigned-url?presign_duration=60",
                asset["id"].as_str().unwrap()
            );
            let link = api.get(&link).await["url"].as_str().unwrap().to_owned();
            let film = api.client.get(link).send().await.unwrap().bytes().await.unwrap();
            assert_eq!(film, "film");
        }
    }
    let ready = api.get("/health/ready").await;
    assert_eq!(ready["storage"][0]["name"], "away");
    assert_eq!(ready["storage"][0]["status"], "failing", "{ready}");
    assert_eq!(ready["storage"][0]["problem"], "it cannot be reached");
}

/// Grows in three steps: safe, recorded in an empty room, and finished as it was
/// before the room was empty.
const GROWS: &str = r#"
dir=$3
stats() { echo '{"event":"stats","elapsed_s":1,"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":'$1',"backlog":0}' >> "$dir/journal.jsonl"; }
hold() { while [ -d "$dir" ] && [ ! -e "$dir/$1" ]; do sleep 0.05; done; }
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}' > "$dir/journal.jsonl"
head -c 12582912 /dev/urandom > "$dir/media.part.mp4"
stats 12582912
hold empty
echo '{"event":"peers","count":0}' >> "$dir/journal.jsonl"
head -c 12582912 /dev/urandom >> "$dir/media.part.mp4"
stats 25165824
hold go
truncate -s 12582912 "$dir/media.part.mp4"
cp "$dir/media.part.mp4" "$dir/../whole"
mv "$dir/media.part.mp4" "$dir/Rec-a-1700000000120.mp4"
echo '{"event":"stopped","reason":"last_peer_left","at":4500000000}
{"event":"finished","duration_s":3.5,"bytes":12582912,"width":1280,"height":720,"stats":{"elapsed_s":3.5,"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":12582912,"backlog":0}}' >> "$dir/journal.jsonl"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_in_an_empty_room_is_not_sent_ahead() {
    let store = blocking(S3::rclone).await;
    let port = store.port;
    let middle = blocking(move || Middle::before(port)).await;
    let api = Api::with(GROWS, |config| {
        config.storage.ahead_mib = 1;
        config.storage.destinations = vec![bucket("main", &store, middle.url())];
    })
    .await;
    let (_, recording) = told(api.start("a")).await;
    let dir = api.root.path().join("data/recordings").join(id(&recording));
    let sent = || middle.count(&["PUT", "partNumber="]);
    for _ in 0..1200 {
        if sent() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(sent(), 2, "{:#?}", middle.seen());
    std::fs::write(dir.join("empty"), "").unwrap();
    // Many looks at the journal later, nothing more was sent.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(sent(), 2);
    std::fs::write(dir.join("go"), "").unwrap();
    let completed = api.until(id(&recording), "completed").await;
    assert_eq!(completed["recording_assets"][0]["size"], 12_582_912);
    // The two whole parts were right already, and only the rest was missing.
    assert_eq!(sent(), 3, "{:#?}", middle.seen());
    let whole = std::fs::read(dir.join("../whole")).unwrap();
    let (bytes, _) = blocking(move || store.read(KEY)).await;
    assert!(bytes == whole);
    assert!(!dir.join("Rec-a-1700000000120.mp4").exists());
    // A runtime must not end inside another.
    blocking(move || drop(middle)).await;
}
