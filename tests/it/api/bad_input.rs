//! More that a caller can get wrong: every field and every parameter of every
//! route, tokens, connections; and that a recording which goes on meanwhile loses
//! nothing by any of it.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use roomreel::config::{AppKey, Transcription};
use secrecy::ExposeSecret;

use super::*;

/// Expects `code`, and a detail that names `field`.
async fn names(request: RequestBuilder, code: u16, field: &str, what: &str) {
    let (status, value) = told(request).await;
    let mut details = value["details"].as_array().into_iter().flatten();
    let named = details.any(|d| d.as_str().is_some_and(|d| d.starts_with(field)));
    assert!(status == code && named, "{what}: {status} {value}");
}

#[tokio::test]
async fn every_wrong_field_names_itself_and_a_running_recording_goes_on() {
    let api = Api::new(FINALISES).await;
    let (_, going) = told(api.start("a")).await;
    api.until(id(&going), "post_processing").await;

    for (body, field) in [
        (r#"{"audio_only":"yes"}"#, "audio_only: invalid type"),
        (r#"{"audio_only":1}"#, "audio_only: invalid type"),
        (r#"{"destination":7}"#, "destination: invalid type"),
        (r#"{"transcription":true}"#, "transcription: invalid type"),
        (r#"{"transcription":{"enabled":"yes"}}"#, "transcription.enabled: invalid type"),
        (r#"{"webhook":"https://a.example"}"#, "webhook: invalid type"),
        (r#"{"webhook":{}}"#, "webhook: missing field `url`"),
        (r#"{"webhook":{"url":7}}"#, "webhook.url: invalid type"),
        (r#"{"webhook":{"url":"https://a.example","headers":[]}}"#, "webhook.headers:"),
        (r#"{"webhook":{"url":"https://a.example","headers":{"X":7}}}"#, "webhook.headers.X:"),
        (r#"{"join":7}"#, "join: invalid type"),
        (r#"{"fps":"30"}"#, "fps: invalid type"),
        (r#"{"fps":29.97}"#, "fps: invalid type"),
        (r#"{"fps":-1}"#, "fps: invalid value"),
        (r#"{"preset":1080}"#, "preset: invalid type"),
        (r#"{"crf":"20"}"#, "crf: invalid type"),
        (r#"{"crf":256}"#, "crf: invalid value"),
        (r#"{"bitrate":2500.5}"#, "bitrate: invalid type"),
        (r#"{"keyframe_interval":"2s"}"#, "keyframe_interval: invalid type"),
        (r#"{"audio_bitrate":-1}"#, "audio_bitrate: invalid value"),
        (r#"{"resolution":{"width":1e3,"height":720}}"#, "resolution.width: invalid type"),
        (r#"{"resolution":{"width":99999999999,"height":720}}"#, "resolution.width: invalid value"),
        (r#"{"resolution":[1280,720]}"#, "resolution: invalid type"),
        (r#"{"meeting_url":["https://a.example"]}"#, "meeting_url: invalid type"),
    ] {
        names(api.post(&start_path("r"), body), 400, field, body).await;
    }
    let with = |more: &str| format!(r#"{{"meeting_url":"https://meet.example/",{more}}}"#);
    for (more, field) in [
        (r#""destination":"nowhere""#, "destination: \"nowhere\" is not configured"),
        (r#""webhook":{"url":"ftp://a.example/"}"#, "webhook.url: must be"),
        (r#""webhook":{"url":"/hook"}"#, "webhook.url: must be"),
        (r#""webhook":{"url":"https://a.example","headers":{"a b":"c"}}"#, "webhook.headers:"),
        (
            r#""webhook":{"url":"https://a.example","headers":{"a":"b\r\nc: d"}}"#,
            "webhook.headers:",
        ),
        // What the delivery sets itself would only fail later, when nobody looks.
        (r#""webhook":{"url":"https://a.example","headers":{"Host":"b"}}"#, "webhook.headers:"),
        (
            r#""webhook":{"url":"https://a.example","headers":{"webhook-id":"b"}}"#,
            "webhook.headers:",
        ),
        (r#""max_duration":86401"#, "max_duration:"),
        (r#""max_duration":-1"#, "max_duration:"),
        (r#""fps":61"#, "fps"),
        (r#""preset":"1440p30""#, "preset: \"1440p30\" is unknown: give one of 480p30, 720p30"),
        (r#""crf":52"#, "crf: 52 is out of range: crf must be 0 to 51"),
        (r#""crf":20,"bitrate":2000"#, "bitrate: cannot be given together with crf"),
        (r#""bitrate":2500000"#, "bitrate: 2500000 is out of range: bitrate must be 139 to 40000"),
        (r#""preset":"1080p60","bitrate":500"#, "bitrate: 500 is out of range"),
        (r#""keyframe_interval":0.1"#, "keyframe_interval: 0.1 is out of range"),
        (r#""audio_bitrate":512"#, "audio_bitrate: 512 is out of range"),
        (r#""resolution":{"width":1920,"height":1920}"#, "resolution"),
        (r#""resolution":{"width":500,"height":478}"#, "resolution.height"),
    ] {
        let body = with(more);
        names(api.post(&start_path("r"), body.clone()), 400, field, &body).await;
    }
    for url in [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
        "http://0x7f000001/",
        "javascript:alert(1)",
        "chrome://settings",
    ] {
        let body = json!({ "meeting_url": url }).to_string();
        names(api.post(&start_path("r"), body), 400, "meeting_url:", url).await;
    }
    // Unicode that is none, and a field that is there twice.
    for body in [&b"{\"meeting_url\":\"\xff\"}"[..], b"\xef\xbb\xbf{}", b"{\"a\":\"\\ud800\"}\x00"]
    {
        let (status, value) = told(api.post(&start_path("r"), body.to_vec())).await;
        assert_eq!(status, 400, "{body:?} {value}");
    }
    let twice = r#"{"fps":30,"fps":25,"meeting_url":"https://meet.example/"}"#;
    let (status, value) = told(api.post(&start_path("r"), twice)).await;
    assert!(status == 400 && value.to_string().contains("duplicate field"), "{value}");

    // Nothing of all this was taken for a start, and nothing is lost.
    assert_eq!(api.get("/v2/recordings").await["data"].as_array().unwrap().len(), 1);
    let dir = api.root.path().join("data/recordings").join(id(&going));
    std::fs::write(dir.join("go"), "").unwrap();
    assert_eq!(api.until(id(&going), "completed").await["recording_assets"][0]["size"], 4);
}

#[tokio::test]
async fn every_wrong_parameter_names_itself() {
    let api = Api::new(STAYS).await;
    let asset = "/v2/recording-assets/64b3f0a1c2d3e4f5a6b7c8d9";
    let presign = format!("{asset}/presigned-url");
    for (path, field) in [
        ("/v2/recording-assets?limit=9", "limit:"),
        ("/v2/recording-assets?limit=ten", "limit:"),
        ("/v2/recording-assets?start=x", "start:"),
        ("/v2/recording-assets?status=running", "status:"),
        ("/v2/recording-assets?type=film", "type:"),
        ("/v2/recordings?status=running&status=odd", "status:"),
        ("/v2/recordings?limit=18446744073709551616", "limit:"),
        (&format!("{presign}?presign_duration=0"), "presign_duration:"),
        (&format!("{presign}?presign_duration=-1"), "presign_duration:"),
        (&format!("{presign}?presign_duration=604801"), "presign_duration:"),
        (&format!("{presign}?presign_duration=soon"), "presign_duration:"),
        ("/v2/analytics/webhooks?status=odd", "status:"),
        ("/v2/analytics/webhooks?page=0", "page:"),
        ("/v2/analytics/webhooks?limit=101", "limit:"),
        ("/v2/analytics/webhooks?event_id=odd", "event_id:"),
        ("/v2/analytics/webhooks?recording_id=odd", "recording_id:"),
    ] {
        names(api.request(Method::GET, path), 400, field, path).await;
    }
    for (body, field) in [
        (r#"{"event_id":"odd"}"#, "event_id:"),
        (r#"{"recording_id":"odd"}"#, "recording_id:"),
        (r#"{"status":"odd"}"#, "status:"),
        (r#"{"room_id":7}"#, "room_id: invalid type"),
        ("[]", "body: invalid type"),
    ] {
        names(api.post("/v2/analytics/webhooks/replay", body), 400, field, body).await;
    }
    for (method, path, code) in [
        (Method::GET, asset, 404),
        (Method::GET, presign.as_str(), 404),
        (Method::GET, "/v2/recording-assets/odd", 404),
        (Method::GET, "/v2/recording-assets/%2e%2e%2fkeys", 404),
        (Method::DELETE, asset, 405),
        (Method::POST, "/v2/recording-assets", 405),
        (Method::DELETE, "/v2/recordings/odd", 404),
        (Method::POST, "/v2/recordings/room/r/pause", 404),
        (Method::POST, "/v2/recordings/room/r/resume", 404),
        (Method::GET, "/v2/recordings/room/r/pause", 405),
        (Method::POST, "/v2/recordings/room/a%20b/pause", 400),
        (Method::from_bytes(b"BREW").unwrap(), "/v2/recordings", 405),
        (Method::GET, "/files/64b3f0a1c2d3e4f5a6b7c8d9/x.mp4", 403),
        (Method::GET, "/files/odd/..%2f..%2fetc?expires=99999999999&signature=00", 403),
        (Method::GET, "/files/odd/x.mp4?expires=soon&signature=00", 403),
    ] {
        let (status, value) = told(api.request(method.clone(), path)).await;
        assert_eq!(status, code, "{method} {path}: {value}");
    }
}

#[tokio::test]
async fn a_caller_that_does_not_come_to_an_end_holds_up_nobody() {
    let api = Api::new(STAYS).await;
    let mut held = Vec::new();
    for head in [
        "POST /v2/recordings/room/a/start HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
        "GET /v2/recordings HTTP/1.1\r\nHost:",
        "",
        "\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}",
    ] {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        held.push(stream);
    }
    assert_eq!(told(api.start("a")).await.0, 200);
    let host = api.address;
    let long = "x".repeat(1 << 20);
    for request in [
        format!(
            "GET /v2/recordings?room_id={long} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET /v2/recordings HTTP/1.1\r\nHost: {host}\r\nX: {long}\r\nConnection: close\r\n\r\n"
        ),
    ] {
        let answer = api.raw(&request).await;
        let status = answer.split(' ').nth(1).unwrap_or("closed");
        assert!(["414", "431", "closed"].contains(&status), "{}", &answer[..answer.len().min(200)]);
    }
    for request in ["GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n"] {
        let answer = api.raw(request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{request:?} {answer}");
    }
    assert_eq!(api.get("/health/live").await["status"], "ok");
    // Nor does it hold up the end.
    api.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(60), api.server).await;
    ended.expect("it never ended").unwrap().unwrap();
    drop(held);
}

#[tokio::test]
async fn a_transcript_can_be_refused() {
    let refuse = |config: &mut Config| config.recording.transcription = Transcription::Refuse;
    let api = Api::with(STAYS, refuse).await;
    let wish = |enabled: bool| {
        let body = json!({ "meeting_url": URL, "transcription": { "enabled": enabled } });
        api.post(&start_path("a"), body.to_string())
    };
    names(wish(true), 400, "transcription: is not supported", "enabled").await;
    assert_eq!(api.get("/v2/recordings").await["data"], json!([]));
    let (status, recording) = told(wish(false)).await;
    assert_eq!((status, recording.get("warnings")), (200, None), "{recording}");
}

fn key() -> AppKey {
    AppKey { access_key: "app".into(), secret: "s".repeat(40).into() }
}

fn signed(claims: Value, algorithm: Algorithm) -> String {
    let secret = key();
    let secret = EncodingKey::from_secret(secret.secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), &claims, &secret).unwrap()
}

#[tokio::test]
async fn clocks_may_differ_a_little_and_tokens_end() {
    let api = Api::with(STAYS, |config| config.auth.keys = vec![key()]).await;
    let now = chrono::Utc::now().timestamp();
    let claims = |iat: i64, nbf: i64, exp: i64| {
        json!({
            "access_key": "app", "type": "management", "version": 2, "jti": "1",
            "iat": now + iat, "nbf": now + nbf, "exp": now + exp,
        })
    };
    let without = |name: &str| {
        let mut claims = claims(0, 0, 3600);
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let with = |name: &str, value: Value| {
        let mut claims = claims(0, 0, 3600);
        claims[name] = value;
        claims
    };
    // A machine that stalls between here and there for seconds decides none of these.
    for (claims, why) in [
        (claims(0, 0, 3600), None),
        // The caller's clock is ahead, or was a little behind.
        (claims(20, 20, 3600), None),
        (claims(-3600, -3600, -5), None),
        (claims(600, 0, 3600), Some("not valid yet: check the clock")),
        (claims(0, 600, 3600), Some("not valid yet: check the clock")),
        (claims(-3600, -3600, -600), Some("expired")),
        (without("exp"), Some("JSON Web Token")),
        (without("iat"), None),
        (without("nbf"), None),
        (without("jti"), None),
        (without("version"), Some("JSON Web Token")),
        (with("version", json!(1)), Some("wrong type or version")),
        (with("type", json!("app")), Some("wrong type or version")),
        (with("access_key", json!("other")), Some("unknown access key")),
        (with("exp", json!("tomorrow")), Some("JSON Web Token")),
    ] {
        let token = format!("Bearer {}", signed(claims.clone(), Algorithm::HS256));
        let request = api.request(Method::GET, "/v2/recordings");
        let (status, value) = told(request.header(header::AUTHORIZATION, token)).await;
        match why {
            None => assert_eq!(status, 200, "{claims} {value}"),
            Some(why) => {
                assert_eq!((status, &value["message"]), (401, &json!("Token validation error")));
                assert!(value["details"][0].as_str().unwrap().contains(why), "{claims} {value}");
            }
        }
    }
    // Only the one algorithm, and a token alone.
    let good = signed(claims(0, 0, 3600), Algorithm::HS256);
    let none = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    for bearer in [
        format!("Bearer {}", signed(claims(0, 0, 3600), Algorithm::HS512)),
        format!("Bearer {none}"),
        format!("Bearer {good}x"),
        format!("Bearer {}", "a.b.c".repeat(2000)),
        "Bearer ".to_owned(),
        "Bearer".to_owned(),
        good.clone(),
    ] {
        let request = api.request(Method::GET, "/v2/recordings");
        let (status, value) = told(request.header(header::AUTHORIZATION, &bearer)).await;
        assert_eq!(status, 401, "{bearer} {value}");
        assert!(!value.to_string().contains(&good[..20]), "{value}");
    }
    let twice = api.request(Method::GET, "/v2/recordings");
    let bearer = format!("Bearer {good}");
    let twice = twice.header(header::AUTHORIZATION, &bearer).header(header::AUTHORIZATION, &bearer);
    assert_eq!(told(twice).await.0, 401);
}
