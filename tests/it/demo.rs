//! The demo room in real browsers: bots are seen and heard, hidden roles are
//! not, and every way a meeting ends reaches the page.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use roomreel::browser::{Browser, Launch, Page, Surface};
use roomreel::demo::{Bots, serve};
use roomreel::job::{BrowserOptions, PageOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const RECORDER: &str = "/preview/demo/__internal_recorder?skip_preview=true";

/// A demo server, gone with this.
pub(crate) struct Demo {
    address: SocketAddr,
    http: reqwest::Client,
    _stop: DropGuard,
}

impl Demo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, stop.clone()));
        Self { address, http: reqwest::Client::new(), _stop: stop.drop_guard() }
    }

    pub(crate) fn link(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    pub(crate) async fn peers(&self) -> Vec<Value> {
        let answer = self.http.get(self.link("/api/rooms/demo")).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        body["peers"].as_array().unwrap().clone()
    }

    async fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.peers().await.iter().map(|p| p["name"].as_str().unwrap().to_string()).collect();
        names.sort();
        names
    }

    pub(crate) async fn post(&self, path: &str) -> u16 {
        let answer = self.http.post(self.link(path)).json(&json!({})).send().await.unwrap();
        answer.status().as_u16()
    }
}

/// A participant's browser.
pub(crate) struct Guest {
    pub(crate) browser: Browser,
    _dir: TempDir,
}

impl Guest {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let launch = Launch {
            options: BrowserOptions { loopback_webrtc: true, ..BrowserOptions::default() },
            page: PageOptions::default(),
            surface: Surface::Headless { width: 1280, height: 720 },
            runtime_dir: dir.path().to_owned(),
            capture_files: None,
            proxy: None,
        };
        Self { browser: Browser::launch(launch).await.unwrap(), _dir: dir }
    }

    fn page(&self) -> &Page {
        self.browser.page()
    }

    pub(crate) async fn open(&self, link: &Url) {
        self.page().goto(link, PATIENCE).await.unwrap();
    }

    /// Waits until the expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let waiting = async {
            loop {
                match self.page().evaluate::<bool>(expression, PATIENCE).await {
                    Ok(true) => return,
                    _ => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            let state = "[JSON.stringify(roomreel), document.body.innerText]";
            panic!(
                "never: {expression}; {:?}",
                self.page().evaluate::<Value>(state, PATIENCE).await
            );
        }
    }

    async fn close(self) {
        self.browser.close(Duration::from_secs(5)).await;
    }
}

/// The strongest frequency below 300 Hz in each tile's sound, by name, from
/// spectra summed until every tile has been loud.
const PITCHES: &str = r"(async () => {
    const context = new AudioContext({ sampleRate: 48000 });
    const ears = [...document.querySelectorAll('.tile')].map((tile) => {
        const analyser = context.createAnalyser();
        analyser.fftSize = 32768;
        analyser.smoothingTimeConstant = 0;
        context.createMediaStreamSource(tile.querySelector('video').srcObject).connect(analyser);
        return { name: tile.getAttribute('aria-label'), analyser, sum: new Float64Array(205), loud: 0 };
    });
    const bins = new Float32Array(16384);
    for (let round = 0; round < 200 && ears.some((ear) => ear.loud < 3); round += 1) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        for (const ear of ears) {
            ear.analyser.getFloatFrequencyData(bins);
            for (let bin = 55; bin < 205; bin += 1) ear.sum[bin] += 10 ** (bins[bin] / 10);
            if (Math.max(...bins.slice(55, 205)) > -45) ear.loud += 1;
        }
    }
    await context.close();
    return ears.map(({ name, sum }) => [name, (sum.indexOf(Math.max(...sum)) * 48000) / 32768]);
})()";

#[tokio::test(flavor = "multi_thread")]
async fn bots_are_seen_and_heard_until_they_die_and_the_room_ends() {
    let demo = Demo::start().await;
    let mut bots = Bots::launch(demo.address, "demo", 2).await.unwrap();
    assert_eq!(bots.names(), ["Ada", "Grace"]);

    let recorder = Guest::start().await;
    recorder.open(&demo.link(RECORDER)).await;
    recorder.until("roomreel.joined && roomreel.peers === 2 && !roomreel.ended").await;
    assert_eq!(demo.names().await, ["Ada", "Grace"]);
    recorder
        .until(
            "(() => { const all = [...document.querySelectorAll('.tile video')];
             return all.length === 2 && all.every((video) =>
                 video.videoWidth === 640 && video.videoHeight === 360 && video.currentTime > 1); })()",
        )
        .await;

    let pitches: Vec<(String, f64)> = recorder.page().evaluate(PITCHES, PATIENCE).await.unwrap();
    assert_eq!(pitches.len(), 2);
    for (name, pitch) in pitches {
        let index = bots.names().iter().position(|n| *n == name).unwrap();
        let sung = f64::from(Bots::pitch(index));
        assert!((pitch - sung).abs() < 4.0, "{name} is heard at {pitch} Hz instead of {sung}");
    }

    assert!(bots.kill("Ada").await);
    assert!(!bots.kill("Ada").await);
    recorder.until("roomreel.peers === 1 && document.querySelectorAll('.tile').length === 1").await;
    assert_eq!(demo.names().await, ["Grace"]);

    assert_eq!(demo.post("/api/rooms/demo/end").await, 200);
    recorder.until("roomreel.ended && !roomreel.joined && roomreel.peers === 0").await;
    assert_eq!(demo.post("/api/rooms/demo/end").await, 404);

    recorder.close().await;
    bots.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_is_hidden_and_a_bad_token_stays_outside() {
    let demo = Demo::start().await;
    let (recorder, guest) = tokio::join!(Guest::start(), Guest::start());
    recorder.open(&demo.link(RECORDER)).await;
    recorder.until("roomreel.joined && roomreel.peers === 0").await;
    assert!(demo.peers().await.is_empty());

    guest
        .open(&demo.link("/meeting/demo/guest?skip_preview_headful=true&name=Eve&userId=u1"))
        .await;
    recorder.until("roomreel.peers === 1 && document.querySelectorAll('.tile').length === 1").await;
    guest.until("roomreel.joined && roomreel.peers === 0").await;
    guest.until("document.getElementById('count').textContent === '1 person'").await;
    let tiles = "[...document.querySelectorAll('.tile')].map((t) => t.getAttribute('aria-label'))";
    let tiles: Vec<String> = guest.page().evaluate(tiles, PATIENCE).await.unwrap();
    assert_eq!(tiles, ["Eve (you)"]);
    let peers = demo.peers().await;
    let id = peers[0]["id"].as_u64().unwrap();
    assert_eq!(peers, [json!({"id": id, "name": "Eve", "role": "guest", "user_id": "u1"})]);

    assert_eq!(demo.post(&format!("/api/rooms/demo/peers/{id}/remove")).await, 200);
    guest.until("roomreel.ended && !roomreel.joined").await;
    recorder.until("roomreel.peers === 0").await;

    guest.open(&demo.link("/preview/demo/guest?skip_preview=true&auth_token=a.b.c")).await;
    guest.until("document.getElementById('over-title').textContent.startsWith('You cannot')").await;
    let joined = guest.page().evaluate::<bool>("roomreel.joined || roomreel.ended", PATIENCE).await;
    assert!(!joined.unwrap());
    assert!(demo.peers().await.is_empty());

    let plain = demo.http.post(demo.link("/api/rooms/demo/end")).send().await.unwrap();
    assert_eq!(plain.status(), 415);
    recorder.until("roomreel.joined").await;
    tokio::join!(recorder.close(), guest.close());
}
