//! The scripts of `room` in a real page.

use roomreel::browser::Page;
use roomreel::job::Peer;
use roomreel::room::{Crowd, Over, Reading, Seen, Sight, install_script, read_expression};

use super::site::Site;
use super::{PATIENCE, launch};

async fn read(page: &Page) -> Reading {
    page.evaluate(&read_expression(None), PATIENCE).await.unwrap()
}

/// True for each thing that a page could tell the wrapped constructor by.
const SAME: &str = r"(() => {
  class Mine extends RTCPeerConnection { mine() { return 1; } }
  const plain = new RTCPeerConnection();
  const mine = new Mine({ iceServers: [] });
  const own = Object.getOwnPropertyDescriptor(window, 'RTCPeerConnection');
  const seen = [];
  for (const name in window) seen.push(name);
  const checks = {
    instance: plain instanceof RTCPeerConnection && mine instanceof Mine
      && mine instanceof RTCPeerConnection && mine.mine() === 1,
    constructor: plain.constructor === RTCPeerConnection,
    prototype: Object.getPrototypeOf(plain) === RTCPeerConnection.prototype,
    statics: typeof RTCPeerConnection.generateCertificate === 'function',
    name: RTCPeerConnection.name === 'RTCPeerConnection' && RTCPeerConnection.length === 0,
    alias: window.webkitRTCPeerConnection === RTCPeerConnection,
    native: String(RTCPeerConnection).includes('[native code]'),
    tag: String(plain) === '[object RTCPeerConnection]',
    descriptor: !own.enumerable && own.writable && own.configurable,
    unseen: !seen.some((name) => name.includes('roomreel')),
    callThrows: (() => { try { RTCPeerConnection(); } catch (e) { return e instanceof TypeError; } })(),
    badThrows: (() => { try { new RTCPeerConnection({iceServers: 1}); }
      catch (e) { return e instanceof TypeError; } })(),
  };
  plain.close(); mine.close();
  return Object.entries(checks).filter(([, same]) => !same).map(([name]) => name);
})()";

const LOOPBACK: &str = r"(async () => {
  const [a, b] = [new RTCPeerConnection(), new webkitRTCPeerConnection()];
  window.pair = [a, b];
  a.onicecandidate = (e) => e.candidate && b.addIceCandidate(e.candidate);
  b.onicecandidate = (e) => e.candidate && a.addIceCandidate(e.candidate);
  const canvas = document.createElement('canvas');
  const paint = canvas.getContext('2d');
  setInterval(() => paint.fillRect(Math.random() * 300, 0, 9, 150), 30);
  a.addTrack(canvas.captureStream().getTracks()[0]);
  await a.setLocalDescription();
  await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription();
  await a.setRemoteDescription(b.localDescription);
  const both = () => window.pair.every((pc) => pc.connectionState === 'connected');
  while (!both()) await new Promise((done) => setTimeout(done, 20));
})()";

#[tokio::test]
async fn peer_connections_are_counted_and_look_untouched() {
    let running = launch(|l| l.options.loopback_webrtc = true).await;
    let page = running.browser.page();
    for _ in 0..2 {
        page.install(install_script()).await.unwrap();
    }
    let site = Site::open("<p>meeting").await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    let quiet = read(page).await.webrtc.unwrap();
    assert_eq!((quiet.connections, quiet.connected), (0, 0));

    let different: Vec<String> = page.evaluate(SAME, PATIENCE).await.unwrap();
    assert_eq!(different, Vec::<String>::new());
    assert_eq!(read(page).await.webrtc.unwrap().connections, 2);

    page.evaluate::<()>(LOOPBACK, PATIENCE).await.unwrap();
    let receiving = async {
        loop {
            let now = read(page).await.webrtc.unwrap();
            if now.inbound_bytes > 0 {
                return now;
            }
        }
    };
    let now = tokio::time::timeout(PATIENCE, receiving).await.expect("no media came");
    assert_eq!((now.connections, now.connected, now.live_remote_tracks), (4, 2, 1));

    page.evaluate::<()>("pair.forEach((pc) => pc.close())", PATIENCE).await.unwrap();
    let after = read(page).await.webrtc.unwrap();
    assert_eq!((after.connections, after.connected, after.live_remote_tracks), (4, 0, 0));
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn the_page_s_word_is_taken_in_any_form() {
    let running = launch(|_| ()).await;
    let page = running.browser.page();
    page.install(install_script()).await.unwrap();
    let site = Site::open("<p id=roomreel>").await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    let said = |joined, count, ended: bool| {
        let over = ended.then_some(Over::Ended);
        Some(Sight { probe: "signal".into(), joined, count, over, ..Sight::default() })
    };
    let peer = |id: &str, name: &str, role: &str| Peer {
        id: id.into(),
        name: name.into(),
        role: role.into(),
    };
    let listed = |peers: Vec<Peer>| {
        let count = Some(peers.len() as u32);
        Some(Sight { peers: Some(peers), ..said(true, count, false).unwrap() })
    };
    for (word, expected) in [
        ("undefined", None),
        ("null", None),
        ("7", said(true, Some(7), false)),
        ("'7'", None),
        ("document.querySelector('p')", None),
        ("{}", said(false, None, false)),
        ("{joined: true, peers: 0, ended: false}", said(true, Some(0), false)),
        ("{joined: true, peers: 3, ended: true}", said(true, Some(3), true)),
        ("{joined: 'yes', peers: -1, ended: 1}", said(false, None, false)),
        ("{joined: true, peers: 1.5}", said(true, None, false)),
        ("{joined: true, peers: 2 ** 40}", said(true, None, false)),
        ("{get joined() { throw new Error('no') }}", None),
        ("{joined: true, peers: []}", listed(vec![])),
        (
            "{joined: true, peers: ['Ada', {id: 7, name: 'Bo', role: 'host'}, null, {name: []}]}",
            listed(vec![
                peer("", "Ada", ""),
                peer("7", "Bo", "host"),
                peer("", "", ""),
                peer("", "", ""),
            ]),
        ),
    ] {
        let set = format!("void (window.roomreel = {word})");
        page.evaluate::<()>(&set, PATIENCE).await.unwrap();
        assert_eq!(read(page).await.sight, expected, "{word}");
    }
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn a_page_that_insists_on_devices_gets_black_and_silent_ones() {
    let running = launch(|l| l.options.fake_media = true).await;
    let page = running.browser.page();
    let site = Site::open("<video autoplay></video>").await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    let look = r"(async () => {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
      const video = document.querySelector('video');
      video.srcObject = new MediaStream(stream.getVideoTracks());
      await new Promise((done) => video.requestVideoFrameCallback(done));
      const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
      const paint = canvas.getContext('2d');
      paint.drawImage(video, 0, 0);
      const { data } = paint.getImageData(0, 0, canvas.width, canvas.height);
      let brightest = 0;
      for (let i = 0; i < data.length; i += 4) {
        brightest = Math.max(brightest, data[i], data[i + 1], data[i + 2]);
      }
      const context = new AudioContext();
      const meter = context.createAnalyser();
      context.createMediaStreamSource(stream).connect(meter);
      while (context.currentTime < 0.2) await new Promise((done) => setTimeout(done, 20));
      const samples = new Float32Array(meter.fftSize);
      meter.getFloatTimeDomainData(samples);
      return [brightest, Math.max(...samples.map(Math.abs)), context.currentTime];
    })()";
    let (brightest, loudest, played): (u8, f32, f32) = page.evaluate(look, PATIENCE).await.unwrap();
    assert!(brightest < 8, "{brightest}");
    assert!(loudest == 0.0 && played > 0.0, "{loudest} after {played} s");
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn connections_that_a_page_drops_are_collected_and_still_give_statistics() {
    let running = launch(|l| l.options.extra_flags.push("--js-flags=--expose-gc".into())).await;
    let page = running.browser.page();
    page.install(install_script()).await.unwrap();
    let site = Site::open("<p>meeting").await;
    page.goto(&site.url("/"), PATIENCE).await.unwrap();
    let drop = r"(async () => {
      const live = new RTCPeerConnection();
      if (!((await live.getStats()) instanceof RTCStatsReport)) throw new Error('no report');
      if (!(await RTCPeerConnection.generateCertificate({ name: 'ECDSA', namedCurve: 'P-256' }))) {
        throw new Error('no certificate');
      }
      const refs = [];
      (() => {
        for (let i = 0; i < 20; i += 1) {
          const dropped = new RTCPeerConnection();
          dropped.close();
          refs.push(new WeakRef(dropped));
        }
      })();
      for (let tries = 0; tries < 100; tries += 1) {
        await new Promise((done) => setTimeout(done, 50));
        gc();
        await new Promise((done) => setTimeout(done, 0));
        if (refs.every((ref) => ref.deref() === undefined)) break;
      }
      return [refs.filter((ref) => ref.deref()).length, live.signalingState];
    })()";
    let (kept, state): (usize, String) = page.evaluate(drop, PATIENCE).await.unwrap();
    assert_eq!((kept, state.as_str()), (0, "stable"));
    assert_eq!(read(page).await.webrtc.unwrap().connections, 21);
    running.browser.close(PATIENCE).await;
}

#[tokio::test]
async fn a_meeting_in_a_frame_of_another_site_is_seen_and_one_that_hangs_is_unknown() {
    let inner = Site::open("<script>window.roomreel = {joined: true, peers: 2}</script>").await;
    let port = inner.address.port();
    let outer = Site::open(&format!("<iframe src='http://localhost:{port}/'></iframe>")).await;
    let running = launch(|_| ()).await;
    let page = running.browser.page();
    page.install(install_script()).await.unwrap();
    page.goto(&outer.url("/"), PATIENCE).await.unwrap();
    let whole = async |patience| {
        let question = read_expression(None);
        let main: Reading = page.evaluate(&question, PATIENCE).await.unwrap();
        main.with_frames(page.evaluate_frames(&question, patience).await)
    };
    assert_eq!(whole(PATIENCE).await.sight.unwrap().count, Some(2));
    // The frame's own thread never comes back.
    let hang = "location.hostname === 'localhost' && setTimeout(() => { for (;;); }, 0)";
    page.evaluate_frames::<u32>(hang, PATIENCE).await;
    let reading = whole(std::time::Duration::from_secs(2)).await;
    assert_eq!(reading.sight, None);
    assert_eq!(Crowd::new(vec![], vec![]).look(Some(&reading)), Seen::UNKNOWN);
    running.browser.close(PATIENCE).await;
}
