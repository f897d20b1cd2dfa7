//! What the routes answer when all is well, and who is turned away when not.

use reqwest::{Method, header};
use serde_json::{Value, json};

use super::{Api, FAILS, FINALISES, STAYS, URL, id, start_path, stop_path, told};

/// The meeting's address as the API shows it: without its token.
const SHOWN_URL: &str = "https://meet.example/preview/a/recorder?auth_token=***&skip_preview=true";

#[tokio::test]
async fn a_start_answers_with_the_recording_of_the_contract() {
    let api = Api::new(STAYS).await;
    let body = json!({
        "meeting_url": URL, "resolution": { "width": 720, "height": 1280 }, "join": "load",
        "max_duration": 60, "fps": 25, "transcription": { "enabled": true }, "unheard_of": [1],
    });
    let (status, recording) = told(api.post(&start_path("a"), body.to_string())).await;
    assert_eq!(status, 200);
    let created_at = recording["created_at"].as_str().unwrap();
    let created = chrono::DateTime::parse_from_rfc3339(created_at).unwrap();
    assert!(created_at.ends_with('Z') && !created_at.ends_with("0Z") || !created_at.contains('.'));
    assert_eq!(i64::from_str_radix(&id(&recording)[..8], 16).unwrap(), created.timestamp());
    let session_id = recording["session_id"].as_str().unwrap();
    assert!(session_id.len() == 24 && session_id != id(&recording));
    let expected = json!({
        "id": id(&recording), "room_id": "a", "session_id": session_id, "status": "starting",
        "created_at": created_at, "updated_at": created_at, "started_at": null,
        "stopped_at": null, "meeting_url": SHOWN_URL, "destination": "default",
        "started_by": "", "stopped_by": "", "asset_types": ["room-composite"],
        "recording_assets": null,
        "warnings": ["transcription: is not supported: no transcript will come"],
    });
    assert_eq!(recording, expected);

    let mut read = api.get(&format!("/v2/recordings/{}", id(&recording))).await;
    assert!(read.get("destination").is_none());
    read["destination"] = json!("default");
    assert_eq!(read, expected);
}

#[tokio::test]
async fn a_finished_recording_shows_its_asset_where_the_contract_does() {
    let api = Api::new(FINALISES).await;
    let (_, first) = told(api.start("a")).await;
    let waiting = api.until(id(&first), "post_processing").await;
    assert_eq!(waiting["started_at"], "2023-11-14T22:13:20.12Z");
    assert_eq!(waiting["stopped_at"], "2023-11-14T22:13:23.62Z");
    assert_eq!(waiting["recording_assets"], Value::Null);
    // The room is free: a next start is taken, a stop finds nothing of the first.
    assert_eq!(told(api.post(&stop_path("a"), "{}")).await.0, 404);
    assert_eq!(told(api.start("a")).await.0, 200);

    let dir = api.root.path().join("data/recordings").join(id(&first));
    std::fs::write(dir.join("go"), "").unwrap();
    let done = api.until(id(&first), "completed").await;
    let asset = &done["recording_assets"][0];
    let files = api.root.path().canonicalize().unwrap().join("data/files");
    let file = files.join("beam/a/20231114/Rec-a-1700000000120.mp4");
    let expected = json!([{
        "id": asset["id"], "type": "room-composite", "status": "completed",
        "path": format!("file://{}", file.display()), "size": 4, "duration": 4,
        "created_at": asset["created_at"], "thumbnails": null,
        "metadata": { "resolution": { "width": 1280, "height": 720 }, "media_type": "video" },
    }]);
    assert_eq!(done["recording_assets"], expected);
    assert_eq!(std::fs::read(&file).unwrap(), b"film");
    let listed = api.get("/v2/recordings?status=completed").await;
    assert_eq!(listed["data"][0]["id"], first["id"]);
    assert_eq!(listed["data"][0]["recording_assets"], Value::Null);
}

#[tokio::test]
async fn stops_answer_promptly_and_are_the_contracts() {
    let api = Api::new(STAYS).await;
    let (_, a) = told(api.start("a")).await;
    let (_, b) = told(api.start("b")).await;
    let (status, page) = told(api.post(&stop_path("a"), "{}")).await;
    assert_eq!((status, &page["limit"], &page["last"]), (200, &json!(1), &a["id"]));
    assert_eq!(page["data"][0]["status"], "stopping");
    assert_eq!(page["data"][0]["stopped_at"], Value::Null);
    assert_eq!(page["data"][0]["destination"], "default");
    // Without any body, by id.
    let stop = format!("/v2/recordings/{}/stop", id(&b));
    let (status, stopping) = told(api.request(Method::POST, &stop)).await;
    assert_eq!((status, &stopping["status"], &stopping["id"]), (200, &json!("stopping"), &b["id"]));

    let failed = api.until(id(&b), "failed").await;
    assert_eq!(
        failed["error"],
        json!({ "type": "BEAM_STOPPED", "message": "Beam stopped too early" })
    );
    assert_eq!(told(api.request(Method::POST, &stop)).await.0, 404);
}

#[tokio::test]
async fn a_room_is_recorded_once_however_many_start_it() {
    let api = Api::new(STAYS).await;
    let starts = (0..20).map(|_| told(api.start("a")));
    let answers = futures::future::join_all(starts).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 409).count(), 19);
}

#[tokio::test]
async fn more_than_the_node_takes_is_told_when_to_retry() {
    let api = Api::with(STAYS, |config| config.recording.max_concurrent = 1).await;
    assert_eq!(told(api.start("a")).await.0, 200);
    let response = api.start("b").send().await.unwrap();
    assert_eq!(response.status(), 429);
    let seconds = response.headers()[header::RETRY_AFTER].to_str().unwrap();
    assert!(seconds.parse::<u32>().unwrap() > 0);
    let (_, value) = told(api.start("b")).await;
    assert!(value["details"][0].as_str().unwrap().contains("recording.max_concurrent"));
    assert_eq!(told(api.start("a")).await.1["message"], "beam already started");
}

#[tokio::test]
async fn lists_are_paged_newest_first_to_an_empty_page() {
    let api = Api::new(FAILS).await;
    let mut ids = Vec::new();
    for n in 0..20 {
        let (status, recording) = told(api.start(&format!("room-{n}"))).await;
        assert_eq!(status, 200);
        ids.insert(0, id(&recording).to_owned());
    }
    let ids_of = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|r| id(r).to_owned()).collect()
    };
    let first = api.get("/v2/recordings").await;
    assert_eq!((&first["limit"], ids_of(&first)), (&json!(10), ids[..10].to_vec()));
    assert_eq!(first["last"], ids[9]);
    let second = api.get(&format!("/v2/recordings?start={}&limit=10", ids[9])).await;
    assert_eq!(ids_of(&second), ids[10..]);
    let third = api.get(&format!("/v2/recordings?start={}", ids[19])).await;
    assert_eq!(third, json!({ "limit": 10, "data": [], "last": "" }));
    let all = api.get("/v2/recordings?limit=100&status=&start=&unheard=of").await;
    assert_eq!((&all["limit"], ids_of(&all)), (&json!(100), ids.clone()));

    let one = api.get("/v2/recordings?room_id=room-7").await;
    assert_eq!(ids_of(&one), [ids[12].clone()]);
    let session = one["data"][0]["session_id"].as_str().unwrap();
    assert_eq!(ids_of(&api.get(&format!("/v2/recordings?session_id={session}")).await).len(), 1);
    assert!(ids_of(&api.get("/v2/recordings?room_id=room").await).is_empty());
    for id in &ids {
        assert_eq!(api.until(id, "failed").await["error"]["type"], "INTERNAL_ERROR");
    }
    assert_eq!(ids_of(&api.get("/v2/recordings?status=failed&limit=20").await), ids);
    assert!(ids_of(&api.get("/v2/recordings?status=running").await).is_empty());
}
