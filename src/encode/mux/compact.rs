//! Finishing a short file by copying its media: no reserve, no `moof`s left.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use mp4_atom::{Atom, Header, Mdat, Moov};

use super::boxes::{encode, ftyp};
use super::index::Index;
use super::reader::Reader;
use super::{MuxError, verify};

/// Writes `[ftyp][moov][mdat]` beside `out`, reads it back and renames it to
/// `out`. `part` is only read.
pub(super) fn finish(part: &Path, out: &Path, index: &Index) -> Result<Moov, MuxError> {
    let draft = draft_of(out);
    let result = write(part, &draft, index).and_then(|moov| {
        fs::rename(&draft, out).map_err(MuxError::io("rename", &draft))?;
        Ok(moov)
    });
    if result.is_err() {
        // It may not exist; the part file is what counts.
        let _ = fs::remove_file(&draft);
    }
    result
}

fn draft_of(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".draft");
    name.into()
}

fn write(part: &Path, draft: &Path, index: &Index) -> Result<Moov, MuxError> {
    let mut source = File::open(part).map_err(MuxError::io("open", part))?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(draft)
        .map_err(MuxError::io("create", draft))?;
    let (head, payloads) = head(index)?;
    file.write_all(&head).map_err(MuxError::io("write", draft))?;
    for (fragment, len) in index.fragments.iter().map(|fragment| (fragment, fragment.len())) {
        source.seek(SeekFrom::Start(fragment.payload)).map_err(MuxError::io("seek", part))?;
        // Between two files this is copy_file_range, or read and write where
        // the file system has none.
        let copied = io::copy(&mut (&source).take(len), &mut file);
        if copied.map_err(MuxError::io("copy to", draft))? != len {
            return Err(MuxError::Verify("the part file ended while it was copied"));
        }
    }
    file.sync_all().map_err(MuxError::io("sync", draft))?;

    let copy = Reader::new(&file, draft)?;
    let layout = verify::layout(&copy)?;
    let moov = verify::tables(&copy, layout.moov.start, index, &payloads)?;
    if layout.mdat.end - layout.mdat.body != index.media_bytes() {
        return Err(MuxError::Verify("the media differ in length"));
    }
    let original = verify::ends(&Reader::new(&source, part)?, index, &index.payloads())?;
    if verify::ends(&copy, index, &payloads)? != original {
        return Err(MuxError::Verify("the media differ"));
    }
    Ok(moov)
}

/// Everything before the media, and where the media of each fragment come to lie.
fn head(index: &Index) -> Result<(Vec<u8>, Vec<u64>), MuxError> {
    let media = usize::try_from(index.media_bytes())
        .map_err(|_| MuxError::Track("more media than this machine can address"))?;
    let start = encode(&ftyp())?;
    let mdat = encode(&Header { kind: Mdat::KIND, size: Some(media) })?;
    // The moov's length depends on how wide its offsets are and they depend on
    // its length. It only ever grows, so this ends after two or three rounds.
    let mut first = 0;
    loop {
        let payloads = index.contiguous_payloads(first);
        let moov = encode(&index.moov(&payloads))?;
        let length = (start.len() + moov.len() + mdat.len()) as u64;
        if length == first {
            return Ok(([start, moov, mdat].concat(), payloads));
        }
        first = length;
    }
}
