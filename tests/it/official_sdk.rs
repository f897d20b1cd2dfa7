//! The contract's official Node SDK (`@100mslive/server-sdk`) as the caller of a
//! real service: what a backend that talks to 100ms does today.

use std::time::Duration;

use serde_json::Value;

use crate::support::archive::{self, Past};
use crate::support::judge::{boxes, decodes_silently, probe};
use crate::support::pages::{Pages, own_pages};
use crate::support::process::Running;
use crate::support::serve::{Serve, data};
use crate::support::{quiet, scratch, tools};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Two full pages of ten and a part of a third.
const ARCHIVED: i64 = 25;

#[test]
fn the_official_sdk_starts_lists_stops_and_downloads() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let root = scratch();
    let past = |room, count| (1..=count).rev().map(move |ago| Past::completed(room, ago));
    // Two full pages, of which every fifth recording failed.
    let even = (1..=20).rev().map(|ago| Past::completed("even", ago).or_failed(ago % 5 == 0));
    archive::fill(&data(root.path()), past("archive", ARCHIVED).chain(even));
    let config = format!(
        "auth.keys = [{{ access_key = \"app\", secret = \"{SECRET}\" }}]\n\
         net.allow = [\"127.0.0.0/8\"]\n\
         recording = {{ join = \"load\", max_concurrent = 2 }}\n"
    );
    let service = Serve::over(root, &config);
    let out = scratch();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/scripts/session.cjs");
    let mut session = tools::node();
    session.arg(script).env("BASE", service.url("/v2"));
    session.env("ACCESS_KEY", "app").env("SECRET", SECRET);
    session.env("MEETING", pages.url("barcode.html")).env("ARCHIVED", ARCHIVED.to_string());
    session.env("OUT", out.path());
    let outcome = Running::spawn(&mut session).wait(Duration::from_secs(300));
    assert!(outcome.status.success(), "{}\n{}", outcome.stderr, service.process.stderr());

    for room in ["one", "two"] {
        let file = out.path().join(format!("{room}.mp4"));
        let asset = std::fs::read_to_string(out.path().join(format!("{room}.json"))).unwrap();
        let asset: Value = serde_json::from_str(&asset).unwrap();
        assert_eq!(decodes_silently(&file), Ok(()));
        assert!(boxes::is_fast_start(&file));
        let found = probe(&file);
        let told = asset["duration"].as_f64().unwrap();
        assert!((told - found.duration).abs() <= 1.0, "{asset}: {} s", found.duration);
        let video = found.video.unwrap();
        assert_eq!((video.width, video.height), (854, 480));
    }
}
