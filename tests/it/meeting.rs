//! A meeting in somebody else's software: Janus and its own page, two people, one recorder.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use roomreel::job::Event;

use crate::journal;
use crate::support::browser::Publisher;
use crate::support::janus::{Janus, Participant};
use crate::support::judge::{decodes_silently, probe, sound};
use crate::support::roomreel::Record;
use crate::support::{by_length, media, quiet, scratch, until};

#[test]
fn two_people_in_janus_are_seen_and_heard() {
    let _quiet = quiet();
    let dir = scratch();
    media::feeds(dir.path(), "alice", "blue", 880);
    media::feeds(dir.path(), "bob", "green", 660);
    let janus = Janus::start();
    let _alice = Publisher::join(&janus.publisher_url("alice"), dir.path(), "alice");
    let _bob = Publisher::join(&janus.publisher_url("bob"), dir.path(), "bob");
    janus.wait_for_publishers(&["alice", "bob"], Duration::from_secs(60));

    let (out, log) = (dir.path().join("meeting.mp4"), dir.path().join("meeting.jsonl"));
    let length = Duration::from_secs(by_length(10, 30));
    let recording = Record::new(&janus.watcher_url("recorder"), &out, length)
        .option("--join", "media")
        .option("--journal", log.to_str().unwrap())
        .with(&["--loopback-webrtc"])
        .start();
    // The gateway sees the recorder as one who watches and sends nothing.
    let recorder = Participant { name: "recorder".into(), publishes: false };
    until("the recorder in the room", Duration::from_secs(60), || {
        janus.participants().contains(&recorder).then_some(())
    });
    recording.wait(Duration::from_secs(90)).expect_success("roomreel record");

    let events = journal::read(&log);
    let by_media = |e: &Event| matches!(e, Event::Joined { how, .. } if how == "media");
    assert!(events.iter().any(by_media), "{events:#?}");

    let samples = sound::pcm(&out);
    let late = &samples[samples.len() / 2..];
    for hertz in [880.0, 660.0] {
        assert!(share(late, hertz) > 0.05, "{hertz} Hz: {}", share(late, hertz));
    }
    assert!(share(late, 770.0) < 0.02, "a tone that nobody sent");

    let file = probe(&out);
    let video = file.video.unwrap();
    assert_eq!((video.width, video.height), (1280, 720));
    assert!((file.duration - length.as_secs_f64()).abs() < 0.1, "{} s", file.duration);
    assert_eq!(decodes_silently(&out), Ok(()));

    // Both tiles are there and move to the end: in each, a white text wanders.
    let seconds = seconds(&out);
    let late = &seconds[seconds.len() / 2..];
    for (name, tile) in [("alice", Tile::Blue), ("bob", Tile::Green)] {
        let shown: Vec<_> = late.iter().map(|picture| tile.pixels(picture)).collect();
        let sizes: Vec<_> = shown.iter().map(BTreeSet::len).collect();
        assert!(sizes.iter().all(|&pixels| pixels > 500), "{name}'s tile: {sizes:?}");
        let changes: Vec<_> =
            shown.windows(2).map(|pair| pair[0].symmetric_difference(&pair[1]).count()).collect();
        // A loaded machine holds up a picture; it does not stop them.
        let moved = changes.iter().filter(|&&pixels| pixels > 10).count();
        assert!(2 * moved >= changes.len(), "{name}'s tile stands still: {changes:?}");
    }
}

const SIZE: (usize, usize) = (160, 90);

/// Whose picture it is, by the colour behind the text.
#[derive(Clone, Copy)]
enum Tile {
    Blue,
    Green,
}

impl Tile {
    /// Which pixels of a small picture show the colour.
    fn pixels(self, picture: &[[u8; 3]]) -> BTreeSet<usize> {
        let is_own = |&[r, g, b]: &[u8; 3]| match self {
            Self::Blue => b > 120 && r < 80 && g < 80,
            Self::Green => g > 70 && r < 60 && b < 60,
        };
        picture.iter().enumerate().filter(|(_, rgb)| is_own(rgb)).map(|(at, _)| at).collect()
    }
}

/// One small picture for each second of the film, as red, green and blue.
fn seconds(film: &Path) -> Vec<Vec<[u8; 3]>> {
    let (width, height) = SIZE;
    let filter = format!("fps=1,scale={width}:{height}");
    let done = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(film)
        .args(["-vf", &filter, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let pixels: Vec<[u8; 3]> = done.stdout.chunks_exact(3).map(|p| [p[0], p[1], p[2]]).collect();
    pixels.chunks_exact(width * height).map(<[_]>::to_vec).collect()
}

/// Which share of the power of `samples` is within some hertz of `hertz`: the mean over
/// stretches of 50 ms, because tones of others drift against this clock.
fn share(samples: &[f32], hertz: f64) -> f64 {
    let shares = samples.chunks_exact(2400).map(|stretch| {
        let (mut cosine, mut sine, mut power) = (0.0, 0.0, 1e-9);
        for (i, &sample) in stretch.iter().enumerate() {
            let angle = std::f64::consts::TAU * hertz * i as f64 / sound::RATE;
            let sample = f64::from(sample);
            cosine += sample * angle.cos();
            sine += sample * angle.sin();
            power += sample * sample;
        }
        2.0 * (cosine * cosine + sine * sine) / (stretch.len() as f64 * power)
    });
    let shares: Vec<f64> = shares.collect();
    crate::support::judge::mean_sd(&shares).0
}
