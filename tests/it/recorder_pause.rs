//! A paused recorder takes nothing: what passes until it is resumed is not in
//! the file, and what comes before and after is.

use std::time::{Duration, Instant};

use roomreel::job::{Command, Event, Reply, StopReason};

use crate::journal;
use crate::support::judge::{code, decodes_silently, probe, sync};
use crate::support::media;
use crate::support::pages::{Pages, own_pages};
use crate::support::recorder::Recorder;
use crate::support::{quiet, scratch, until};

const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing is to be recorded.
const PAUSE: Duration = Duration::from_secs(3);

/// Waits until the file is that long.
fn recorded(recorder: &Recorder, seconds: f64) {
    until("some seconds of file", PATIENCE, || {
        let long = |e: &Event| matches!(e, Event::Stats(stats) if stats.elapsed_s >= seconds);
        recorder.events().iter().any(long).then_some(())
    });
}

#[test]
fn paused_time_is_not_in_the_file() {
    let _quiet = quiet();
    let dir = scratch();
    let pages = Pages::over(vec![own_pages()]);
    let recorder = Recorder::new(&pages.url("barcode.html"), &dir.path().join("recording"));
    let running = recorder.start();
    until("a first frame", PATIENCE, || journal::t0(&recorder.events()));
    recorded(&recorder, 1.5);
    // Twice is as good as once.
    let paused = Instant::now();
    assert_eq!(recorder.tell(Command::Pause), Reply::Ok);
    assert_eq!(recorder.tell(Command::Pause), Reply::Ok);
    std::thread::sleep(PAUSE);
    assert_eq!(recorder.tell(Command::Resume), Reply::Ok);
    let paused = paused.elapsed().as_secs_f64();
    let Reply::Status(before) = recorder.tell(Command::Status) else { panic!("no stats") };
    recorded(&recorder, before.elapsed_s + 1.5);
    recorder.tell(Command::Stop { reason: StopReason::ClientRequest });
    running.wait(PATIENCE).expect_success("the recorder");

    let events = recorder.events();
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(e)).count();
    assert_eq!(count(|e| matches!(e, Event::Paused { .. })), 1, "{events:#?}");
    assert_eq!(count(|e| matches!(e, Event::Resumed { .. })), 1, "{events:#?}");
    let summary = journal::finished(&events);
    let told = events.iter().find_map(|event| match event {
        Event::Stopped { recorded_s, .. } => Some(*recorded_s),
        _ => None,
    });
    assert!((told.unwrap() - summary.duration_s).abs() < 0.05, "{told:?} {summary:?}");
    let file = recorder.file();
    assert_eq!(decodes_silently(&file), Ok(()));
    let probed = probe(&file);
    let (video, audio) = (probed.video.unwrap(), probed.audio.unwrap());
    assert!((video.duration - audio.duration).abs() < 0.001, "{video:?} {audio:?}");

    // One jump of the page's clock, as long as the pause; the file's has none.
    let codes = code::readings(&file);
    let times: Vec<(f64, f64)> =
        codes.iter().filter_map(|r| Some((r.time, r.code?.0 / 1000.0))).collect();
    let jumps: Vec<f64> = times
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1) - (pair[1].0 - pair[0].0))
        .filter(|jump| *jump > 1.5)
        .collect();
    assert_eq!(jumps.len(), 1, "{jumps:?}");
    assert!((jumps[0] - paused).abs() < 1.0, "{jumps:?} for {paused} s");
}

#[test]
fn picture_and_sound_agree_after_a_pause_as_before() {
    let _quiet = quiet();
    let dir = scratch();
    media::sync_film(&dir.path().join("sync.mp4"), 60);
    let pages = Pages::with(dir.path());
    let recorder = Recorder::new(&pages.url("sync.html"), &dir.path().join("recording"));
    let running = recorder.start();
    until("a first frame", PATIENCE, || journal::t0(&recorder.events()));
    recorded(&recorder, 7.0);
    assert_eq!(recorder.tell(Command::Pause), Reply::Ok);
    // No whole number of frames, of packets or of the film's seconds.
    std::thread::sleep(Duration::from_millis(1_713));
    let Reply::Status(before) = recorder.tell(Command::Status) else { panic!("no stats") };
    assert_eq!(recorder.tell(Command::Resume), Reply::Ok);
    recorded(&recorder, before.elapsed_s + 6.0);
    recorder.tell(Command::Stop { reason: StopReason::ClientRequest });
    running.wait(PATIENCE).expect_success("the recorder");

    let [earlier, later] = sync::before_and_after(&recorder.file(), before.elapsed_s);
    println!("{earlier:?} {later:?}");
    assert!(earlier.pairs >= 3 && later.pairs >= 3, "{earlier:?} {later:?}");
    // A frame that a busy machine costs the browser moves its picture by a frame.
    assert!((earlier.median_ms - later.median_ms).abs() < 100.0, "{earlier:?} {later:?}");
}
