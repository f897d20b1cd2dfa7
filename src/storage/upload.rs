//! One file on its way into one bucket: in parts, resumed where it was left,
//! verified at the end.
//!
//! `node` decides when to try and for how long. A recording that is still being
//! made is sent [`ahead`](Upload::ahead): what lies behind its head is final as
//! soon as it is written. [`finish`](Upload::finish) compares the finished file
//! with what was sent, sends what differs (the head, which holds the `moov`, and
//! the end), and makes the object.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::{future, stream};

use super::bucket::{AT_ONCE, Bucket, Stat};
use super::error::{StorageError, Trouble};
use super::record::{self, Content, Part, Record};

/// See the module's documentation.
pub struct Upload {
    bucket: Arc<Bucket>,
    key: String,
    media_type: &'static str,
    /// Where the record is kept.
    state: PathBuf,
    record: Record,
    sent: Sent,
}

/// How much of an upload the bucket has; goes on being right while it is under way.
#[derive(Debug, Clone, Default)]
pub struct Sent(Arc<AtomicU64>);

impl Sent {
    /// Bytes, of parts that arrived whole.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Upload {
    /// Takes up what the record at `state` tells of, or begins anew with parts of
    /// `part_size` bytes.
    pub(super) fn open(
        bucket: Arc<Bucket>,
        key: &str,
        media_type: &'static str,
        part_size: u64,
        state: PathBuf,
    ) -> Self {
        let record = Record::load(&state, key).unwrap_or_else(|| Record::new(key, part_size));
        Self::with(bucket, key.to_owned(), media_type, state, record)
    }

    /// The upload that the record at `state` tells of, whatever it is called; `None`
    /// if there is none, or its object is complete.
    pub(super) fn unfinished(bucket: Arc<Bucket>, state: PathBuf) -> Option<Self> {
        let record = Record::read(&state).filter(|record| record.verified.is_none())?;
        Some(Self::with(bucket, record.key.clone(), "", state, record))
    }

    fn with(
        bucket: Arc<Bucket>,
        key: String,
        media_type: &'static str,
        state: PathBuf,
        record: Record,
    ) -> Self {
        let sent = Sent(Arc::new(record.sent().into()));
        Self { bucket, key, media_type, state, record, sent }
    }

    /// How much of it the bucket has.
    pub fn sent(&self) -> Sent {
        self.sent.clone()
    }

    /// Sends one part of the growing file that lies wholly before `safe`, if the
    /// bucket lacks one. Says whether there was one.
    ///
    /// # Errors
    /// As the bucket or the disk says; what was sent before stays sent.
    pub async fn ahead(&mut self, file: &Path, safe: u64) -> Result<bool, StorageError> {
        let whole = self.record.whole(safe);
        let Some(index) = (0..whole).find(|index| !self.record.parts.contains_key(index)) else {
            return Ok(false);
        };
        let upload = self.begun().await?;
        let range = self.record.range(index, safe);
        let bucket = Arc::clone(&self.bucket);
        let _turn = bucket.turn().await;
        let (data, content) = read(file, range).await?;
        let sent = bucket.put_part(&self.key, &upload, index, data).await;
        if sent.as_ref().is_err_and(|error| error.trouble == Trouble::NoUpload) {
            self.record.reset();
            self.save();
        }
        self.noted(index, content, sent)?;
        Ok(true)
    }

    /// Makes the object, verified, of the finished file; returns its size in
    /// bytes. Doing it again after it was done changes nothing.
    ///
    /// # Errors
    /// As the bucket or the disk says; the next call goes on where this one
    /// stopped. [`Trouble::Damaged`] and [`Trouble::NoUpload`] make it begin anew, and
    /// so does a storage that replaces no part ([`Trouble::NotSupported`]).
    pub async fn finish(&mut self, file: &Path) -> Result<u64, StorageError> {
        if let Some(size) = self.record.verified {
            return Ok(size);
        }
        let done = self.make(file).await;
        match done {
            Ok(size) => {
                self.record.verified = Some(size);
                self.record.failing_since = None;
                self.save();
                Ok(size)
            }
            Err(StorageError { trouble: Trouble::NoUpload, detail }) => {
                // Either nobody heard that it was done, or it is gone.
                if let Some(size) = self.is_made(file).await {
                    self.record.verified = Some(size);
                    self.save();
                    return Ok(size);
                }
                self.record.reset();
                self.save();
                Err(StorageError::new(Trouble::NoUpload, detail))
            }
            Err(error) => {
                // Some servers have passed a part on by the time it is to be replaced.
                let fixed = error.trouble == Trouble::NotSupported && !self.record.parts.is_empty();
                if error.trouble == Trouble::Damaged || fixed {
                    self.restart().await;
                }
                Err(error)
            }
        }
    }

    /// Since when every attempt has failed; `now` if this one is the first.
    pub fn failing_since(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        if let Some(since) = self.record.failing_since {
            return since;
        }
        self.record.failing_since = Some(now);
        self.save();
        now
    }

    /// Lets somebody try again as if nothing had failed before.
    pub fn forgive(&mut self) {
        if self.record.failing_since.take().is_some() {
            self.save();
        }
    }

    /// Removes the parts from the bucket and the record from the disk, as the file
    /// has gone elsewhere. Parts that cannot be removed now are left to the
    /// bucket's own rules.
    pub async fn abandon(self) {
        self.abort().await;
        self.forget();
    }

    /// Removes the record, once the object is known elsewhere.
    pub fn forget(self) {
        // Without it there is nothing to forget.
        _ = std::fs::remove_file(&self.state);
    }

    async fn make(&mut self, file: &Path) -> Result<u64, StorageError> {
        let open = open(file)?;
        let length = open.metadata().map_err(|e| StorageError::disk("look at the file", &e))?.len();
        if let Some(part_size) = self.record.larger_parts(length) {
            self.restart().await;
            self.record.part_size = part_size;
        }
        let count = self.record.count(length);
        let upload = self.begun().await?;
        let record = self.record.clone();
        let missing = off_runtime(move || record.missing(&open, length)).await?;

        let (bucket, key) = (Arc::clone(&self.bucket), self.key.clone());
        let ranges: Vec<_> =
            missing.into_iter().map(|index| (index, self.record.range(index, length))).collect();
        // After one that fails no other is begun; those on their way may arrive.
        let failed = AtomicBool::new(false);
        let mut sending = stream::iter(ranges)
            .take_while(|_| future::ready(!failed.load(Ordering::Relaxed)))
            .map(|(index, range)| {
                let (bucket, key, upload) = (&bucket, &key, &upload);
                async move {
                    let _turn = bucket.turn().await;
                    let (data, content) = read(file, range).await?;
                    let sent = bucket.put_part(key, upload, index, data).await;
                    Ok::<_, StorageError>((index, content, sent))
                }
            })
            .buffer_unordered(AT_ONCE);
        let mut first = Ok(());
        while let Some(part) = sending.next().await {
            let noted = part.and_then(|(index, content, sent)| self.noted(index, content, sent));
            if noted.is_err() {
                failed.store(true, Ordering::Relaxed);
                first = first.and(noted);
            }
        }
        first?;
        let names = self.record.names(count).ok_or_else(|| {
            StorageError::new(Trouble::Other, "a part is missing although it was sent")
        })?;
        let tag = self.bucket.complete(&self.key, &upload, names).await?;
        self.verify(file, length, tag.as_deref()).await?;
        Ok(length)
    }

    async fn begun(&mut self) -> Result<String, StorageError> {
        if let Some(upload) = &self.record.upload {
            return Ok(upload.clone());
        }
        let upload = self.bucket.begin(&self.key, self.media_type).await?;
        self.record.upload = Some(upload.clone());
        self.save();
        Ok(upload)
    }

    /// Begins anew, without the parts that the bucket has.
    async fn restart(&mut self) {
        self.abort().await;
        self.record.reset();
        self.save();
    }

    /// Has the bucket forget the parts; those that it keeps cost its owner money.
    async fn abort(&self) {
        if let Some(upload) = &self.record.upload
            && let Err(error) = self.bucket.abort(&self.key, upload).await
            && error.trouble != Trouble::NoUpload
        {
            tracing::warn!(key = self.key, %error, "parts of an upload are left in the bucket");
        }
    }

    /// Writes down a part that was sent.
    fn noted(
        &mut self,
        index: usize,
        content: Content,
        sent: Result<String, StorageError>,
    ) -> Result<(), StorageError> {
        match sent {
            Ok(id) => {
                self.record.parts.insert(index, Part { content, id });
                self.record.failing_since = None;
                self.save();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Holds the object against the file: its size, and its tag if the storage
    /// makes tags of contents, else every byte of it.
    async fn verify(
        &self,
        file: &Path,
        length: u64,
        told: Option<&str>,
    ) -> Result<(), StorageError> {
        let tag = self.record.tag(self.record.count(length));
        let fits = |other: Option<&str>| other.is_some() && other == tag.as_deref();
        let Stat { size, tag: stored } = match self.bucket.stat(&self.key).await {
            Ok(Some(stat)) => stat,
            Ok(None) => {
                return Err(StorageError::new(Trouble::Damaged, "the object is not there"));
            }
            // A key that may write and not read: the answer to the last request
            // has told what is stored.
            Err(StorageError { trouble: Trouble::Denied, .. }) if fits(told) => return Ok(()),
            Err(error) => return Err(error),
        };
        if size != length {
            let detail = format!("the object has {size} bytes, the file {length}");
            return Err(StorageError::new(Trouble::Damaged, detail));
        }
        if fits(stored.as_deref()) || fits(told) {
            return Ok(());
        }
        self.compare(file, length).await
    }

    async fn compare(&self, file: &Path, length: u64) -> Result<(), StorageError> {
        tracing::debug!(key = self.key, "the object's tag tells nothing, it is read back");
        for index in 0..self.record.count(length) {
            let range = self.record.range(index, length);
            if range.is_empty() {
                continue;
            }
            let (data, _) = read(file, range.clone()).await?;
            if self.bucket.read(&self.key, range.clone()).await? != data {
                let detail = format!("bytes {} to {} differ", range.start, range.end);
                return Err(StorageError::new(Trouble::Damaged, detail));
            }
        }
        Ok(())
    }

    /// The size of the object, if it is there and right already.
    async fn is_made(&self, file: &Path) -> Option<u64> {
        let length = std::fs::metadata(file).ok()?.len();
        self.verify(file, length, None).await.ok()?;
        Some(length)
    }

    /// What cannot be written down is sent again after a crash, no more.
    fn save(&self) {
        self.sent.0.store(self.record.sent(), Ordering::Relaxed);
        if let Err(error) = self.record.save(&self.state) {
            tracing::warn!(key = self.key, %error, "cannot write down how far an upload is");
        }
    }
}

fn open(file: &Path) -> Result<File, StorageError> {
    File::open(file).map_err(|e| StorageError::disk("open the file", &e))
}

async fn read(
    file: &Path,
    range: std::ops::Range<u64>,
) -> Result<(bytes::Bytes, Content), StorageError> {
    let file = open(file)?;
    off_runtime(move || record::read(&file, &range)).await
}

async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|e| StorageError::disk("read the file", &e)),
        Err(e) => Err(StorageError::new(Trouble::Disk, e.to_string())),
    }
}
