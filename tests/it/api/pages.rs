//! The API and real pages in a real Chromium: its own documentation works under
//! its policy, and a page of somebody else's gets nothing.

use roomreel::browser::{Browser, Launch, Surface};
use roomreel::job::BrowserOptions;
use url::Url;

use super::*;
use crate::support::scratch;

const PATIENCE: Duration = Duration::from_secs(60);

/// A browser beside the service, as somebody on this machine might use one.
async fn browser() -> (Browser, tempfile::TempDir) {
    let dir = scratch();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let launch = Launch {
        options: BrowserOptions {
            // What Chromium itself keeps from pages is not what is tested.
            extra_flags: vec!["--disable-features=LocalNetworkAccessChecks".into()],
            ..BrowserOptions::default()
        },
        page: roomreel::job::PageOptions::default(),
        surface: Surface::Headless { width: 800, height: 600 },
        runtime_dir: dir.path().join("runtime"),
        capture_files: None,
        proxy: None,
    };
    (Browser::launch(launch).await.unwrap(), dir)
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

/// Everything that a page can send to another origin, each with what it read.
const ATTACK: &str = r#"(async api => {
    const body = JSON.stringify({ meeting_url: 'https://evil.example/' });
    const read = promise => promise.then(answer => answer.text()).catch(() => 'failed');
    const start = `${api}/v2/recordings/room/evil/start`;
    const said = {
        text: await read(fetch(start, { method: 'POST', mode: 'no-cors', body })),
        json: await read(fetch(start, {
            method: 'POST', body, headers: { 'Content-Type': 'application/json' } })),
        beacon: navigator.sendBeacon(start, new Blob([body], { type: 'text/plain' })),
        list: await read(fetch(`${api}/v2/recordings`)),
        blind: await read(fetch(`${api}/v2/recordings`, { mode: 'no-cors' })),
    };
    const tried = new Promise(done => {
        const form = document.createElement('form');
        Object.assign(form, { method: 'post', action: start, enctype: 'text/plain', target: 'f' });
        const field = document.createElement('input');
        field.name = body.slice(0, -1) + ',"x":"';
        field.value = '"}';
        form.append(field);
        const frame = document.createElement('iframe');
        frame.name = 'f';
        frame.onload = done;
        document.body.append(frame, form);
        form.submit();
        setTimeout(done, 3000);
    });
    await tried;
    const script = document.createElement('script');
    const loaded = new Promise(done => { script.onload = () => done('ran'); script.onerror = () => done('failed'); });
    script.src = `${api}/v2/recordings`;
    document.body.append(script);
    said.script = await loaded;
    const frame = document.createElement('iframe');
    frame.src = `${api}/docs/`;
    const shown = new Promise(done => frame.onload = done);
    document.body.append(frame);
    await Promise.race([shown, new Promise(done => setTimeout(done, 3000))]);
    try { said.frame = frame.contentDocument === null ? 'closed' : 'open'; } catch { said.frame = 'closed'; }
    return said;
})"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_page_beside_the_service_gets_and_does_nothing() {
    let api = Api::new(STAYS).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let evil = listener.local_addr().unwrap();
    let page = axum::Router::new()
        .route("/", axum::routing::get(|| async { axum::response::Html("<p>hello") }));
    let site = tokio::spawn(async move { axum::serve(listener, page).await.unwrap() });
    let (browser, _dir) = browser().await;
    // By an address of its own, and by the name that is the service's as well.
    for host in [evil.to_string(), format!("localhost:{}", evil.port())] {
        browser.page().goto(&url(&format!("http://{host}/")), PATIENCE).await.unwrap();
        for name in ["127.0.0.1", "localhost"] {
            let attack = format!("{ATTACK}('http://{name}:{}')", api.address.port());
            let said: Value = browser.page().evaluate(&attack, PATIENCE).await.unwrap();
            assert_eq!(said["json"], "failed", "{said}");
            assert_eq!(said["list"], "failed", "{said}");
            assert_eq!(said["script"], "failed", "{said}");
            for blind in ["text", "blind"] {
                assert!(["", "failed"].contains(&said[blind].as_str().unwrap()), "{said}");
            }
            assert_eq!(said["frame"], "closed", "{said}");
        }
    }
    browser.close(PATIENCE).await;
    site.abort();
    assert_eq!(api.get("/v2/recordings").await["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documentation_works_under_its_policy() {
    let api = Api::new(FAILS).await;
    let (browser, _dir) = browser().await;
    let docs = url(&format!("http://{}/docs/", api.address));
    browser.page().goto(&docs, PATIENCE).await.unwrap();
    let drawn = "new Promise((done, fail) => {
        const look = () => document.querySelectorAll('.opblock').length;
        const ask = setInterval(() => { if (look()) { clearInterval(ask); done(look()); } }, 50);
        setTimeout(() => done(0), 30000);
    })";
    let operations: u32 = browser.page().evaluate(drawn, PATIENCE).await.unwrap();
    assert!(operations >= 14, "{operations} operations are shown");
    // A script that is written into the page does not run.
    let inline = "new Promise(done => {
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
        done(window.ran === true);
    })";
    assert!(!browser.page().evaluate::<bool>(inline, PATIENCE).await.unwrap());
    browser.close(PATIENCE).await;
}

#[tokio::test]
async fn every_answer_tells_browsers_what_it_is_not() {
    let api = Api::new(FAILS).await;
    for path in ["/v2/recordings", "/health/live", "/no/such", "/openapi.json", "/docs/"] {
        let answer = api.request(Method::GET, path).send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    }
}
