//! Signed links: an HMAC over what a link leads to and when it ends.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

/// Bytes of a key.
const LENGTH: usize = 32;

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// Id of the asset.
    pub asset: &'a str,
    /// Name that the file is saved under.
    pub name: &'a str,
    /// When it ends, seconds since the Unix epoch.
    pub expires: i64,
}

/// Why a link is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// It was good once.
    #[error("the link has expired: ask for a new one")]
    Expired,
    /// It was never ours, or it was changed.
    #[error("the link's signature is wrong: ask for a new one")]
    Forged,
}

/// What links are signed with.
pub(super) struct Key(hmac::Key);

impl Key {
    /// Reads the key at `path`, or makes it, closed to other users.
    pub(super) fn load_or_make(path: &Path) -> io::Result<Self> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut bytes = Vec::with_capacity(LENGTH);
        match made {
            Ok(mut file) => {
                bytes.extend(rand::random::<[u8; LENGTH]>());
                file.write_all(&bytes)?;
                file.sync_all()?;
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                std::fs::File::open(path)?.take(1024).read_to_end(&mut bytes)?;
            }
            Err(e) => return Err(e),
        }
        if bytes.len() < LENGTH {
            return Err(io::Error::other(format!(
                "{}: holds no key: delete it, which ends all links given out so far",
                path.display()
            )));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    pub(super) fn sign(&self, link: &Link<'_>) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, message(link).as_bytes()))
    }

    /// The signature is judged before the time: a forged link learns nothing.
    pub(super) fn check(
        &self,
        link: &Link<'_>,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<(), BadLink> {
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| BadLink::Forged)?;
        hmac::verify(&self.0, message(link).as_bytes(), &signature).map_err(|_| BadLink::Forged)?;
        if now.timestamp() > link.expires { Err(BadLink::Expired) } else { Ok(()) }
    }
}

/// Neither an id nor a name holds a line break.
fn message(link: &Link<'_>) -> String {
    format!("{}\n{}\n{}", link.asset, link.name, link.expires)
}
