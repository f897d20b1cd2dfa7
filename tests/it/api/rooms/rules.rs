//! Recordings that start and stop by rules, and those that must not.

use super::*;

/// Starts when somebody joins, stops when nobody is left or the session is over.
fn all_rules(config: &mut Config) {
    believes(config);
    config.automation.start_on_open = true;
    config.automation.start_on_join = true;
    config.automation.stop_when_alone = true;
    config.automation.stop_on_close = true;
}

/// Why a recording was asked to stop: the first order that its recorder got.
async fn stop_reason(api: &Api, recording: &Value) -> String {
    let path = api.root.path().join("data/recordings").join(id(recording)).join("orders");
    for _ in 0..600 {
        if let Ok(text) = std::fs::read_to_string(&path)
            && let Some(line) = text.lines().next()
        {
            let order: Value = serde_json::from_str(line).unwrap();
            return order["reason"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no order came");
}

/// [`SHOWS`], and what its socket is told is written to `orders`.
fn obeys() -> String {
    let listen = r#"
python3 - "$3" <<'END' &
import os, socket, sys
os.chdir(sys.argv[1])
server = socket.socket(socket.AF_UNIX)
server.bind('control.sock')
server.listen()
while True:
    peer = server.accept()[0]
    line = peer.makefile().readline()
    with open('orders', 'a') as orders:
        orders.write(line)
    peer.sendall(b'{"reply":"ok"}\n')
    peer.close()
END
trap 'kill $!' EXIT
"#;
    SHOWS.replacen("exit 1\n", &format!("exit 1\n{listen}"), 1)
}

#[tokio::test]
async fn forty_deliveries_at_once_make_one_recording() {
    let api = Api::with(STAYS, all_rules).await;
    let meeting = Software::new("a", "6110bb814b9e1ba5dd3dc85b");
    let mut events = vec![meeting.opens(); 5];
    let names: Vec<String> = (0..30).map(|n| format!("p{n}")).collect();
    events.extend(names.iter().map(|name| meeting.joins(name, "guest", 5.0)));
    events.extend(events[5..10].to_vec());
    let posts = events.iter().map(|event| told(api.hook(event)));
    for (status, answer) in futures::future::join_all(posts).await {
        assert_eq!(status, 200, "{answer}");
    }
    api.settled().await;
    let recordings = api.recordings("a").await;
    assert_eq!(recordings.len(), 1, "{recordings:#?}");
    assert_eq!(recordings[0]["session_id"], meeting.session);
    assert_eq!(
        recordings[0]["meeting_url"],
        "https://meet.example/preview/a/__internal_recorder?name=Recorder&skip_preview=true"
    );
}

#[tokio::test]
async fn recordings_that_fail_at_once_are_not_started_for_ever() {
    let api = Api::with(FAILS, all_rules).await;
    let meeting = Software::new("a", "s");
    for n in 0..8 {
        api.tell(&meeting.joins(&format!("p{n}"), "guest", 5.0), "taken").await;
        api.settled().await;
        for recording in api.recordings("a").await {
            api.until(id(&recording), "failed").await;
        }
    }
    assert_eq!(api.recordings("a").await.len(), 3);
}

#[tokio::test]
async fn roles_decide_whose_join_starts() {
    let api = Api::with(STAYS, |config| {
        believes(config);
        config.automation.start_on_join = true;
        config.automation.join_roles = vec!["host".into()];
    })
    .await;
    let meeting = Software::new("a", "s");
    api.tell_all(&[meeting.opens(), meeting.joins("bob", "guest", 1.0)]).await;
    // Gone before their join came.
    api.tell_all(&[meeting.leaves("eve", "host", 1.0, 2.0), meeting.joins("eve", "host", 1.0)])
        .await;
    api.settled().await;
    assert_eq!(api.recordings("a").await.len(), 0);
    api.tell(&meeting.joins("ann", "host", 3.0), "taken").await;
    assert_eq!(api.recorded("a").await["session_id"], "s");
}

#[tokio::test]
async fn an_explicit_start_is_the_one_recording_and_learns_its_session() {
    let api = Api::with(STAYS, all_rules).await;
    let (_, explicit) = told(api.start("a")).await;
    let made_up = explicit["session_id"].as_str().unwrap().to_owned();
    let meeting = Software::new("a", "6110bb814b9e1ba5dd3dc85b");
    api.tell_all(&[meeting.opens(), meeting.joins("ann", "host", 1.0)]).await;
    api.settled().await;
    let recordings = api.recordings("a").await;
    assert_eq!((recordings.len(), id(&recordings[0])), (1, id(&explicit)));
    assert_eq!(recordings[0]["session_id"], meeting.session);
    assert_ne!(made_up, meeting.session);
    assert_eq!(told(api.start("a")).await.0, 409);
    // One that is started while its session is known says so at once.
    let other = Software::new("b", "6110bb814b9e1ba5dd3dc85c");
    let guest = Software { session: "6110bb814b9e1ba5dd3dc85d", ..other.clone() };
    api.tell(&guest.joins("bot", "__internal_x", 1.0), "taken").await;
    assert_eq!(told(api.start("b")).await.1["session_id"], guest.session);
}

#[tokio::test]
async fn a_rule_s_start_waits_for_a_place_while_it_is_worth_it() {
    let api = Api::with(FINALISES, |config| {
        all_rules(config);
        config.recording.max_concurrent = 1;
    })
    .await;
    let (_, first) = told(api.start("first")).await;
    api.until(id(&first), "post_processing").await;
    let meeting = Software::new("a", "s");
    api.tell_all(&[meeting.opens(), meeting.joins("ann", "host", 1.0)]).await;
    // A session that is over before there is a place is not started any more.
    let short = Software::new("b", "s");
    api.tell_all(&[short.opens(), short.closes(9.0)]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(api.recordings("a").await.is_empty());
    let dir = api.root.path().join("data/recordings").join(id(&first));
    std::fs::write(dir.join("go"), "").unwrap();
    let started = api.recorded("a").await;
    assert_eq!(started["session_id"], "s");
    assert!(api.recordings("b").await.is_empty());
}

#[tokio::test]
async fn the_last_leave_stops_it_and_whoever_comes_again_is_recorded_again() {
    let api = Api::with(&obeys(), all_rules).await;
    let meeting = Software::new("a", "s");
    api.tell_all(&[
        meeting.opens(),
        meeting.joins("ann", "host", 1.0),
        meeting.joins("beam", "__internal_recorder", 2.0),
        meeting.joins("bob", "guest", 3.0),
    ])
    .await;
    let recording = api.recorded("a").await;
    api.until(id(&recording), "running").await;
    api.show(&recording, "2");
    api.seen(&recording, 2.0).await;
    // Bob is there.
    api.tell(&meeting.leaves("ann", "host", 1.0, 10.0), "taken").await;
    api.settled().await;
    assert_eq!(api.recordings("a").await[0]["status"], "running");
    let now = (Utc::now() - meeting.opened).num_milliseconds() as f64 / 1000.0;
    // The page has not seen it yet.
    api.tell(&meeting.leaves("bob", "guest", 3.0, now), "taken").await;
    api.settled().await;
    assert_eq!(api.recordings("a").await[0]["status"], "running");
    api.show(&recording, "0");
    api.until(id(&recording), "stopping").await;
    assert_eq!(stop_reason(&api, &recording).await, "last_peer_left");
    assert_eq!(api.recordings("a").await.len(), 1);
}

#[tokio::test]
async fn the_session_s_end_stops_it_and_another_session_s_does_not() {
    for (name, end) in [
        ("closed", (|m: &Software, t| m.closes(t)) as fn(&Software, f64) -> Value),
        ("ended", |m, t| m.ends(t)),
    ] {
        let api = Api::with(&obeys(), all_rules).await;
        let meeting = Software::new(if name == "closed" { "a" } else { "b" }, "second");
        let before = Software {
            session: "first",
            opened: meeting.opened - TimeDelta::hours(1),
            ..meeting.clone()
        };
        api.tell_all(&[meeting.opens(), meeting.joins("ann", "host", 1.0)]).await;
        let recording = api.recorded(meeting.room).await;
        api.until(id(&recording), "running").await;
        api.tell_all(&[before.opens(), before.joins("ann", "host", 1.0)]).await;
        api.tell_all(&[before.leaves("ann", "host", 1.0, 9.0), end(&before, 3500.0)]).await;
        api.settled().await;
        let now = api.get(&format!("/v2/recordings/{}", id(&recording))).await;
        assert_eq!(now["status"], "running");
        api.tell(&end(&meeting, 59.0), "taken").await;
        api.until(id(&recording), "stopping").await;
        assert_eq!(stop_reason(&api, &recording).await, "room_ended");
    }
}

#[tokio::test]
async fn who_stops_by_hand_is_not_contradicted_in_that_session() {
    let goes = r#"while [ -d "$3" ] && [ ! -e "$3/go" ]; do sleep 0.05; done"#;
    let api = Api::with(goes, all_rules).await;
    let meeting = Software::new("a", "first");
    api.tell_all(&[meeting.opens(), meeting.joins("ann", "host", 1.0)]).await;
    let recording = api.recorded("a").await;
    assert_eq!(told(api.post(&stop_path("a"), "{}")).await.0, 200);
    // Somebody comes while it stops, somebody when it has.
    api.tell(&meeting.joins("bob", "guest", 58.0), "taken").await;
    let dir = api.root.path().join("data/recordings").join(id(&recording));
    std::fs::write(dir.join("go"), "").unwrap();
    api.until(id(&recording), "failed").await;
    api.tell(&meeting.joins("cid", "guest", 59.0), "taken").await;
    api.settled().await;
    assert_eq!(api.recordings("a").await.len(), 1);
    // The next session is another matter.
    let opened = meeting.opened + TimeDelta::seconds(30);
    let next = Software { session: "second", opened, ..meeting };
    api.tell(&next.joins("ann", "host", 20.0), "taken").await;
    api.settled().await;
    assert_eq!(api.recordings("a").await.len(), 2);
}

#[tokio::test]
async fn an_event_that_is_told_late_or_again_starts_nothing() {
    let api = Api::with(STAYS, all_rules).await;
    let mut old = Software::new("a", "s");
    old.opened = Utc::now() - TimeDelta::hours(1);
    api.tell_all(&[old.opens(), old.joins("ann", "host", 10.0)]).await;
    api.settled().await;
    assert!(api.recordings("a").await.is_empty());
    assert_eq!(api.get("/v2/active-rooms/a").await["session"]["people"], 1);
}
