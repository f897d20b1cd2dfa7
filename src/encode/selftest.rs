//! Whether an encoder can be trusted with a recording: it codes a second of
//! pictures, libavcodec's own decoder reads them back, and they must be the same
//! ones, in order, and look alike.
//!
//! Run in a process of its own (`roomreel encoder-check`), which a driver may take
//! down. Pure but for the decoder.

use std::sync::Arc;

use ffmpeg_next::codec::{Context, Flags, Id, decoder};
use ffmpeg_next::{Packet, frame};

use super::coder::{self, Coder};
use crate::job::{EncoderKind, Quality, Rate};
use crate::media::{Picture, Pool};

/// Pictures at least; two keyframes are among them.
const PICTURES: u64 = 30;

/// The least likeness of a plane, dB (peak signal to noise ratio). The pictures are
/// easily coded, and neighbours differ by 28 dB, so that one in another's place shows.
const LEAST_DB: f64 = 32.0;

/// By how much the brightness of a picture differs from that of the one before.
const STEP: u8 = 10;

/// Opens the encoder of this kind and tries it.
///
/// # Errors
/// A sentence that says why it cannot be used.
pub fn check_encoder(kind: EncoderKind, quality: Quality) -> Result<(), String> {
    // Only what goes wrong is worth reading.
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Error);
    let quality = generous(quality);
    let mut coder = coder::open(kind, quality).map_err(|error| error.to_string())?;
    judge(coder.as_mut(), quality)
}

/// The same kind of quality with bits enough for a likeness, and keyframes so soon
/// that there are two of them.
fn generous(quality: Quality) -> Quality {
    let Quality { resolution, fps, rate, .. } = quality;
    let rate = match rate {
        Rate::Crf(crf) => Rate::Crf(crf.min(30)),
        Rate::Bitrate(wanted) => {
            let pixels = resolution.width() * resolution.height() / 1000 * fps;
            Rate::Bitrate(wanted.max(pixels / 10))
        }
    };
    Quality { rate, keyframe_interval_s: 0.5, ..quality }
}

/// Tries an open encoder.
pub(super) fn judge(coder: &mut dyn Coder, quality: Quality) -> Result<(), String> {
    let gop = u64::from(quality.gop());
    let pool = Pool::new(quality.resolution.width(), quality.resolution.height());
    let count = PICTURES.max(gop + 2);
    let mut decoder = Decoder::open()?;
    let mut decoded = Vec::new();
    for number in 0..count {
        // Every fifth is shown twice.
        let repeat = number % 5 == 4;
        let picture = Arc::new(picture(&pool, number - u64::from(repeat)));
        let coded = coder.encode(&picture, repeat).map_err(|error| error.to_string())?;
        if coded.keyframe != number.is_multiple_of(gop) {
            return Err(format!("picture {number}: a keyframe out of turn"));
        }
        let sets = coder.parameter_sets();
        let headers = if number == 0 { vec![sets.sps, sets.pps] } else { Vec::new() };
        decoded.extend(decoder.decode(&annex_b(&headers, &coded.data)?)?);
    }
    decoded.extend(decoder.finish()?);
    if decoded.len() as u64 != count {
        return Err(format!("of {count} pictures {} can be decoded", decoded.len()));
    }
    for (number, found) in (0..count).zip(&decoded) {
        let meant = picture(&pool, number - u64::from(number % 5 == 4));
        compare(&meant, found).map_err(|why| format!("picture {number}: {why}"))?;
    }
    Ok(())
}

/// A slope that anybody can code, whose brightness and colour tell its number.
fn picture(pool: &Pool, number: u64) -> Picture {
    let mut picture = pool.take();
    let width = picture.width as usize;
    let level = 40 + STEP * (number % 8) as u8;
    for (row, line) in picture.y.chunks_exact_mut(width).enumerate() {
        for (column, luma) in line.iter_mut().enumerate() {
            *luma = level + ((row + column) / 32 % 64) as u8;
        }
    }
    // A bright square goes its way.
    let left = number as usize * 16 % (width - 64);
    for line in picture.y.chunks_exact_mut(width).skip(64).take(64) {
        line[left..left + 64].fill(220);
    }
    picture.u.fill(100 + (number % 8) as u8);
    picture.v.fill(160 - (number % 8) as u8);
    picture
}

/// The units of an MP4 sample behind start codes (Annex B), after `headers`.
fn annex_b(headers: &[Vec<u8>], sample: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = Vec::with_capacity(sample.len() + 64);
    let mut add = |unit: &[u8]| {
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(unit);
    };
    headers.iter().for_each(|unit| add(unit));
    let mut rest = sample;
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (unit, next) = tail.split_at_checked(length).ok_or("what it gave is cut off")?;
        add(unit);
        rest = next;
    }
    Ok(stream)
}

struct Decoder(decoder::Video);

impl Decoder {
    fn open() -> Result<Self, String> {
        let codec = decoder::find(Id::H264).ok_or("libavcodec has no H.264 decoder")?;
        let mut context = Context::new_with_codec(codec);
        context.set_flags(Flags::LOW_DELAY);
        let opened = context.decoder().video().map_err(|error| error.to_string())?;
        Ok(Self(opened))
    }

    fn decode(&mut self, stream: &[u8]) -> Result<Vec<frame::Video>, String> {
        let sent = self.0.send_packet(&Packet::copy(stream));
        sent.map_err(|error| format!("it cannot be decoded: {error}"))?;
        Ok(self.frames())
    }

    fn finish(&mut self) -> Result<Vec<frame::Video>, String> {
        self.0.send_eof().map_err(|error| format!("it cannot be decoded: {error}"))?;
        Ok(self.frames())
    }

    /// Those that are ready.
    fn frames(&mut self) -> Vec<frame::Video> {
        std::iter::from_fn(|| {
            let mut frame = frame::Video::empty();
            self.0.receive_frame(&mut frame).is_ok().then_some(frame)
        })
        .collect()
    }
}

fn compare(meant: &Picture, found: &frame::Video) -> Result<(), String> {
    if (found.width(), found.height()) != (meant.width, meant.height) {
        return Err(format!("it is {}x{}", found.width(), found.height()));
    }
    let width = meant.width as usize;
    let planes = [(&meant.y, width), (&meant.u, width / 2), (&meant.v, width / 2)];
    for (number, (plane, width)) in planes.into_iter().enumerate() {
        let rows = found.data(number).chunks(found.stride(number).max(1));
        let squares = plane.chunks_exact(width).zip(rows).flat_map(|(meant, found)| {
            meant.iter().zip(found).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
        });
        let error = squares.sum::<u64>() as f64 / plane.len() as f64;
        let likeness = 10.0 * (255.0_f64.powi(2) / error.max(1e-6)).log10();
        if likeness < LEAST_DB {
            let name = ["brightness", "blue", "red"][number];
            return Err(format!("its {name} is off ({likeness:.1} dB, at least {LEAST_DB})"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
