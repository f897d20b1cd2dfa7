//! Faults with a real browser and a real file: whatever is killed, stopped or
//! filled up, the file is good and says what happened.
//!
//! What a kill of `serve`, or of it and all that it started, leaves is in `service`.

mod disk;
mod image;
mod limits;
mod power;

use std::time::{Duration, Instant};

use roomreel::clock::Mono;
use roomreel::job::{Command, Event, StopReason, Summary};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::browser::group;
use crate::journal;
use crate::support::judge::{code, decodes_silently, packet_times, probe, sound};
use crate::support::pages::{Pages, own_pages};
use crate::support::process::Running;
use crate::support::recorder::Recorder;
use crate::support::{by_length, long, quiet, scratch, until};

const PATIENCE: Duration = Duration::from_secs(60);

/// A recorder of the barcode page that has its first frame.
struct Recording {
    recorder: Recorder,
    running: Running,
    browser: u32,
    t0: u64,
    _pages: Pages,
    _dir: tempfile::TempDir,
}

impl Recording {
    fn start() -> Self {
        let (pages, dir) = (Pages::over(vec![own_pages()]), scratch());
        let recorder = Recorder::new(&pages.url("barcode.html"), &dir.path().join("recording"));
        let running = recorder.start();
        let t0 = until("a first frame", PATIENCE, || journal::t0(&recorder.events()));
        let browser = journal::browser(&recorder.events()).unwrap();
        Self { recorder, running, browser, t0, _pages: pages, _dir: dir }
    }

    /// Seconds since T0.
    fn clock(&self) -> f64 {
        (Mono::now().0 - self.t0) as f64 / 1e9
    }

    /// A member of the browser's group by what Chromium calls it.
    fn member(&self, kind: &str) -> Pid {
        let wanted = format!("--type={kind}");
        pid(until(kind, PATIENCE, || {
            group(self.browser).into_iter().find(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&line).contains(&wanted)
            })
        }))
    }

    /// Waits for pictures that were painted after now.
    fn until_painted(&self) {
        let before = self.recorder.events().len();
        until("a new picture", PATIENCE, || {
            let events = self.recorder.events();
            let painted: Vec<u64> = events[before..].iter().filter_map(painted).collect();
            painted.windows(2).any(|w| w[1] > w[0] + 5).then_some(())
        });
    }

    /// Stops it, and judges the file: valid, as long as the clock says, and in
    /// order. Returns its events and the longest time that it shows one picture.
    fn finish(self) -> (Vec<Event>, f64) {
        self.recorder.tell(Command::Stop { reason: StopReason::ClientRequest });
        self.running.wait(PATIENCE).expect_success("roomreel recorder");
        let events = self.recorder.events();
        let file = self.recorder.file();
        assert_eq!(decodes_silently(&file), Ok(()));
        let clock = (journal::stop(&events).unwrap() - self.t0) as f64 / 1e9;
        let length = probe(&file).duration;
        assert!((length - clock).abs() <= 0.05, "{length} s of file in {clock} s");
        let times = packet_times(&file, "v:0");
        assert!(times.windows(2).all(|w| w[1] > w[0]), "the picture's time runs backwards");
        let times = packet_times(&file, "a:0");
        let packet = 1024.0 / 48_000.0;
        let whole = times.windows(2).all(|w| (w[1] - w[0] - packet).abs() < 0.001);
        assert!(whole, "packets of sound are missing");
        assert!(group(self.browser).is_empty(), "the browser is still there");
        (events, longest_still(&code::painted(&file)))
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

fn painted(event: &Event) -> Option<u64> {
    match event {
        Event::Stats(stats) => Some(stats.painted),
        _ => None,
    }
}

/// The longest time in seconds for which nothing new is shown.
fn longest_still(readings: &[code::Reading]) -> f64 {
    let (mut longest, mut since, mut last) = (0.0_f64, None, None);
    for reading in readings {
        let Some(code) = reading.code else { continue };
        if last != Some(code) {
            since = Some(reading.time);
            last = Some(code);
        }
        longest = longest.max(reading.time - since.unwrap_or(reading.time));
    }
    longest
}

fn noticed(events: &[Event], text: &str) -> bool {
    events.iter().any(|e| matches!(e, Event::Notice { message } if message.contains(text)))
}

fn salvaged(events: &[Event]) -> Option<Summary> {
    events.iter().rev().find_map(|event| match event {
        Event::Salvaged(summary) => Some(summary.clone()),
        _ => None,
    })
}

#[derive(Debug, Clone, Copy)]
enum Victim {
    Recorder,
    Everything,
    Browser,
    Gpu,
    Renderer,
}

const VICTIMS: [Victim; 5] =
    [Victim::Recorder, Victim::Browser, Victim::Gpu, Victim::Renderer, Victim::Everything];

/// Somewhere in a second, another place each time.
fn somewhere(round: u64) -> Duration {
    let seed = u64::from(std::process::id()) + round;
    Duration::from_millis(1_500 + seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000)
}

/// The recorder is dead: no process is left, and the file is salvaged.
fn after_the_end(recording: Recording, killed: f64) {
    let died = Instant::now();
    until("the end of every process", PATIENCE, || {
        group(recording.browser).is_empty().then_some(())
    });
    let took = died.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?} until no process was left");
    let Recording { recorder, running, .. } = recording;
    running.wait(PATIENCE);
    recorder.salvage().wait(PATIENCE).expect_success("recorder --salvage");
    let file = recorder.file();
    assert_eq!(decodes_silently(&file), Ok(()));
    assert!(salvaged(&recorder.events()).is_some());
    let picture = code::readings(&file).len() as f64 / 30.0;
    let heard = sound::pcm(&file).len() as f64 / 48_000.0;
    println!("killed at {killed:.3} s: {picture:.3} s of picture, {heard:.3} s of sound");
    assert!(killed - picture <= 1.0, "{picture} s of {killed} s of picture");
    assert!(killed - heard <= 1.5, "{heard} s of {killed} s of sound");
}

#[test]
fn whatever_is_killed_whenever_the_file_is_good() {
    let _quiet = quiet();
    for round in 0..by_length(10_u64, 100) {
        let victim = VICTIMS[(round % 5) as usize];
        let recording = Recording::start();
        std::thread::sleep(somewhere(round));
        let browser = pid(recording.browser);
        let killed = recording.clock();
        match victim {
            Victim::Recorder => {
                recording.running.signal(Signal::KILL);
                after_the_end(recording, killed);
                continue;
            }
            Victim::Everything => {
                recording.running.signal(Signal::KILL);
                let _ = kill_process_group(browser, Signal::KILL);
                after_the_end(recording, killed);
                continue;
            }
            Victim::Browser => kill_process(browser, Signal::KILL).unwrap(),
            Victim::Gpu => kill_process(recording.member("gpu-process"), Signal::KILL).unwrap(),
            Victim::Renderer => kill_process(recording.member("renderer"), Signal::KILL).unwrap(),
        }
        recording.until_painted();
        let first = recording.browser;
        let (events, still) = recording.finish();
        println!("{victim:?} killed at {killed:.3} s: {still:.3} s without a new picture");
        // How fast a browser starts is the machine's to say when others use it, too.
        assert!(still < by_length(20.0, 5.0), "{victim:?}: {still} s without a new picture");
        match victim {
            Victim::Browser => {
                assert!(noticed(&events, "starting browser 2"), "{events:#?}");
                assert!(group(first).is_empty());
            }
            Victim::Renderer => assert!(noticed(&events, "loading it again"), "{events:#?}"),
            _ => assert_eq!(journal::browser(&events), Some(first), "{events:#?}"),
        }
        // The gap is counted.
        let counted = journal::finished(&events).stats.repeated as f64 / 30.0;
        assert!(counted >= still - 0.1, "{counted} s of repeats for {still} s");
    }
}

#[test]
fn a_browser_that_hangs_is_replaced() {
    let _quiet = quiet();
    let recording = Recording::start();
    std::thread::sleep(Duration::from_secs(1));
    kill_process_group(pid(recording.browser), Signal::STOP).unwrap();
    let stopped = Instant::now();
    until("that it is found", PATIENCE, || {
        noticed(&recording.recorder.events(), "hangs").then_some(())
    });
    let found = stopped.elapsed();
    println!("found after {found:?}");
    assert!(found < by_length(Duration::from_secs(20), Duration::from_secs(11)), "{found:?}");
    until("another browser", PATIENCE, || {
        journal::browser(&recording.recorder.events()).filter(|&pid| pid != recording.browser)
    });
    recording.until_painted();
    let (events, still) = recording.finish();
    println!("{still:.3} s without a new picture");
    assert!(noticed(&events, "starting browser 2"), "{events:#?}");
}

#[test]
fn a_recorder_that_is_stopped_and_continued_keeps_the_clocks_time() {
    let _quiet = quiet();
    let recording = Recording::start();
    std::thread::sleep(Duration::from_secs(2));
    recording.running.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(if long() { 20 } else { 3 }));
    recording.running.signal(Signal::CONT);
    std::thread::sleep(Duration::from_secs(3));
    let first = recording.browser;
    let (events, _) = recording.finish();
    // It was not the browser's fault.
    assert_eq!(journal::browser(&events), Some(first), "{events:#?}");
}

/// Takes 32 MiB five times a second, and gives nothing back.
const HUNGRY: &str = "<!doctype html><body style='background:#246'>
    <h1 style='font:bold 30vh serif;color:#fff'>A page</h1><script>
    const taken = [];
    setInterval(() => taken.push(new Uint8Array(32 << 20).fill(taken.length + 1)), 200);
    </script>";

#[test]
fn a_page_that_takes_too_much_memory_costs_its_browser_and_not_the_recording() {
    let _quiet = quiet();
    let address = crate::record_refusals::serve(
        axum::Router::new()
            .route("/", axum::routing::get(|| async { axum::response::Html(HUNGRY) })),
    );
    let dir = scratch();
    let mut recorder = Recorder::new(&format!("http://{address}/"), &dir.path().join("recording"));
    recorder.spec["browser"] = serde_json::json!({ "memory_limit": 900_u64 << 20 });
    let running = recorder.start();
    until("a first frame", PATIENCE, || journal::t0(&recorder.events()));
    until("another browser", PATIENCE, || {
        let events = recorder.events();
        (noticed(&events, "browser.memory_limit") && noticed(&events, "starting browser 2"))
            .then_some(())
    });
    recorder.tell(Command::Stop { reason: StopReason::ClientRequest });
    running.wait(PATIENCE).expect_success("roomreel recorder");
    assert_eq!(decodes_silently(&recorder.file()), Ok(()));
}
