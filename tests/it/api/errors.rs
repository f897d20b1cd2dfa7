//! Everything a caller can get wrong, and the words it is told.

use reqwest::{Method, header};
use serde_json::{Value, json};

use super::{Api, STAYS, URL, start_path, stop_path, told};

/// Starts `room` with each body and expects a 400 with `message` and, if given, a
/// detail that contains `detail`.
async fn refused(api: &Api, body: &str, message: &str, detail: &str) {
    let (status, value) = told(api.post(&start_path("r"), body.to_owned())).await;
    expect((status, &value), (400, message, detail), body);
}

fn expect(told: (u16, &Value), expected: (u16, &str, &str), what: &str) {
    let (status, value) = told;
    let (code, message, detail) = expected;
    assert_eq!((status, value["message"].as_str()), (code, Some(message)), "{what} -> {value}");
    let mut details = value["details"].as_array().into_iter().flatten().filter_map(Value::as_str);
    assert!(detail.is_empty() || details.any(|d| d.contains(detail)), "{what} -> {value}");
}

#[tokio::test]
async fn what_is_no_json_is_told_where() {
    let api = Api::new(STAYS).await;
    for body in ["", " \n"] {
        refused(&api, body, "request body must not be empty", "").await;
    }
    for (body, position) in [
        ("{x", 2),
        (r#"{"a":}"#, 6),
        (r#"{"a":1"#, 6),
        (r#"{"a":1}x"#, 8),
        ("{\n\"a\":\n}", 8),
        ("{\n\n", 3),
        ("x", 1),
        // Judged as JSON before any field is.
        (r#"{"meeting_url":7,,}"#, 18),
        // No depth of brackets may exhaust the stack.
        (&*"[".repeat(60_000), 60_000),
    ] {
        let text = format!("request body contains badly-formed JSON (at position {position})");
        refused(&api, body, &text, "").await;
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_names_the_field_and_the_fix() {
    let api = Api::new(STAYS).await;
    for (body, detail) in [
        ("{}", "meeting_url: is required: give a full http or https address"),
        (r#"{"meeting_url":""}"#, "meeting_url: is required"),
        (r#"{"meeting_url":null}"#, "meeting_url: is required"),
        (r#"{"meeting_url":7}"#, "meeting_url: invalid type: integer `7`, expected a string"),
        (r#"{"meeting_url":"meet"}"#, "meeting_url: not a URL"),
        (r#"{"meeting_url":"file:///etc/passwd"}"#, "use http or https"),
        (r#"{"resolution":720}"#, "resolution: invalid type: integer `720`, expected an object"),
        (r#"{"resolution":{"width":640}}"#, "resolution: missing field `height`"),
        (
            r#"{"resolution":{"width":"1"}}"#,
            "resolution.width: invalid type: string \"1\", expected a whole number",
        ),
        (
            r#"{"resolution":{"width":-1}}"#,
            "resolution.width: invalid value: integer `-1`, expected a whole number",
        ),
        (r#"{"resolution":{"width":641,"height":480}}"#, "resolution.width: 641 is odd"),
        (r#"{"join":"now"}"#, "join: \"now\" is not one of auto, signal, media, load"),
        (r#"{"fps":5}"#, "fps must be 10 to 60"),
        (r#"{"max_duration":0}"#, "max_duration: 0 is out of range: give 1 to 86400 seconds"),
        (
            r#"{"max_duration":"4h"}"#,
            "max_duration: invalid type: string \"4h\", expected a number",
        ),
        (&format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)), "expected an object"),
        ("null", "body: invalid type: null, expected an object"),
        (r#""text""#, "body: invalid type: string \"text\", expected an object"),
    ] {
        refused(&api, body, "invalid input", detail).await;
    }
    // Nothing of all this was taken for a start.
    assert_eq!(api.get("/v2/recordings").await["data"], json!([]));
}

#[tokio::test]
async fn paths_and_queries_that_lead_nowhere() {
    let api = Api::new(STAYS).await;
    let unknown = "/v2/recordings/64b3f0a1c2d3e4f5a6b7c8d9";
    let (unknown_stop, long) = (format!("{unknown}/stop"), start_path(&"r".repeat(129)));
    let (get, post) = (Method::GET, Method::POST);
    for (method, path, code, message, detail) in [
        (&post, "/v2/recordings/room/r/stop", 404, "beam not found", ""),
        (&post, unknown_stop.as_str(), 404, "beam not found", ""),
        (&get, unknown, 404, "beam not found", ""),
        (&get, "/v2/recordings/odd", 404, "beam not found", ""),
        (&get, "/v2/recordings/64b3f0a1c2d3e4f5a6b7c8dg", 404, "beam not found", ""),
        (&get, "/v2/recordings/%ff%00", 404, "beam not found", ""),
        (&get, "/v2/recordings/..%2f..%2fetc", 404, "beam not found", ""),
        (&post, "/v2/recordings/room/stop", 404, "beam not found", ""),
        (&post, long.as_str(), 400, "invalid input", "room_id: must be 1 to 128 letters"),
        (&post, "/v2/recordings/room/a%2fb/start", 400, "invalid input", "room_id:"),
        (&post, "/v2/recordings/room/a%20b/start", 400, "invalid input", "room_id:"),
        (&post, "/v2/recordings/room/%ff/stop", 400, "invalid input", "room_id:"),
        (&post, "/v2/recordings/room//start", 400, "invalid input", "room_id:"),
        (&get, "/v2", 404, "not found", "no route"),
        (&get, "/v2/recordings/", 404, "not found", "no route"),
        (&get, "/v2/recordings/room/r/start", 405, "method not allowed", "Allow"),
        (&post, "/v2/recordings", 405, "method not allowed", "Allow"),
        (&Method::DELETE, unknown, 404, "beam not found", ""),
        (&Method::PUT, unknown, 405, "method not allowed", "Allow"),
        (
            &get,
            "/v2/recordings?limit=9",
            400,
            "invalid input",
            "limit: \"9\" is out of range: give 10 to 100",
        ),
        (&get, "/v2/recordings?limit=101", 400, "invalid input", "limit:"),
        (&get, "/v2/recordings?limit=many", 400, "invalid input", "limit:"),
        (
            &get,
            "/v2/recordings?status=paused",
            400,
            "invalid input",
            "status: \"paused\" is not one of starting",
        ),
        (&get, "/v2/recordings?start=1", 400, "invalid input", "start: an id has 24 hex digits"),
    ] {
        let (status, value) = told(api.request(method.clone(), path)).await;
        expect((status, &value), (code, message, detail), &format!("{method} {path}"));
    }
}

#[tokio::test]
async fn every_wrong_field_is_told_at_once() {
    let api = Api::new(STAYS).await;
    let body = r#"{"resolution":{"width":1,"height":2},"fps":1,"join":"x","max_duration":-1}"#;
    let (_, value) = told(api.post(&start_path("a"), body)).await;
    let details = value["details"].as_array().unwrap().iter();
    let fields: Vec<_> = details.map(|d| d.as_str().unwrap().split(':').next().unwrap()).collect();
    assert_eq!(fields, ["meeting_url", "resolution.width", "join", "fps", "max_duration"]);
}

#[tokio::test]
async fn a_405_lists_the_methods() {
    let api = Api::new(STAYS).await;
    for (method, path, allow) in [
        (Method::PUT, "/v2/recordings", "GET,HEAD"),
        (Method::GET, "/v2/recordings/x/stop", "POST"),
    ] {
        let response = api.request(method, path).send().await.unwrap();
        assert_eq!(response.headers()[header::ALLOW], allow);
    }
    assert_eq!(api.get("/health/live").await, json!({ "status": "ok" }));
}

#[tokio::test]
async fn bodies_have_a_limit_however_they_are_sent() {
    let api = Api::new(STAYS).await;
    let fits = json!({ "meeting_url": URL, "pad": "x".repeat(60_000) }).to_string();
    assert_eq!(told(api.post(&start_path("a"), fits)).await.0, 200);

    let host = api.address;
    for path in [start_path("b"), stop_path("b")] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Connection: close\r\n"
        );
        let answer = api.raw(&format!("{head}Content-Length: 99999999\r\n\r\n{{}}")).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    let answer = api
        .raw(&format!(
            "POST {} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{}0\r\n\r\n",
            start_path("b"),
            chunk.repeat(5)
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("a request body has at most 65536 bytes"), "{answer}");
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_no_recording() {
    let api = Api::with(STAYS, |config| config.data.min_free = 1 << 60).await;
    let (status, value) = told(api.start("r")).await;
    expect((status, &value), (507, "insufficient storage", "data.min_free"), "a start");
    assert_eq!(api.get("/v2/recordings").await["data"], json!([]));
}
