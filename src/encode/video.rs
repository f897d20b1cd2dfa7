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
use super::quantiser::{Aim, Group, Quantiser};
use super::still::Still;
use super::{ffi, nal};
use crate::job::{Quality, Rate};
use crate::media::Picture;

const CODEC: &str = "libx264";

/// Quantiser step of keyframes against that of the pictures between them
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

/// The coarsest quantiser whose blocks need no smoothing at their edges: up to it the
/// filter's thresholds (ITU-T H.264, Table 8-16) are a few levels, and it changes nothing
/// that can be seen, for a tenth of the encoder's time.
const FINE: u8 = 23;

/// Repeats that are skipped before one is encoded after all. That one refines
/// the still picture, and tells the rate control of a bitrate how little there is to
/// do: with keyframes alone it would think the content hard and make each one coarser.
pub(super) const SKIPS: u32 = 7;

pub(super) struct VideoEncoder {
    quality: Quality,
    /// Number of the parameter sets.
    id: u8,
    encoder: video::Encoder,
    /// Reused for every frame.
    packet: Packet,
    /// Makes repeats for nothing; `None` if the stream is not one it understands.
    still: Option<Still>,
    /// Decides on each group's quantiser; `None` where x264 keeps to a bitrate.
    quantiser: Option<Quantiser>,
    /// What `encoder` was opened for.
    group: Option<Group>,
    /// Frames from keyframe to keyframe.
    gop: u64,
    /// Frames since the last keyframe, which is one of them.
    number: u64,
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
///
/// With a constant quantiser x264 looks at no picture before it codes it, which saves a
/// fifth of its time.
fn options(quality: Quality, id: u8, group: Option<Group>) -> Vec<(&'static str, String)> {
    let gop = quality.gop().to_string();
    let Bits { rate, most } = bits(quality);
    let level = Level::of(quality.resolution, quality.fps, most);
    let plain = |name, value: &str| (name, value.to_owned());
    let mut options = vec![
        plain("preset", "ultrafast"),
        plain("tune", "zerolatency"),
        plain("profile", "high"),
        plain("coder", "cabac"),
        plain("8x8dct", "1"),
        plain("partitions", "i4x4,i8x8,p8x8"),
        plain("i_qfactor", KEYFRAME_SCALE),
        ("level", level.name.to_owned()),
        ("g", gop.clone()),
        ("keyint_min", gop),
        plain("sc_threshold", "0"),
        plain("forced-idr", "1"),
        plain("threads", "1"),
    ];
    // Parameter sets that do not depend on the quantiser.
    let mut params = format!("sps-id={id}:stitchable=1");
    if let Some(Group::Constant(qp)) = group {
        options.push(("qp", qp.to_string()));
    } else {
        options.push(match rate {
            // To x264, 0 means lossless, which profile High cannot express.
            Ok(crf) => ("crf", crf.max(1).to_string()),
            Err(bits) => ("b", bits.to_string()),
        });
        let burst = level.burst(most);
        options.extend([("maxrate", most.to_string()), ("bufsize", burst.to_string())]);
    }
    if !matches!(group, Some(Group::Constant(..=FINE))) {
        options.push(plain("deblock", "0:0"));
    }
    if group == Some(Group::Guarded) {
        // The burst is over when this begins.
        params += ":vbv-init=0.1";
    }
    options.push(("x264-params", params));
    options
}

/// What [`Quantiser`] has to keep to; `None` where a bitrate is asked for.
fn aim(quality: Quality) -> Option<Aim> {
    let Bits { rate, most } = bits(quality);
    let Quality { resolution, fps, .. } = quality;
    let burst = Level::of(resolution, fps, most).burst(most);
    let macroblocks = resolution.width().div_ceil(16) * resolution.height().div_ceil(16);
    rate.ok().map(|crf| Aim { crf, most, burst, fps, macroblocks })
}

fn open(quality: Quality, id: u8, group: Option<Group>) -> Result<video::Encoder, EncodeError> {
    let failed = EncodeError::codec(CODEC);
    let codec = encoder::find_by_name(CODEC).ok_or(EncodeError::Missing(CODEC))?;
    let mut context = codec::Context::new_with_codec(codec).encoder().video().map_err(failed)?;
    describe(&mut context, quality);
    context.set_format(Pixel::YUV420P);
    context.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
    let (encoder, refused) =
        ffi::open(context, codec, &options(quality, id, group)).map_err(failed)?;
    if !refused.is_empty() {
        let problem = format!("does not know {}", refused.join(", "));
        return Err(EncodeError::Codec { codec: CODEC, problem });
    }
    Ok(encoder)
}

impl VideoEncoder {
    /// `id` is the number of its parameter sets.
    pub(super) fn open(quality: Quality, id: u8) -> Result<Self, EncodeError> {
        let quantiser = aim(quality).map(Quantiser::new);
        let group = quantiser.as_ref().map(Quantiser::group);
        let encoder = open(quality, id, group)?;
        let sets = parameter_sets(CODEC, &encoder)?;
        let still = Still::new(&sets.sps, &sets.pps);
        if still.is_none() {
            tracing::warn!(
                "unexpected H.264 stream layout: still pictures are encoded like moving ones"
            );
        }
        Ok(Self {
            quality,
            id,
            encoder,
            packet: Packet::empty(),
            still,
            quantiser,
            group,
            gop: u64::from(quality.gop()),
            number: 0,
            count: 0,
            skipped: 0,
            sets,
        })
    }

    /// The next frame is a keyframe: of this encoder, or of a new one, should the
    /// quantiser be another from here on. A group refers to nothing before it.
    fn begin_group(&mut self) {
        self.number = 0;
        let group = self.quantiser.as_mut().map(Quantiser::next);
        if group == self.group {
            return;
        }
        match self.another(group) {
            Ok(encoder) => (self.encoder, self.group) = (encoder, group),
            // The one that is open codes any group, if not as well.
            Err(error) => {
                tracing::warn!(%error, "the picture keeps its encoder for another group");
                if let (Some(quantiser), Some(group)) = (&mut self.quantiser, self.group) {
                    quantiser.hold(group);
                }
            }
        }
    }

    /// An encoder for `group`, whose stream continues this one: it has the same parameter
    /// sets.
    fn another(&self, group: Option<Group>) -> Result<video::Encoder, EncodeError> {
        let encoder = open(self.quality, self.id, group)?;
        if parameter_sets(CODEC, &encoder)? != self.sets {
            let problem = "has other parameter sets at another quantiser".to_owned();
            return Err(EncodeError::Codec { codec: CODEC, problem });
        }
        Ok(encoder)
    }

    /// Encoders that it opens from now on have other parameter sets.
    #[cfg(test)]
    pub(super) fn misnumber(&mut self) {
        self.id += 1;
    }

    fn code(&mut self, picture: &Arc<Picture>) -> Result<Coded, EncodeError> {
        let number = self.number;
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
        if self.number == self.gop || self.quantiser.as_ref().is_some_and(Quantiser::ends_early) {
            self.begin_group();
        }
        let coded = match &self.still {
            Some(still) if repeat && self.number > 0 && self.skipped < SKIPS => {
                let mut data = Vec::new();
                nal::append(&mut data, &still.repeat(self.number));
                self.skipped += 1;
                self.quantiser.iter_mut().for_each(Quantiser::repeated);
                Coded { data, keyframe: false }
            }
            _ => {
                self.skipped = 0;
                let coded = self.code(picture)?;
                if let Some(quantiser) = &mut self.quantiser {
                    quantiser.coded(coded.data.len(), coded.keyframe);
                }
                coded
            }
        };
        self.number += 1;
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
