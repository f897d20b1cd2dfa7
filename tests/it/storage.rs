//! Files in real object stores: what goes up is what an independent client reads, whatever
//! stands in the way.

mod identity;
mod outage;
mod resumed;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::Utc;
use roomreel::config::Config;
use roomreel::storage::{Destination, LinkLife, Storage, StorageError, Trouble, Upload};

use crate::support::middle::{Middle, Throttle};
use crate::support::process::{Outcome, run};
use crate::support::roomreel::roomreel;
use crate::support::scratch;
use crate::support::stores::{Azure, BUCKET, Gcs, Oss, S3};

const MIB: usize = 1 << 20;
const KEY: &str = "team/beam/r/20260101/Rec-r-1767225600000.mp4";

/// Two parts and a bit, different everywhere.
fn film() -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..2 * 5 * MIB + 12_345).map(|_| next()).collect()
}

/// Destinations of a configuration file, and a directory to upload from.
struct Bench {
    dir: tempfile::TempDir,
    config: Config,
}

impl Bench {
    fn new(tables: &str) -> Self {
        let dir = scratch();
        std::fs::write(dir.path().join("roomreel.toml"), tables).unwrap();
        std::fs::write(dir.path().join("film.mp4"), film()).unwrap();
        let config = Config::load(Some(&dir.path().join("roomreel.toml")), []).unwrap();
        Self { dir, config }
    }

    fn destination(&self, name: &str) -> Destination {
        Destination::configured(name, self.dir.path(), &self.config.storage).unwrap()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("film.mp4")
    }

    /// As the next process would take it up.
    fn upload(&self, name: &str) -> Upload {
        self.destination(name).upload(KEY, "video/mp4", self.dir.path()).unwrap()
    }

    async fn finish(&self, name: &str) -> Result<u64, StorageError> {
        self.upload(name).finish(&self.file()).await
    }

    async fn url(&self, name: &str, life: u64) -> String {
        let base = "http://127.0.0.1:1".parse().unwrap();
        let storage = Storage::open(self.dir.path(), base, &self.config.storage).unwrap();
        let life = LinkLife::Exactly(Duration::from_secs(life));
        storage.presign("a", name, KEY, life, Utc::now()).await.unwrap().url
    }

    /// `roomreel storage check`, as a user runs it.
    fn check(&self, name: &str) -> Outcome {
        let config = self.dir.path().join("roomreel.toml");
        run(roomreel().args(["storage", "check", name, "--config"]).arg(config))
    }

    #[track_caller]
    fn assert_check(&self, name: &str, lines: &[&str]) {
        let told = self.check(name).stdout;
        let found: Vec<_> = told.lines().skip(1).map(str::trim).collect();
        assert_eq!(found.len(), lines.len(), "{told}");
        for (found, wanted) in found.iter().zip(lines) {
            assert!(found.starts_with(wanted), "{wanted:?} in\n{told}");
        }
    }
}

const GOOD: [&str; 4] = ["write    ok", "read     ok", "presign  ok", "delete   ok"];

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Status and bytes that somebody without a key gets, by way of `proxy` if there is one.
async fn fetch(url: &str, range: Option<&str>, proxy: Option<&str>) -> (u16, Vec<u8>) {
    let client = reqwest::Client::builder().no_proxy();
    let client = match proxy {
        Some(proxy) => client.proxy(reqwest::Proxy::all(proxy).unwrap()),
        None => client,
    };
    let mut request = client.build().unwrap().get(url);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
}

/// A signed URL gives the film or a part of it, and nothing when it was changed or is old.
async fn assert_signed(bench: &Bench, name: &str, proxy: Option<&str>, refusals: &[u16]) {
    let url = bench.url(name, 3600).await;
    let (status, whole) = fetch(&url, None, proxy).await;
    assert_eq!((status, whole == film()), (200, true), "{url}");
    let (status, part) = fetch(&url, Some("bytes=5242870-5242889"), proxy).await;
    // rclone's server answers 200 to whoever asks for a part, and gives the part.
    assert!(matches!(status, 200 | 206), "{status}");
    assert_eq!(part, film()[5_242_870..5_242_890].to_vec());
    let forged = match url.rsplit_once("ignature=") {
        Some((head, signature)) => {
            let flipped = if signature.starts_with('0') { "1" } else { "0" };
            format!("{head}ignature={flipped}{}", &signature[1..])
        }
        None => url.replace("sig=", "sig=AA"),
    };
    let (status, _) = fetch(&forged, None, proxy).await;
    assert!(refusals.contains(&status), "forged: {status}");
    let short = bench.url(name, 1).await;
    tokio::time::sleep(Duration::from_millis(2200)).await;
    let (status, _) = fetch(&short, None, proxy).await;
    assert!(refusals.contains(&status), "expired: {status}");
}

/// What every S3 server must do for us.
fn assert_takes_and_gives(store: &S3) {
    let denied = "write    the key or its secret is refused: answered 403";
    let wrong = store.table("wrong", "").replace("SKTESTSECRET", "SKOTHERSECRET");
    let other = store.table("other", "").replace(BUCKET, "nosuchbucket");
    let bench = Bench::new(&[store.table("main", "prefix = \"team\""), wrong, other].concat());
    runtime().block_on(async {
        assert_eq!(bench.finish("main").await.unwrap(), film().len() as u64);
        // Done is done.
        assert_eq!(bench.finish("main").await.unwrap(), film().len() as u64);
        let (bytes, media_type) = store.read(KEY);
        assert_eq!((bytes == film(), media_type.as_str()), (true, "video/mp4"));
        assert_signed(&bench, "main", None, &[400, 403]).await;
        let refused = bench.finish("wrong").await.unwrap_err();
        assert_eq!(refused.trouble, Trouble::Key, "{refused}");
        let missing = bench.finish("other").await.unwrap_err();
        assert_eq!(missing.trouble, Trouble::NoBucket, "{missing}");
    });
    bench.assert_check("main", &GOOD);
    bench.assert_check("wrong", &[denied]);
    bench.assert_check("other", &["write    there is no such bucket: answered 404 NoSuchBucket"]);
    assert_eq!(store.keys(), [KEY]);
    assert_eq!(store.ask("uploads", &[]).as_deref(), Ok("0"));
}

/// Throttled again and again, it is as if nothing had been.
fn assert_bears_throttling(store: &S3) {
    let middle = Middle::before(store.port);
    let bench = Bench::new(&store.table("main", "").replace(&store.endpoint(), &middle.url()));
    runtime().block_on(async {
        middle.throttle(3, Throttle::SlowDown);
        assert_eq!(bench.finish("main").await.unwrap(), film().len() as u64);
    });
    // Longer than one attempt bears it: the kind is told, and the next one goes on.
    let told = [
        (Throttle::SlowDown, "write    it is throttling: answered 503 SlowDown"),
        (Throttle::TooMany, "write    it is throttling: answered 429: later"),
    ];
    for (how, line) in told {
        let bench = Bench::new(&store.table("main", "").replace(&store.endpoint(), &middle.url()));
        middle.throttle(1000, how);
        bench.assert_check("main", &[line]);
        runtime().block_on(async {
            let error = bench.finish("main").await.unwrap_err();
            assert_eq!(error.trouble, Trouble::Throttled, "{error}");
            middle.throttle(0, how);
            bench.finish("main").await.unwrap();
        });
    }
    assert!(store.read(KEY).0 == film());
}

#[test]
fn swift_takes_and_gives_what_was_recorded() {
    let mut store = S3::swift();
    assert_takes_and_gives(&store);
    assert_bears_throttling(&store);
    assert_goes_on_after_a_kill(&mut store, true);
    assert_oss_is_virtual_hosted(&store);
    assert_refusals_are_told(&mut store);
}

#[test]
fn rclone_takes_and_gives_what_was_recorded() {
    let mut store = S3::rclone();
    assert_takes_and_gives(&store);
    assert_bears_throttling(&store);
    // Its unfinished uploads end with it: begun anew.
    assert_goes_on_after_a_kill(&mut store, false);
}

/// The server is killed while an upload is on its way, and comes back.
fn assert_goes_on_after_a_kill(store: &mut S3, remembers: bool) {
    let middle = Middle::before(store.port);
    let bench = Bench::new(&store.table("main", "").replace(&store.endpoint(), &middle.url()));
    runtime().block_on(async {
        let mut upload = bench.upload("main");
        let two_parts = 2 * 5 * MIB as u64;
        assert!(upload.ahead(&bench.file(), two_parts).await.unwrap());
        assert!(upload.ahead(&bench.file(), two_parts).await.unwrap());
        assert!(!upload.ahead(&bench.file(), two_parts).await.unwrap());
        drop(upload);
        store.kill();
        let error = bench.finish("main").await.unwrap_err();
        assert!(matches!(error.trouble, Trouble::Unreachable | Trouble::Other), "{error}");
        store.open();
        // The first attempt may find that the upload is forgotten.
        let mut done = bench.finish("main").await;
        for _ in 0..60 {
            if done.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            done = bench.finish("main").await;
        }
        assert_eq!(done.unwrap(), film().len() as u64);
    });
    assert!(store.read(KEY).0 == film());
    // What had arrived was not sent again.
    let first = middle.count(&["PUT", "partNumber=1&"]);
    assert_eq!(first == 1, remembers, "{:#?}", middle.seen());
}

/// OSS's S3 API is virtual-hosted; `x.localhost` resolves nowhere, so a proxy leads there.
fn assert_oss_is_virtual_hosted(store: &S3) {
    let middle = Middle::before(store.port);
    let (key, secret, proxy) = (store.key, store.secret, middle.url());
    let table = |name: &str, endpoint: &str, style: &str| {
        format!(
            "[[storage.destinations]]\nname = \"{name}\"\nkind = \"oss\"\nbucket = \"{BUCKET}\"\n\
             endpoint = \"{endpoint}\"\n{style}\nregion = \"us-east-1\"\nkey = \"{key}\"\n\
             secret = \"{secret}\"\nproxy = \"{proxy}\"\npart_mib = 5\n"
        )
    };
    let tables = [
        table("virtual", "http://s3.test.localhost", "style = \"virtual\""),
        // A name of the bucket's own, taken as it is.
        table("cname", &format!("http://{BUCKET}.s3.test.localhost"), ""),
    ];
    let bench = Bench::new(&tables.concat());
    bench.assert_check("virtual", &GOOD);
    bench.assert_check("cname", &GOOD);
    runtime().block_on(async {
        bench.finish("virtual").await.unwrap();
        assert_signed(&bench, "cname", Some(&proxy), &[400, 403]).await;
    });
    assert!(store.read(KEY).0 == film());
    // Never in the path.
    assert_eq!(middle.count(&[&format!("/{BUCKET}/")]), 0);
    // By OSS's other interface, for Alibaba's own client and no other key.
    let oss = Oss::before(store);
    let (bytes, media_type) = oss.read(store.secret, KEY).unwrap();
    assert_eq!((bytes == film(), media_type.as_str()), (true, "video/mp4"));
    let refused = oss.read("SKOTHERSECRET", KEY).unwrap_err();
    assert!(refused.contains("403 SignatureDoesNotMatch"), "{refused}");
}

/// A key that may nothing, and clocks that differ, each by the store's own word.
fn assert_refusals_are_told(store: &mut S3) {
    let guest = store.table("guest", "").replace("rec:rec", "rec:guest");
    let bench = Bench::new(&[store.table("main", ""), guest].concat());
    bench.assert_check("guest", &["write    the key has no permission: answered 403 AccessDenied"]);
    store.kill();
    bench.assert_check("main", &["write    it cannot be reached: "]);
    store.clock = 3600;
    store.open();
    let line = "write    the clocks differ too much: set this machine's: answered 403 \
                RequestTimeTooSkewed";
    bench.assert_check("main", &[line]);
    let error = runtime().block_on(bench.finish("main")).unwrap_err();
    assert_eq!(error.trouble, Trouble::Clock, "{error}");
}

#[test]
fn google_takes_and_gives_what_was_recorded() {
    let store = Gcs::start();
    let table = |name: &str, bucket: &str, key_file: &Path| {
        format!(
            "[[storage.destinations]]\nname = \"{name}\"\nkind = \"gs\"\nbucket = \"{bucket}\"\n\
             endpoint = \"http://127.0.0.1:{}\"\ncredentials_file = \"{}\"\npart_mib = 5\n",
            store.port,
            key_file.display()
        )
    };
    // A key that Google does not know.
    let strange = scratch();
    let (other, strange) = (Gcs::start(), strange.path().join("key.json"));
    let key = std::fs::read_to_string(other.key_file()).unwrap();
    let key = key.replace(&format!(":{}", other.port), &format!(":{}", store.port));
    std::fs::write(&strange, key).unwrap();
    let tables = [
        table("main", BUCKET, &store.key_file()),
        table("wrong", BUCKET, &strange),
        table("other", "nosuchbucket", &store.key_file()),
    ];
    let bench = Bench::new(&tables.concat());
    runtime().block_on(async {
        assert_eq!(bench.finish("main").await.unwrap(), film().len() as u64);
        let (bytes, media_type) = store.read(KEY);
        assert_eq!((bytes == film(), media_type.as_str()), (true, "video/mp4"));
        assert_signed(&bench, "main", None, &[400, 403]).await;
    });
    bench.assert_check("main", &GOOD);
    bench.assert_check("wrong", &["write    the key or its secret is refused"]);
    bench.assert_check("other", &["write    there is no such bucket"]);
}

#[test]
fn azure_takes_and_gives_what_was_recorded() {
    let store = Azure::start();
    let table = |name: &str, container: &str, secret: &str| {
        format!(
            "[[storage.destinations]]\nname = \"{name}\"\nkind = \"azure\"\n\
             bucket = \"{container}\"\nendpoint = \"{}\"\nkey = \"{}\"\nsecret = \"{secret}\"\n\
             part_mib = 5\n",
            store.endpoint(),
            Azure::ACCOUNT
        )
    };
    let tables = [
        table("main", BUCKET, Azure::KEY),
        table("wrong", BUCKET, "AAAA"),
        table("other", "nosuchcontainer", Azure::KEY),
    ];
    let bench = Bench::new(&tables.concat());
    runtime().block_on(async {
        assert_eq!(bench.finish("main").await.unwrap(), film().len() as u64);
        let (bytes, media_type) = store.read(KEY);
        assert_eq!((bytes == film(), media_type.as_str()), (true, "video/mp4"));
        assert_signed(&bench, "main", None, &[403]).await;
    });
    bench.assert_check("main", &GOOD);
    bench.assert_check("wrong", &["write    the key or its secret is refused"]);
    bench.assert_check("other", &["write    there is no such bucket"]);
}
