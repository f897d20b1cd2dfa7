//! The probes of meeting software against that software's own client, from the
//! registry, in a real page. What needs its maker's cloud is driven by the client's own
//! methods instead.

use std::io::Write;
use std::process::Stdio;

use roomreel::browser::{Page, PageEvent};
use roomreel::room::{Over, Sight, Token, install_script, read_expression};

use super::site::Site;
use super::{PATIENCE, Running, launch, next};
use crate::support::tools::{node, npm_package};

/// `source` and all that it imports, as one script for a page.
fn bundle(source: &str) -> String {
    let program = npm_package("esbuild").join("bin/esbuild");
    let mut esbuild = node();
    esbuild.arg(program).args(["--bundle", "--format=iife", "--log-level=error"]);
    let mut child = esbuild.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success() && !done.stdout.is_empty(), "esbuild failed");
    // A text of the library must not end the element that it stands in.
    String::from_utf8(done.stdout).unwrap().replace("</script", "<\\/script")
}

async fn open(source: &str) -> (Running, Site) {
    let running = launch(|_| ()).await;
    let page = running.browser.page();
    page.install(install_script()).await.unwrap();
    let site = Site::open(&format!("<p>meeting<script>{}</script>", bundle(source))).await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    (running, site)
}

async fn sight(page: &Page) -> Sight {
    let reading: roomreel::room::Reading =
        page.evaluate(&read_expression(None), PATIENCE).await.unwrap();
    reading.sight.expect("no probe knows the page")
}

async fn run(page: &Page, script: &str) {
    page.evaluate::<()>(&format!("(async () => {{ {script} }})()"), PATIENCE).await.unwrap();
}

fn names(sight: &Sight) -> Vec<(&str, &str)> {
    let peers = sight.peers.iter().flatten();
    peers.map(|peer| (peer.name.as_str(), peer.role.as_str())).collect()
}

/// A store as a page of 100ms makes it; `put` writes into it as the SDK itself does.
const HMS: &str = "import { HMSReactiveStore } from '@100mslive/hms-video-store';
    const hms = new HMSReactiveStore();
    hms.triggerOnSubscribe();
    window.driver = {
      hms,
      put: (change) => hms.store.namedSetState(change, 'test'),
      connected: (count) => (draft) => {
        Object.assign(draft.room, { id: 'r', sessionId: '6110bb814b9e1ba5dd3dc85b', isConnected: true, roomState: 'Connected', peerCount: count });
        draft.room.localPeer = 'bot';
        draft.peers = {
          bot: { id: 'bot', name: 'Recorder', roleName: '__internal_recorder', isLocal: true },
          ada: { id: 'ada', name: 'Ada', roleName: 'host', isLocal: false },
          eye: { id: 'eye', name: 'Beam', roleName: '__internal_recorder', isLocal: false },
        };
      },
    };";

#[tokio::test]
async fn the_store_of_100ms_tells_who_is_there_and_how_it_ended() {
    let (running, _site) = open(HMS).await;
    let page = running.browser.page();
    let fresh = sight(page).await;
    assert_eq!((fresh.probe.as_str(), fresh.joined, fresh.over), ("100ms", false, None));

    // A token that is none: the SDK throws, and its store goes on connecting.
    run(
        page,
        "let thrown = null;
         const config = { userName: 'x', authToken: 'no' };
         await driver.hms.getActions().join(config).catch((error) => { thrown = error; });
         if (thrown?.name !== 'InvalidTokenFormat') throw thrown ?? new Error('it joined');",
    )
    .await;
    let refused = sight(page).await;
    assert_eq!((refused.joined, refused.over), (false, None), "{refused:?}");
    run(
        page,
        "driver.put((draft) => {
           draft.room.roomState = 'Failed';
           draft.errors = [{ code: 1003, name: 'WebSocketConnectionLost', isTerminal: true }];
         })",
    )
    .await;
    let failed = sight(page).await;
    assert_eq!(failed.over, Some(Over::Failed), "{failed:?}");
    assert_eq!(failed.error.as_deref(), Some("1003 WebSocketConnectionLost"));

    run(page, "driver.put(driver.connected(3))").await;
    let joined = sight(page).await;
    assert!(joined.joined && joined.over.is_none(), "{joined:?}");
    assert_eq!(names(&joined), [("Ada", "host"), ("Beam", "__internal_recorder")]);
    assert_eq!(joined.count, Some(2));
    assert_eq!(
        (fresh.session, joined.session.as_deref()),
        (None, Some("6110bb814b9e1ba5dd3dc85b"))
    );
    // A large room does not list everybody.
    run(page, "driver.put(driver.connected(40))").await;
    assert_eq!(sight(page).await.count, Some(39));

    run(page, "driver.put((draft) => { draft.room.roomState = 'Reconnecting'; })").await;
    let away = sight(page).await;
    assert!(!away.joined && away.over.is_none(), "{away:?}");

    for (request, over) in [
        ("{ roomEnded: true, reason: 'over' }", Over::Ended),
        (
            "{ roomEnded: false, reason: 'out', requestedBy: { peerId: 'ada', name: 'Ada' } }",
            Over::Removed,
        ),
    ] {
        run(page, "driver.put(driver.connected(3))").await;
        let back = sight(page).await;
        assert!(back.joined && back.over.is_none(), "{back:?}");
        run(page, &format!("driver.hms.actions.onRemovedFromRoom({request})")).await;
        let out = sight(page).await;
        assert_eq!((out.joined, out.over), (false, Some(over)), "{out:?}");
    }
    running.browser.close(PATIENCE).await;
}

/// A template for LiveKit's egress, as its SDK's documentation has it.
const LIVEKIT: &str = "import { Room } from 'livekit-client';
    import sdk from '@livekit/egress-sdk';
    const egress = sdk.default ?? sdk;
    const room = new Room();
    window.livekitRoom = room;
    window.driver = {
      room,
      egress,
      enter: async (count) => {
        await room.simulateParticipants({
          publish: { audio: false, video: false },
          // The SDK counts the one who watches.
          participants: { count: count + 1, audio: false, video: false },
        });
      },
    };";

#[tokio::test]
async fn livekit_s_room_and_its_egress_tokens_are_understood() {
    let (running, _site) = open(LIVEKIT).await;
    let page = running.browser.page();
    let mut events = page.events().unwrap();
    let fresh = sight(page).await;
    assert_eq!((fresh.probe.as_str(), fresh.joined, fresh.over), ("livekit", false, None));

    run(page, "await driver.enter(3); driver.egress.setRoom(driver.room);").await;
    let joined = sight(page).await;
    assert!(joined.joined && joined.over.is_none(), "{joined:?}");
    assert_eq!((joined.count, names(&joined).len()), (Some(3), 3), "{joined:?}");
    run(page, "driver.egress.startRecording()").await;
    token(&mut events, Token::Start).await;

    // The SDK says by itself that a room was left.
    run(page, "await driver.room.disconnect()").await;
    token(&mut events, Token::End).await;
    let out = sight(page).await;
    assert_eq!((out.joined, out.over), (false, Some(Over::Left)), "{out:?}");
    running.browser.close(PATIENCE).await;
}

async fn token(events: &mut tokio::sync::mpsc::Receiver<PageEvent>, wanted: Token) {
    let is = |event: &PageEvent| matches!(event, PageEvent::Console { text, .. } if Token::read(text) == Some(wanted));
    next(events, is).await;
}

/// What cannot run here at all: daily-js itself as far as its cloud is not needed, and
/// pages that show the same as the clients do. docs/presence.md calls these unproved.
#[tokio::test]
async fn pages_that_look_like_daily_jitsi_and_bigbluebutton_are_read() {
    let daily = "import Daily from '@daily-co/daily-js'; window.call = Daily.createCallObject();";
    let (running, _site) = open(daily).await;
    let page = running.browser.page();
    let fresh = sight(page).await;
    assert_eq!((fresh.probe.as_str(), fresh.joined, fresh.count), ("daily", false, Some(0)));
    let call = |state: &str| {
        format!(
            "window.DailyIframe = null;
             window.call = {{
               meetingState: () => '{state}',
               participants: () => ({{ local: {{ session_id: 'me' }},
                 a: {{ session_id: 'a', user_name: 'Ada', owner: true }} }}),
               participantCounts: () => ({{ present: 2, hidden: 0 }}),
             }};"
        )
    };
    let jitsi = "delete window.call;
        const ada = { getId: () => 'a', getDisplayName: () => 'Ada', getRole: () => 'moderator' };
        const jibri = { ...ada, getId: () => 'j', isHidden: () => true };
        window.APP = { conference: { _room:
          { isJoined: () => true, getParticipants: () => [ada, jibri] } } };";
    let users = "delete window.APP; window.meetingClientSettings = {};
        document.body.innerHTML = `<i data-test=userListItemCurrent aria-label=Recorder></i>
          <i data-test=userListItem aria-label=Ada></i>`;";
    for (script, probe, joined, role, over) in [
        (call("joined-meeting").as_str(), "daily", true, Some("owner"), None),
        (&call("left-meeting"), "daily", false, Some("owner"), Some(Over::Left)),
        (jitsi, "jitsi", true, Some("moderator"), None),
        ("delete APP.conference._room", "jitsi", false, None, Some(Over::Left)),
        (users, "bigbluebutton", true, Some(""), None),
        (
            "document.body.innerHTML = '<i data-test=meetingEndedModal></i>'",
            "bigbluebutton",
            false,
            None,
            Some(Over::Ended),
        ),
    ] {
        run(page, script).await;
        let seen = sight(page).await;
        assert_eq!(
            (seen.probe.as_str(), seen.joined, seen.over),
            (probe, joined, over),
            "{seen:?}"
        );
        let expected: Vec<_> = role.into_iter().map(|role| ("Ada", role)).collect();
        assert_eq!(names(&seen), expected, "{probe}");
    }
    running.browser.close(PATIENCE).await;
}
