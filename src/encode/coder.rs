//! What every encoder of pictures can do, and which one a recording has.
//!
//! A graphics card's encoder may fail where x264 does not: its driver may refuse,
//! answer nothing any more or go away. [`Coders`] goes on with x264 then, from the
//! very picture that failed, in the same file.

use std::sync::Arc;

use super::error::EncodeError;
use super::hardware::HardwareEncoder;
use super::video::VideoEncoder;
use super::watched::Watched;
use crate::job::{EncoderKind, Quality};
use crate::media::Picture;

/// One coded frame.
#[derive(Debug, Clone)]
pub(super) struct Coded {
    /// NAL units, each behind its length in four bytes.
    pub data: Vec<u8>,
    /// Decoding can start here.
    pub keyframe: bool,
}

/// Sequence and picture parameter set of a stream, each one NAL unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ParameterSets {
    pub sps: Vec<u8>,
    pub pps: Vec<u8>,
}

/// An encoder of one stream: closed groups of pictures, each picture coded when it
/// is given and none out of order.
pub(super) trait Coder: Send {
    /// For the file's header.
    fn parameter_sets(&self) -> ParameterSets;

    /// Codes the next frame; the first is a keyframe. `repeat`: the picture is the
    /// one of the frame before.
    fn encode(&mut self, picture: &Arc<Picture>, repeat: bool) -> Result<Coded, EncodeError>;
}

/// Opens the encoder of this kind.
pub(super) fn open(kind: EncoderKind, quality: Quality) -> Result<Box<dyn Coder>, EncodeError> {
    Ok(match kind {
        EncoderKind::X264 => Box::new(VideoEncoder::open(quality, PRIMARY)?),
        hardware => Box::new(HardwareEncoder::open(hardware, quality)?),
    })
}

/// Number of the parameter sets of the first encoder (`seq_parameter_set_id`).
pub(super) const PRIMARY: u8 = 0;

/// And of the one that may take its place. Both stand in the file's header, so that
/// what comes of either is decoded by its own (ITU-T H.264, 7.4.1.2.1).
pub(super) const STANDBY: u8 = 1;

/// The encoder of a recording, and what takes its place should it fail.
pub(super) struct Coders {
    kind: EncoderKind,
    coder: Box<dyn Coder>,
    quality: Quality,
    /// Of x264, while another encoder works.
    standby: Option<ParameterSets>,
}

impl Coders {
    /// Opens the encoder of this kind; says why it is x264 if it has to be.
    pub(super) fn open(
        kind: EncoderKind,
        quality: Quality,
        nice: i32,
    ) -> Result<(Self, Option<String>), EncodeError> {
        if kind == EncoderKind::X264 {
            return Ok((Self::plain(quality)?, None));
        }
        let opened = Watched::start(kind.name(), move || open(kind, quality), nice);
        match opened.and_then(|coder| Self::guarded(kind, Box::new(coder), quality)) {
            Ok(coders) => Ok((coders, None)),
            Err(error) => Ok((Self::plain(quality)?, Some(error.to_string()))),
        }
    }

    /// x264, which nothing stands by for.
    fn plain(quality: Quality) -> Result<Self, EncodeError> {
        let coder = open(EncoderKind::X264, quality)?;
        Ok(Self { kind: EncoderKind::X264, coder, quality, standby: None })
    }

    /// `coder`, with x264 standing by.
    pub(super) fn guarded(
        kind: EncoderKind,
        coder: Box<dyn Coder>,
        quality: Quality,
    ) -> Result<Self, EncodeError> {
        // Opened to learn its parameter sets; they follow from the settings alone.
        let standby = VideoEncoder::open(quality, STANDBY)?.parameter_sets();
        Ok(Self { kind, coder, quality, standby: Some(standby) })
    }

    /// The encoder at work.
    pub(super) fn kind(&self) -> EncoderKind {
        self.kind
    }

    /// Of all streams that the file may hold.
    pub(super) fn parameter_sets(&self) -> Vec<ParameterSets> {
        std::iter::once(self.coder.parameter_sets()).chain(self.standby.clone()).collect()
    }

    /// Codes the next frame; says why x264 does from here on, if it begins to.
    pub(super) fn encode(
        &mut self,
        picture: &Arc<Picture>,
        repeat: bool,
    ) -> Result<(Coded, Option<String>), EncodeError> {
        let error = match (self.coder.encode(picture, repeat), &self.standby) {
            (Ok(coded), _) => return Ok((coded, None)),
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => error,
        };
        let mut x264 = VideoEncoder::open(self.quality, STANDBY)?;
        if self.standby.take() != Some(x264.parameter_sets()) {
            let problem = "gave other parameter sets than those in the file".to_owned();
            return Err(EncodeError::Codec { codec: "libx264", problem });
        }
        let coded = x264.encode(picture, false)?;
        self.coder = Box::new(x264);
        self.kind = EncoderKind::X264;
        Ok((coded, Some(error.to_string())))
    }
}
