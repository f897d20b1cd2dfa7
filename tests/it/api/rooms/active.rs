//! Active rooms in the contract's shapes, and the early-stop chain of its guide.

use super::*;

#[tokio::test]
async fn rooms_and_peers_have_the_contract_s_shapes() {
    let api = Api::with(STAYS, |config| {
        believes(config);
        config.webhooks.account_id = "6109d9e84b9e1ba5dd3dc850".into();
    })
    .await;
    let meeting = Software::new("6110ba7a4b9e1ba5dd3dc85a", "6110bb814b9e1ba5dd3dc85b");
    let path = format!("/v2/active-rooms/{}", meeting.room);
    for path in [path.clone(), format!("{path}/peers"), format!("{path}/peers/peer-ann")] {
        let (status, refusal) = told(api.request(Method::GET, &path)).await;
        assert_eq!((status, &refusal["message"]), (404, &json!("room is not active")));
    }
    let people =
        [meeting.opens(), meeting.joins("ann", "host", 1.25), meeting.joins("bob", "guest", 2.0)];
    api.tell_all(&people).await;
    let ann = json!({
        "id": "peer-ann", "name": "ann", "user_id": "user-ann", "metadata": "{\"avatar\":7}",
        "role": "host", "joined_at": meeting.time(1.25).replace("50Z", "5Z"),
    });
    let room = json!({
        "id": meeting.room, "name": "Daily standup", "customer_id": "6109d9e84b9e1ba5dd3dc850",
        "session": {
            "id": meeting.session, "created_at": api.get(&path).await["session"]["created_at"],
            "peers": ["peer-ann", "peer-bob"], "people": 2,
        },
    });
    assert_eq!(api.get(&path).await, room);
    let created: DateTime<Utc> = room["session"]["created_at"].as_str().unwrap().parse().unwrap();
    assert!((created - meeting.opened).abs() < TimeDelta::milliseconds(1));
    let peers = async |query: &str| api.get(&format!("{path}/peers{query}")).await["peers"].clone();
    let joined: DateTime<Utc> =
        peers("").await["peer-ann"]["joined_at"].as_str().unwrap().parse().unwrap();
    let same_but_time = |mut peer: Value| {
        peer["joined_at"] = ann["joined_at"].clone();
        peer
    };
    assert_eq!(joined, meeting.time(1.25).parse::<DateTime<Utc>>().unwrap());
    assert_eq!(same_but_time(peers("").await["peer-ann"].clone()), ann);
    for (query, ids) in [
        ("", &["peer-ann", "peer-bob"][..]),
        ("?role=host", &["peer-ann"]),
        ("?user_id=user-bob", &["peer-bob"]),
        ("?user_id=user-bob&role=host", &[]),
        ("?role=&user_id=", &["peer-ann", "peer-bob"]),
    ] {
        let found = peers(query).await;
        assert_eq!(found.as_object().unwrap().keys().collect::<Vec<_>>(), ids, "{query}");
    }
    let mut with_tracks = ann.clone();
    with_tracks["tracks"] = json!({});
    assert_eq!(same_but_time(api.get(&format!("{path}/peers/peer-ann")).await), with_tracks);
    let (status, refusal) = told(api.request(Method::GET, &format!("{path}/peers/nobody"))).await;
    assert_eq!((status, &refusal["message"]), (404, &json!("peer not found")));
    let (status, refusal) = told(api.request(Method::GET, "/v2/active-rooms/a%2Fb")).await;
    assert_eq!(status, 400, "{refusal}");
}

#[tokio::test]
async fn a_recorded_room_that_tells_nothing_is_what_its_page_shows() {
    let api = Api::with(SHOWS, believes).await;
    let (_, recording) = told(api.start("a")).await;
    api.until(id(&recording), "running").await;
    let session = recording["session_id"].clone();
    let peers = async |people: Value| {
        for _ in 0..1200 {
            let room = api.get("/v2/active-rooms/a").await;
            if room["session"]["people"] == people {
                assert_eq!((&room["session"]["id"], &room["name"]), (&session, &json!("")));
                let count = room["session"]["peers"].as_array().unwrap().len();
                let peers = api.get("/v2/active-rooms/a/peers").await["peers"].clone();
                let bot = peers.as_object().unwrap().values().filter(|peer| {
                    peer["role"] == "__internal_recorder" && peer["name"] == "Recorder"
                });
                return (count, bot.count(), peers.as_object().unwrap().len());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{people} are never seen");
    };
    // Unknown is not empty: somebody may be there.
    assert_eq!(peers(Value::Null).await, (2, 1, 2));
    api.show(&recording, "2");
    assert_eq!(peers(json!(2)).await, (3, 1, 3));
    let one = api.get("/v2/active-rooms/a/peers/unknown-1").await;
    assert_eq!((&one["name"], one.get("joined_at")), (&json!(""), None));
    api.show(&recording, "0");
    assert_eq!(peers(json!(0)).await, (1, 1, 1));
    api.show(&recording, "null");
    assert_eq!(peers(Value::Null).await, (2, 1, 2));
}

/// What the guide tells a backend to do when somebody left: ask who is there, and
/// stop the recording if that is its bot alone.
async fn somebody_left(api: &Api, room: &str) -> bool {
    let path = format!("/v2/active-rooms/{room}");
    let room_now = api.get(&path).await;
    let peers = api.get(&format!("{path}/peers")).await["peers"].clone();
    let ids = room_now["session"]["peers"].as_array().unwrap();
    let is_bot = |id: &Value| {
        peers[id.as_str().unwrap()]["role"].as_str().unwrap().starts_with("__internal")
    };
    let alone = ids.len() == 1 && is_bot(&ids[0]);
    if alone {
        let (status, page) = told(api.post(&stop_path(room), "{}")).await;
        assert_eq!(status, 200, "{page}");
    }
    alone
}

#[tokio::test]
async fn the_guide_s_early_stop_chain_works() {
    let api = Api::with(SHOWS, believes).await;
    // Once in a room that tells of its bot, once in one that hides it.
    for (name, tells_of_bot) in [("a", true), ("b", false)] {
        let meeting = Software::new(name, "6110bb814b9e1ba5dd3dc85b");
        let (_, recording) = told(api.start(name)).await;
        api.until(id(&recording), "running").await;
        api.tell_all(&[meeting.opens(), meeting.joins("ann", "host", 1.0)]).await;
        if tells_of_bot {
            api.tell(&meeting.joins("beam", "__internal_recorder", 2.0), "taken").await;
        }
        api.tell(&meeting.joins("bob", "guest", 3.0), "taken").await;
        api.tell(&meeting.leaves("ann", "host", 1.0, 10.0), "taken").await;
        assert!(!somebody_left(&api, name).await);
        assert_eq!(api.recordings(name).await[0]["status"], "running");
        api.tell(&meeting.leaves("bob", "guest", 3.0, 20.0), "taken").await;
        assert!(somebody_left(&api, name).await, "{name}");
        let stopping = &api.recordings(name).await[0];
        assert_eq!(stopping["status"], "stopping");
        // The recording had become one of the session that was told meanwhile.
        assert_eq!(stopping["session_id"], meeting.session);
    }
}
