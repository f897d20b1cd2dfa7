//! What the tests record: pictures that say their number, sound that says when.

use std::f32::consts::TAU;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::clock::Mono;
use crate::encode::coder::Coders;
use crate::encode::{EncodeConfig, EncodeEvent, Encoder};
use crate::job::{EncoderKind, Quality, Resolution};
use crate::media::{Block, Picture, Pool, SAMPLE_RATE, Tick};

pub(super) const WIDTH: usize = 640;
pub(super) const HEIGHT: usize = 480;
/// Side of a barcode cell and of a colour patch.
pub(super) const CELL: usize = 32;
const BITS: usize = 16;

/// Colours of the patches along the bottom, sRGB.
pub(super) const COLOURS: [[u8; 3]; 6] =
    [[200, 30, 40], [30, 180, 60], [40, 60, 200], [230, 220, 60], [128, 128, 128], [250, 250, 250]];

/// BT.709 limited range (ITU-R BT.709-6, 3 and 4).
fn yuv([r, g, b]: [u8; 3]) -> [u8; 3] {
    let [r, g, b] = [r, g, b].map(|c| f64::from(c) / 255.0);
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let (u, v) = ((b - y) / 1.8556, (r - y) / 1.5748);
    [16.0 + 219.0 * y, 128.0 + 224.0 * u, 128.0 + 224.0 * v].map(|c| c.round() as u8)
}

/// A moving picture with its number on top and the colours below.
pub(super) fn picture(pool: &Pool, number: u64) -> Arc<Picture> {
    let mut picture = pool.take();
    picture.u.fill(128);
    picture.v.fill(128);
    for (at, luma) in picture.y.iter_mut().enumerate() {
        let (x, row) = (at % WIDTH, at / WIDTH);
        *luma = 40 + ((x + row * 2 + number as usize * 5) / 3 % 128) as u8;
    }
    for bit in 0..BITS {
        let luma = if number >> bit & 1 == 1 { 235 } else { 16 };
        fill(&mut picture.y, WIDTH, [bit * CELL, 0], CELL, luma);
    }
    for (index, colour) in COLOURS.into_iter().enumerate() {
        let [y, u, v] = yuv(colour);
        let [x, row] = [index * CELL, HEIGHT - CELL];
        fill(&mut picture.y, WIDTH, [x, row], CELL, y);
        fill(&mut picture.u, WIDTH / 2, [x / 2, row / 2], CELL / 2, u);
        fill(&mut picture.v, WIDTH / 2, [x / 2, row / 2], CELL / 2, v);
    }
    Arc::new(picture)
}

fn fill(plane: &mut [u8], stride: usize, [x, y]: [usize; 2], side: usize, value: u8) {
    for row in y..y + side {
        plane[row * stride + x..][..side].fill(value);
    }
}

/// The number in a decoded luma plane.
pub(super) fn number_in(luma: &[u8]) -> u64 {
    let middle = CELL / 2 * WIDTH + CELL / 2;
    (0..BITS).map(|bit| u64::from(luma[middle + bit * CELL] > 128) << bit).sum()
}

/// 40 ms that correlate with themselves at one place only.
pub(super) fn chirp() -> Vec<f32> {
    let length = 1920.0;
    (0..1920)
        .map(|n| {
            let t = n as f32 / length;
            0.5 * (std::f32::consts::PI * t).sin()
                * (TAU * length / 48_000.0 * (600.0 * t + 1500.0 * t * t)).sin()
        })
        .collect()
}

/// The speaker's epoch; the screen's tick 0 is [`LEAD`] samples later.
pub(super) const EPOCH: Mono = Mono(50_000_000_000);
const LEAD: u64 = 12_345;

/// An encoder and the machine around it.
pub(super) struct Scene {
    pub encoder: Encoder,
    pub events: UnboundedReceiver<EncodeEvent>,
    pub directory: TempDir,
    pub fps: u32,
    pool: Pool,
    /// Sample frames handed in.
    position: u64,
    block: u64,
}

impl Scene {
    pub(super) fn new(fps: u32, max: Duration) -> Self {
        Self::with(fps, max, false)
    }

    /// A file of sound alone.
    pub(super) fn of_sound_alone(fps: u32, max: Duration) -> Self {
        Self::with(fps, max, true)
    }

    fn with(fps: u32, max: Duration, audio_only: bool) -> Self {
        Self::of(|part| EncodeConfig { audio_only, ..config(part, fps, max) })
    }

    /// A file that is encoded as `quality` says, at the scene's size.
    pub(super) fn at(quality: Quality) -> Self {
        Self::of(|part| {
            let usual = config(part, quality.fps, Duration::from_secs(3600));
            let resolution = usual.quality.resolution;
            EncodeConfig { quality: Quality { resolution, ..quality }, ..usual }
        })
    }

    fn of(config: impl Fn(&Path) -> EncodeConfig) -> Self {
        Self::started(config, |config, sender| Encoder::start(config, sender).unwrap())
    }

    /// A scene whose picture is made by `coders`.
    pub(super) fn made_by(coders: impl FnOnce(Quality) -> Coders) -> Self {
        let usual = |part: &Path| config(part, 30, Duration::from_secs(3600));
        Self::started(usual, |config, sender| {
            let coders = coders(config.quality);
            Encoder::start_with(config, Some(coders), sender).unwrap()
        })
    }

    fn started(
        config: impl Fn(&Path) -> EncodeConfig,
        start: impl FnOnce(EncodeConfig, UnboundedSender<EncodeEvent>) -> Encoder,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (sender, events) = unbounded_channel();
        let config = config(&directory.path().join("film.part"));
        let fps = config.quality.fps;
        let encoder = start(config, sender);
        let pool = Pool::new(WIDTH as u32, HEIGHT as u32);
        Self { encoder, events, directory, fps, pool, position: 0, block: 480 }
    }

    /// The ideal time of tick `number`.
    pub(super) fn time(&self, number: u64) -> Mono {
        let nanos = LEAD * 1_000_000_000 / u64::from(SAMPLE_RATE)
            + number * 1_000_000_000 / u64::from(self.fps);
        EPOCH + Duration::from_nanos(nanos)
    }

    /// Hands in tick `number`, at the encoder's pace.
    pub(super) fn tick(&self, number: u64, painted: bool) {
        self.tick_with(self.make_tick(number, painted));
    }

    /// Hands in `tick`, at the encoder's pace.
    pub(super) fn tick_with(&self, tick: Tick) {
        while self.encoder.stats().backlog >= 10 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.encoder.intake().tick(tick);
    }

    pub(super) fn make_tick(&self, number: u64, painted: bool) -> Tick {
        let picture = painted.then(|| picture(&self.pool, number));
        Tick { at: self.time(number), index: number, picture, superseded: 0 }
    }

    /// Hands in the sound up to tick `number`: a chirp begins with each second
    /// of ticks, silence between.
    pub(super) fn sound_until(&mut self, number: u64) {
        let rate = u64::from(SAMPLE_RATE);
        let end = LEAD + number * rate / u64::from(self.fps);
        let chirp = chirp();
        while self.position < end {
            let count = self.block.min(end - self.position);
            let sample = |position: u64| match position.checked_sub(LEAD).map(|p| p % rate) {
                Some(into) if into < chirp.len() as u64 => chirp[into as usize],
                _ => 0.0,
            };
            let samples =
                (self.position..self.position + count).flat_map(|p| [sample(p); 2]).collect();
            let block = Block { epoch: EPOCH, position: self.position, samples };
            self.encoder.intake().block(block);
            self.position += count;
            // Blocks of any size do.
            self.block = self.block * 7 % 1021 + 3;
        }
    }
}

pub(super) fn config(part: &Path, fps: u32, max_duration: Duration) -> EncodeConfig {
    EncodeConfig {
        quality: Quality {
            resolution: Resolution::new(WIDTH as u32, HEIGHT as u32).unwrap(),
            fps,
            ..Quality::default()
        },
        encoder: EncoderKind::X264,
        audio_only: false,
        part: part.to_owned(),
        max_duration,
        copy_max: None,
        nice: 0,
    }
}
