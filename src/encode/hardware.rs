//! Pictures to H.264 by a graphics card: NVENC, Quick Sync Video or VA-API through
//! libavcodec.
//!
//! Opened by `coder` after a self-test has passed in a process of its own. No
//! lookahead, no B-frames, one packet for each picture at once: what cannot do that
//! is not used. Knows neither ticks nor files.

use std::sync::Arc;

use ffmpeg_next::codec::encoder::video;
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Packet, encoder, frame, picture};

use super::coder::{Coded, Coder, ParameterSets};
use super::error::EncodeError;
use super::ffi::{self, Surfaces};
use super::limits::Level;
use super::nal;
use super::video::{Bits, bits, describe, parameter_sets};
use crate::job::{EncoderKind, Quality};
use crate::media::Picture;

pub(super) struct HardwareEncoder {
    codec: &'static str,
    encoder: video::Encoder,
    input: Input,
    /// Reused for every frame.
    packet: Packet,
    /// Frames from keyframe to keyframe.
    gop: u64,
    /// Frames coded so far.
    count: u64,
    sets: ParameterSets,
}

/// What the encoder takes.
enum Input {
    /// Pictures as they are.
    Planar,
    /// Pictures with their chroma planes woven into one.
    Woven,
    /// The same, in memory of the graphics card.
    Surfaces(Surfaces),
}

/// Name in libavcodec.
pub(super) fn codec_of(kind: EncoderKind) -> &'static str {
    match kind {
        EncoderKind::X264 => "libx264",
        EncoderKind::Nvenc => "h264_nvenc",
        EncoderKind::Qsv => "h264_qsv",
        EncoderKind::Vaapi => "h264_vaapi",
    }
}

/// What is asked of the encoder; it must know every name. A constant rate factor
/// becomes the nearest that each has, a quantiser of the same number; 0 is none that was
/// asked for, to all of them.
pub(super) fn options(kind: EncoderKind, quality: Quality) -> Vec<(&'static str, String)> {
    let plain = |name, value: &str| (name, value.to_owned());
    let Bits { rate, most, .. } = bits(quality);
    let rate = rate.map(|crf| crf.max(1));
    let level = Level::of(quality.resolution, quality.fps, most);
    let ceiling = || [("maxrate", most.to_string()), ("bufsize", level.burst(most).to_string())];
    let gop = ("g", quality.gop().to_string());
    let mut options = vec![gop, plain("bf", "0"), plain("profile", "high")];
    match kind {
        EncoderKind::Nvenc => {
            options.extend([plain("preset", "p4"), plain("tune", "ll"), plain("rc", "vbr")]);
            options.extend([plain("rc-lookahead", "0"), plain("delay", "0")]);
            options.extend([plain("zerolatency", "1"), plain("forced-idr", "1")]);
            options.push(match rate {
                Ok(crf) => ("cq", crf.to_string()),
                Err(bits) => ("b", bits.to_string()),
            });
            options.extend(ceiling());
        }
        EncoderKind::Qsv => {
            options.extend([plain("preset", "medium"), plain("async_depth", "1")]);
            options.extend([plain("forced_idr", "1"), plain("look_ahead", "0")]);
            match rate {
                Ok(crf) => options.push(("global_quality", crf.to_string())),
                Err(bits) => {
                    options.push(("b", bits.to_string()));
                    options.extend(ceiling());
                }
            }
        }
        EncoderKind::Vaapi => {
            options.extend([plain("async_depth", "1"), plain("idr_interval", "0")]);
            match rate {
                Ok(crf) => options.extend([plain("rc_mode", "CQP"), ("qp", crf.to_string())]),
                Err(bits) => {
                    options.extend([plain("rc_mode", "VBR"), ("b", bits.to_string())]);
                    options.extend(ceiling());
                }
            }
        }
        EncoderKind::X264 => {}
    }
    options
}

impl HardwareEncoder {
    /// `kind` is one of a graphics card.
    pub(super) fn open(kind: EncoderKind, quality: Quality) -> Result<Self, EncodeError> {
        let name = codec_of(kind);
        let failed = EncodeError::codec(name);
        let codec = encoder::find_by_name(name).ok_or(EncodeError::Missing(name))?;
        let mut context =
            codec::Context::new_with_codec(codec).encoder().video().map_err(failed)?;
        describe(&mut context, quality);
        let (width, height) = (quality.resolution.width(), quality.resolution.height());
        let input = match kind {
            EncoderKind::Vaapi => {
                let surfaces = Surfaces::of_vaapi(width, height).map_err(failed)?;
                surfaces.lend_to(&mut context).map_err(failed)?;
                context.set_format(Pixel::VAAPI);
                Input::Surfaces(surfaces)
            }
            EncoderKind::Qsv => {
                context.set_format(Pixel::NV12);
                Input::Woven
            }
            EncoderKind::Nvenc | EncoderKind::X264 => {
                context.set_format(Pixel::YUV420P);
                Input::Planar
            }
        };
        context.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
        let (encoder, refused) =
            ffi::open(context, codec, &options(kind, quality)).map_err(failed)?;
        if !refused.is_empty() {
            let problem = format!("does not know {}", refused.join(", "));
            return Err(EncodeError::Codec { codec: name, problem });
        }
        let sets = parameter_sets(name, &encoder)?;
        let gop = u64::from(quality.gop());
        Ok(Self { codec: name, encoder, input, packet: Packet::empty(), gop, count: 0, sets })
    }

    fn frame(&self, picture: &Arc<Picture>) -> Result<frame::Video, ffmpeg_next::Error> {
        match &self.input {
            Input::Planar => ffi::lend(picture),
            Input::Woven => Ok(woven(picture)),
            Input::Surfaces(surfaces) => surfaces.upload(&woven(picture)),
        }
    }
}

impl Coder for HardwareEncoder {
    fn parameter_sets(&self) -> ParameterSets {
        self.sets.clone()
    }

    fn encode(&mut self, picture: &Arc<Picture>, _repeat: bool) -> Result<Coded, EncodeError> {
        let failed = EncodeError::codec(self.codec);
        let broken =
            |problem: &str| EncodeError::Codec { codec: self.codec, problem: problem.into() };
        if (picture.width, picture.height) != (self.encoder.width(), self.encoder.height()) {
            return Err(broken("a picture has another size than the recording"));
        }
        let first = self.count.is_multiple_of(self.gop);
        let mut frame = self.frame(picture).map_err(failed)?;
        frame.set_pts(Some(self.count as i64));
        frame.set_kind(if first { picture::Type::I } else { picture::Type::None });
        self.encoder.send_frame(&frame).map_err(failed)?;
        self.encoder.receive_packet(&mut self.packet).map_err(failed)?;
        self.count += 1;
        let mut data = Vec::with_capacity(self.packet.size() + 16);
        let mut keyframe = false;
        let stream = self.packet.data().unwrap_or_default();
        for unit in nal::split(stream).into_iter().filter(|unit| nal::is_slice(unit)) {
            keyframe |= nal::kind(unit) == nal::IDR;
            nal::append(&mut data, unit);
        }
        if data.is_empty() || keyframe != first {
            return Err(broken("no picture, or a keyframe out of turn"));
        }
        Ok(Coded { data, keyframe })
    }
}

/// The picture as NV12: luma, then both chroma planes sample by sample.
fn woven(picture: &Picture) -> frame::Video {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut frame = frame::Video::new(Pixel::NV12, picture.width, picture.height);
    let stride = frame.stride(0);
    let rows = frame.data_mut(0).chunks_mut(stride.max(1));
    for (to, from) in rows.zip(picture.y.chunks_exact(width)).take(height) {
        to[..width].copy_from_slice(from);
    }
    let stride = frame.stride(1);
    let rows = frame.data_mut(1).chunks_mut(stride.max(1));
    let chroma = picture.u.chunks_exact(width / 2).zip(picture.v.chunks_exact(width / 2));
    for (to, (u, v)) in rows.zip(chroma).take(height / 2) {
        for (pair, (u, v)) in to.chunks_exact_mut(2).zip(u.iter().zip(v)) {
            pair.copy_from_slice(&[*u, *v]);
        }
    }
    frame
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::job::Rate;
    use crate::media::Pool;

    /// Without the hardware no encoder can be opened, but its options can be read.
    #[test]
    fn every_option_is_one_that_this_ffmpeg_knows() {
        let rates = [Rate::Crf(25), Rate::Bitrate(2500)];
        for kind in EncoderKind::HARDWARE {
            let codec = codec_of(kind);
            if encoder::find_by_name(codec).is_none() {
                println!("{codec} is not built in here");
                continue;
            }
            let help = Command::new("ffmpeg")
                .args(["-hide_banner", "-h", &format!("encoder={codec}")])
                .output()
                .unwrap();
            let help = String::from_utf8(help.stdout).unwrap();
            let own: Vec<&str> = help
                .lines()
                .filter_map(|line| line.trim().strip_prefix('-')?.split(' ').next())
                .collect();
            assert!(own.len() > 5, "{help}");
            for rate in rates {
                for (name, value) in options(kind, Quality { rate, ..Quality::default() }) {
                    // Of every encoder of libavcodec.
                    let common = ["g", "bf", "b", "maxrate", "bufsize", "global_quality"];
                    assert!(common.contains(&name) || own.contains(&name), "{codec}: {name}");
                    if value.parse::<u64>().is_err() {
                        let known =
                            help.lines().any(|l| l.split_whitespace().next() == Some(&value));
                        assert!(known, "{codec}: {name}={value}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_opened_says_so() {
        let there = std::path::Path::new("/dev/dri").exists()
            || std::path::Path::new("/dev/nvidiactl").exists();
        if there {
            println!("not tested: this machine has a graphics card");
            return;
        }
        for kind in EncoderKind::HARDWARE {
            let error = HardwareEncoder::open(kind, Quality::default()).err().unwrap();
            assert!(error.to_string().contains(codec_of(kind)), "{error}");
        }
    }

    #[test]
    fn a_woven_picture_has_every_sample_where_it_belongs() {
        let mut picture = Pool::new(500, 480).take();
        picture.y.iter_mut().enumerate().for_each(|(at, y)| *y = (at % 251) as u8);
        picture.u.iter_mut().enumerate().for_each(|(at, u)| *u = (at % 241) as u8);
        picture.v.iter_mut().enumerate().for_each(|(at, v)| *v = (at % 239) as u8);
        let frame = woven(&picture);
        for (x, row) in [(0, 0), (499, 0), (250, 479), (499, 479)] {
            assert_eq!(frame.data(0)[row * frame.stride(0) + x], picture.y[row * 500 + x]);
            let (at, half) = (row / 2 * frame.stride(1) + x / 2 * 2, row / 2 * 250 + x / 2);
            assert_eq!(frame.data(1)[at..at + 2], [picture.u[half], picture.v[half]]);
        }
    }
}
