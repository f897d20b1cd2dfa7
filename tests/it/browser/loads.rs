//! Loading, asking, and what a page does to get in the way.

use std::time::Duration;

use roomreel::browser::{EvaluateError, LoadError, PageEvent};
use url::Url;

use super::site::Site;
use super::{PATIENCE, launch, next};

#[tokio::test]
async fn each_way_of_not_loading_is_told_apart() {
    let running = launch(|_| ()).await;
    let page = running.browser.page();
    let site = Site::open("<title>here</title><p>hello").await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    assert_eq!(page.evaluate::<String>("document.title", PATIENCE).await.unwrap(), "here");

    for code in [404, 500] {
        let result = page.goto(&site.url(&format!("/status/{code}")), PATIENCE).await;
        assert!(
            matches!(result, Err(LoadError::Status { status }) if status == code),
            "{result:?}"
        );
    }
    page.goto(&site.url("/redirect"), PATIENCE).await.unwrap();

    let dns = Url::parse("http://no-such-host.invalid/").unwrap();
    let result = page.goto(&dns, PATIENCE).await;
    assert!(
        matches!(&result, Err(LoadError::Unreachable { code, .. }) if code.contains("NAME")),
        "{result:?}"
    );
    let result = page.goto(&site.url("/nothing"), PATIENCE).await;
    assert!(
        matches!(&result, Err(LoadError::Unreachable { code, .. }) if code == "net::ERR_ABORTED"),
        "{result:?}"
    );
    // Plain HTTP answers where TLS is expected.
    let tls = Url::parse(&format!("https://{}/", site.address)).unwrap();
    let result = page.goto(&tls, PATIENCE).await;
    assert!(
        matches!(&result, Err(LoadError::Certificate { code, .. }) if code.contains("SSL")),
        "{result:?}"
    );

    let short = Duration::from_millis(700);
    let result = page.goto(&site.url("/hang"), short).await;
    assert!(
        matches!(&result, Err(LoadError::TimedOut { waited_for, .. }) if waited_for.contains("did not answer")),
        "{result:?}"
    );

    page.goto(&site.url("/#one"), PATIENCE).await.unwrap();
    page.goto(&site.url("/#two"), PATIENCE).await.unwrap();
    page.evaluate::<()>("void (window.mark = 1)", PATIENCE).await.unwrap();
    page.reload(PATIENCE).await.unwrap();
    assert_eq!(page.evaluate::<String>("typeof mark", PATIENCE).await.unwrap(), "undefined");

    let refused = site.url("/");
    drop(site);
    // The server closes its connections a moment after it is aborted.
    while tokio::net::TcpStream::connect(refused.socket_addrs(|| None).unwrap()[0]).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for result in [page.goto(&refused, PATIENCE).await, page.reload(PATIENCE).await] {
        assert!(
            matches!(&result, Err(LoadError::Unreachable { code, .. }) if code.contains("REFUSED")),
            "{result:?}"
        );
    }
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn answers_have_a_type_and_a_time_limit() {
    let running = launch(|_| ()).await;
    let page = running.browser.page();
    let site = Site::open("<p>hello").await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    let later = "new Promise(done => setTimeout(done, 20, {a: [1, 2]}))";
    let value: serde_json::Value = page.evaluate(later, PATIENCE).await.unwrap();
    assert_eq!(value, serde_json::json!({"a": [1, 2]}));
    let thrown = page.evaluate::<u8>("Promise.reject(new Error('no'))", PATIENCE).await;
    assert!(matches!(&thrown, Err(EvaluateError::Threw { message }) if message.contains("no")));
    let form = page.evaluate::<u8>("'text'", PATIENCE).await;
    assert!(matches!(form, Err(EvaluateError::Form(_))));
    let short = Duration::from_millis(200);
    let never = page.evaluate::<u8>("new Promise(() => {})", short).await;
    assert!(matches!(never, Err(EvaluateError::Call(_))));
    assert_eq!(page.inner_size(PATIENCE).await.unwrap().0, 640);
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn nothing_gets_in_front_of_the_page() {
    // Else a click that no hand made opens no window at all.
    let running = launch(|l| l.options.extra_flags = vec!["--disable-popup-blocking".into()]).await;
    let page = running.browser.page();
    let mut events = page.events().unwrap();
    assert!(page.events().is_none());
    let site = Site::open(
        "<a id=blank target=_blank href='/status/200?token=secret'>x</a>
         <script>addEventListener('beforeunload', e => e.preventDefault())</script>",
    )
    .await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();

    let asked = "[typeof alert('one'), confirm('two'), prompt('three', 'x')]";
    let answers: (String, bool, String) = page.evaluate(asked, PATIENCE).await.unwrap();
    assert_eq!(answers, ("undefined".into(), true, "x".into()));

    let blocked = "[window.open('/') === null, window.print() === undefined]";
    assert_eq!(page.evaluate::<(bool, bool)>(blocked, PATIENCE).await.unwrap(), (true, true));
    let share = "navigator.mediaDevices.getDisplayMedia().then(String, error => error.name)";
    assert_eq!(page.evaluate::<String>(share, PATIENCE).await.unwrap(), "NotAllowedError");
    page.evaluate::<()>("document.getElementById('blank').click()", PATIENCE).await.unwrap();
    // Not even for a moment was there a dialog.
    let told =
        |e: &PageEvent| matches!(e, PageEvent::Dialog { .. } | PageEvent::ForeignTarget { .. });
    let foreign = next(&mut events, told).await;
    assert!(matches!(foreign, PageEvent::ForeignTarget { .. }), "{foreign:?}");
    assert!(!format!("{foreign:?}").contains("secret"));
    assert_eq!(page.evaluate::<u8>("1 + 1", PATIENCE).await.unwrap(), 2);

    page.evaluate::<()>("console.log('START', 7)", PATIENCE).await.unwrap();
    let console = PageEvent::Console { level: "log".into(), text: "START 7".into() };
    assert_eq!(next(&mut events, |e| matches!(e, PageEvent::Console { .. })).await, console);

    // beforeunload asks only after a click into the page.
    page.evaluate::<()>("void (window.onbeforeunload = () => confirm('stay'))", PATIENCE)
        .await
        .unwrap();
    page.goto(&site.url("/redirect"), PATIENCE).await.unwrap();
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn frames_of_other_sites_are_prepared_and_asked_too() {
    let inner = Site::open("<script>window.found = window.early</script>").await;
    let port = inner.address.port();
    let outer = Site::open(&format!(
        "<iframe src='http://localhost:{port}/'></iframe><iframe srcdoc='<p>x'></iframe>"
    ))
    .await;
    let running = launch(|_| ()).await;
    let page = running.browser.page();
    page.install("window.early = location.host || 'none'").await.unwrap();
    page.goto(&outer.url("/"), PATIENCE).await.unwrap();
    let mut found: Vec<String> = page.evaluate_frames("String(window.found)", PATIENCE).await;
    found.sort();
    assert_eq!(found, [format!("localhost:{port}"), "undefined".into()]);
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn workers_and_worklets_run() {
    let running = launch(|_| ()).await;
    let page = running.browser.page();
    let site = Site::open(
        "<script>
        const file = text => URL.createObjectURL(new Blob([text], {type: 'text/javascript'}));
        const inner = `new Worker(URL.createObjectURL(new Blob(['postMessage(1)'])))
            .onmessage = () => postMessage(2)`;
        const said = worker => new Promise(done => worker.onmessage = done).then(() => 'ran');
        const all = () => Promise.all([
            said(new Worker(file('postMessage(1)'))),
            said(new Worker(file(inner))),
            said(new SharedWorker(file('onconnect = e => e.ports[0].postMessage(1)')).port),
            new AudioContext().audioWorklet.addModule(file('0')).then(() => 'ran'),
        ]);
        </script>",
    )
    .await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    let ran: Vec<String> = page.evaluate("all()", PATIENCE).await.unwrap();
    assert_eq!(ran, ["ran"; 4]);
    running.browser.close(PATIENCE).await;
}
