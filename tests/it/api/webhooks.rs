//! What a real receiver is told of a recording's life, and by whom it knows.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode as Status};
use axum::routing::post;
use roomreel::config::Endpoint;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// One that dies while it records.
const DIES: &str = r#"
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}' > "$3/journal.jsonl"
exit 1"#;

#[derive(Clone, Default)]
pub(super) struct Receiver {
    /// Everything that was posted, oldest first.
    posted: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    /// Answers with 500 the first time it sees an event.
    refuses_once: bool,
}

impl Receiver {
    pub(super) async fn open(refuses_once: bool) -> (Self, String) {
        let receiver = Self { refuses_once, ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        (receiver, url)
    }

    fn bodies(&self) -> Vec<Value> {
        self.posted.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    /// Waits until so many were posted; the limit ends a broken test.
    pub(super) async fn until(&self, count: usize) -> Vec<Value> {
        for _ in 0..1200 {
            let bodies = self.bodies();
            if bodies.len() >= count {
                return bodies;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("only {:#?}", self.bodies());
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> Status {
    let judge = standardwebhooks::Webhook::new(SECRET).unwrap();
    let verified = judge.verify(&body, &headers);
    assert!(verified.is_ok(), "{verified:?} {headers:?}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    let mut posted = receiver.posted.lock().unwrap();
    let seen = posted.iter().any(|(_, before)| before["id"] == body["id"]);
    posted.push((headers, body));
    if receiver.refuses_once && !seen { Status::INTERNAL_SERVER_ERROR } else { Status::NO_CONTENT }
}

pub(super) fn tells(config: &mut Config, url: &str) {
    config.webhooks.retries = vec![Duration::from_millis(50); 3];
    config.webhooks.endpoints = vec![Endpoint {
        name: "app".into(),
        url: url.into(),
        headers: [("x-passcode".to_owned(), "p4ss".into())].into(),
        events: Vec::new(),
        secrets: vec![SECRET.into()],
    }];
}

pub(super) fn names(bodies: &[Value]) -> Vec<&str> {
    bodies.iter().map(|body| body["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_life_is_told_in_order_signed_and_with_a_link_that_works() {
    let (receiver, url) = Receiver::open(false).await;
    let api = Api::with(FINALISES, |config| tells(config, &url)).await;
    let (_, recording) = told(api.start("a")).await;
    api.until(id(&recording), "post_processing").await;
    std::fs::write(api.root.path().join("data/recordings").join(id(&recording)).join("go"), "")
        .unwrap();
    let bodies = receiver.until(3).await;
    let life = ["beam.started.success", "beam.stopped.success", "beam.recording.success"];
    assert_eq!(names(&bodies), life);
    for body in &bodies {
        assert_eq!(body["data"]["beam_id"], bodies[0]["data"]["beam_id"]);
        assert_eq!(body["data"]["room_id"], "a");
        assert!(!body.to_string().contains("s3cr3t"), "{body}");
    }
    assert_eq!(bodies[0]["data"]["job_id"], recording["id"]);
    assert_eq!(bodies[1]["data"]["reason"], "room ended");
    let data = &bodies[2]["data"];
    assert_eq!((&data["size"], &data["duration"]), (&json!(4), &json!(4)));
    let link = data["recording_presigned_url"].as_str().unwrap();
    let film = api.client.get(link).send().await.unwrap();
    assert_eq!(film.status(), 200);
    assert_eq!(film.bytes().await.unwrap().as_ref(), b"film");
    let part = api.client.get(link).header(header::RANGE, "bytes=1-2").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().as_ref()), (206, &b"il"[..]));
    let forged = api.client.get(format!("{link}x")).send().await.unwrap();
    assert_eq!(forged.status(), 403);
    let headers = receiver.posted.lock().unwrap()[0].0.clone();
    assert_eq!(headers["x-passcode"], "p4ss");
}

#[tokio::test]
async fn what_was_refused_is_told_again_under_the_same_id() {
    let (receiver, url) = Receiver::open(true).await;
    let api = Api::with(DIES, |config| tells(config, &url)).await;
    let (_, recording) = told(api.start("a")).await;
    api.until(id(&recording), "failed").await;
    let bodies = receiver.until(6).await;
    let told_names = names(&bodies);
    let life = ["beam.started.success", "beam.stopped.success", "beam.failure"];
    let twice: Vec<&str> = life.iter().flat_map(|name| [*name, *name]).collect();
    assert_eq!(told_names, twice);
    for pair in bodies.chunks(2) {
        assert_eq!(pair[0]["id"], pair[1]["id"]);
    }
    assert_eq!(bodies[2]["data"]["reason"], "failure: INTERNAL_ERROR");
    assert_eq!(bodies[4]["data"]["error_type"], "INTERNAL_ERROR");

    api.all_told().await;
    let history = api.get("/v2/analytics/webhooks?status=success").await;
    assert_eq!(history["events"].as_array().unwrap().len(), 3, "{history}");
    let body = json!({ "status": "success", "event_name": "beam.failure" }).to_string();
    let (status, replay) = told(api.post("/v2/analytics/webhooks/replay", body)).await;
    assert_eq!((status, &replay["replayed"]), (200, &json!(1)));
    let again = receiver.until(7).await;
    assert_eq!((&again[6]["id"], &again[6]["is_replay"]), (&bodies[4]["id"], &json!(true)));
}

#[tokio::test]
async fn a_request_s_own_endpoint_must_not_be_inside() {
    let (receiver, url) = Receiver::open(false).await;
    let api = Api::with(FAILS, |config| tells(config, &url)).await;
    let body = json!({ "meeting_url": URL, "webhook": { "url": url } }).to_string();
    let (status, recording) = told(api.post(&start_path("a"), body)).await;
    assert_eq!(status, 200);
    api.until(id(&recording), "failed").await;
    for _ in 0..1200 {
        let history = api.get("/v2/analytics/webhooks?status=failed").await;
        let Some(delivery) = history["events"].get(0) else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        assert_eq!(delivery["payload"]["endpoint"], "request");
        let why = delivery["payload"]["error_reason"].as_str().unwrap();
        assert!(why.contains("not a public address"), "{why}");
        // It takes the place of the configured ones.
        assert!(receiver.bodies().is_empty());
        return;
    }
    panic!("it was never given up");
}
