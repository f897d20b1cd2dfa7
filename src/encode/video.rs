//! Pictures to H.264: libx264 through libavcodec, in its cheapest good corner.
//!
//! Driven by the encode thread, a frame at a time in file order; gives MP4
//! samples. Knows neither ticks nor files.

use std::sync::Arc;

use ffmpeg_next::codec::encoder::video;
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Packet, color, encoder, picture};

use super::coder::{Coded, Coder, ParameterSets};
use super::error::EncodeError;
use super::limits::Level;
use super::still::Still;
use super::{ffi, nal};
use crate::job::{Quality, Rate};
use crate::media::Picture;

const CODEC: &str = "libx264";

/// Quantiser scale of keyframes against that of the pictures between them
/// (`f_ip_factor` is the inverse). What does not move (a wall, a slide) is skipped
/// until the next keyframe and stays as good as the last one was, so bits are best
/// spent there: what lookahead does for encoders that can wait.
const KEYFRAME_SCALE: &str = "0.3333";

/// Ceiling of the bitrate, in thousandths of a bit per pixel: 12 Mb/s at 720p30,
/// several times what meetings need. It only matters when a page shows noise,
/// which without it takes more than 100 Mb/s and a whole core.
const MOST_MILLIBITS: u64 = 450;

/// How far the picture's bitrate may go above the wanted one for the length of a
/// burst, in per cent of that.
const MOST_PERCENT: u64 = 150;

/// Repeats that are skipped before one is encoded after all. That one refines
/// the still picture, and tells the rate control how little there is to do: with
/// keyframes alone it would think the content hard and make each one coarser.
pub(super) const SKIPS: u32 = 7;

pub(super) struct VideoEncoder {
    encoder: video::Encoder,
    /// Reused for every frame.
    packet: Packet,
    /// Makes repeats for nothing; `None` if the stream is not one it understands.
    still: Option<Still>,
    /// Frames from keyframe to keyframe.
    gop: u64,
    /// Frames coded so far.
    count: u64,
    /// Frames skipped since the last encoded one.
    skipped: u32,
    sets: ParameterSets,
}

/// How many bits a picture gets.
pub(super) struct Bits {
    /// A constant rate factor, or bits a second.
    pub rate: Result<u8, u64>,
    /// Bits a second at most.
    pub most: u64,
}

/// What is asked for in bits.
pub(super) fn bits(quality: Quality) -> Bits {
    let Quality { resolution, fps, rate, .. } = quality;
    match rate {
        Rate::Crf(crf) => {
            let pixels = u64::from(resolution.width()) * u64::from(resolution.height());
            Bits { rate: Ok(crf), most: pixels * u64::from(fps) * MOST_MILLIBITS / 1000 }
        }
        Rate::Bitrate(kilobits) => {
            let wanted = u64::from(kilobits) * 1000;
            Bits { rate: Err(wanted), most: wanted * MOST_PERCENT / 100 }
        }
    }
}

/// The settings behind the choice in the architecture notes: `ultrafast`, with
/// the tools added back that pay for themselves (`scripts/bench --search` shows
/// what each is worth). Every name here must be taken by the encoder, or opening
/// fails.
fn options(quality: Quality, id: u8) -> Vec<(&'static str, String)> {
    let gop = quality.gop().to_string();
    let Bits { rate, most } = bits(quality);
    let wanted = match rate {
        // To x264, 0 means lossless, which profile High cannot express.
        Ok(crf) => ("crf", crf.max(1).to_string()),
        Err(bits) => ("b", bits.to_string()),
    };
    let level = Level::of(quality.resolution, quality.fps, most);
    let plain = |name, value: &str| (name, value.to_owned());
    vec![
        plain("preset", "ultrafast"),
        plain("tune", "zerolatency"),
        plain("profile", "high"),
        plain("coder", "cabac"),
        plain("8x8dct", "1"),
        plain("deblock", "0:0"),
        plain("partitions", "i4x4,i8x8,p8x8"),
        plain("i_qfactor", KEYFRAME_SCALE),
        wanted,
        ("level", level.name.to_owned()),
        ("maxrate", most.to_string()),
        ("bufsize", level.burst(most).to_string()),
        ("g", gop.clone()),
        ("keyint_min", gop),
        plain("sc_threshold", "0"),
        plain("forced-idr", "1"),
        plain("threads", "1"),
        ("x264-params", format!("sps-id={id}")),
    ]
}

impl VideoEncoder {
    /// `id` is the number of its parameter sets.
    pub(super) fn open(quality: Quality, id: u8) -> Result<Self, EncodeError> {
        let failed = EncodeError::codec(CODEC);
        let broken = |problem: String| EncodeError::Codec { codec: CODEC, problem };
        let codec = encoder::find_by_name(CODEC).ok_or(EncodeError::Missing(CODEC))?;
        let mut context =
            codec::Context::new_with_codec(codec).encoder().video().map_err(failed)?;
        describe(&mut context, quality);
        context.set_format(Pixel::YUV420P);
        context.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
        let (encoder, refused) =
            ffi::open(context, codec, &options(quality, id)).map_err(failed)?;
        if !refused.is_empty() {
            return Err(broken(format!("does not know {}", refused.join(", "))));
        }
        let sets = parameter_sets(CODEC, &encoder)?;
        let still = Still::new(&sets.sps, &sets.pps);
        if still.is_none() {
            tracing::warn!(
                "unexpected H.264 stream layout: still pictures are encoded like moving ones"
            );
        }
        Ok(Self {
            encoder,
            packet: Packet::empty(),
            still,
            gop: u64::from(quality.gop()),
            count: 0,
            skipped: 0,
            sets,
        })
    }

    fn code(&mut self, picture: &Arc<Picture>, number: u64) -> Result<Coded, EncodeError> {
        let failed = EncodeError::codec(CODEC);
        let broken = |problem: &str| EncodeError::Codec { codec: CODEC, problem: problem.into() };
        if (picture.width, picture.height) != (self.encoder.width(), self.encoder.height()) {
            return Err(broken("a picture has another size than the recording"));
        }
        let mut frame = ffi::lend(picture).map_err(failed)?;
        frame.set_pts(Some(self.count as i64));
        // The encoder does not see the repeats, so it cannot count to the next
        // keyframe itself.
        frame.set_kind(if number == 0 { picture::Type::I } else { picture::Type::None });
        self.encoder.send_frame(&frame).map_err(failed)?;
        // Without lookahead and B-frames each frame gives its packet at once.
        self.encoder.receive_packet(&mut self.packet).map_err(failed)?;
        let mut data = Vec::with_capacity(self.packet.size() + 16);
        let mut keyframe = false;
        // Parameter sets are in the file's header; the rest (SEI, filler) says
        // nothing to a player.
        let stream = self.packet.data().unwrap_or_default();
        for unit in nal::split(stream).into_iter().filter(|unit| nal::is_slice(unit)) {
            keyframe |= nal::kind(unit) == nal::IDR;
            match &self.still {
                Some(still) => {
                    let unit = still
                        .renumber(unit, number)
                        .ok_or_else(|| broken("a slice header cannot be read"))?;
                    nal::append(&mut data, &unit);
                }
                None => nal::append(&mut data, unit),
            }
        }
        if data.is_empty() || keyframe != (number == 0) {
            return Err(broken("no picture, or a keyframe out of turn"));
        }
        Ok(Coded { data, keyframe })
    }
}

impl Coder for VideoEncoder {
    fn parameter_sets(&self) -> ParameterSets {
        self.sets.clone()
    }

    fn encode(&mut self, picture: &Arc<Picture>, repeat: bool) -> Result<Coded, EncodeError> {
        let number = self.count % self.gop;
        let coded = match &self.still {
            Some(still) if repeat && number > 0 && self.skipped < SKIPS => {
                let mut data = Vec::new();
                nal::append(&mut data, &still.repeat(number));
                self.skipped += 1;
                Coded { data, keyframe: false }
            }
            _ => {
                self.skipped = 0;
                self.code(picture, number)?
            }
        };
        self.count += 1;
        Ok(coded)
    }
}

/// Size, time and colours, as every encoder has to tell them.
pub(super) fn describe(context: &mut video::Video, quality: Quality) {
    let Quality { resolution, fps, .. } = quality;
    let fps = fps as i32;
    context.set_width(resolution.width());
    context.set_height(resolution.height());
    context.set_time_base((1, fps));
    context.set_frame_rate(Some((fps, 1)));
    context.set_colorspace(color::Space::BT709);
    context.set_color_primaries(color::Primaries::BT709);
    context.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
    context.set_color_range(color::Range::MPEG);
}

/// Those that an open encoder has for the file's header.
pub(super) fn parameter_sets(
    codec: &'static str,
    encoder: &video::Encoder,
) -> Result<ParameterSets, EncodeError> {
    let headers = ffi::extradata(encoder);
    let units = nal::split(&headers);
    let header = |kind| {
        let unit = units.iter().find(|unit| nal::kind(unit) == kind);
        let problem = || "gave no parameter sets".to_owned();
        unit.map(|unit| unit.to_vec())
            .ok_or_else(|| EncodeError::Codec { codec, problem: problem() })
    };
    Ok(ParameterSets { sps: header(nal::SPS)?, pps: header(nal::PPS)? })
}
