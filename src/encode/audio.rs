//! Samples to AAC-LC: libavcodec's own encoder.
//!
//! Driven by the encode thread with any number of samples at a time; gives
//! packets of [`PACKET`] sample frames. Knows neither blocks nor files.

use ffmpeg_next::format::{Sample, sample};
use ffmpeg_next::{ChannelLayout, Packet, codec, encoder, frame};

use super::error::EncodeError;
use super::ffi;
use crate::media::SAMPLE_RATE;

const CODEC: &str = "aac";

/// How it looks for its quantisers. `fast` would cost a half to a third of that and is as
/// good on speech, but clips what is loud and steady: see the architecture notes. Said
/// in words, as libavcodec's own choice was `fast` in some of its versions.
const CODER: &str = "twoloop";

/// Sample frames in an AAC packet (ISO/IEC 14496-3, 4.5.1.1).
pub(super) const PACKET: usize = 1024;

pub(super) struct AudioEncoder {
    encoder: encoder::audio::Encoder,
    /// Reused for every packet.
    packet: Packet,
    /// Left and right samples that do not fill a packet yet.
    planes: [Vec<f32>; 2],
    /// Sample frames given to the encoder.
    sent: i64,
}

impl AudioEncoder {
    /// `bitrate` in bits per second over both channels.
    pub(super) fn open(bitrate: u32) -> Result<Self, EncodeError> {
        let failed = EncodeError::codec(CODEC);
        let codec = encoder::find_by_name(CODEC).ok_or(EncodeError::Missing(CODEC))?;
        let mut context =
            codec::Context::new_with_codec(codec).encoder().audio().map_err(failed)?;
        context.set_rate(SAMPLE_RATE as i32);
        context.set_time_base((1, SAMPLE_RATE as i32));
        context.set_format(Sample::F32(sample::Type::Planar));
        context.set_channel_layout(ChannelLayout::STEREO);
        context.set_bit_rate(bitrate as usize);
        context.set_flags(codec::Flags::GLOBAL_HEADER);
        let (encoder, refused) =
            ffi::open_audio(context, codec, &[("aac_coder", CODER.to_owned())]).map_err(failed)?;
        if !refused.is_empty() {
            let problem = format!("does not know {}", refused.join(", "));
            return Err(EncodeError::Codec { codec: CODEC, problem });
        }
        if encoder.frame_size() as usize != PACKET {
            let problem = format!("takes {} samples at a time", encoder.frame_size());
            return Err(EncodeError::Codec { codec: CODEC, problem });
        }
        let planes = [Vec::with_capacity(PACKET), Vec::with_capacity(PACKET)];
        Ok(Self { encoder, packet: Packet::empty(), planes, sent: 0 })
    }

    /// AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), for the file's header.
    pub(super) fn config(&self) -> Vec<u8> {
        ffi::extradata(&self.encoder)
    }

    /// Samples in front of the first real one, for the file's edit list.
    pub(super) fn priming(&self) -> u32 {
        ffi::priming(&self.encoder)
    }

    /// Codes interleaved stereo; returns the packets that came out.
    pub(super) fn encode(&mut self, samples: &[f32]) -> Result<Vec<Vec<u8>>, EncodeError> {
        let mut packets = Vec::new();
        for pair in samples.chunks_exact(2) {
            self.planes[0].push(sane(pair[0]));
            self.planes[1].push(sane(pair[1]));
            if self.planes[0].len() == PACKET {
                self.send(&mut packets)?;
            }
        }
        Ok(packets)
    }

    /// Completes the last packet with silence and takes what the encoder holds.
    pub(super) fn finish(&mut self) -> Result<Vec<Vec<u8>>, EncodeError> {
        let mut packets = Vec::new();
        if !self.planes[0].is_empty() {
            self.planes.iter_mut().for_each(|plane| plane.resize(PACKET, 0.0));
            self.send(&mut packets)?;
        }
        self.encoder.send_eof().map_err(EncodeError::codec(CODEC))?;
        self.receive(&mut packets)?;
        Ok(packets)
    }

    fn send(&mut self, out: &mut Vec<Vec<u8>>) -> Result<(), EncodeError> {
        let format = Sample::F32(sample::Type::Planar);
        let mut frame = frame::Audio::new(format, PACKET, ChannelLayout::STEREO);
        frame.set_rate(SAMPLE_RATE);
        frame.set_pts(Some(self.sent));
        for (index, plane) in self.planes.iter_mut().enumerate() {
            frame.plane_mut::<f32>(index).copy_from_slice(plane);
            plane.clear();
        }
        self.sent += PACKET as i64;
        self.encoder.send_frame(&frame).map_err(EncodeError::codec(CODEC))?;
        self.receive(out)
    }

    fn receive(&mut self, out: &mut Vec<Vec<u8>>) -> Result<(), EncodeError> {
        use ffmpeg_next::Error::{Eof, Other};
        use ffmpeg_next::error::EAGAIN;
        loop {
            match self.encoder.receive_packet(&mut self.packet) {
                Ok(()) => out.push(self.packet.data().unwrap_or_default().to_vec()),
                Err(Eof | Other { errno: EAGAIN }) => return Ok(()),
                Err(error) => return Err(EncodeError::codec(CODEC)(error)),
            }
        }
    }
}

/// What a page plays may be anything; the encoder gives up on NaN and players
/// distort beyond full scale.
fn sane(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}
