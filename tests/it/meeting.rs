//! A meeting in somebody else's software: Janus and its own page, two people, one recorder.

use std::time::Duration;

use roomreel::job::Event;

use crate::journal;
use crate::support::browser::Publisher;
use crate::support::janus::{Janus, Participant};
use crate::support::judge::{pictures, sound};
use crate::support::roomreel::Record;
use crate::support::{media, quiet, scratch, until};

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
    let length = Duration::from_secs(10);
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

    // The tiles move: their texts wander.
    let frames = pictures::seen(&out, "iw:ih:0:0", 128, 72);
    let (first, last) = (&frames[frames.len() / 2].luma, &frames[frames.len() - 1].luma);
    let changed = first.iter().zip(last).filter(|(a, b)| a.abs_diff(**b) > 40).count();
    assert!(changed > 10, "only {changed} of {} values changed", first.len());
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
