//! What each form does, and what pages show of what others wrote.

use roomreel::config::{Destination, Endpoint, Kind};
use roomreel::job::{JoinRule, PresenceRule, Quality, Resolution, State};
use roomreel::store::{Asset, Id, Recording, SqliteStore, Store, Terms};

use super::super::webhooks::Receiver;
use super::*;
use crate::support::archive::{self, Past};

/// A directory beside that of the data.
fn disk(config: &Config, name: &str) -> Destination {
    let dir = config.data.dir.with_file_name(name);
    Destination { dir, ..Destination::new(name, Kind::Fs) }
}

#[tokio::test]
async fn a_recording_is_started_paused_resumed_and_stopped() {
    // The recorder is a script and takes no orders: nobody ends it meanwhile.
    let patient = |config: &mut Config| config.recording.stop_grace = Duration::from_secs(600);
    let api = Api::with(SHOWS, patient).await;
    let visitor = Visitor::to(&api);
    let token = visitor.get("/").await.token().to_owned();
    let fields = [("room_id", "a"), ("meeting_url", URL), ("resolution", "1920x1080")];
    let started = visitor.send("/start", &token, &fields).await;
    let place = started.location().trim_start_matches('.').to_owned();
    let id = place.rsplit('/').next().unwrap().to_owned();

    // A minute and six seconds, of which the last had 25 new pictures.
    let page = visitor.until(&place, "1:06").await;
    for shown in ["Recording", "25 of 30", "2<small>", "-22 dB", "1920x1080", "data-refresh=\"2\""]
    {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(page.text.contains(&format!("src=\"../v2/recordings/{id}/thumbnail.jpg\"")));
    assert!(!page.text.contains("s3cr3t-t0k3n"), "the meeting's token is shown");
    // Somebody's name is text, whatever it is.
    assert!(page.text.contains("&#60;script&#62;alert(1)"), "{}", page.text);
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    let list = visitor.get("/").await;
    assert!(list.text.contains("2 in the room") && list.text.contains("data-refresh=\"5\""));
    let node = visitor.get("/node").await;
    for shown in ["CPU", "Memory", "Disk", "1 of 100", "1:06"] {
        assert!(node.text.contains(shown), "{shown}: {}", node.text);
    }

    for (action, status) in [("pause", "Paused"), ("resume", "Recording"), ("stop", "Stopping")] {
        let done = visitor.send(&format!("{place}/{action}"), &token, &[]).await;
        assert_eq!(done.location(), format!("../../recordings/{id}"), "{action}");
        let page = visitor.get(&place).await;
        assert!(page.text.contains(&format!(">{status}<")), "{action}: {}", page.text);
    }
    let again = visitor.send(&format!("{place}/pause"), &token, &[]).await;
    assert_eq!(again.status, 404);
    assert!(again.text.contains("beam not found"), "{}", again.text);
}

#[tokio::test]
async fn a_start_that_is_refused_says_why_and_keeps_what_was_typed() {
    let change = |config: &mut Config| {
        config.storage.destinations = vec![disk(config, "one"), disk(config, "two")];
    };
    let api = Api::with(STAYS, change).await;
    let visitor = Visitor::to(&api);
    let page = visitor.get("/").await;
    assert!(page.text.contains("<option value=\"two\">two</option>"), "{}", page.text);
    let token = page.token().to_owned();
    let odd = "https://\"><script>alert(4)</script>";
    for (fields, status, named) in [
        (&[("room_id", "a/b"), ("meeting_url", odd), ("destination", "two")][..], 400, "room_id"),
        (&[("room_id", "a"), ("meeting_url", odd), ("destination", "two")], 400, "meeting_url"),
        (&[("room_id", "a"), ("meeting_url", URL), ("destination", "three")], 400, "destination"),
        (&[("room_id", "a"), ("meeting_url", URL), ("resolution", "1x1")], 400, "resolution"),
        (
            &[("room_id", "a"), ("meeting_url", "http://127.0.0.1/"), ("destination", "one")],
            400,
            "meeting_url",
        ),
    ] {
        let answer = visitor.send("/start", &token, fields).await;
        assert_eq!(answer.status, status, "{fields:?}");
        let (_, problems) = answer.text.split_once("id=\"problems\"").expect("problems");
        let problems = problems.split("</div>").next().unwrap();
        assert!(problems.contains(named), "{fields:?}: {problems}");
        assert!(answer.text.contains("value=\"a"), "{}", answer.text);
        assert!(!answer.text.contains("<script>alert"), "{}", answer.text);
        assert!(!answer.text.contains("data-refresh"), "it would start again");
    }
    assert_eq!(api.get("/v2/recordings").await["data"], json!([]));
    let good =
        [("room_id", "a"), ("meeting_url", URL), ("destination", "two"), ("audio_only", "1")];
    visitor.send("/start", &token, &good).await.location();
    let held = visitor.send("/start", &token, &good).await;
    assert_eq!(held.status, 409);
    assert!(held.text.contains("beam already started") && held.text.contains("checked"));
}

#[tokio::test]
async fn a_failure_says_what_to_do_and_is_told_again() {
    let (receiver, url) = Receiver::open(false).await;
    let change = |config: &mut Config| {
        let secrets = vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()];
        let (name, url) = ("app".into(), url.as_str().into());
        let (headers, events) = Default::default();
        config.webhooks.endpoints = vec![Endpoint { name, url, headers, events, secrets }];
    };
    let api = Api::with(COMPLAINS, change).await;
    let visitor = Visitor::to(&api);
    let (_, recording) = told(api.start("a")).await;
    let id = id(&recording).to_owned();
    let page = visitor.until(&format!("/recordings/{id}"), "Delivered").await;
    for shown in ["MAX_RETRIES_REACHED", "without a click", "beam.failure", "onerror=alert(2)"] {
        assert!(page.text.contains(shown), "{shown}: {}", page.text);
    }
    assert!(!page.text.contains("<img src=x"), "{}", page.text);
    assert!(!page.text.contains("data-refresh"), "it is over");

    let token = page.token().to_owned();
    let (_, event) = page.text.split_once("name=\"event_id\" value=\"").unwrap();
    let event = event.split('"').next().unwrap().to_owned();
    let fields = [("event_id", &*event), ("endpoint", "app"), ("recording_id", &*id)];
    let told_again = visitor.send("/deliveries/replay", &token, &fields).await;
    let place = format!("../deliveries?replayed=1&recording_id={id}");
    assert_eq!(told_again.location(), place);
    let bodies = receiver.until(2).await;
    api.all_told().await;
    assert_eq!((&bodies[0]["id"], &bodies[1]["id"]), (&json!(event), &json!(event)));
    let list = visitor.until(&place[2..], "told again").await;
    assert!(list.text.contains("1 delivery is made again."), "{}", list.text);
    // None has failed.
    let all = visitor.send("/deliveries/replay", &token, &[]).await;
    assert_eq!(all.location(), "../deliveries?replayed=0");
    let bad = visitor.send("/deliveries/replay", &token, &[("event_id", "<b>")]).await;
    assert_eq!(bad.status, 400);
    for (query, count) in [("status=failed", 0), ("status=success&event_name=beam.failure", 2)] {
        let page = visitor.get(&format!("/deliveries?{query}")).await;
        assert_eq!(page.text.matches("Tell again").count(), count, "{query}");
    }
    let reflected =
        visitor.get("/deliveries?room_id=%22%3E%3Cscript%3Ealert(5)%3C/script%3E").await;
    assert!(!reflected.text.contains("<script>alert"), "{}", reflected.text);
}

#[tokio::test]
async fn storage_is_looked_at_on_demand() {
    let mut elsewhere = None;
    let change = |config: &mut Config| {
        let attic = disk(config, "attic");
        elsewhere = Some(attic.dir.clone());
        config.storage.destinations = vec![attic];
    };
    let api = Api::with(STAYS, change).await;
    let visitor = Visitor::to(&api);
    let page = visitor.get("/storage").await;
    assert!(page.text.contains("attic") && !page.text.contains("Outcome"), "{}", page.text);
    let token = page.token().to_owned();
    let checked = visitor.send("/storage", &token, &[("name", "attic")]).await;
    assert_eq!(checked.text.matches(">ok<").count(), 4, "{}", checked.text);
    let all = visitor.send("/storage", &token, &[]).await;
    assert_eq!(all.text.matches(">ok<").count(), 8, "{}", all.text);
    // What stands in its way is said.
    let attic = elsewhere.unwrap();
    std::fs::remove_dir_all(&attic).unwrap();
    std::fs::write(&attic, "a file").unwrap();
    let broken = visitor.send("/storage", &token, &[("name", "attic")]).await;
    assert!(broken.text.contains("the local disk failed: cannot write"), "{}", broken.text);
    assert_eq!(visitor.send("/storage", &token, &[("name", "<b>")]).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_paged_and_filtered() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let past = (1..=60).rev().map(|ago| {
        Past::completed(if ago % 2 == 0 { "even" } else { "odd" }, ago).or_failed(ago % 10 == 0)
    });
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| scope.spawn(|| archive::fill(&data, past)).join().unwrap());
    });
    let api = Api::over(root, STAYS, |_| {}).await;
    let visitor = Visitor::to(&api);
    let (mut path, mut seen, mut pages) = ("/?room_id=even".to_owned(), 0, 0);
    loop {
        let page = visitor.get(&path).await;
        assert!(!page.text.contains(">odd<"), "{}", page.text);
        seen += page.text.matches("scope=\"row\"").count();
        pages += 1;
        let Some((before, _)) = page.text.split_once("\">Older</a>") else { break };
        path = format!("/{}", before.rsplit("href=\"./").next().unwrap().replace("&#38;", "&"));
        assert!(pages < 10, "pages without end");
    }
    assert_eq!((seen, pages), (30, 2));
    let failed = visitor.get("/?status=failed").await;
    assert_eq!(failed.text.matches("INTERNAL_ERROR").count(), 6, "{}", failed.text);
    let one = failed.text.split("href=\"./recordings/").nth(1).unwrap();
    let page = visitor.get(&format!("/recordings/{}", one.split('"').next().unwrap())).await;
    assert!(page.text.contains("roomreel bug-report"), "{}", page.text);
    // A file of ours is played from where the page is, whatever name that has.
    let done = visitor.get("/?status=completed").await;
    let one = done.text.split("href=\"./recordings/").nth(1).unwrap();
    let page = visitor.get(&format!("/recordings/{}", one.split(['"', '#']).next().unwrap())).await;
    assert!(page.text.contains("src=\"../files/"), "{}", page.text);
    assert!(page.text.contains(&format!("value=\"http://{}/files/", api.address)), "{}", page.text);
    assert!(page.text.contains("holds 3 days"), "{}", page.text);
}

#[tokio::test]
async fn a_file_in_a_bucket_is_played_from_there() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    let store = SqliteStore::open(&data.join("roomreel.db")).await.unwrap();
    let now = chrono::Utc::now();
    let terms = Terms {
        quality: Quality::default(),
        join: JoinRule::Auto,
        max_duration_s: 60.0,
        audio_only: false,
        presence: PresenceRule::default(),
    };
    let mut recording = Recording::new("a".into(), URL.into(), terms, now);
    recording.destination = "films".into();
    let asset = Asset {
        id: Id::new(now),
        destination: "films".into(),
        path: "beam/a/20240102/Rec-a-1.mp4".into(),
        size: 10_000_000,
        duration_s: 30.0,
        created_at: now,
        resolution: Resolution::HD,
        audio_only: false,
        failed: false,
    };
    recording.state = State::Completed;
    recording.assets.push(asset);
    let id = recording.id;
    store.insert(recording).await.unwrap();
    store.close().await;

    let change = |config: &mut Config| {
        let mut films = Destination::new("films", Kind::S3);
        films.bucket = "films".into();
        films.region = "eu-central-1".into();
        films.endpoint = "https://store.example:9000".into();
        films.key = "AKIAEXAMPLE".into();
        films.secret = "a-secret-key".into();
        config.storage.destinations = vec![films];
    };
    let api = Api::over(root, STAYS, change).await;
    let page = Visitor::to(&api).get(&format!("/recordings/{id}")).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("media-src 'self' https://store.example:9000;"), "{policy}");
    let source = "<video controls preload=\"metadata\" playsinline poster=\"../v2/recordings/";
    assert!(page.text.contains(source), "{}", page.text);
    assert!(page.text.contains("src=\"https://store.example:9000/films/beam/a/"), "{}", page.text);
    assert!(page.text.contains("X-Amz-Signature=") && !page.text.contains("a-secret-key"));
}
