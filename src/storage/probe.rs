//! Does a destination work? Written, read, signed and deleted: a small object,
//! step by step, each with a line that says what is wrong.

use std::time::Duration;

use bytes::Bytes;

use super::Storage;
use super::destination::Destination;
use super::error::{StorageError, Trouble};

/// What is in the object.
const CONTENT: &[u8] = b"roomreel looks whether this can be written";

/// What one step has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was tried: `write`, `read`, `presign`, `delete`.
    pub step: &'static str,
    /// What was wrong, if anything was.
    pub outcome: Result<(), StorageError>,
}

/// What is known of a destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Health {
    /// Nobody has tried yet.
    #[default]
    Unknown,
    /// It worked when it was last used.
    Good,
    /// It did not.
    Bad(Trouble),
}

/// How soon a destination is looked at again that does not work.
const AGAIN: Duration = Duration::from_secs(60);

impl Storage {
    /// Looks at every destination now, and every minute at those that do not work
    /// as far as is known; says in the log what is new. Does not end.
    pub async fn watch(&self) {
        for destination in self.configured() {
            destination.tell(true).await;
        }
        loop {
            tokio::time::sleep(AGAIN).await;
            for destination in self.configured() {
                if matches!(destination.health(), Health::Bad(_)) {
                    destination.tell(false).await;
                }
            }
        }
    }
}

impl Destination {
    async fn tell(&self, first: bool) {
        let (name, before) = (self.name(), self.health());
        let findings = self.check().await;
        let news = first || self.health() != before;
        let wrong =
            findings.iter().find_map(|f| f.outcome.as_ref().err().map(|error| (f.step, error)));
        match wrong {
            Some((step, error)) if news => {
                tracing::warn!(destination = name, step, %error, "a destination does not work");
            }
            None if news => tracing::info!(destination = name, "the destination works"),
            _ => {}
        }
    }

    /// Tries the destination with an object of its own, `.roomreel-check-…` under
    /// its prefix, and notes the result as its [`health`](Self::health). What
    /// cannot be written is not read.
    pub async fn check(&self) -> Vec<Finding> {
        let key = format!("{}.roomreel-check-{:016x}", self.prefix(), rand::random::<u64>());
        let mut findings = vec![Finding { step: "write", outcome: self.write(&key).await }];
        if findings[0].outcome.is_ok() {
            findings.push(Finding { step: "read", outcome: self.read(&key).await });
            findings.push(Finding { step: "presign", outcome: self.follow(&key).await });
            let deleted = self.delete(&key).await.map(drop);
            findings.push(Finding { step: "delete", outcome: deleted });
        }
        let first = findings.iter().find_map(|finding| finding.outcome.as_ref().err());
        self.note(first.map_or(Health::Good, |error| Health::Bad(error.trouble)));
        findings
    }

    async fn write(&self, key: &str) -> Result<(), StorageError> {
        match (self.bucket(), self.local()) {
            (Some(bucket), _) => bucket.put(key, Bytes::from_static(CONTENT)).await,
            (None, Some(local)) => {
                let written = tokio::fs::write(local.file(key), CONTENT).await;
                written.map_err(|e| StorageError::disk("write", &e))
            }
            (None, None) => Ok(()),
        }
    }

    async fn read(&self, key: &str) -> Result<(), StorageError> {
        let found = match (self.bucket(), self.local()) {
            (Some(bucket), _) => bucket.read_whole(key).await?,
            (None, Some(local)) => {
                let read = tokio::fs::read(local.file(key)).await;
                read.map_err(|e| StorageError::disk("read", &e))?.into()
            }
            (None, None) => return Ok(()),
        };
        if found == CONTENT {
            return Ok(());
        }
        Err(StorageError::new(Trouble::Damaged, "the probe reads otherwise than it was written"))
    }

    /// A signed URL must be good for whoever has no key: it is followed.
    async fn follow(&self, key: &str) -> Result<(), StorageError> {
        let Some(url) = self.sign(key, Duration::from_secs(60)).await? else { return Ok(()) };
        let Some(bucket) = self.bucket() else { return Ok(()) };
        if bucket.follow(&url).await? == CONTENT {
            return Ok(());
        }
        Err(StorageError::new(Trouble::Damaged, "the signed URL leads to other bytes"))
    }
}
