//! Who sees pages and sends forms, and what no page says to a browser.

use super::super::tokens::{key, token};
use super::*;

fn bearer(name: &str) -> String {
    token(&key(name)).trim_start_matches("Bearer ").to_owned()
}

#[tokio::test]
async fn every_page_tells_browsers_what_it_may_do() {
    let api = Api::new(SHOWS).await;
    let visitor = Visitor::to(&api);
    let (_, recording) = told(api.start("a")).await;
    let one = format!("/recordings/{}", id(&recording));
    let odd = ["/recordings/nothing", "/?status=lost"];
    for path in PAGES.into_iter().chain([one.as_str()]).chain(odd) {
        let page = visitor.get(path).await;
        let expected = match path {
            "/recordings/nothing" => 404,
            "/?status=lost" => 400,
            _ => 200,
        };
        assert_eq!(page.status, expected, "{path}");
        let header = |name: &str| page.headers[name].to_str().unwrap();
        assert_eq!(header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        // Nothing in the page needs what the policy forbids.
        for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
            assert!(!page.text.contains(inline), "{path} has {inline}");
        }
    }
    for (path, media_type) in [
        ("/static/dashboard.css", "text/css; charset=utf-8"),
        ("/static/dashboard.js", "text/javascript; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
    ] {
        let file = visitor.get(path).await;
        assert_eq!(
            (file.status, file.headers["content-type"].to_str().unwrap()),
            (200, media_type)
        );
    }
    assert_eq!(visitor.get("/static/dashboard.rs").await.status, 404);
}

#[tokio::test]
async fn a_form_is_taken_from_pages_of_ours_alone() {
    let api = Api::new(STAYS).await;
    let visitor = Visitor::to(&api);
    let token = visitor.get("/").await.token().to_owned();
    let form = format!("token={token}&room_id=a&meeting_url=https%3A%2F%2Fmeet.example%2F");
    let own = visitor.origin();
    let send = |path: &str, headers: &[(&'static str, &str)], body: &str| {
        let request = headers
            .iter()
            .fold(visitor.request(Method::POST, path), |request, (n, v)| request.header(*n, *v));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(body.to_owned());
        async { request.send().await.unwrap().status().as_u16() }
    };
    for path in FORMS {
        for headers in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "https://evil.example")],
            &[("origin", "http://localhost:1")],
            &[("origin", &own), ("sec-fetch-site", "cross-site")],
            &[("origin", &own), ("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(send(path, headers, &form).await, 403, "{path} {headers:?}");
        }
        // From our origin, but not from a page of this service's.
        let origin = [("origin", own.as_str())];
        let without = "room_id=a&meeting_url=https%3A%2F%2Fmeet.example%2F";
        assert_eq!(send(path, &origin, without).await, 403, "{path}");
        let forged = format!("token={}&{without}", "A".repeat(43));
        assert_eq!(send(path, &origin, &forged).await, 403, "{path}");
    }
    assert_eq!(api.get("/v2/recordings").await["data"], json!([]));
    // Another kind of body is no form of a page.
    let json = visitor.request(Method::POST, "/start").header("origin", &own);
    let json = json.header(header::CONTENT_TYPE, "text/plain").body(form.clone());
    assert_eq!(json.send().await.unwrap().status(), 415);
    let started = visitor.send("/start", &token, &[("room_id", "a"), ("meeting_url", URL)]).await;
    assert!(started.location().starts_with("./recordings/"));

    // A link that is followed leads to a page; nothing else of another site does.
    let from_outside = |dest: &'static str, host: &str| {
        let request = visitor.request(Method::GET, "/").header("sec-fetch-site", "cross-site");
        let request = request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", dest);
        let request = request.header(header::HOST, host.to_owned());
        async { request.send().await.unwrap().status().as_u16() }
    };
    let host = api.address.to_string();
    assert_eq!(from_outside("document", &host).await, 200);
    assert_eq!(from_outside("iframe", &host).await, 403);
    assert_eq!(from_outside("document", "evil.example").await, 403, "a name that was rebound");
}

#[tokio::test]
async fn who_has_a_token_signs_in_and_out() {
    let api = Api::with(STAYS, |config| config.auth.keys = vec![key("one")]).await;
    let mut visitor = Visitor::to(&api);
    for path in PAGES {
        let page = visitor.get(path).await;
        assert!(page.location().starts_with("./sign-in"), "{}", page.location());
    }
    let deep = visitor.get("/recordings/000000000000000000000000").await;
    assert_eq!(deep.location(), "../sign-in?next=recordings%2F000000000000000000000000");
    // Not even its form is shown to who is not signed in.
    let outside = visitor.get("/sign-in?next=%22%3E%3Cscript%3Ealert(3)%3C%2Fscript%3E").await;
    assert!(outside.status == 200 && !outside.text.contains("<script>alert"));
    let outside_token = outside.token().to_owned();
    for path in FORMS.iter().filter(|path| **path != "/sign-out") {
        let answer = visitor.send(path, &outside_token, &[]).await;
        assert!(answer.location().ends_with("sign-in"), "{path}");
    }

    for wrong in ["", "x", "a.b.c", &bearer("other")] {
        let answer = visitor.sign_in(wrong).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(answer.text.contains("role=\"alert\""), "{}", answer.text);
    }
    assert_eq!(visitor.cookie, None);
    let answer = visitor.sign_in(&bearer("one")).await;
    assert_eq!(answer.location(), "./");
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    // The token is good for a minute, and so is what it opens.
    let life = cookie.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap();
    assert!((1..=60).contains(&life.parse::<u32>().unwrap()), "{cookie}");

    let page = visitor.get("/").await;
    assert_eq!(page.status, 200);
    let token = page.token().to_owned();
    assert_ne!(token, outside_token);
    assert_eq!(visitor.send("/start", &outside_token, &[]).await.status, 403);

    // The cookie shows pictures and opens nothing else of the API.
    let api_says = |method: Method, path: &str| {
        let request = visitor.request(method, path);
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(api_says(Method::GET, "/v2/recordings").await, 401);
    assert_eq!(api_says(Method::GET, "/metrics").await, 401);
    // Nothing is recorded, so there are no pictures; but they are not kept from this visitor.
    let stranger = Visitor::to(&api);
    for name in ["thumbnail.jpg", "live.mp4", "poster.jpg", "sprite.jpg"] {
        let path = format!("/v2/recordings/000000000000000000000000/{name}");
        assert_eq!(api_says(Method::GET, &path).await, 404, "{name}");
        assert_eq!(api_says(Method::HEAD, &path).await, 404, "{name}");
        assert_eq!(api_says(Method::POST, &path).await, 401, "{name}");
        assert_eq!(stranger.get(&path).await.status, 401, "{name}");
    }
    assert_eq!(api_says(Method::DELETE, "/v2/recordings/000000000000000000000000").await, 401);

    let out = visitor.send("/sign-out", &token, &[]).await;
    assert!(out.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert!(visitor.get("/").await.location().starts_with("./sign-in"), "it is over for good");
    assert_eq!(visitor.send("/start", &token, &[]).await.location(), "./sign-in");
}

#[tokio::test]
async fn a_password_opens_and_cannot_be_guessed_for_long() {
    let change = |config: &mut Config| {
        config.auth.keys = vec![key("one")];
        config.dashboard.password = PASSWORD.into();
        config.server.public_url = Some("https://rec.example/rooms/".parse().unwrap());
    };
    let api = Api::with(STAYS, change).await;
    let mut visitor = Visitor::to(&api);
    let answer = visitor.sign_in(PASSWORD).await;
    let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(cookie.contains("Max-Age=43200"), "{cookie}");
    let page = visitor.get("/").await;
    // By way of a proxy that calls us by another name.
    let request = visitor.request(Method::POST, "/storage").header("origin", "https://rec.example");
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let sent = request.body(format!("token={}", page.token())).send().await.unwrap();
    assert_eq!(sent.status(), 200);

    visitor.cookie = None;
    let mut refused = 0;
    let limited = loop {
        let answer = visitor.sign_in("a wrong password").await;
        if answer.status != 401 {
            break answer;
        }
        refused += 1;
        assert!(refused <= 100, "nobody is made to wait");
    };
    assert_eq!(limited.status, 429);
    assert!(limited.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    // From now on a guess tells nothing, whether it is right or wrong.
    assert_eq!(visitor.sign_in(PASSWORD).await.status, 429);
    assert_eq!(visitor.cookie, None);
    // Nobody guesses a token, so it is not made to wait.
    assert_eq!(visitor.sign_in(&bearer("one")).await.location(), "./");
}

#[tokio::test]
async fn a_password_closes_a_dashboard_whose_api_is_open() {
    let api = Api::with(STAYS, |config| config.dashboard.password = PASSWORD.into()).await;
    let mut visitor = Visitor::to(&api);
    assert!(visitor.get("/node").await.location().starts_with("./sign-in?next=node"));
    let form = visitor.get("/sign-in?next=node").await;
    let token = form.token().to_owned();
    let next = |next| [("secret", PASSWORD), ("next", next)];
    let answer = visitor.send("/sign-in", &token, &next("node")).await;
    assert_eq!(answer.location(), "./node");
    for elsewhere in ["https://evil.example/", "//evil.example", "\\evil", "a\r\nb"] {
        let answer = visitor.send("/sign-in", &token, &next(elsewhere)).await;
        assert!(answer.location().starts_with("./"), "{}", answer.location());
    }
    assert_eq!(visitor.sign_in(PASSWORD).await.status, 303);
    assert_eq!(visitor.get("/").await.status, 200);
}

#[tokio::test]
async fn a_dashboard_that_is_turned_off_is_not_there() {
    let api = Api::with(STAYS, |config| config.dashboard.enabled = false).await;
    for path in PAGES.iter().chain(&["/sign-in", "/static/dashboard.css"]) {
        let (status, refusal) = told(api.request(Method::GET, path)).await;
        assert_eq!((status, &refusal["message"]), (404, &json!("not found")), "{path}");
    }
}
