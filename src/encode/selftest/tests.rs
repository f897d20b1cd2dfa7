use super::*;
use crate::encode::coder::{Coded, PRIMARY, ParameterSets};
use crate::encode::error::EncodeError;
use crate::encode::video::VideoEncoder;
use crate::job::{QualityWish, Rate};

/// x264 with something wrong about it.
struct Broken {
    x264: VideoEncoder,
    fault: Fault,
    count: u64,
    held: Option<Coded>,
    last: Option<Arc<Picture>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// It swaps the colours.
    Colours,
    /// It shows each picture a frame late.
    Late,
    /// Its picture is shifted by some rows.
    Shifted,
    /// It gives one picture twice and loses another.
    Lost,
    /// It calls a frame a keyframe that is none.
    Keyframe,
    /// It gives what is no stream.
    Garbage,
    /// It gives nothing.
    Nothing,
    /// It fails in the middle.
    Fails,
}

impl Coder for Broken {
    fn parameter_sets(&self) -> ParameterSets {
        self.x264.parameter_sets()
    }

    fn encode(&mut self, picture: &Arc<Picture>, repeat: bool) -> Result<Coded, EncodeError> {
        let number = self.count;
        self.count += 1;
        let shown = match self.fault {
            Fault::Colours => other(picture, |other| std::mem::swap(&mut other.u, &mut other.v)),
            Fault::Late => self.last.replace(picture.clone()).unwrap_or_else(|| picture.clone()),
            Fault::Shifted => {
                let rows = picture.width as usize * 24;
                other(picture, |other| other.y.rotate_left(rows))
            }
            _ => picture.clone(),
        };
        let late = self.fault == Fault::Late;
        let mut coded = self.x264.encode(&shown, repeat && !late)?;
        match self.fault {
            Fault::Lost if number == 7 => self.held = Some(coded.clone()),
            Fault::Lost if number == 8 => coded = self.held.take().unwrap(),
            Fault::Keyframe => coded.keyframe |= number == 3,
            Fault::Garbage if number == 7 => coded.data[6..].fill(0x55),
            Fault::Nothing if number == 7 => coded.data.clear(),
            Fault::Fails if number == 7 => {
                let problem = "is gone".to_owned();
                return Err(EncodeError::Codec { codec: "broken", problem });
            }
            _ => {}
        }
        Ok(coded)
    }
}

/// A copy of the picture, changed.
fn other(picture: &Picture, change: impl FnOnce(&mut Picture)) -> Arc<Picture> {
    let mut other = Pool::new(picture.width, picture.height).take();
    other.y.copy_from_slice(&picture.y);
    other.u.copy_from_slice(&picture.u);
    other.v.copy_from_slice(&picture.v);
    change(&mut other);
    Arc::new(other)
}

fn tried(fault: Fault, quality: Quality) -> Result<(), String> {
    let quality = generous(quality);
    let x264 = VideoEncoder::open(quality, PRIMARY).unwrap();
    judge(&mut Broken { x264, fault, count: 0, held: None, last: None }, quality)
}

#[test]
fn a_good_encoder_passes_at_every_size_and_rate() {
    let preset = |name: &str| QualityWish { preset: name.parse().ok(), ..QualityWish::default() };
    let lowest = QualityWish { bitrate: Some(100), ..preset("480p30") };
    for wish in [lowest, preset("portrait-720p30"), preset("1080p60")] {
        let quality = wish.over(Quality::default()).unwrap();
        assert_eq!(check_encoder(EncoderKind::X264, quality), Ok(()), "{quality:?}");
    }
    assert_eq!(tried(Fault::None, Quality::default()), Ok(()));
    let coarse = Quality { rate: Rate::Crf(51), ..Quality::default() };
    assert_eq!(check_encoder(EncoderKind::X264, coarse), Ok(()));
}

#[test]
fn a_broken_encoder_is_found_out_and_said_what_is_wrong() {
    // How what is no picture is refused, the decoder decides.
    let unreadable = &["decoded", "is off"][..];
    for (fault, said) in [
        (Fault::Colours, &["blue is off"][..]),
        (Fault::Late, &["brightness is off"]),
        (Fault::Shifted, &["brightness is off"]),
        (Fault::Lost, &["picture"]),
        (Fault::Keyframe, &["picture 3: a keyframe out of turn"]),
        (Fault::Garbage, unreadable),
        (Fault::Nothing, unreadable),
        (Fault::Fails, &["the broken encoder failed: is gone"]),
    ] {
        let error = tried(fault, Quality::default()).unwrap_err();
        assert!(said.iter().any(|said| error.contains(said)), "{fault:?}: {error}");
    }
}
