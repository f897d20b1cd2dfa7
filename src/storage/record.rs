//! What is known of an upload, written down beside the file after every part,
//! so that whoever comes after a crash goes on instead of starting over.
//!
//! A record is a cache of what the bucket holds. It is never believed against
//! the file: at the end every part of the file is compared with what was sent.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use crc_fast::CrcAlgorithm;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

/// No provider takes more parts; Azure would.
const MOST_PARTS: u64 = 10_000;
const MIB: u64 = 1 << 20;

/// See the module's documentation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// What the object is called; a record for another one is void.
    pub(super) key: String,
    /// Bytes of each part but the last.
    pub(super) part_size: u64,
    /// The multipart upload, once it has begun.
    pub(super) upload: Option<String>,
    /// The parts that the bucket has, counted from zero.
    pub(super) parts: BTreeMap<usize, Part>,
    /// Since when every attempt has failed.
    #[serde(default)]
    pub(super) failing_since: Option<DateTime<Utc>>,
    /// Bytes of the object, once it was verified.
    #[serde(default)]
    pub(super) verified: Option<u64>,
}

/// A part that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    #[serde(flatten)]
    pub(super) content: Content,
    /// What the bucket calls it.
    pub(super) id: String,
}

/// What was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    /// Bytes.
    length: u64,
    /// CRC-64/NVME, to see whether the file still holds the same.
    crc: u64,
    /// MD5, which S3 makes an object's tag of.
    md5: [u8; 16],
}

impl Record {
    pub(super) fn new(key: &str, part_size: u64) -> Self {
        Self { key: key.into(), part_size, ..Self::default() }
    }

    /// The record at `path`, if there is a readable one.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let record: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (record.part_size > 0).then_some(record)
    }

    /// The same, if it is one for this key.
    pub(super) fn load(path: &Path, key: &str) -> Option<Self> {
        Self::read(path).filter(|record| record.key == key)
    }

    /// Replaces the file at `path` in one step.
    pub(super) fn save(&self, path: &Path) -> io::Result<()> {
        let draft = path.with_extension("draft");
        let mut file = File::create(&draft)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        fs::rename(draft, path)
    }

    /// Forgets what was sent, for another attempt from the beginning.
    pub(super) fn reset(&mut self) {
        self.upload = None;
        self.parts.clear();
        self.verified = None;
    }

    /// Bytes of the parts that the bucket has.
    pub(super) fn sent(&self) -> u64 {
        self.parts.values().map(|part| part.content.length).sum()
    }

    /// How many parts a file of `length` bytes has.
    pub(super) fn count(&self, length: u64) -> usize {
        usize::try_from(length.div_ceil(self.part_size).max(1)).unwrap_or(usize::MAX)
    }

    /// Where part `index` of a file of `length` bytes lies.
    pub(super) fn range(&self, index: usize, length: u64) -> std::ops::Range<u64> {
        let start = (index as u64).saturating_mul(self.part_size).min(length);
        start..(start + self.part_size).min(length)
    }

    /// How many whole parts lie before `safe` and may be sent ahead: a file that turns
    /// out longer than the most begins anew with larger ones.
    pub(super) fn whole(&self, safe: u64) -> usize {
        (safe / self.part_size).min(MOST_PARTS) as usize
    }

    /// The size of larger parts, if a file of `length` bytes would have more than
    /// there may be; they mean to start over.
    pub(super) fn larger_parts(&self, length: u64) -> Option<u64> {
        let too_many = length.div_ceil(self.part_size) > MOST_PARTS;
        too_many.then(|| length.div_ceil(MOST_PARTS).next_multiple_of(MIB))
    }

    /// The names of the first `count` parts, if they are all there.
    pub(super) fn names(&self, count: usize) -> Option<Vec<String>> {
        (0..count).map(|index| Some(self.parts.get(&index)?.id.clone())).collect()
    }

    /// The tag that S3 gives to an object of the first `count` parts: the MD5 of
    /// their MD5s, and how many there are.
    pub(super) fn tag(&self, count: usize) -> Option<String> {
        let mut all = Md5::new();
        for index in 0..count {
            all.update(self.parts.get(&index)?.content.md5);
        }
        Some(format!("{}-{count}", hex(&all.finalize())))
    }

    /// The parts of the file that the bucket does not have as they are now. Reads
    /// the whole file.
    pub(super) fn missing(&self, file: &File, length: u64) -> io::Result<Vec<usize>> {
        let mut missing = Vec::new();
        let mut buffer = Vec::new();
        for index in 0..self.count(length) {
            let range = self.range(index, length);
            let Some(part) = self.parts.get(&index) else {
                missing.push(index);
                continue;
            };
            let size = range.end - range.start;
            if part.content.length == size {
                buffer.resize(size as usize, 0);
                file.read_exact_at(&mut buffer, range.start)?;
                if crc(&buffer) == part.content.crc {
                    continue;
                }
            }
            missing.push(index);
        }
        Ok(missing)
    }
}

/// Where the record of an upload to `destination` is kept for the recording in
/// `dir`.
pub(super) fn path(dir: &Path, destination: &str) -> PathBuf {
    dir.join(format!("upload.{destination}.json"))
}

pub(super) fn is_record(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("upload.") && name.ends_with(".json")
}

/// True if a record in `dir` says that the object is complete and verified.
pub(super) fn any_verified(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_record(path)).any(|path| {
        let record = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        record.is_some_and(|record: Record| record.verified.is_some())
    })
}

/// Reads some of a file, and what it is.
pub(super) fn read(file: &File, range: &std::ops::Range<u64>) -> io::Result<(Bytes, Content)> {
    let mut data = vec![0; (range.end - range.start) as usize];
    file.read_exact_at(&mut data, range.start)?;
    let content =
        Content { length: data.len() as u64, crc: crc(&data), md5: Md5::digest(&data).into() };
    Ok((data.into(), content))
}

fn crc(data: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, data)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(record: &mut Record, file: &File, length: u64, index: usize) {
        let (_, content) = read(file, &record.range(index, length)).unwrap();
        record.parts.insert(index, Part { content, id: format!("p{index}") });
    }

    fn film(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn only_what_has_changed_is_missing() {
        let bytes: Vec<u8> = (0..25_u8).collect();
        let (file, mut record) = (film(&bytes), Record::new("k", 10));
        assert_eq!(record.missing(&file, 25).unwrap(), [0, 1, 2]);
        (0..3).for_each(|index| sent(&mut record, &file, 25, index));
        assert!(record.missing(&file, 25).unwrap().is_empty());
        // The head is written anew, the end is cut off.
        file.write_all_at(b"x", 3).unwrap();
        assert_eq!(record.missing(&file, 24).unwrap(), [0, 2]);
        assert_eq!(record.missing(&file, 20).unwrap(), [0]);
        assert_eq!(record.names(2), Some(vec!["p0".into(), "p1".into()]));
        assert_eq!(record.names(4), None);
    }

    #[test]
    fn the_tag_is_the_one_of_s3() {
        // By hand: `printf` of each part, `md5sum`, `xxd -r -p`, `md5sum`.
        let (file, mut record) = (film(b"hello world"), Record::new("k", 6));
        (0..2).for_each(|index| sent(&mut record, &file, 11, index));
        let parts = ["f814893777bcc2295fff05f00e508da6", "7d793037a0760186574b0282f2f435e7"];
        for (index, md5) in parts.iter().enumerate() {
            assert_eq!(hex(&record.parts[&index].content.md5), *md5);
        }
        assert_eq!(record.tag(2).unwrap(), "e09e4fd6265b36115fe3db32df945d84-2");
    }

    #[test]
    fn a_record_outlives_its_process_and_is_void_for_another_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("upload.json");
        let (file, mut record) = (film(b"hello"), Record::new("k", 5));
        sent(&mut record, &file, 5, 0);
        record.upload = Some("u".into());
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path, "k"), Some(record));
        assert_eq!(Record::load(&path, "other"), None);
        fs::write(&path, "{\"key\":").unwrap();
        assert_eq!(Record::load(&path, "k"), None);
    }

    #[test]
    fn a_very_long_file_has_larger_parts() {
        let record = Record::new("k", 16 * MIB);
        assert_eq!(record.larger_parts(160_000 * MIB), None);
        assert_eq!(record.larger_parts(160_001 * MIB), Some(17 * MIB));
        assert_eq!(Record::new("k", 17 * MIB).count(160_001 * MIB), 9412);
        assert_eq!(record.count(0), 1);
        // Nothing is sent ahead that the bucket would refuse.
        assert_eq!(record.whole(160_001 * MIB), 10_000);
        assert_eq!(record.whole(33 * MIB), 2);
    }
}
