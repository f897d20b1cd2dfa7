//! Elementary streams made once by the `ffmpeg` tool, and recordings made of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use super::super::{AudioTrack, Disk, Head, Index, Muxer, Settings, VideoTrack};

pub(super) const RATE: u64 = 48_000;
pub(super) const PRIMING: u32 = 1024;
/// Not a whole number of fragments, packets or groups of pictures.
pub(super) const FRAMES: u64 = 199;

/// What an encoder would hand over.
pub(super) struct Media {
    pub(super) video: VideoTrack,
    pub(super) audio: AudioTrack,
    /// Access units with 4-byte lengths, and whether each is a keyframe.
    pub(super) frames: Vec<(Vec<u8>, bool)>,
    pub(super) packets: Vec<Vec<u8>>,
    /// The left channel that went into the packets.
    pub(super) sound: Vec<i16>,
}

impl Media {
    pub(super) fn settings(&self) -> Settings {
        Settings {
            video: Some(self.video.clone()),
            audio: self.audio.clone(),
            max_duration: Duration::from_secs(60),
            created: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        }
    }
}

/// Thirty frames a second.
pub(super) fn media() -> &'static Media {
    static MEDIA: OnceLock<Media> = OnceLock::new();
    MEDIA.get_or_init(|| make(30))
}

/// Streams at `fps`, as long as [`FRAMES`] frames, rounded down to a sample.
pub(super) fn make(fps: u32) -> Media {
    let dir = tempfile::tempdir().unwrap();
    let (sps, pps, frames) = h264(&dir.path().join("v.h264"), fps);
    assert_eq!(frames.len() as u64, FRAMES);
    let sound = bursts((FRAMES * RATE / u64::from(fps)) as usize);
    let (asc, packets) = aac(dir.path(), &sound);
    assert_eq!(packets.len(), (sound.len() + PRIMING as usize).div_ceil(1024));
    Media {
        video: VideoTrack { width: 320, height: 240, fps, sets: vec![(sps, pps)] },
        audio: AudioTrack {
            sample_rate: 48_000,
            channels: 2,
            bitrate: 128_000,
            asc,
            priming: PRIMING,
        },
        frames,
        packets,
        sound,
    }
}

fn ffmpeg(args: &[&str]) {
    let output = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

type H264 = (Vec<u8>, Vec<u8>, Vec<(Vec<u8>, bool)>);

fn h264(path: &Path, fps: u32) -> H264 {
    let source = format!("testsrc2=size=320x240:rate={fps}");
    let frames = FRAMES.to_string();
    let (input, output) =
        (["-f", "lavfi", "-i", &source, "-frames:v", &frames], path.to_str().unwrap());
    let codec =
        ["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-pix_fmt", "yuv420p"];
    let low_delay = ["-tune", "zerolatency", "-bf", "0", "-g", "60", "-threads", "1"];
    let tags =
        ["-x264-params", "colorprim=bt709:transfer=bt709:colormatrix=bt709:range=tv:slices=1"];
    ffmpeg(&[&input[..], &codec, &low_delay, &tags, &["-f", "h264", output]].concat());

    let (mut sps, mut pps, mut frames, mut unit) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for nal in nal_units(&std::fs::read(path).unwrap()) {
        match nal[0] & 0x1f {
            7 => sps = nal.to_vec(),
            8 => pps = nal.to_vec(),
            kind => {
                unit.extend((nal.len() as u32).to_be_bytes());
                unit.extend(nal);
                // One slice a picture: a slice ends its access unit.
                if matches!(kind, 1 | 5) {
                    frames.push((std::mem::take(&mut unit), kind == 5));
                }
            }
        }
    }
    (sps, pps, frames)
}

/// Splits a byte stream at its start codes (ITU-T H.264, annex B).
fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<usize> = Vec::new();
    for at in 0..stream.len().saturating_sub(3) {
        if stream[at..at + 3] == [0, 0, 1] {
            starts.push(at + 3);
        }
    }
    let ends = starts.iter().skip(1).map(|next| next - 3).chain([stream.len()]);
    let unit = |(&start, end): (&usize, usize)| {
        let nal = &stream[start..end];
        let zeros = nal.iter().rev().take_while(|&&byte| byte == 0).count();
        &nal[..nal.len() - zeros]
    };
    starts.iter().zip(ends).map(unit).collect()
}

/// Silence with a burst of noise in every second, none like another.
fn bursts(len: usize) -> Vec<i16> {
    let mut seed = 0x2545_f491_u32;
    let (mut low, mut sound) = (0.0_f32, Vec::with_capacity(len));
    for at in 0..len {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        // Low-passed, for the codec to keep its shape.
        low += ((seed as i32 as f32 / i32::MAX as f32) - low) * 0.25;
        let on = burst_starts(len).any(|start| (start..start + BURST).contains(&at));
        sound.push(if on { (low * 20_000.0) as i16 } else { 0 });
    }
    sound
}

/// Samples of a burst.
pub(super) const BURST: usize = 4800;

/// Where bursts begin: not on a packet's edge. The last one is cut off by the end.
pub(super) fn burst_starts(len: usize) -> impl Iterator<Item = usize> {
    (12_345..len).step_by(RATE as usize)
}

fn aac(dir: &Path, sound: &[i16]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (pcm, adts) = (dir.join("a.s16"), dir.join("a.aac"));
    let stereo: Vec<u8> = sound.iter().flat_map(|&s| [s, s]).flat_map(i16::to_le_bytes).collect();
    std::fs::write(&pcm, stereo).unwrap();
    let input = ["-f", "s16le", "-ar", "48000", "-ac", "2", "-i", pcm.to_str().unwrap()];
    let codec = ["-c:a", "aac", "-b:a", "128k", "-f", "adts", adts.to_str().unwrap()];
    ffmpeg(&[&input[..], &codec].concat());

    let stream = std::fs::read(adts).unwrap();
    let (mut rest, mut packets) = (stream.as_slice(), Vec::new());
    while !rest.is_empty() {
        // ADTS (ISO/IEC 14496-3, 1.A.3): a 13-bit length that counts the header.
        let len =
            usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5] >> 5);
        let header = if rest[1] & 1 == 1 { 7 } else { 9 };
        packets.push(rest[header..len].to_vec());
        rest = &rest[len..];
    }
    // AAC-LC, 48 kHz, stereo.
    (vec![0x11, 0x90], packets)
}

/// A recording that has been fed but not finished.
pub(super) struct Recording {
    pub(super) dir: tempfile::TempDir,
    pub(super) head: Head,
    /// In the order they were cut.
    pub(super) fragments: Vec<Vec<u8>>,
    pub(super) index: Index,
}

impl Recording {
    /// Records all of `media`; sound runs 300 ms behind the picture, as it does
    /// when the speaker waits for stragglers.
    pub(super) fn new(media: &Media, settings: &Settings) -> Self {
        let (mut muxer, head) = Muxer::new(settings).unwrap();
        let mut fragments = Vec::new();
        let mut packets = media.packets.iter();
        if settings.video.is_some() {
            let mut sent = 0;
            for (number, (frame, key)) in (1_u64..).zip(&media.frames) {
                fragments.extend(muxer.video(frame, *key).unwrap());
                let heard = (number * RATE / u64::from(media.video.fps)).saturating_sub(14_400);
                while (sent + 1) * 1024 <= heard {
                    fragments.extend(muxer.audio(packets.next().unwrap()).unwrap());
                    sent += 1;
                }
            }
        }
        for packet in packets {
            fragments.extend(muxer.audio(packet).unwrap());
        }
        let (last, index) = muxer.finish(media.sound.len() as u64).unwrap();
        fragments.extend(last);
        Self { dir: tempfile::tempdir().unwrap(), head, fragments, index }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The part file with the first `count` fragments, under `name`.
    pub(super) fn part(&self, name: &str, count: usize) -> PathBuf {
        let path = self.path(name);
        let disk = Disk::create(&path, &self.head).unwrap();
        for fragment in &self.fragments[..count] {
            disk.append(fragment.clone()).unwrap();
        }
        let end = disk.close().unwrap();
        assert_eq!(end, std::fs::metadata(&path).unwrap().len());
        path
    }

    /// The whole part file, under `name`.
    pub(super) fn whole(&self, name: &str) -> PathBuf {
        self.part(name, self.fragments.len())
    }
}
