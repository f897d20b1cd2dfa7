//! A meeting whose address and token the service makes up itself, recorded with
//! picture and, beside it, by its sound alone; and what a receiver is told of both.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::*;
use crate::support::judge::sound;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// What was posted, oldest first, and whether its signature is good.
type Posted = Arc<Mutex<Vec<(Value, bool)>>>;

async fn take(State(posted): State<Posted>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let judge = standardwebhooks::Webhook::new(SECRET).unwrap();
    let good = judge.verify(&body, &headers).is_ok();
    posted.lock().unwrap().push((serde_json::from_slice(&body).unwrap(), good));
    StatusCode::OK
}

/// A receiver that lives as long as the runtime.
fn receiver(runtime: &tokio::runtime::Runtime) -> (Posted, String) {
    let posted = Posted::default();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let app = Router::new().route("/hook", post(take)).with_state(Arc::clone(&posted));
    runtime.spawn(axum::serve(listener, app).into_future());
    (posted, url)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} in {value}"))
}

#[test]
fn a_meeting_by_template_is_recorded_and_told_from_beginning_to_end() {
    let _quiet = quiet();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (posted, hook) = receiver(&runtime);
    let demo = free_port();
    let service = Service::with(scratch(), demo, |dir| {
        let settings = format!(
            "[meeting]\nurl_template = \"http://127.0.0.1:{demo}/preview/{{room_id}}/guest?\
             skip_preview=true&auth_token={{auth_token}}\"\n\
             [auth]\napp_key = {{ access_key = \"app\", secret = \"{KEY}\" }}\n\
             [recording]\nmax_concurrent = 2\n\
             [[webhooks.endpoints]]\nname = \"app\"\nurl = \"{hook}\"\nsecrets = [\"{SECRET}\"]\n"
        );
        std::fs::write(dir.join("roomreel.toml"), settings).unwrap();
    });
    let (others, bots) = bots(&service, "demo", 2);

    // Not a word of where the meeting is: an empty body does.
    let seen = service.post("/v2/recordings/room/demo/start", &json!({}));
    assert_eq!(seen["status"], "starting", "{seen}");
    assert!(text(&seen, "/meeting_url").contains("/preview/demo/"), "{seen}");
    assert!(!seen.to_string().contains("eyJ"), "{seen}");
    let heard = service.post(
        "/v2/recordings/room/demo-sound/start",
        &json!({ "meeting_url": service.recorder_link("demo"), "audio_only": true }),
    );
    let ids = [&seen, &heard].map(|r| r["id"].as_str().unwrap().to_owned());
    for id in &ids {
        service.until(id, "running");
    }
    // The link says guest, who would be listed; the token, which wins, says recorder.
    let room = service.demo_room("demo");
    assert_eq!(room["peers"].as_array().unwrap().len(), 2, "{room}");
    std::thread::sleep(Duration::from_secs(5));
    for room in ["demo", "demo-sound"] {
        service.post(&format!("/v2/recordings/room/{room}/stop"), &json!({}));
    }
    let [seen, heard] = ids.map(|id| service.until(&id, "completed"));
    others.block_on(bots.close());

    let film = service.file(&seen);
    assert_shows_and_sounds(&film, 1280, 720);
    let sound_alone = service.file(&heard);
    assert_eq!(decodes_silently(&sound_alone), Ok(()));
    let found = probe(&sound_alone);
    assert!(found.video.is_none() && found.audio.is_some(), "{found:?}");
    assert!(sound::dbfs(&sound::pcm(&sound_alone)) > -50.0);
    assert_eq!(heard["recording_assets"][0]["metadata"]["media_type"], "audio", "{heard}");

    let life = ["beam.started.success", "beam.stopped.success", "beam.recording.success"];
    until("all events", Duration::from_secs(30), || {
        (posted.lock().unwrap().len() == 2 * life.len()).then_some(())
    });
    let posted = posted.lock().unwrap().clone();
    assert!(posted.iter().all(|(_, good)| *good), "{posted:#?}");
    for (recording, file) in [(&seen, &film), (&heard, &sound_alone)] {
        let told: Vec<_> = posted
            .iter()
            .map(|(body, _)| body)
            .filter(|body| body["data"]["room_id"] == recording["room_id"])
            .collect();
        let names: Vec<_> = told.iter().map(|body| text(body, "/type")).collect();
        assert_eq!(names, life);
        let data = |n: usize| &told[n]["data"];
        for (n, body) in told.iter().enumerate() {
            assert_eq!(body["version"], "2.0");
            assert_eq!(text(body, "/id").len(), 36);
            assert_eq!(data(n)["beam_id"], data(0)["beam_id"]);
            assert_eq!(data(n)["session_id"], recording["session_id"]);
            assert_eq!(
                (&data(n)["max_width"], &data(n)["max_height"]),
                (&json!(1280), &json!(720))
            );
            assert!(!body.to_string().contains("eyJ"), "{body}");
        }
        assert_ne!(data(0)["beam_id"], recording["id"]);
        assert_eq!(data(0)["job_id"], recording["id"]);
        assert!(data(0)["start_delay"].as_u64().is_some_and(|s| s < 60), "{}", told[0]);
        // The time of the first event is that of the first frame.
        let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap();
        let first = at(text(data(0), "/metadata_timestamp"));
        assert_eq!(first, at(text(recording, "/started_at")));
        assert_eq!(data(1)["reason"], "client request");

        let asset = &recording["recording_assets"][0];
        let done = data(2);
        assert_eq!(
            (&done["recording_id"], &done["recording_path"]),
            (&asset["id"], &asset["path"])
        );
        let link = text(done, "/recording_presigned_url");
        let copy = scratch();
        let copy = copy.path().join("downloaded.mp4");
        curl(&["-sf", "-o", copy.to_str().unwrap(), link]).unwrap();
        assert!(std::fs::read(&copy).unwrap() == std::fs::read(file).unwrap());
        assert_eq!(done["size"], std::fs::metadata(&copy).unwrap().len());
        let length = probe(&copy).duration;
        assert!((done["duration"].as_f64().unwrap() - length).abs() <= 0.51, "{done} {length}");
        assert!((data(1)["duration"].as_f64().unwrap() - length).abs() <= 0.51, "{length}");
        assert!(length >= 4.0);
    }
    // Neither the token nor its key is in any log or journal.
    assert!(!service.process.stderr().contains("eyJ") && !service.process.stderr().contains(KEY));
    for entry in std::fs::read_dir(service.data.path().join("recordings")).unwrap() {
        let log = entry.unwrap().path().join("journal.jsonl");
        assert!(!std::fs::read_to_string(log).unwrap_or_default().contains("eyJ"));
    }
}
