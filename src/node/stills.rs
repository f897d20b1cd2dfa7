//! Pictures of recordings: the newest of one that goes on, a poster and a sprite
//! sheet of one that is finished. They are decoded in processes that may touch
//! nothing and give way to everybody (`roomreel stills`); what fails here costs
//! a picture and nothing else.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::Inner;
use crate::encode::Sheet;
use crate::encode::mux::{Film, MuxError};
use crate::storage::Beside;
use crate::store::Id;

/// How long a sheet may take; beside busy recorders it waits for its turn.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longest JPEG in bytes.
const LONGEST: u64 = 32 << 20;
/// What is quoted of its complaints, in bytes.
const WORDS: u64 = 500;

/// Small pictures of a sprite sheet at most: ten rows of ten.
const SPRITES: usize = 100;
const SPRITE_COLUMNS: u32 = 10;
/// Bytes of keyframes that a sheet is made of at most.
const SHEET_BYTES: usize = 128 << 20;
/// Longer edge of a small picture, in pixels.
const SPRITE_EDGE: u32 = 160;
/// Longer edge of a poster: that of the largest recording.
const POSTER_EDGE: u32 = 1920;

/// Of a JPEG, 1 to 100.
pub(super) const QUALITY: u8 = 82;

/// A finished file, held open so that it may be moved or uploaded meanwhile.
pub(super) struct Finished {
    pub(super) file: File,
    /// For errors.
    pub(super) path: PathBuf,
    /// Name of the destination that has it.
    pub(super) destination: String,
    /// What it is called there.
    pub(super) key: String,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPicture {
    #[error(transparent)]
    File(#[from] MuxError),
    #[error("{0}")]
    Drawing(String),
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Inner {
    /// Makes poster and sprite sheet of a finished recording in its directory, and
    /// puts them beside its file.
    pub(super) async fn illustrate(&self, id: Id, finished: Finished) {
        let Finished { file, path, destination, key } = finished;
        let dir = self.dir.join(id.to_string());
        let drawn = tokio::select! {
            drawn = self.draw_all(file, &path, &dir) => drawn,
            () = self.closing.cancelled() => return,
        };
        if let Err(error) = drawn {
            tracing::warn!(%id, %error, "there will be no poster of this recording");
            return;
        }
        let Ok(place) = self.storage.get(&destination) else { return };
        for what in Beside::ALL {
            // None of a file of sound alone.
            let Ok(data) = tokio::fs::read(dir.join(what.name())).await else { continue };
            if let Err(error) = place.put_beside(&key, what, data.into()).await {
                let name = what.name();
                tracing::warn!(%id, destination, name, %error, "not put beside the recording");
            }
        }
        // Removed meanwhile, and these came after.
        if matches!(self.store.get(id).await, Ok(None)) {
            _ = self.storage.delete(&destination, &key).await;
        }
    }

    async fn draw_all(&self, file: File, path: &Path, dir: &Path) -> Result<(), NoPicture> {
        if dir.join(Beside::SpriteIndex.name()).exists() {
            return Ok(());
        }
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || pick(file, &path));
        let read = read.await.map_err(|e| NoPicture::Drawing(e.to_string()))?;
        let Some(Picked { poster, sprites, times, duration }) = read? else { return Ok(()) };
        let sheet = Sheet { edge: POSTER_EDGE, columns: 1, quality: QUALITY };
        let poster = draw(&self.program, vec![poster], sheet).await?;
        let sheet = Sheet { edge: SPRITE_EDGE, columns: SPRITE_COLUMNS, quality: QUALITY };
        let sprite = draw(&self.program, sprites, sheet).await?;
        let index = index(&times, duration, &sprite);
        // The index comes last: with it, all are there.
        for (what, data) in [
            (Beside::Poster, &poster[..]),
            (Beside::Sprite, &sprite[..]),
            (Beside::SpriteIndex, index.as_bytes()),
        ] {
            let path = dir.join(what.name());
            let written = tokio::fs::write(&path, data).await;
            written.map_err(|source| NoPicture::Write { path, source })?;
        }
        Ok(())
    }
}

/// Keyframes of a film.
struct Picked {
    poster: Vec<u8>,
    sprites: Vec<Vec<u8>>,
    /// When each of the sprites is shown.
    times: Vec<Duration>,
    duration: Duration,
}

fn pick(file: File, path: &Path) -> Result<Option<Picked>, MuxError> {
    let Some(film) = Film::open(file, path)? else { return Ok(None) };
    let keyframes: Vec<(Duration, u32)> = film.keyframes().collect();
    let chosen = spread(keyframes.len(), SPRITES);
    // What is on the picture takes bytes: the fullest is neither blank nor a curtain.
    let Some(&fullest) = chosen.iter().max_by_key(|&&number| keyframes[number].1) else {
        return Ok(None);
    };
    let Some(poster) = film.read(fullest)? else { return Ok(None) };
    let (mut sprites, mut times, mut bytes) = (Vec::new(), Vec::new(), 0);
    for number in chosen {
        let Some(frame) = film.read(number)? else { continue };
        bytes += frame.len();
        if bytes > SHEET_BYTES {
            break;
        }
        sprites.push(frame);
        times.push(keyframes[number].0);
    }
    Ok(Some(Picked { poster, sprites, times, duration: film.duration() }))
}

/// At most `most` of `count` numbers, evenly spread, the first among them.
fn spread(count: usize, most: usize) -> Vec<usize> {
    let step = count.div_ceil(most.max(1)).max(1);
    (0..count).step_by(step).collect()
}

/// WebVTT (W3C, 4.1) whose cues are places in the sheet, as players take it for
/// their seek bar: `sprite.jpg#xywh=…` (Media Fragments URI, 4.2.2).
fn index(times: &[Duration], duration: Duration, sheet: &[u8]) -> String {
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX).max(1);
    let columns = SPRITE_COLUMNS.min(count);
    let (width, height) = size_of(sheet).unwrap_or((0, 0));
    let (width, height) = (width / columns, height / count.div_ceil(columns));
    let mut text = "WEBVTT\n".to_owned();
    let ends = times.iter().skip(1).chain([&duration]);
    for (number, (from, to)) in (0..).zip(times.iter().zip(ends)) {
        let (x, y) = (number % columns * width, number / columns * height);
        let (from, to) = (time(*from), time(*to));
        let name = Beside::Sprite.name();
        text += &format!("\n{from} --> {to}\n{name}#xywh={x},{y},{width},{height}\n");
    }
    text
}

fn time(at: Duration) -> String {
    let (seconds, millis) = (at.as_secs(), at.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Width and height of a baseline JPEG (ITU-T T.81, B.2.2).
fn size_of(jpeg: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        let segment = jpeg.get(at..)?;
        let [0xff, kind, high, low, ..] = *segment else { return None };
        if kind == 0xc0 {
            let number = |at: usize| {
                Some(u32::from(u16::from_be_bytes([*segment.get(at)?, *segment.get(at + 1)?])))
            };
            return Some((number(7)?, number(5)?));
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
}

/// Has a sheet drawn of keyframes, each an Annex B access unit.
pub(super) async fn draw(
    program: &Path,
    frames: Vec<Vec<u8>>,
    Sheet { edge, columns, quality }: Sheet,
) -> Result<Bytes, NoPicture> {
    let failed = |error: io::Error| NoPicture::Drawing(format!("roomreel stills: {error}"));
    let mut child = Command::new(program)
        .arg0("roomreel")
        .args(["stills", "--edge", &edge.to_string(), "--columns", &columns.to_string()])
        .args(["--quality", &quality.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // It needs no setting, least of all a key.
        .env_clear()
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(failed(io::ErrorKind::BrokenPipe.into()));
    };
    let feed = async move {
        for frame in frames {
            stdin.write_u32(u32::try_from(frame.len()).unwrap_or(u32::MAX)).await?;
            stdin.write_all(&frame).await?;
        }
        io::Result::Ok(())
    };
    let (mut jpeg, mut words) = (Vec::new(), String::new());
    let (mut stdout, mut stderr) = (stdout.take(LONGEST), stderr.take(WORDS));
    let work = async {
        // If it does not read to the end, its own words say more.
        let (_, drawn, _) =
            tokio::join!(feed, stdout.read_to_end(&mut jpeg), stderr.read_to_string(&mut words),);
        drawn?;
        child.wait().await
    };
    let status = match tokio::time::timeout(PATIENCE, work).await {
        Ok(ended) => ended.map_err(failed)?,
        Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
    };
    match status.success() {
        true => Ok(jpeg.into()),
        false => Err(NoPicture::Drawing(format!("{status}: {}", words.trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_is_spread_and_bounded() {
        assert_eq!(spread(0, 100), Vec::<usize>::new());
        assert_eq!(spread(3, 100), vec![0, 1, 2]);
        for count in [100, 101, 250, 9999] {
            let chosen = spread(count, 100);
            assert!((34..=100).contains(&chosen.len()), "{count}: {}", chosen.len());
            assert_eq!(chosen[0], 0);
        }
    }

    #[test]
    fn cues_follow_each_other_to_the_end() {
        // SOI, an empty APP0, then SOF0 of 320x180.
        let sheet = [
            0xff, 0xd8, 0xff, 0xe0, 0, 2, 0xff, 0xc0, 0, 17, 8, 0, 180, 1, 64, 3, 0, 0, 0, 0, 0, 0,
            0, 0, 0,
        ];
        let times = [Duration::ZERO, Duration::from_secs(4)];
        let text = index(&times, Duration::from_millis(3_605_250), &sheet);
        assert_eq!(
            text,
            "WEBVTT\n\n00:00:00.000 --> 00:00:04.000\nsprite.jpg#xywh=0,0,160,180\n\n\
             00:00:04.000 --> 01:00:05.250\nsprite.jpg#xywh=160,0,160,180\n"
        );
        assert_eq!(size_of(&sheet[..8]), None);
        assert_eq!(size_of(b"no JPEG at all"), None);
    }
}
