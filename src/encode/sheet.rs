//! Keyframes to JPEG: one picture, or a sheet of small ones.
//!
//! Called in a process of its own that may touch nothing (`roomreel stills`): the
//! frames come from a file that a hostile page may have had a hand in.

use ffmpeg_next::codec::{self, Id};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Packet, decoder, frame};
use image::codecs::jpeg::JpegEncoder;
use image::{RgbImage, imageops};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgb};

use super::error::EncodeError;

const CODEC: &str = "h264";

/// How a sheet looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sheet {
    /// The longer edge of every picture at most, in pixels; none is enlarged.
    pub edge: u32,
    /// Pictures in a row.
    pub columns: u32,
    /// Of the JPEG, 1 to 100.
    pub quality: u8,
}

/// A sheet of `frames` from left to right and top to bottom, all as large as the
/// first. Each is an Annex B access unit that begins with its parameter sets.
///
/// # Errors
/// [`EncodeError::Empty`] without a frame; [`EncodeError::Codec`] for one that cannot
/// be decoded or is not 4:2:0 with 8 bits.
pub fn sheet(
    frames: impl ExactSizeIterator<Item = Vec<u8>>,
    how: Sheet,
) -> Result<Vec<u8>, EncodeError> {
    let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    let columns = how.columns.clamp(1, count.max(1));
    let mut decoder = open()?;
    let mut all: Option<RgbImage> = None;
    let mut tile = (0, 0);
    for (number, frame) in (0..).zip(frames) {
        let picture = decode(&mut decoder, &frame)?;
        let canvas = match &mut all {
            Some(canvas) => canvas,
            None => {
                tile = within(picture.dimensions(), how.edge);
                let rows = count.div_ceil(columns);
                all.insert(RgbImage::new(tile.0 * columns, tile.1 * rows))
            }
        };
        let small = match picture.dimensions() == tile {
            true => picture,
            false => imageops::thumbnail(&picture, tile.0, tile.1),
        };
        let (x, y) = (number % columns * tile.0, number / columns * tile.1);
        imageops::replace(canvas, &small, x.into(), y.into());
    }
    let canvas = all.ok_or(EncodeError::Empty)?;
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, how.quality)
        .encode_image(&canvas)
        .map_err(|error| broken(format!("no JPEG: {error}")))?;
    Ok(out)
}

fn broken(problem: String) -> EncodeError {
    EncodeError::Codec { codec: CODEC, problem }
}

fn open() -> Result<decoder::Video, EncodeError> {
    let failed = EncodeError::codec(CODEC);
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Quiet);
    let found = decoder::find(Id::H264).ok_or(EncodeError::Missing(CODEC))?;
    let context = codec::Context::new_with_codec(found);
    context.decoder().open_as(found).and_then(|opened| opened.video()).map_err(failed)
}

fn decode(decoder: &mut decoder::Video, stream: &[u8]) -> Result<RgbImage, EncodeError> {
    let failed = EncodeError::codec(CODEC);
    decoder.send_packet(&Packet::copy(stream)).map_err(failed)?;
    // Nothing follows, so the frame is not held back for an order of display.
    decoder.send_eof().map_err(failed)?;
    let mut frame = frame::Video::empty();
    decoder.receive_frame(&mut frame).map_err(failed)?;
    decoder.flush();
    rgb(&frame)
}

/// BT.709, limited range: what is recorded here.
fn rgb(frame: &frame::Video) -> Result<RgbImage, EncodeError> {
    if frame.format() != Pixel::YUV420P {
        return Err(broken(format!("a frame of {:?}", frame.format())));
    }
    let (width, height) = (frame.width(), frame.height());
    let planes = YuvPlanarImage {
        y_plane: frame.data(0),
        y_stride: frame.stride(0) as u32,
        u_plane: frame.data(1),
        u_stride: frame.stride(1) as u32,
        v_plane: frame.data(2),
        v_stride: frame.stride(2) as u32,
        width,
        height,
    };
    let mut rgb = RgbImage::new(width, height);
    yuv420_to_rgb(&planes, &mut rgb, width * 3, YuvRange::Limited, YuvStandardMatrix::Bt709)
        .map_err(|error| broken(error.to_string()))?;
    Ok(rgb)
}

/// The largest size of the same shape whose longer edge is at most `edge`.
fn within((width, height): (u32, u32), edge: u32) -> (u32, u32) {
    let longer = width.max(height).max(1);
    let scaled = |side: u32| {
        let rounded =
            (u64::from(side) * u64::from(edge) + u64::from(longer) / 2) / u64::from(longer);
        u32::try_from(rounded).unwrap_or(side).clamp(1, side.max(1))
    };
    if longer <= edge { (width, height) } else { (scaled(width), scaled(height)) }
}
