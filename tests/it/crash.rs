//! A service that is killed with -9 between any two of its steps: what it had
//! begun comes to an end that is true, and every event is told.
//!
//! A life (start, pause, resume, stop) is lived once for each place where a kill
//! can fall: right before and right after each call that changes the store, at each
//! step of the recorder, and while a receiver holds an event that it has not
//! answered. The service is a real process, and so is the recorder; both are this
//! binary again (`the_processes_of_these_tests`). The recorder is scripted, so that
//! it can kill at a step; with `ROOMREEL_LONG=1` the real one takes its place.

mod life;
mod receiver;
mod recorder;
mod service;
mod tripwire;

use futures::StreamExt;

use self::life::{Kill, Life};
use self::recorder::POINTS;

/// Lives at the same time: they mostly wait.
const AT_ONCE: usize = 6;

const DONE: [&str; 3] = ["beam.started.success", "beam.stopped.success", "beam.recording.success"];
const CUT: [&str; 3] = ["beam.started.success", "beam.stopped.success", "beam.failure"];

/// Not a test: what the processes of these tests run, told by the environment.
#[test]
fn the_processes_of_these_tests() {
    match std::env::var(life::ROLE).as_deref() {
        Ok("service") => service::run(),
        Ok("recorder") => recorder::run(),
        other => assert!(other.is_err(), "{other:?}"),
    }
}

/// Lives each life and compares its story with what is true.
async fn live(lives: Vec<(Life, &'static str, &'static [&'static str])>) {
    let told = futures::stream::iter(lives)
        .map(async |(life, status, events)| {
            let name = life.name();
            // In a task of its own, so that one that panics does not hide the others.
            let story = tokio::spawn(life.live(events.len())).await;
            (name, story.map_err(|e| e.to_string()), status, events)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let mut wrong = Vec::new();
    for (name, story, status, events) in told {
        match story {
            Ok(story) if story.tells(status, events) => {}
            other => wrong.push(format!("{name}: {other:#?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every call that changes the store in a life that nobody disturbs.
async fn calls(life: Life) -> Vec<String> {
    let story = life.live(DONE.len()).await;
    assert!(story.tells("completed", &DONE), "{story:#?}");
    let calls: Vec<_> = story.calls.into_iter().filter(|call| !call.starts_with("prune")).collect();
    for call in ["insert", "Run", "Pause", "Resume", "Stop", "PostProcess", "Complete"] {
        assert!(calls.contains(&format!("{call} 1")), "{call} is not in {calls:?}");
    }
    for n in 1..=DONE.len() {
        assert!(calls.contains(&format!("fan_out {n}")) && calls.contains(&format!("settle {n}")));
    }
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_any_two_calls_to_the_store() {
    let calls = calls(Life::scripted(vec![])).await;
    let kill =
        |call: &String, before| Life::scripted(vec![Kill::Call { call: call.clone(), before }]);
    let lives = calls.iter().flat_map(|call| [kill(call, true), kill(call, false)]);
    live(lives.map(|life| (life, "completed", &DONE[..])).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_any_step_of_the_recorder() {
    let lives = POINTS.iter().map(|point| Kill::Step { point, both: false });
    let lives = lives.map(|kill| (Life::scripted(vec![kill]), "completed", &DONE[..]));
    live(lives.collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_an_event_is_on_its_way() {
    let lives = (1..=DONE.len()).map(Kill::Post);
    let once = lives.clone().map(|kill| vec![kill]);
    let again = std::iter::once(vec![Kill::Post(1), Kill::Post(2), Kill::Post(3)]);
    let lives = once.chain(again).map(|kills| (Life::scripted(kills), "completed", &DONE[..]));
    live(lives.collect()).await;
}

/// The whole machine goes: what the recorder had told by then decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn together_with_the_recorder() {
    let both = |point| Kill::Step { point, both: true };
    let alone = |point| Kill::Step { point, both: false };
    let mut lives = Vec::new();
    for point in POINTS {
        let (status, events) = match *point {
            // Nothing had begun: it begins anew.
            "born" | "spawned" | "locked" => ("completed", &DONE[..]),
            "started" | "joined" => ("failed", &CUT[2..]),
            "stopped" | "finalised" | "finished" => ("completed", &DONE[..]),
            _ => ("failed", &CUT[..]),
        };
        lives.push((Life::scripted(vec![both(point)]), status, events));
    }
    // And again while what was left is being saved.
    for (kills, status, events) in [
        (vec![both("stopped"), alone("salvaging")], "completed", &DONE[..]),
        (vec![both("stopped"), both("salvaged")], "completed", &DONE[..]),
        (vec![both("first_frame"), both("salvaging")], "failed", &CUT[..]),
        (vec![both("first_frame"), alone("salvaged")], "failed", &CUT[..]),
    ] {
        lives.push((Life::scripted(kills), status, events));
    }
    live(lives).await;
}

/// The same with browsers and files.
#[test]
fn between_any_two_calls_to_the_store_with_a_real_recorder() {
    if !crate::support::long() {
        return;
    }
    let _quiet = crate::support::quiet();
    let pages = crate::support::pages::Pages::over(vec![crate::support::pages::own_pages()]);
    let page = pages.url("barcode.html");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for call in calls(Life::real(&page, vec![])).await {
            for before in [true, false] {
                let kill = Kill::Call { call: call.clone(), before };
                let story = Life::real(&page, vec![kill]).live(DONE.len()).await;
                assert!(story.tells("completed", &DONE), "{call} {before}: {story:#?}");
            }
        }
    });
}
