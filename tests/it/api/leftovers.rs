//! What is left of uploads in a bucket and across restarts, and when it goes.

use chrono::{DateTime, TimeDelta, Utc};

use super::uploads::{DONE, KEY, blocking, bucket};
use super::*;
use crate::support::middle::Middle;
use crate::support::stores::S3;

/// As [`DONE`], with a file of three parts.
const LONG: &str = r#"
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}
{"event":"stopped","reason":"room_ended","at":4500000000}' > "$3/journal.jsonl"
head -c 12582912 /dev/urandom > "$3/Rec-a-1700000000120.mp4"
echo '{"event":"finished","duration_s":3.5,"bytes":12582912,"width":1280,"height":720,"stats":{"elapsed_s":3.5,"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":12582912,"backlog":0}}' >> "$3/journal.jsonl"
"#;

async fn ended(api: Api) -> tempfile::TempDir {
    api.shutdown.cancel();
    api.server.await.unwrap().unwrap();
    api.root
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_a_recording_removes_the_parts_of_its_upload() {
    let store = blocking(S3::rclone).await;
    let port = store.port;
    let middle = blocking(move || Middle::before(port)).await;
    // Parts arrive, and no object is made of them.
    middle.refuse(Some("?uploadId="));
    let api = Api::with(LONG, |config| {
        config.storage.destinations = vec![bucket("main", &store, middle.url())];
    })
    .await;
    let (_, recording) = told(api.start("a")).await;
    let failed = api.until(id(&recording), "failed").await;
    assert_eq!(failed["error"]["type"], "UPLOAD_ERROR", "{failed}");
    let parts = || middle.count(&["PUT", "partNumber="]);
    assert_eq!(parts(), 3, "{:#?}", middle.seen());
    let uploads =
        async |store: S3| blocking(move || (store.ask("uploads", &[]).unwrap(), store)).await;
    let (found, store) = uploads(store).await;
    assert_eq!(found, "1");

    middle.refuse(None);
    let path = format!("/v2/recordings/{}", id(&recording));
    assert_eq!(told(api.request(Method::DELETE, &path)).await.0, 200);
    let (found, store) = uploads(store).await;
    assert_eq!(found, "0", "{:#?}", middle.seen());
    assert!(blocking(move || store.keys()).await.is_empty());
    blocking(move || drop(middle)).await;
}

#[tokio::test]
async fn patience_with_a_bucket_does_not_begin_anew_with_the_service() {
    let away = || roomreel::config::Destination {
        bucket: "b".into(),
        endpoint: "http://127.0.0.1:1".into(),
        key: "k".into(),
        secret: "s".into(),
        retry_for: Some(Duration::from_secs(3600)),
        ..roomreel::config::Destination::new("away", roomreel::config::Kind::S3)
    };
    let api = Api::with(DONE, |config| config.storage.destinations = vec![away()]).await;
    let (_, recording) = told(api.start("a")).await;
    let id = id(&recording).to_owned();
    let record = api.root.path().join("data/recordings").join(&id).join("upload.away.json");
    let read = || -> Option<Value> { serde_json::from_slice(&std::fs::read(&record).ok()?).ok() };
    let since = |record: &Value| record["failing_since"].as_str()?.parse::<DateTime<Utc>>().ok();
    let mut found = None;
    for _ in 0..1200 {
        found = read().filter(|record| since(record).is_some());
        if found.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut found = found.expect("the moment of the first failure");
    let first = since(&found).unwrap();
    let root = ended(api).await;

    // Gone on with, and not given up: the first failure is still the first.
    let api = Api::over(root, DONE, |config| config.storage.destinations = vec![away()]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(api.until(&id, "post_processing").await["recording_assets"], Value::Null);
    assert_eq!(since(&read().unwrap()), Some(first));
    let root = ended(api).await;

    // As if it had been an hour and more.
    let earlier = (first - TimeDelta::minutes(61)).to_rfc3339();
    found["failing_since"] = earlier.into();
    std::fs::write(&record, found.to_string()).unwrap();
    let api = Api::over(root, DONE, |config| config.storage.destinations = vec![away()]).await;
    let failed = api.until(&id, "failed").await;
    assert_eq!(failed["error"]["type"], "UPLOAD_ERROR", "{failed}");
    assert_eq!(failed["recording_assets"][0]["status"], "failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_a_retention_of_its_own_is_swept() {
    let store = blocking(S3::rclone).await;
    let place = |retention: u64| roomreel::config::Destination {
        retention: Some(Duration::from_secs(retention)),
        ..bucket("main", &store, store.endpoint())
    };
    let api = Api::with(DONE, |config| config.storage.destinations = vec![place(3600)]).await;
    let (_, recording) = told(api.start("a")).await;
    let id = id(&recording).to_owned();
    api.until(&id, "completed").await;
    let root = ended(api).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let api = Api::over(root, DONE, |config| config.storage.destinations = vec![place(1)]).await;
    for _ in 0..1200 {
        let listed = api.get("/v2/recording-assets").await;
        if listed["data"] == json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(api.get(&format!("/v2/recordings/{id}")).await["status"], "completed");
    let keys = blocking(move || store.keys()).await;
    assert!(!keys.iter().any(|key| key == KEY), "{keys:?}");
}
