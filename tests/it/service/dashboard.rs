//! The dashboard in a real browser, over a real recording.

use super::*;
use crate::support::browser::BINARY;
use crate::support::hooks::Hooks;
use crate::support::tools;

const PASSWORD: &str = "correct horse battery";

/// Where the pictures of the pages are kept, for people to look at.
const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/dashboard");

#[test]
fn an_operator_records_a_room_from_its_start_to_its_file() {
    let _quiet = quiet();
    let hooks = Hooks::open();
    let service = Service::with(scratch(), free_port(), |dir| {
        let settings = format!(
            "[dashboard]\npassword = \"{PASSWORD}\"\n\
             [[webhooks.endpoints]]\nname = \"app\"\nurl = \"{}\"\n",
            hooks.url()
        );
        std::fs::write(dir.join("roomreel.toml"), settings).unwrap();
    });
    let (others, bots) = bots(&service, "standup", 1);
    std::fs::create_dir_all(PICTURES).unwrap();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/scripts/dashboard.cjs");
    let mut operator = tools::node();
    operator.arg(script).env("BASE", &service.api).env("PASSWORD", PASSWORD);
    operator.env("MEETING", service.recorder_link("standup"));
    operator.env("CHROMIUM", BINARY).env("OUT", PICTURES);
    let outcome = Running::spawn(&mut operator).wait(Duration::from_secs(420));
    assert!(outcome.status.success(), "{}\n{}", outcome.stderr, service.process.stderr());
    others.block_on(bots.close());

    // It is the file of an ordinary recording, and one event of it was told twice.
    let listed = service.get("/v2/recordings?room_id=standup");
    let recording = service.until(listed["data"][0]["id"].as_str().unwrap(), "completed");
    assert_shows_and_sounds(&service.file(&recording), 854, 480);
    let told = hooks.bodies("beam.recording.success");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0]["id"], told[1]["id"]);
    // What was typed to sign in is nowhere in the log.
    assert!(!service.process.stderr().contains("horse"), "{}", service.process.stderr());
}
