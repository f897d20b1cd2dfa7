//! The top-level boxes of an MP4 (ISO/IEC 14496-12 section 4.2), walked without a library.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A top-level box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mp4Box {
    /// Four letters, such as `moov`.
    pub kind: String,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes, header included.
    pub size: u64,
}

/// The top-level boxes in order; `Err` says where the walk left the file.
pub fn boxes(file: &Path) -> Result<Vec<Mp4Box>, String> {
    let mut input = File::open(file).map_err(|e| e.to_string())?;
    let end = input.metadata().map_err(|e| e.to_string())?.len();
    let mut found = Vec::new();
    let mut offset = 0;
    while offset < end {
        let mut header = [0; 16];
        input.seek(SeekFrom::Start(offset)).map_err(|e| e.to_string())?;
        input.read_exact(&mut header[..8]).map_err(|e| format!("header at {offset}: {e}"))?;
        let kind = String::from_utf8_lossy(&header[4..8]).into_owned();
        let size = match u32::from_be_bytes(header[..4].try_into().unwrap()) {
            0 => end - offset,
            1 => {
                input.read_exact(&mut header[8..]).map_err(|e| format!("{kind}: {e}"))?;
                u64::from_be_bytes(header[8..].try_into().unwrap())
            }
            size => u64::from(size),
        };
        if size < 8 || size > end - offset {
            return Err(format!("{kind:?} of {size} bytes at {offset} does not fit in {end}"));
        }
        found.push(Mp4Box { kind, offset, size });
        offset += size;
    }
    Ok(found)
}

fn position(boxes: &[Mp4Box], kind: &str) -> Option<usize> {
    boxes.iter().position(|b| b.kind == kind)
}

/// True when a player can start after the first bytes: `moov` before any media.
pub fn is_fast_start(file: &Path) -> bool {
    let boxes = boxes(file).unwrap();
    match (position(&boxes, "moov"), position(&boxes, "mdat")) {
        (Some(moov), Some(mdat)) => moov < mdat && !is_fragmented(file),
        _ => false,
    }
}

/// True when the media is in movie fragments.
pub fn is_fragmented(file: &Path) -> bool {
    position(&boxes(file).unwrap(), "moof").is_some()
}

#[cfg(test)]
mod tests {
    use super::super::super::{media, scratch};
    use super::*;

    #[test]
    fn plain_fast_start_fragmented_and_cut() {
        let dir = scratch();
        let make = |name: &str, flags: &str| {
            let file = dir.path().join(name);
            media::ffmpeg(&format!(
                "-f lavfi -i testsrc2=s=320x240:r=30:d=2 -c:v libx264 -g 15 -pix_fmt yuv420p \
                 {flags} {}",
                file.display()
            ));
            file
        };
        let plain = make("plain.mp4", "");
        let fast = make("fast.mp4", "-movflags +faststart");
        let parts = make("parts.mp4", "-movflags +frag_keyframe+empty_moov");
        assert_eq!((is_fast_start(&plain), is_fragmented(&plain)), (false, false));
        assert_eq!((is_fast_start(&fast), is_fragmented(&fast)), (true, false));
        assert_eq!((is_fast_start(&parts), is_fragmented(&parts)), (false, true));
        let walked = boxes(&fast).unwrap();
        let total: u64 = walked.iter().map(|b| b.size).sum();
        assert_eq!(total, std::fs::metadata(&fast).unwrap().len());
        assert_eq!((walked[0].kind.as_str(), walked[0].offset), ("ftyp", 0));

        let cut = dir.path().join("cut.mp4");
        let bytes = std::fs::read(&fast).unwrap();
        std::fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
        assert!(boxes(&cut).is_err());
    }
}
