//! `roomreel stills`: keyframes on standard input, a JPEG on standard output.
//!
//! Run by the service for posters, sprite sheets and the picture of a recording that
//! is going on, in a process that may touch nothing but those two.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use roomreel::encode::{Sheet, sheet};
use roomreel::recorder::confine::{Confinement, seal};
use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};

use super::Exit;
use super::args::Stills;

/// Longest frame in bytes; a keyframe of noise at 1920x1080 takes 4 MB.
const LONGEST_FRAME: u32 = 16 << 20;
/// Most frames of a sheet.
const MOST_FRAMES: usize = 1000;
/// CPU time that it may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Recorders come first.
const NICE: i32 = 19;

pub(crate) fn run(args: Stills) -> Result<(), Exit> {
    let Stills { edge, columns, quality } = args;
    // What fails here costs politeness, not safety.
    _ = setpriority_process(None, NICE);
    let limit = Some(PATIENCE.as_secs());
    _ = setrlimit(Resource::Cpu, Rlimit { current: limit, maximum: limit });
    if let Confinement::None(why) = seal() {
        tracing::debug!(why, "the frames are decoded without being confined");
    }
    let frames = read_frames(std::io::stdin().lock()).map_err(Exit::usage)?;
    let jpeg = sheet(frames.into_iter(), Sheet { edge, columns, quality })
        .map_err(|error| Exit::failure(anyhow!(error)))?;
    std::io::stdout().write_all(&jpeg).context("cannot hand over the JPEG").map_err(Exit::failure)
}

/// Frames behind their lengths (32 bits, big-endian), up to the end.
fn read_frames(mut from: impl Read) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    loop {
        let mut length = [0; 4];
        match from.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(frames),
            read => read.context("cannot read a frame's length")?,
        }
        let length = u32::from_be_bytes(length);
        if length > LONGEST_FRAME || frames.len() == MOST_FRAMES {
            bail!("more or longer frames than a sheet is made of");
        }
        let mut frame = vec![0; length as usize];
        from.read_exact(&mut frame).context("a frame ends early")?;
        frames.push(frame);
    }
}
