use serde_json::{Value, json};

use super::*;

struct Bench {
    watcher: Watcher,
    shared: Shared,
    events: mpsc::Receiver<PageEvent>,
    load: watch::Receiver<Load>,
}

fn bench() -> Bench {
    let shared = Shared::default();
    shared.adopt(Main { target: "PAGE".into(), session: "S".into() });
    let (told, events) = mpsc::channel(EVENT_QUEUE);
    let (progress, load) = watch::channel(Load::default());
    let watcher = Watcher::new(shared.clone(), told, progress);
    Bench { watcher, shared, events, load }
}

impl Bench {
    /// The orders as `session method params`.
    fn on(&mut self, session: Option<&str>, method: &'static str, params: Value) -> Vec<String> {
        let event = Event { method: method.into(), session: session.map(Into::into), params };
        let orders = self.watcher.on_event(&event);
        let text = |o: &Order| {
            format!("{} {} {}", o.session.as_deref().unwrap_or("-"), o.method, o.params)
        };
        orders.iter().map(text).collect()
    }

    fn told(&mut self) -> Vec<PageEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}

fn target(id: &str, kind: &str) -> Value {
    json!({"targetInfo": {"targetId": id, "type": kind, "url": "https://a.example/p?q=1"}})
}

fn context(frame: &str, unique: &str, kind: &str) -> Value {
    json!({"context": {"uniqueId": unique,
        "auxData": {"isDefault": kind == "default", "type": kind, "frameId": frame}}})
}

#[test]
fn other_pages_are_closed_and_nothing_else_is() {
    let mut bench = bench();
    for (id, kind) in [("PAGE", "page"), ("W", "worker"), ("B", "browser_ui"), ("F", "iframe")] {
        assert!(bench.on(None, "Target.targetCreated", target(id, kind)).is_empty(), "{kind}");
    }
    assert!(bench.told().is_empty());
    let orders = bench.on(None, "Target.targetCreated", target("POP", "page"));
    assert_eq!(orders, [r#"- Target.closeTarget {"targetId":"POP"}"#]);
    let url = "https://a.example/…".into();
    assert_eq!(bench.told(), [PageEvent::ForeignTarget { url }]);
}

#[test]
fn a_dialog_is_answered_where_it_opened() {
    let mut bench = bench();
    let dialog = json!({"type": "confirm", "message": "sure?", "url": ""});
    for session in ["S", "CHILD"] {
        let orders = bench.on(Some(session), "Page.javascriptDialogOpening", dialog.clone());
        let answer = format!(r#"{session} Page.handleJavaScriptDialog {{"accept":true}}"#);
        assert_eq!(orders, [answer]);
        let told = PageEvent::Dialog { kind: "confirm".into(), message: "sure?".into() };
        assert_eq!(bench.told(), [told]);
    }
    // Of whatever form: an unanswered dialog freezes the page.
    assert_eq!(bench.on(Some("S"), "Page.javascriptDialogOpening", Value::Null).len(), 1);
}

#[test]
fn a_frame_of_another_site_gets_the_scripts_before_it_runs() {
    let mut bench = bench();
    assert!(bench.shared.add_script("one()").is_empty());
    let attached = |kind: &str| {
        json!({"sessionId": "CHILD", "waitingForDebugger": true,
            "targetInfo": {"targetId": "F", "type": kind, "url": ""}})
    };
    assert!(bench.on(None, "Target.attachedToTarget", attached("page")).is_empty());
    for kind in ["worker", "worklet", "service_worker", "something_new"] {
        let orders = bench.on(Some("S"), "Target.attachedToTarget", attached(kind));
        assert!(orders.len() == 1 && orders[0].starts_with("CHILD "), "{kind}: {orders:?}");
        assert!(orders[0].contains("runIfWaitingForDebugger"), "{kind}: {orders:?}");
    }
    let orders = bench.on(Some("S"), "Target.attachedToTarget", attached("iframe"));
    let script = orders.iter().position(|order| order.contains("one()")).unwrap();
    let run = orders.iter().position(|o| o.contains("runIfWaitingForDebugger")).unwrap();
    assert!(script < run && run == orders.len() - 1, "{orders:?}");
    assert!(orders.iter().all(|order| order.starts_with("CHILD ")));
    assert_eq!(bench.shared.add_script("two()"), ["CHILD"]);
    bench.on(Some("S"), "Target.detachedFromTarget", json!({"sessionId": "CHILD"}));
    assert!(bench.shared.add_script("three()").is_empty());
}

#[test]
fn frames_are_known_by_their_main_worlds() {
    let mut bench = bench();
    let frames = |bench: &Bench| {
        let frames = bench.shared.frames();
        frames.iter().map(|c| format!("{} {}", c.session, c.id)).collect::<Vec<_>>()
    };
    bench.on(Some("S"), "Runtime.executionContextCreated", context("PAGE", "1", "default"));
    bench.on(Some("S"), "Runtime.executionContextCreated", context("F1", "2", "default"));
    bench.on(Some("S"), "Runtime.executionContextCreated", context("F1", "3", "isolated"));
    bench.on(Some("CHILD"), "Runtime.executionContextCreated", context("F2", "1", "default"));
    assert_eq!(frames(&bench), ["CHILD 1", "S 2"]);
    let gone = json!({"executionContextUniqueId": "2", "executionContextId": 2});
    bench.on(Some("S"), "Runtime.executionContextDestroyed", gone);
    assert_eq!(frames(&bench), ["CHILD 1"]);
    bench.on(Some("S"), "Runtime.executionContextsCleared", json!({}));
    assert_eq!(frames(&bench), ["CHILD 1"]);
    bench.on(Some("S"), "Target.detachedFromTarget", json!({"sessionId": "CHILD"}));
    assert!(frames(&bench).is_empty());
}

#[test]
fn a_chatty_page_cannot_hide_its_crash() {
    let mut bench = bench();
    let line = json!({"type": "log", "args": [{"type": "string", "value": "x".repeat(10_000)}]});
    for _ in 0..1000 {
        bench.on(Some("S"), "Runtime.consoleAPICalled", line.clone());
    }
    bench.on(None, "Target.targetCrashed", json!({"targetId": "OTHER"}));
    bench.on(None, "Target.targetCrashed", json!({"targetId": "PAGE"}));
    let told = bench.told();
    assert!(told.len() < EVENT_QUEUE);
    assert_eq!(told.iter().filter(|event| **event == PageEvent::Crashed).count(), 1);
    let PageEvent::Console { text, .. } = &told[0] else { panic!("{told:?}") };
    assert_eq!(text.len(), TEXT_LIMIT);
    assert_eq!(bench.load.borrow().losses, 1);
}

#[test]
fn console_arguments_become_one_line() {
    let mut bench = bench();
    let args = json!([{"value": "a"}, {"value": 1}, {"value": null}, {"type": "undefined"}, {"description": "Object"}]);
    bench.on(Some("S"), "Runtime.consoleAPICalled", json!({"type": "warning", "args": args}));
    let thrown = json!({"exceptionDetails":
        {"text": "Uncaught", "exception": {"description": "Error: no"}}});
    bench.on(Some("S"), "Runtime.exceptionThrown", thrown);
    let line =
        |level: &str, text: &str| PageEvent::Console { level: level.into(), text: text.into() };
    let expected = [line("warning", "a 1 null undefined Object"), line("exception", "Error: no")];
    assert_eq!(bench.told(), expected);
}

#[test]
fn only_the_main_frame_s_load_counts() {
    let mut bench = bench();
    let before = Load::default();
    let life = |frame: &str, name: &str| json!({"frameId": frame, "loaderId": "L", "name": name});
    for (session, frame) in [("S", "F1"), ("CHILD", "PAGE")] {
        for name in ["init", "load"] {
            bench.on(Some(session), "Page.lifecycleEvent", life(frame, name));
        }
    }
    assert!(bench.load.borrow().outcome(&before).is_none());
    let request = json!({"requestId": "L", "type": "Document", "frameId": "PAGE",
        "request": {"url": "https://room.test/a"}});
    bench.on(Some("S"), "Network.requestWillBeSent", request);
    let answer = json!({"requestId": "L", "response": {"status": 200}});
    bench.on(Some("S"), "Network.responseReceived", answer);
    for name in ["init", "commit", "DOMContentLoaded", "load"] {
        bench.on(Some("S"), "Page.lifecycleEvent", life("PAGE", name));
    }
    assert!(matches!(bench.load.borrow().outcome(&before), Some(Ok(Stage::Loaded))));
    assert_eq!(bench.load.borrow().authority.as_deref(), Some("room.test:443"));
}

#[test]
fn events_of_unknown_form_change_nothing() {
    let mut bench = bench();
    for method in [
        "Target.targetCreated",
        "Target.targetCrashed",
        "Target.attachedToTarget",
        "Runtime.executionContextCreated",
        "Runtime.consoleAPICalled",
        "Page.lifecycleEvent",
        "Network.loadingFailed",
        "Future.event",
    ] {
        for params in [Value::Null, json!([]), json!({"type": 7})] {
            assert!(bench.on(Some("S"), method, params).is_empty(), "{method}");
        }
    }
    assert!(bench.told().is_empty());
}
