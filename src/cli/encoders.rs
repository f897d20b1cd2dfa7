//! `roomreel encoders`: which encoders of the picture work here. And the process
//! that tries one of them.

use anyhow::anyhow;
use roomreel::encode::check_encoder;
use roomreel::job::{EncoderKind, Quality};
use roomreel::recorder::encoder;

use super::args::{EncoderCheck, Encoders};
use super::{Exit, runtime};

/// Tries all of them, each in a process of its own.
pub(crate) fn run(args: &Encoders) -> Result<(), Exit> {
    let quality = Quality {
        resolution: args.preset.resolution(),
        fps: args.preset.fps,
        ..Quality::default()
    };
    runtime()?.block_on(async {
        for kind in [EncoderKind::X264].into_iter().chain(EncoderKind::HARDWARE) {
            match encoder::check(kind, quality).await {
                Ok(()) => println!("{kind:<6} works"),
                Err(why) => println!("{kind:<6} does not work: {why}"),
            }
        }
    });
    Ok(())
}

/// Tries one in this process. What is wrong with it is the last line of standard
/// output; libavcodec tells more on standard error.
pub(crate) fn check(args: &EncoderCheck) -> Result<(), Exit> {
    let quality = serde_json::from_str(&args.quality)
        .map_err(|error| Exit::usage(anyhow!("--quality: {error}")))?;
    check_encoder(args.encoder, quality).map_err(|why| {
        println!("{why}");
        Exit::failure(anyhow!("{} does not work", args.encoder))
    })
}
