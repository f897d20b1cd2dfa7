//! An encoder that fails in the middle of a recording: x264 goes on in the same
//! file, without a frame lost. Its stand-in is x264 with a fault; threads, file and
//! judge are those of every recording.

use std::sync::Arc;
use std::time::Duration;

use super::judge;
use super::scene::{EPOCH, Scene, number_in};
use crate::encode::EncodeEvent;
use crate::encode::coder::{Coded, Coder, Coders, PRIMARY, ParameterSets};
use crate::encode::error::EncodeError;
use crate::encode::mux;
use crate::encode::video::VideoEncoder;
use crate::encode::watched::Watched;
use crate::job::{EncoderKind, Quality};
use crate::media::Picture;

/// Pictures that it makes before its end.
const GOOD: u64 = 40;

/// What a driver may do.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Error,
    Hang,
    Panic,
}

struct Failing {
    x264: VideoEncoder,
    fault: Fault,
    left: u64,
}

impl Coder for Failing {
    fn parameter_sets(&self) -> ParameterSets {
        self.x264.parameter_sets()
    }

    fn encode(&mut self, picture: &Arc<Picture>, repeat: bool) -> Result<Coded, EncodeError> {
        if self.left == 0 {
            match self.fault {
                Fault::Error => {
                    let problem = "the device was lost".to_owned();
                    return Err(EncodeError::Codec { codec: "h264_test", problem });
                }
                // Far beyond any patience; nobody waits for the thread.
                Fault::Hang => std::thread::sleep(Duration::from_secs(600)),
                Fault::Panic => panic!("a fault that the test makes"),
            }
        }
        self.left -= 1;
        self.x264.encode(picture, repeat)
    }
}

fn failing(fault: Fault, quality: Quality) -> Coders {
    let open = move || {
        // Another layout than x264 has by itself: its parameter sets must not do for
        // what comes after.
        let own = Quality { keyframe_interval_s: 1.0, rate: crate::job::Rate::Crf(35), ..quality };
        let x264 = VideoEncoder::open(own, PRIMARY)?;
        Ok(Box::new(Failing { x264, fault, left: GOOD }))
    };
    let watched = Watched::start("nvenc", open, 0).unwrap();
    Coders::guarded(EncoderKind::Nvenc, Box::new(watched), quality).unwrap()
}

#[test]
fn another_encoder_goes_on_in_the_same_file() {
    for (fault, said) in [
        (Fault::Error, "the device was lost"),
        (Fault::Hang, "did not answer"),
        (Fault::Panic, "ended by itself"),
    ] {
        let mut scene = Scene::made_by(|quality| failing(fault, quality));
        let out = scene.directory.path().join("film.mp4");
        scene.encoder.begin(EPOCH);
        for number in 0..100 {
            scene.tick(number, true);
            scene.sound_until(number);
        }
        scene.sound_until(100);
        let part = scene.directory.path().join("film.part");
        // A crash now, or later: the growing file has both streams' headers.
        let (copy, saved) = (scene.directory.path().join("copy"), out.with_extension("saved.mp4"));
        let begun = std::time::Instant::now();
        loop {
            std::fs::copy(&part, &copy).unwrap();
            let frames = mux::salvage(&copy, &saved).map_or(0, |file| file.frames);
            if frames > GOOD {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{frames} frames are on disk");
            std::thread::sleep(Duration::from_millis(20));
        }
        let summary = scene.encoder.finish(&out).unwrap();
        assert_eq!(summary.encoders, [EncoderKind::Nvenc, EncoderKind::X264], "{fault:?}");
        let told = std::iter::from_fn(|| scene.events.try_recv().ok()).find_map(|e| match e {
            EncodeEvent::FellBack { from, why } => Some((from, why)),
            _ => None,
        });
        let (from, why) = told.unwrap();
        assert!(from == EncoderKind::Nvenc && why.contains(said), "{fault:?}: {why}");

        // Every frame, in order, on both sides of it, by a decoder that takes nothing
        // amiss less than everything.
        for file in [&out, &saved] {
            let numbers: Vec<u64> =
                judge::pictures(file).iter().map(|picture| number_in(picture)).collect();
            let all = numbers.len() as u64;
            assert_eq!(numbers, (0..all).collect::<Vec<_>>(), "{fault:?}");
        }
        assert_eq!(judge::pictures(&out).len(), 100, "{fault:?}");
        assert_eq!(judge::keyframes(&out), [0, 30, 40]);
        // Each has parameter sets of its own.
        assert_eq!(judge::header_values(&out, "seq_parameter_set_id"), ["0", "1"]);
    }
}

#[test]
fn x264_is_opened_where_a_wanted_one_is_missing() {
    let there = std::path::Path::new("/dev/dri").exists()
        || std::path::Path::new("/dev/nvidiactl").exists();
    if there {
        println!("not tested: this machine has a graphics card");
        return;
    }
    for kind in EncoderKind::HARDWARE {
        let (coders, why) = Coders::open(kind, Quality::default(), 0).unwrap();
        assert_eq!(coders.kind(), EncoderKind::X264);
        assert!(why.is_some_and(|why| why.contains("264")), "{kind}");
        assert_eq!(coders.parameter_sets().len(), 1);
    }
}
