//! Which encoder makes the picture. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::spec::BadSpec;

/// What makes H.264 of pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderKind {
    /// libx264, on the processor. It is always there.
    #[default]
    X264,
    /// NVIDIA's, `h264_nvenc`.
    Nvenc,
    /// Intel's by Quick Sync Video, `h264_qsv`.
    Qsv,
    /// Intel's and AMD's by VA-API, `h264_vaapi`.
    Vaapi,
}

impl EncoderKind {
    /// Those of graphics cards, in the order in which [`EncoderWish::Auto`] tries them.
    pub const HARDWARE: [Self; 3] = [Self::Nvenc, Self::Qsv, Self::Vaapi];

    /// As it is configured and told.
    pub fn name(self) -> &'static str {
        match self {
            Self::X264 => "x264",
            Self::Nvenc => "nvenc",
            Self::Qsv => "qsv",
            Self::Vaapi => "vaapi",
        }
    }
}

impl fmt::Display for EncoderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What somebody wants to make the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncoderWish {
    /// The first of a graphics card that works here, else x264.
    Auto,
    /// This one, if it works here, else x264.
    One(EncoderKind),
}

impl Default for EncoderWish {
    fn default() -> Self {
        Self::One(EncoderKind::X264)
    }
}

impl EncoderWish {
    /// What there is to try, best first; x264, which needs no trial, is not named.
    pub fn candidates(self) -> &'static [EncoderKind] {
        match self {
            Self::Auto => &EncoderKind::HARDWARE,
            Self::One(EncoderKind::X264) => &[],
            Self::One(EncoderKind::Nvenc) => &[EncoderKind::Nvenc],
            Self::One(EncoderKind::Qsv) => &[EncoderKind::Qsv],
            Self::One(EncoderKind::Vaapi) => &[EncoderKind::Vaapi],
        }
    }

    /// True if a graphics card may be asked.
    pub fn wants_hardware(self) -> bool {
        !self.candidates().is_empty()
    }
}

impl fmt::Display for EncoderWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::One(kind) => kind.fmt(f),
        }
    }
}

impl FromStr for EncoderWish {
    type Err = BadSpec;
    fn from_str(text: &str) -> Result<Self, BadSpec> {
        let all = [EncoderKind::X264, EncoderKind::Nvenc, EncoderKind::Vaapi, EncoderKind::Qsv];
        if text == "auto" {
            return Ok(Self::Auto);
        }
        all.into_iter().find(|kind| kind.name() == text).map(Self::One).ok_or_else(|| {
            BadSpec::new(
                "encoder",
                format!("{text:?} is unknown: give auto, x264, nvenc, vaapi or qsv"),
            )
        })
    }
}

impl Serialize for EncoderWish {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EncoderWish {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|bad: BadSpec| serde::de::Error::custom(bad.problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_told_alike() {
        for text in ["auto", "x264", "nvenc", "vaapi", "qsv"] {
            let wish: EncoderWish = text.parse().unwrap();
            assert_eq!(wish.to_string(), text);
            let json = serde_json::to_string(&wish).unwrap();
            assert_eq!(serde_json::from_str::<EncoderWish>(&json).unwrap(), wish);
            assert_eq!(wish.wants_hardware(), text != "x264");
            if let EncoderWish::One(kind) = wish {
                assert_eq!(serde_json::to_string(&kind).unwrap(), json);
                let tried: Vec<_> =
                    (kind != EncoderKind::X264).then_some(kind).into_iter().collect();
                assert_eq!(wish.candidates(), tried);
            }
        }
        let bad = "h265".parse::<EncoderWish>().unwrap_err();
        assert!(bad.to_string().contains("encoder: \"h265\" is unknown: give auto"), "{bad}");
    }
}
