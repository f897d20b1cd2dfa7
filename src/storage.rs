//! Where finished files go and how they are handed out.
//!
//! [`Storage`] is the door: destinations by name, each a directory or a bucket.
//! `node` brings files in and takes them out, `http` and `webhook` ask for URLs.
//! Only this module knows providers and credentials; the recorder process knows
//! nothing of it.
//!
//! The local disk is always there, under the name [`BUILT_IN`]:
//! it takes recordings while nothing else is configured, and keeps what no
//! destination took.

mod beside;
mod bucket;
mod connect;
mod destination;
mod error;
mod local;
mod probe;
mod record;
mod sign;
mod upload;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use url::Url;

use crate::config::{self, BUILT_IN};

pub use beside::Beside;
pub use connect::is_credential;
pub use destination::{Destination, LinkLife};
pub use error::{StorageError, Trouble};
pub use probe::{Finding, Health};
pub use sign::{BadLink, LINKS_KEY, Link};
pub use upload::{Sent, Upload};

use sign::Links;

/// Removes what was uploaded out of `dir` and is still there, because nobody lived
/// to remove it. Only for a recording that is known to have its file elsewhere.
pub fn clear_uploaded(dir: &Path) {
    if !record::any_verified(dir) {
        return;
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = path.extension().and_then(|extension| extension.to_str());
        if record::is_record(&path) || kind == Some("mp4") {
            // What stays is found at the next start.
            _ = std::fs::remove_file(path);
        }
    }
}

/// Why no storage could be opened.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The data directory cannot be used.
    #[error("{0}")]
    Data(#[from] io::Error),
    /// A destination cannot be used as it is configured.
    #[error("storage.destinations: {name:?}: {problem}")]
    Destination {
        /// Its name.
        name: String,
        /// What is wrong, free of secrets.
        problem: String,
    },
}

/// All destinations. See the module's documentation.
pub struct Storage {
    built_in: Destination,
    configured: Vec<Destination>,
    links: Links,
}

/// A URL that gives access to a file for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    /// The URL; as good as the file.
    pub url: String,
    /// How long it holds.
    pub life: Duration,
}

/// Why a start names no destination that there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// None is called so.
    #[error("{name:?} is not configured: give one of {known}")]
    Unknown {
        /// What was named.
        name: String,
        /// The names there are.
        known: String,
    },
    /// There are several, and none was named.
    #[error("is required, as there are several: give one of {known}")]
    Missing {
        /// The names there are.
        known: String,
    },
}

impl Storage {
    /// Opens every destination, without a word to any bucket. Links to files of
    /// this machine begin with `base`.
    pub fn open(data: &Path, base: Url, settings: &config::Storage) -> Result<Self, SetupError> {
        // First, as it makes the directory that the links' key is in.
        let built_in = Destination::built_in(&data.join("files"), settings)?;
        let links = Links::open(data, base)?;
        let mut configured = Vec::new();
        for destination in &settings.destinations {
            let opened = Destination::open(destination, data, settings);
            let name = destination.name.clone();
            configured.push(opened.map_err(|problem| SetupError::Destination { name, problem })?);
        }
        Ok(Self { built_in, configured, links })
    }

    /// Every destination, the local disk first.
    pub fn all(&self) -> impl Iterator<Item = &Destination> {
        std::iter::once(&self.built_in).chain(&self.configured)
    }

    /// The destinations of the configuration.
    pub fn configured(&self) -> &[Destination] {
        &self.configured
    }

    /// The destination with this name.
    pub fn get(&self, name: &str) -> Result<&Destination, StorageError> {
        self.all().find(|destination| destination.name() == name).ok_or_else(|| {
            StorageError::new(Trouble::NoDestination, format!("no destination is called {name:?}"))
        })
    }

    /// The disk that is always there.
    pub fn built_in(&self) -> &Destination {
        &self.built_in
    }

    /// The destination of a recording: the one that its start names, or the only
    /// one there is. The local disk can be named only while it is.
    pub fn choose(&self, wish: Option<&str>) -> Result<&str, ChoiceError> {
        let names: Vec<&str> = match self.configured.as_slice() {
            [] => vec![BUILT_IN],
            some => some.iter().map(Destination::name).collect(),
        };
        let known = || names.join(", ");
        match (wish, names.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(ChoiceError::Missing { known: known() }),
            (Some(wish), names) => {
                let found = names.iter().find(|name| **name == wish);
                found
                    .copied()
                    .ok_or_else(|| ChoiceError::Unknown { name: wish.to_owned(), known: known() })
            }
        }
    }

    /// Where a file is, as the contract writes it: `s3://bucket/key`.
    pub fn uri(&self, destination: &str, key: &str) -> String {
        match self.get(destination) {
            Ok(found) => found.uri(key),
            Err(_) => format!("{destination}:{key}"),
        }
    }

    /// Where a file is, if it is on this machine.
    pub fn file(&self, destination: &str, key: &str) -> Option<PathBuf> {
        self.get(destination).ok()?.file(key)
    }

    /// A URL under which the asset's file can be had by whoever knows it, from
    /// `now` on, which is this moment.
    ///
    /// # Errors
    /// [`Trouble::NoDestination`], or that there are no credentials to sign with.
    pub async fn presign(
        &self,
        asset: &str,
        destination: &str,
        key: &str,
        life: LinkLife,
        now: DateTime<Utc>,
    ) -> Result<Presigned, StorageError> {
        let destination = self.get(destination)?;
        let life = destination.life(life);
        let url = match destination.sign(key, life).await? {
            Some(url) => url,
            None => self.links.presign(asset, key, life, now),
        };
        Ok(Presigned { url, life })
    }

    /// Checks a link to a file of this machine that somebody followed, in constant
    /// time.
    pub fn check_link(
        &self,
        link: &Link<'_>,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<(), BadLink> {
        self.links.check(link, signature, now)
    }

    /// Removes from the buckets what was uploaded out of `dir` and never became an
    /// object, as nobody will go on with it. What a bucket that is away keeps is
    /// left to its own rules.
    pub async fn abandon_uploads(&self, dir: &Path) {
        for upload in self.configured.iter().filter_map(|destination| destination.unfinished(dir)) {
            upload.abandon().await;
        }
    }

    /// Deletes a file and what lies beside it; one that is not there counts as deleted.
    pub async fn delete(&self, destination: &str, key: &str) -> Result<(), StorageError> {
        let destination = self.get(destination)?;
        // The file last: as long as it is known, all of this is tried again.
        destination.delete_beside(key).await?;
        destination.delete(key).await.map(drop)
    }
}
