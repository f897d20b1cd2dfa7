//! Who may tell, what is taken, and that it adds up to the same however it comes.

use rand::SeedableRng;
use rand::seq::SliceRandom;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn nobody_is_believed_unless_a_sender_is_configured() {
    let api = Api::new(STAYS).await;
    let (status, refusal) = told(api.hook(&Software::new("a", "s").opens())).await;
    assert_eq!((status, &refusal["message"]), (403, &json!("webhooks are not configured")));
    assert!(refusal["details"][0].as_str().unwrap().contains("hooks.senders"), "{refusal}");
}

#[tokio::test]
async fn only_who_knows_the_secret_is_believed() {
    let key = roomreel::config::AppKey { access_key: "k".into(), secret: "s".repeat(40).into() };
    let api = Api::with(STAYS, |config| {
        believes(config);
        config.auth.keys = vec![key];
        config.hooks.senders.push(Sender {
            name: "own".into(),
            headers: Default::default(),
            secrets: vec![SECRET.into()],
        });
    })
    .await;
    let meeting = Software::new("a", "s");
    let event = meeting.joins("ann", "host", 1.0).to_string();
    let post = |headers: &[(&str, String)]| {
        let request = api.post("/v2/hooks/room", event.clone());
        told(headers.iter().fold(request, |request, (name, value)| request.header(*name, value)))
    };
    let sign = |secret: &str, body: &str| {
        let now = Utc::now().timestamp();
        let signer = standardwebhooks::Webhook::new(secret).unwrap();
        let signature = signer.sign("msg_1", now, body.as_bytes()).unwrap();
        [
            ("webhook-id", "msg_1".to_owned()),
            ("webhook-timestamp", now.to_string()),
            ("webhook-signature", signature),
        ]
    };
    let stranger = "whsec_c3RyYW5nZXIga2V5IG9mIHRoaXJ0eSBieXRlcyE=";
    for wrong in [
        vec![],
        vec![("x-passcode", "correct horse battery stapl".to_owned())],
        vec![("x-passcode", String::new())],
        vec![("authorization", format!("Bearer {PASSCODE}"))],
        sign(stranger, &event).to_vec(),
        sign(SECRET, "{}").to_vec(),
    ] {
        let (status, refusal) = post(&wrong).await;
        assert_eq!(status, 401, "{wrong:?} {refusal}");
        assert_eq!(refusal["message"], "webhook validation error");
        assert!(!refusal.to_string().contains("horse"), "{refusal}");
    }
    // Nothing of that was believed, and no management token was asked for.
    assert_eq!(post(&sign(SECRET, &event)).await, (200, json!({ "result": "taken" })));
    let known = (200, json!({ "result": "known" }));
    assert_eq!(post(&[("x-passcode", PASSCODE.to_owned())]).await, known);
}

#[tokio::test]
async fn what_cannot_be_used_is_named_and_what_is_not_needed_ignored() {
    let api = Api::with(STAYS, believes).await;
    let refused = async |body: String| {
        let post = api.post("/v2/hooks/room", body).header("x-passcode", PASSCODE);
        let (status, refusal) = told(post).await;
        (status, refusal.to_string())
    };
    let mut odd = Software::new("a", "s").joins("ann", "host", 1.0);
    odd["data"]["room_id"] = json!("../etc");
    odd["data"]["session_id"] = Value::Null;
    odd["data"]["joined_at"] = json!("noon");
    let mut typed = Software::new("a", "s").opens();
    typed["data"]["room_id"] = json!(7);
    for (body, code, needles) in [
        (odd.to_string(), 400, &["data.room_id: ", "data.session_id: ", "data.joined_at: "][..]),
        (typed.to_string(), 400, &["data.room_id: "]),
        ("{\"type\":".to_owned(), 400, &["badly-formed JSON (at position 8)"]),
        (String::new(), 400, &["must not be empty"]),
        ("[]".to_owned(), 400, &["body: "]),
        ("{\"id\":\"1\"}".to_owned(), 400, &["type"]),
        (format!("{{\"type\":\"{}\"}}", "x".repeat(70_000)), 413, &["at most 65536 bytes"]),
    ] {
        let (status, text) = refused(body).await;
        assert_eq!(status, code, "{text}");
        assert!(needles.iter().all(|needle| text.contains(needle)), "{text}");
    }
    let plain = api.request(Method::POST, "/v2/hooks/room").header("x-passcode", PASSCODE);
    let plain = plain.header("content-type", "text/plain").body("{}");
    assert_eq!(plain.send().await.unwrap().status(), 415);
    for other in ["beam.started.success", "peer.join.failure", "transcription.success", ""] {
        api.tell(&json!({ "type": other, "data": 7 }), "ignored").await;
    }
    let nothing = told(api.request(Method::GET, "/v2/active-rooms/a")).await;
    assert_eq!(nothing.0, 404, "{}", nothing.1);
}

/// A session of three and a bot; all but one have left, and one has come again.
fn story(meeting: &Software) -> Vec<Value> {
    vec![
        meeting.opens(),
        meeting.joins("ann", "host", 1.0),
        meeting.joins("beam", "__internal_recorder", 2.25),
        meeting.joins("bob", "guest", 3.5),
        meeting.joins("cid", "guest", 4.0),
        meeting.leaves("ann", "host", 1.0, 10.0),
        meeting.leaves("bob", "guest", 3.5, 11.0),
        meeting.joins("ann", "host", 12.0),
        meeting.leaves("cid", "guest", 4.0, 13.0),
    ]
}

async fn room(api: &Api, name: &str) -> (u16, Value, Value) {
    let path = format!("/v2/active-rooms/{name}");
    let (status, room) = told(api.request(Method::GET, &path)).await;
    let (_, peers) = told(api.request(Method::GET, &format!("{path}/peers"))).await;
    (status, room, peers)
}

#[tokio::test]
async fn in_order_doubled_or_shuffled_they_add_up_to_the_same() {
    let api = Api::with(STAYS, believes).await;
    let mut wanted: Option<(u16, Value, Value)> = None;
    for seed in 0..12_u64 {
        let names: [&'static str; 12] =
            ["r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11"];
        let mut meeting = Software::new(names[seed as usize], "6110bb814b9e1ba5dd3dc85b");
        meeting.opened = Utc::now() - TimeDelta::seconds(60);
        let mut events = story(&meeting);
        match seed {
            0 => {}
            1 => events = events.iter().flat_map(|e| [e.clone(), e.clone()]).collect(),
            seed => {
                events.extend(events.clone());
                events.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
            }
        }
        let mut seen = Vec::new();
        for event in &events {
            let known = seen.contains(&event["id"]);
            api.tell(event, if known { "known" } else { "taken" }).await;
            seen.push(event["id"].clone());
        }
        let (status, mut found, mut peers) = room(&api, meeting.room).await;
        assert_eq!(found["id"], meeting.room, "{found}");
        // What differs between the stories: the room's name, and the hour.
        found["id"] = Value::Null;
        found["session"]["created_at"] = Value::Null;
        for peer in peers["peers"].as_object_mut().unwrap().values_mut() {
            let joined: DateTime<Utc> = peer["joined_at"].as_str().unwrap().parse().unwrap();
            peer["joined_at"] = json!((joined - meeting.opened).num_milliseconds());
        }
        let found = (status, found, peers);
        match &wanted {
            None => {
                assert_eq!(found.1["session"]["peers"], json!(["peer-beam", "peer-ann"]));
                assert_eq!(found.2["peers"]["peer-ann"]["joined_at"], 12_000);
                wanted = Some(found);
            }
            Some(wanted) => assert_eq!(*wanted, found, "story {seed}"),
        }
    }
}

#[tokio::test]
async fn an_end_may_come_first_and_an_older_session_last() {
    let api = Api::with(STAYS, believes).await;
    // The close comes before everything else of its session.
    let closed = Software::new("a", "first");
    let mut events = vec![closed.closes(20.0)];
    events.extend(story(&closed));
    api.tell_all(&events).await;
    assert_eq!(room(&api, "a").await.0, 404);
    // So does somebody's end of it.
    let ended = Software::new("b", "first");
    api.tell_all(&[ended.joins("ann", "host", 1.0), ended.ends(9.0), ended.opens()]).await;
    assert_eq!(room(&api, "b").await.0, 404);
    // A newer session; then the older one's join and its close.
    let newer =
        Software { opened: closed.opened + TimeDelta::seconds(30), session: "second", ..closed };
    api.tell_all(&[newer.joins("dan", "host", 1.0)]).await;
    let older =
        Software { session: "zeroth", opened: newer.opened - TimeDelta::hours(1), ..newer.clone() };
    api.tell_all(&[older.joins("eve", "guest", 1.0), older.leaves("dan", "host", 1.0, 2.0)]).await;
    api.tell_all(&[older.closes(3000.0)]).await;
    let (status, found, _) = room(&api, "a").await;
    assert_eq!((status, &found["session"]["id"]), (200, &json!("second")), "{found}");
    assert_eq!(found["session"]["peers"], json!(["peer-dan"]));
    // A session that nobody closed is over after 12 hours.
    let mut stale = Software::new("c", "first");
    stale.opened = Utc::now() - TimeDelta::minutes(12 * 60 - 1);
    api.tell_all(&[stale.joins("ann", "host", 1.0)]).await;
    assert_eq!(room(&api, "c").await.0, 200);
    let mut stale = Software::new("d", "first");
    stale.opened = Utc::now() - TimeDelta::minutes(12 * 60 + 1);
    api.tell_all(&[stale.joins("ann", "host", 1.0)]).await;
    assert_eq!(room(&api, "d").await.0, 404);
}

#[tokio::test]
async fn twenty_deliveries_of_one_event_at_once_are_taken_once() {
    let api = Api::with(STAYS, believes).await;
    let event = Software::new("a", "s").joins("ann", "host", 1.0);
    let posts = (0..20).map(|_| told(api.hook(&event)));
    let answers = futures::future::join_all(posts).await;
    let taken = answers.iter().filter(|(_, answer)| answer["result"] == "taken").count();
    assert_eq!(taken, 1, "{answers:?}");
    assert!(answers.iter().all(|(status, _)| *status == 200));
}
