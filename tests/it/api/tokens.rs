//! Who may call once keys are configured.

use roomreel::config::AppKey;
use roomreel::token::mint_management;
use secrecy::ExposeSecret;

use super::*;

/// Documented routes that need no token; everything else does.
const OPEN: [&str; 4] =
    ["/health/live", "/health/ready", "/files/{asset_id}/{name}", "/v2/hooks/room"];

pub(super) fn key(name: &str) -> AppKey {
    AppKey { access_key: name.into(), secret: format!("{name}-{}", "s".repeat(40)).into() }
}

pub(super) fn token(key: &AppKey) -> String {
    let token = mint_management(key, Duration::from_secs(60)).unwrap();
    format!("Bearer {}", token.expose_secret())
}

#[tokio::test]
async fn every_route_but_the_open_ones_asks_for_a_token() {
    let api = Api::with(FAILS, |config| config.auth.keys = vec![key("old"), key("new")]).await;
    // The document itself is open, and lists every route.
    let document = api.request(Method::GET, "/openapi.json").send().await.unwrap();
    assert_eq!(document.status(), 200);
    let document: Value = serde_json::from_str(&document.text().await.unwrap()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 18, "{paths:?}");
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let filled = path.replace("{room_id}", "a").replace(['{', '}'], "");
            let answer = api.request(method.clone(), &filled).send().await.unwrap();
            let closed = !OPEN.contains(&path.as_str());
            assert_eq!(answer.status() == 401, closed, "{method} {path}: {}", answer.status());
        }
    }
    let nowhere = api.request(Method::GET, "/no/such/route").send().await.unwrap();
    assert_eq!(nowhere.status(), 401);
}

#[tokio::test]
async fn a_token_of_any_configured_key_opens_and_no_other_does() {
    let api = Api::with(FAILS, |config| config.auth.keys = vec![key("old"), key("new")]).await;
    let list = |bearer: String| {
        let request = api.request(Method::GET, "/v2/recordings");
        told(request.header(header::AUTHORIZATION, bearer))
    };
    for name in ["old", "new"] {
        assert_eq!(list(token(&key(name))).await.0, 200);
    }
    let forged = AppKey { secret: "f".repeat(40).into(), ..key("old") };
    for bearer in [
        token(&key("other")),
        token(&forged),
        "Bearer x.y.z".to_owned(),
        "Basic b2xkOnNlY3JldA==".to_owned(),
    ] {
        let (status, refusal) = list(bearer).await;
        assert_eq!((status, &refusal["message"]), (401, &json!("Token validation error")));
        assert!(refusal["details"][0].is_string(), "{refusal}");
    }
}

#[tokio::test]
async fn bad_tokens_without_end_are_made_to_wait_and_good_ones_are_not() {
    let api = Api::with(FAILS, |config| config.auth.keys = vec![key("one")]).await;
    let list = |bearer: Option<String>| {
        let mut request = api.request(Method::GET, "/v2/recordings");
        if let Some(bearer) = bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        async move { request.send().await.unwrap() }
    };
    let mut refused = 0;
    let limited = loop {
        let answer = list(Some("Bearer x.y.z".into())).await;
        if answer.status() != 401 {
            break answer;
        }
        refused += 1;
        assert!(refused < 1000, "nobody is made to wait");
    };
    assert!(refused >= 30, "{refused}");
    assert_eq!(limited.status(), 429);
    let wait: u64 = limited.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait} s");
    // Who shows nothing is told what to show, and who shows a good one is let in.
    assert_eq!(list(None).await.status(), 401);
    assert_eq!(list(Some(token(&key("one")))).await.status(), 200);
}

#[tokio::test]
async fn webhooks_of_strangers_without_end_are_made_to_wait() {
    let api = Api::with(FAILS, |config| {
        let sender = json!({ "name": "rooms", "headers": { "x-secret": "0123456789abcdef" } });
        config.hooks.senders = vec![serde_json::from_value(sender).unwrap()];
    })
    .await;
    let post = || api.post("/v2/hooks/room", "{}").header("x-secret", "guess").send();
    let mut refused = 0;
    while post().await.unwrap().status() == 401 {
        refused += 1;
        assert!(refused < 1000, "nobody is made to wait");
    }
    assert!(refused >= 30, "{refused}");
    assert_eq!(post().await.unwrap().status(), 429);
}
