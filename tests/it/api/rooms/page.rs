//! What the page of a recording knows of its room, where nobody else tells it; and what
//! is told to others of that.

use super::super::webhooks::{Receiver, names, tells};
use super::*;

/// A page that knows its session by the `id`.
fn knows(id: &str) -> String {
    let session = format!("\necho '{{\"event\":\"session\",\"id\":\"{id}\"}}\n");
    SHOWS.replace("\necho '", &session)
}

/// [`SHOWS`] until told to go on; it then has a film.
fn ends() -> String {
    let wait = SHOWS.replace("[ -d \"$3\" ]", "[ -d \"$3\" ] && [ ! -e \"$3/go\" ]");
    let end = r#"
printf film > "$3/Rec-a-1700000000120.mp4"
echo '{"event":"stopped","reason":"last_peer_left","at":4500000000}
{"event":"finished","duration_s":3.5,"bytes":4,"width":1280,"height":720,"stats":{"elapsed_s":3.5,"painted":0,"recorded":0,"repeated":0,"late":0,"superseded":0,"audio_dbfs":0,"bytes":4,"backlog":0}}' >> "$3/journal.jsonl"
"#;
    wait + end
}

#[tokio::test]
async fn a_recording_is_of_the_session_that_its_page_knows() {
    let session = "6110bb814b9e1ba5dd3dc85b";
    let api = Api::with(&knows(session), believes).await;
    let (_, recording) = told(api.start("a")).await;
    assert_ne!(recording["session_id"], session);
    let running = api.until(id(&recording), "running").await;
    assert_eq!(running["session_id"], session);
    let page = api.get(&format!("/v2/recordings?session_id={session}")).await;
    assert_eq!(page["data"][0]["id"], recording["id"], "{page}");
    // What the room's own webhooks told before goes before it.
    api.tell(&Software::new("b", "told-before").opens(), "taken").await;
    let (_, recording) = told(api.start("b")).await;
    let running = api.until(id(&recording), "running").await;
    assert_eq!(running["session_id"], "told-before");
}

#[tokio::test]
async fn a_page_that_calls_its_session_nonsense_is_not_believed() {
    let api = Api::with(&knows("../a b"), believes).await;
    let (_, recording) = told(api.start("a")).await;
    let running = api.until(id(&recording), "running").await;
    assert_eq!(running["session_id"], recording["session_id"]);
}

#[tokio::test]
async fn a_room_without_webhooks_is_told_by_what_its_page_shows() {
    // Refuses each event once: all of them come again, under their ids.
    let (receiver, url) = Receiver::open(true).await;
    let api = Api::with(&ends(), |config| {
        believes(config);
        tells(config, &url);
        config.webhooks.room_events = true;
        config.webhooks.template_id = "template".into();
    })
    .await;
    let (_, recording) = told(api.start("a")).await;
    api.until(id(&recording), "running").await;
    receiver.until(2).await;
    let shows = async |others: &str, events: usize| {
        api.show(&recording, others);
        receiver.until(2 * events).await;
    };
    shows(r#"1,"peers":[{"id":"p1","name":"Ada","role":"host"}]"#, 3).await;
    // Two more, of whom the page says nothing but that they are there.
    shows(r#"3,"peers":[{"id":"p1","name":"Ada","role":"host"}]"#, 5).await;
    shows("0", 8).await;
    let dir = api.root.path().join("data/recordings").join(id(&recording));
    std::fs::write(dir.join("go"), "").unwrap();
    api.until(id(&recording), "completed").await;
    let mut bodies = receiver.until(22).await;
    let mut known = std::collections::BTreeSet::new();
    bodies.retain(|body| known.insert(body["id"].to_string()));
    let (join, leave) = ("peer.join.success", "peer.leave.success");
    let expected = [
        "beam.started.success",
        "session.open.success",
        join,
        join,
        join,
        leave,
        leave,
        leave,
        "session.close.success",
        "beam.stopped.success",
        "beam.recording.success",
    ];
    assert_eq!(names(&bodies), expected);
    for body in &bodies {
        assert_eq!(body["data"]["room_id"], "a");
        assert_eq!(body["data"]["session_id"], recording["session_id"]);
    }
    let peers: Vec<&Value> = bodies[2..8].iter().map(|body| &body["data"]["peer_id"]).collect();
    assert_eq!(peers[..3], ["p1", "unknown-1", "unknown-2"]);
    let ada = &bodies[2]["data"];
    assert_eq!((&ada["user_name"], &ada["role"]), (&json!("Ada"), &json!("host")));
    let gone = bodies[5..8].iter().find(|body| body["data"]["peer_id"] == "p1").unwrap();
    assert_eq!(gone["data"]["joined_at"], ada["joined_at"]);
    // They can be looked up and told again like all others.
    let page = api.get("/v2/analytics/webhooks?event_name=peer.join.success&limit=100").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 3, "{page}");
}

#[tokio::test]
async fn nobody_is_told_of_a_room_unless_asked_to_nor_of_one_with_webhooks() {
    for (asked, has_webhooks) in [(false, false), (true, true)] {
        let (receiver, url) = Receiver::open(false).await;
        let api = Api::with(&ends(), |config| {
            believes(config);
            tells(config, &url);
            config.webhooks.room_events = asked;
            // What is told of another room shows when this one's is taken in.
            config.automation.start_on_join = true;
        })
        .await;
        let (_, recording) = told(api.start("a")).await;
        api.until(id(&recording), "running").await;
        if has_webhooks {
            // Told late, and in time for what comes.
            api.tell(&Software::new("a", "s").opens(), "taken").await;
            api.settled().await;
        }
        api.show(&recording, "2");
        api.seen(&recording, 2.0).await;
        let dir = api.root.path().join("data/recordings").join(id(&recording));
        std::fs::write(dir.join("go"), "").unwrap();
        api.until(id(&recording), "completed").await;
        let own = ["beam.started.success", "beam.stopped.success", "beam.recording.success"];
        let bodies = receiver.until(if has_webhooks { 4 } else { 3 }).await;
        let of_room: Vec<_> = bodies.into_iter().filter(|b| b["data"]["room_id"] == "a").collect();
        assert_eq!(names(&of_room), own);
    }
}

#[tokio::test]
async fn a_start_by_rule_opens_its_page_as_configured() {
    // The spec is what the recorder gets on its standard input.
    let script = format!(
        "cat > \"$3/../spec.json.new\"; mv \"$3/../spec.json.new\" \"$3/../spec.json\"\n{STAYS}"
    );
    let api = Api::with(&script, |config| {
        believes(config);
        config.automation.start_on_join = true;
        config.page.css = "header { display: none }".into();
        config.page.locale = "de-DE".into();
        config.page.time_zone = "Europe/Berlin".into();
    })
    .await;
    api.tell(&Software::new("a", "s").joins("ann", "host", 55.0), "taken").await;
    api.recorded("a").await;
    let path = api.root.path().join("data/recordings/spec.json");
    for _ in 0..1200 {
        if path.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let spec: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let page = &spec["page"];
    assert_eq!(page["css"], "header { display: none }", "{spec}");
    assert_eq!((&page["locale"], &page["time_zone"]), (&json!("de-DE"), &json!("Europe/Berlin")));
}
