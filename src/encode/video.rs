//! Pictures to H.264: libx264 through libavcodec, in its cheapest good corner.
//!
//! Driven by the encode thread, a frame at a time in file order; gives MP4
//! samples. Knows neither ticks nor files.

use std::sync::Arc;

use ffmpeg_next::codec::encoder::video;
use ffmpeg_next::codec::{self, Flags};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Packet, color, encoder, picture};

use super::error::EncodeError;
use super::still::Still;
use super::{ffi, nal};
use crate::job::{Resolution, Video};
use crate::media::Picture;

const CODEC: &str = "libx264";

/// Seconds between keyframes: what a player may have to decode for a seek. Of
/// 2 seconds at the same quality the file is a fifth larger.
const GOP_SECONDS: u32 = 4;

/// Quantiser scale of keyframes against that of the pictures between them
/// (`f_ip_factor` is the inverse). What does not move (a wall, a slide) is skipped
/// until the next keyframe and stays as good as the last one was, so bits are best
/// spent there: what lookahead does for encoders that can wait.
const KEYFRAME_SCALE: &str = "0.3333";

/// Ceiling of the bitrate, in thousandths of a bit per pixel: 12 Mb/s at 720p30,
/// several times what meetings need. It only matters when a page shows noise,
/// which without it takes more than 100 Mb/s and a whole core.
const MOST_MILLIBITS: u64 = 450;

/// Seconds of that bitrate that a burst may use up at once.
const BURST_SECONDS: u64 = 2;

/// Repeats that are skipped before one is encoded after all. That one refines
/// the still picture, and tells the rate control how little there is to do: with
/// keyframes alone it would think the content hard and make each one coarser.
pub(super) const SKIPS: u32 = 7;

/// One coded frame.
pub(super) struct Coded {
    /// NAL units, each behind its length in four bytes.
    pub data: Vec<u8>,
    /// Decoding can start here.
    pub keyframe: bool,
}

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
    sps: Vec<u8>,
    pps: Vec<u8>,
}

/// The settings behind the choice in the architecture notes: `ultrafast`, with
/// the tools added back that pay for themselves (`scripts/bench --search` shows
/// what each is worth). Every name here must be taken by the encoder, or opening
/// fails.
fn options(resolution: Resolution, video: Video) -> Vec<(&'static str, String)> {
    let gop = (GOP_SECONDS * video.fps).to_string();
    let pixels = u64::from(resolution.width()) * u64::from(resolution.height());
    let most = pixels * u64::from(video.fps) * MOST_MILLIBITS / 1000;
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
        // To x264, 0 means lossless, which profile High cannot express.
        ("crf", video.crf.max(1).to_string()),
        ("maxrate", most.to_string()),
        ("bufsize", (most * BURST_SECONDS).to_string()),
        ("g", gop.clone()),
        ("keyint_min", gop),
        plain("sc_threshold", "0"),
        plain("forced-idr", "1"),
        plain("threads", "1"),
    ]
}

impl VideoEncoder {
    pub(super) fn open(resolution: Resolution, video: Video) -> Result<Self, EncodeError> {
        let failed = EncodeError::codec(CODEC);
        let broken = |problem: String| EncodeError::Codec { codec: CODEC, problem };
        let video = video.check().map_err(|error| broken(error.to_string()))?;
        let codec = encoder::find_by_name(CODEC).ok_or(EncodeError::Missing(CODEC))?;
        let mut context =
            codec::Context::new_with_codec(codec).encoder().video().map_err(failed)?;
        context.set_width(resolution.width());
        context.set_height(resolution.height());
        context.set_format(Pixel::YUV420P);
        let fps = video.fps as i32;
        context.set_time_base((1, fps));
        context.set_frame_rate(Some((fps, 1)));
        context.set_flags(Flags::GLOBAL_HEADER | Flags::CLOSED_GOP);
        context.set_colorspace(color::Space::BT709);
        context.set_color_primaries(color::Primaries::BT709);
        context.set_color_transfer_characteristic(color::TransferCharacteristic::BT709);
        context.set_color_range(color::Range::MPEG);
        let (encoder, refused) =
            ffi::open(context, codec, &options(resolution, video)).map_err(failed)?;
        if !refused.is_empty() {
            return Err(broken(format!("does not know {}", refused.join(", "))));
        }
        let headers = ffi::extradata(&encoder);
        let header = |kind| {
            nal::split(&headers)
                .into_iter()
                .find(|unit| nal::kind(unit) == kind)
                .map(<[u8]>::to_vec)
                .ok_or_else(|| broken("gave no parameter sets".into()))
        };
        let (sps, pps) = (header(nal::SPS)?, header(nal::PPS)?);
        let still = Still::new(&sps, &pps);
        if still.is_none() {
            tracing::warn!(
                "unexpected H.264 stream layout: still pictures are encoded like moving ones"
            );
        }
        Ok(Self {
            encoder,
            packet: Packet::empty(),
            still,
            gop: u64::from(GOP_SECONDS * video.fps),
            count: 0,
            skipped: 0,
            sps,
            pps,
        })
    }

    /// Sequence and picture parameter set, for the file's header.
    pub(super) fn parameter_sets(&self) -> (Vec<u8>, Vec<u8>) {
        (self.sps.clone(), self.pps.clone())
    }

    /// Codes the next frame. `repeat`: the picture is the one of the frame before.
    pub(super) fn encode(
        &mut self,
        picture: &Arc<Picture>,
        repeat: bool,
    ) -> Result<Coded, EncodeError> {
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
