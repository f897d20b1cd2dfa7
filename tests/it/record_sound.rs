//! The sound of a recording: whole, where it belongs, silent where nothing sounds.

use std::path::Path;
use std::time::Duration;

use crate::journal;
use crate::support::judge::{probe, sound, sync, tone};
use crate::support::pages::Pages;
use crate::support::roomreel::Record;
use crate::support::{by_length, media, quiet, scratch, until};

#[test]
fn a_tone_comes_out_whole_and_as_long_as_it_was_recorded() {
    let _quiet = quiet();
    let dir = scratch();
    let (out, log) = (dir.path().join("tone.mp4"), dir.path().join("tone.jsonl"));
    let pages = Pages::over(vec![crate::support::pages::own_pages()]);
    // Ended by a signal at no particular moment: the length is what the clock says.
    let recording = Record::new(&pages.url("tone.html"), &out, Duration::from_secs(600))
        .option("--journal", log.to_str().unwrap())
        .start();
    until("a first frame", Duration::from_secs(30), || journal::t0(&journal::read(&log)));
    std::thread::sleep(Duration::from_millis(by_length(8_123, 60_123)));
    recording.signal(rustix::process::Signal::INT);
    recording.wait(Duration::from_secs(30)).expect_success("roomreel record");

    let events = journal::read(&log);
    let clock = (journal::stop(&events).unwrap() - journal::t0(&events).unwrap()) as f64 / 1e9;
    let found = probe(&out);
    for (what, length) in
        [("picture", found.video.unwrap().duration), ("sound", found.audio.unwrap().duration)]
    {
        assert!((length - clock).abs() <= 0.045, "{what}: {length} s of {clock} s");
    }
    // The page takes its time to start the tone; from then on it is steady.
    let samples = sound::pcm(&out);
    // Behind the end lies what ffmpeg decodes of the last AAC packets beyond it.
    let end = (clock * 48_000.0) as usize - 4_800;
    let steady = &samples[3 * 48_000..end];
    let heard = tone::tone(steady, 1000.0);
    println!("{heard:?}");
    // A browser that is held up may leave a hole; what comes after it is where it
    // belongs, so the frequency over the whole is the page's to the hundredth.
    assert!(heard.glitches.len() * 50 <= steady.len() / 480, "{heard:?}");
    assert!((heard.hertz - 1000.0).abs() < 0.01, "{heard:?}");
    // Half of full scale on both channels; ffmpeg's mono is 3 dB above each.
    assert!((heard.level_dbfs + 6.02).abs() < 0.2, "{heard:?}");
}

#[test]
fn silence_is_silent() {
    let _quiet = quiet();
    let dir = scratch();
    let out = dir.path().join("silent.mp4");
    let pages = Pages::over(vec![crate::support::pages::own_pages()]);
    Record::new(&pages.url("silent.html"), &out, Duration::from_secs(4)).run();
    let samples = sound::pcm(&out);
    // ffmpeg hands out the rest of the last AAC packet, too, up to 1023 samples.
    assert!((4 * 48_000..4 * 48_000 + 1024).contains(&samples.len()), "{}", samples.len());
    assert!((probe(&out).audio.unwrap().duration - 4.0).abs() < 0.001);
    assert!(sound::dbfs(&samples) < -90.0, "{} dBFS", sound::dbfs(&samples));
}

#[test]
fn picture_and_sound_of_a_film_agree() {
    let _quiet = quiet();
    let dir = scratch();
    let seconds = by_length(15, 60);
    media::sync_film(&dir.path().join("sync.mp4"), u32::try_from(seconds).unwrap() + 30);
    let found = film(dir.path(), seconds);
    println!("{found:?}");
    // Each frame that a busy machine costs the browser moves its picture by a
    // frame; how close they are on a quiet one is for the bench to show.
    assert!(found.mean_ms.abs() < 150.0, "{found:?}");
    assert!(found.pairs as u64 + 3 >= seconds, "{found:?}");
}

fn film(dir: &Path, seconds: u64) -> sync::Sync {
    let pages = Pages::with(dir);
    let out = dir.join("film.mp4");
    Record::new(&pages.url("sync.html"), &out, Duration::from_secs(seconds)).run();
    sync::sync(&out)
}
