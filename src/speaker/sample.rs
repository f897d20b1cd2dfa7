//! How a client lays out its samples, and their way to stereo floats. Beyond
//! this everything counts in frames.

use pulseaudio::protocol::stream::BufferAttr;
use pulseaudio::protocol::{SampleFormat, SampleSpec};

use super::stream::Buffering;
use crate::media::SAMPLE_RATE;

/// Loudest sample taken from a client (18 dB over full scale). Sums of bounded
/// finite samples stay finite, which encoders insist on.
const LOUDEST: f32 = 8.0;

/// Format and channels of one stream; the rate is always [`SAMPLE_RATE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    float: bool,
    stereo: bool,
}

impl Layout {
    /// `None` for what this card does not play: other rates than 48 kHz, other
    /// formats than float32le and s16le, more than two channels.
    pub(super) fn of(spec: &SampleSpec) -> Option<Self> {
        let float = match spec.format {
            SampleFormat::Float32Le => true,
            SampleFormat::S16Le => false,
            _ => return None,
        };
        let stereo = match spec.channels {
            1 => false,
            2 => true,
            _ => return None,
        };
        (spec.sample_rate == SAMPLE_RATE).then_some(Self { float, stereo })
    }

    /// Channels of the client's samples, 1 or 2.
    pub(super) fn channels(self) -> u8 {
        if self.stereo { 2 } else { 1 }
    }

    /// Bytes of one frame.
    pub(super) fn frame_size(self) -> usize {
        let sample = if self.float { 4 } else { 2 };
        sample * usize::from(self.channels())
    }

    /// Buffer metrics from a client's wish in bytes, where -1 is none.
    pub(super) fn buffering(self, wish: &BufferAttr) -> Buffering {
        let frames =
            |bytes: u32| (bytes != u32::MAX).then(|| i64::from(bytes) / self.frame_size() as i64);
        Buffering::settle(
            frames(wish.max_length),
            frames(wish.target_length),
            frames(wish.pre_buffering),
            frames(wish.minimum_request_length),
        )
    }

    /// Buffer metrics in bytes, as the client is told them.
    pub(super) fn attributes(self, buffering: Buffering) -> BufferAttr {
        let bytes =
            |frames: i64| u32::try_from(frames * self.frame_size() as i64).unwrap_or(u32::MAX - 1);
        BufferAttr {
            max_length: bytes(buffering.max),
            target_length: bytes(buffering.target),
            pre_buffering: bytes(buffering.prebuf),
            minimum_request_length: bytes(buffering.request),
            fragment_size: 0,
        }
    }

    /// Appends the frames in `bytes` to `frames`; a mono sample goes to both
    /// sides, what is not a number becomes silence. Whole frames only.
    pub(super) fn decode(self, bytes: &[u8], frames: &mut Vec<[f32; 2]>) {
        let float = |b: &[u8]| match *b {
            [a, b, c, d] => tame(f32::from_le_bytes([a, b, c, d])),
            _ => 0.0,
        };
        let short = |b: &[u8]| match *b {
            [a, b] => f32::from(i16::from_le_bytes([a, b])) / 32768.0,
            _ => 0.0,
        };
        let whole = bytes.chunks_exact(self.frame_size());
        match (self.float, self.stereo) {
            (true, true) => frames.extend(whole.map(|f| [float(&f[..4]), float(&f[4..])])),
            (true, false) => frames.extend(whole.map(|f| [float(f); 2])),
            (false, true) => frames.extend(whole.map(|f| [short(&f[..2]), short(&f[2..])])),
            (false, false) => frames.extend(whole.map(|f| [short(f); 2])),
        }
    }
}

fn tame(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-LOUDEST, LOUDEST) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(format: SampleFormat, channels: u8, sample_rate: u32) -> Option<Layout> {
        Layout::of(&SampleSpec { format, channels, sample_rate })
    }

    fn decode(layout: Layout, bytes: &[u8]) -> Vec<[f32; 2]> {
        let mut frames = Vec::new();
        layout.decode(bytes, &mut frames);
        frames
    }

    #[test]
    fn only_what_can_be_played_is_taken() {
        use SampleFormat::{Float32Be, Float32Le, S16Le, U8};
        for (format, channels, rate, size) in [
            (Float32Le, 2, 48_000, Some(8)),
            (Float32Le, 1, 48_000, Some(4)),
            (S16Le, 2, 48_000, Some(4)),
            (S16Le, 1, 48_000, Some(2)),
            (S16Le, 2, 44_100, None),
            (S16Le, 0, 48_000, None),
            (Float32Le, 6, 48_000, None),
            (Float32Be, 2, 48_000, None),
            (U8, 2, 48_000, None),
        ] {
            let got = layout(format, channels, rate).map(Layout::frame_size);
            assert_eq!(got, size, "{format:?} {channels} {rate}");
        }
    }

    #[test]
    fn samples_become_stereo_floats() {
        let floats: Vec<u8> = [0.5_f32, -0.25].iter().flat_map(|s| s.to_le_bytes()).collect();
        let shorts: Vec<u8> = [16384_i16, -32768].iter().flat_map(|s| s.to_le_bytes()).collect();
        use SampleFormat::{Float32Le, S16Le};
        for (format, channels, bytes, expected) in [
            (Float32Le, 2, &floats, vec![[0.5, -0.25]]),
            (Float32Le, 1, &floats, vec![[0.5, 0.5], [-0.25, -0.25]]),
            (S16Le, 2, &shorts, vec![[0.5, -1.0]]),
            (S16Le, 1, &shorts, vec![[0.5, 0.5], [-1.0, -1.0]]),
        ] {
            let layout = layout(format, channels, 48_000).unwrap();
            assert_eq!(decode(layout, bytes), expected, "{layout:?}");
        }
    }

    #[test]
    fn no_sample_spoils_the_sum() {
        let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1e9, 1.5];
        let bytes: Vec<u8> = wild.iter().flat_map(|s| s.to_le_bytes()).collect();
        let layout = layout(SampleFormat::Float32Le, 1, 48_000).unwrap();
        let left: Vec<f32> = decode(layout, &bytes).iter().map(|f| f[0]).collect();
        assert_eq!(left, [0.0, 0.0, 0.0, 8.0, -8.0, 1.5]);
    }
}
