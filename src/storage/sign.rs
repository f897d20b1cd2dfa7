//! Signed links to files of this machine: an HMAC over what a link leads to and
//! when it ends.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use url::Url;

/// The name in the data directory of the key that signs links.
pub const LINKS_KEY: &str = "links.key";
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

/// Makes links and knows its own again.
pub(super) struct Links {
    key: Key,
    /// What they begin with.
    base: Url,
}

impl Links {
    /// Takes the key from the data directory, where one is made if it is missing.
    pub(super) fn open(data: &Path, base: Url) -> io::Result<Self> {
        Ok(Self { key: Key::load_or_make(&data.join(LINKS_KEY))?, base })
    }

    /// A URL under which the asset's file can be had until `now + life`.
    pub(super) fn presign(
        &self,
        asset: &str,
        file: &str,
        life: Duration,
        now: DateTime<Utc>,
    ) -> String {
        let name = file.rsplit('/').next().unwrap_or(file);
        let expires = now.timestamp().saturating_add_unsigned(life.as_secs());
        let link = Link { asset, name, expires };
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["files", asset, name]);
        }
        url.query_pairs_mut()
            .append_pair("expires", &expires.to_string())
            .append_pair("signature", &self.key.sign(&link));
        url.into()
    }

    /// Checks a link that somebody followed, in constant time.
    pub(super) fn check(
        &self,
        link: &Link<'_>,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<(), BadLink> {
        self.key.check(link, signature, now)
    }
}

/// What links are signed with.
struct Key(hmac::Key);

impl Key {
    /// Reads the key at `path`, or makes it, closed to other users.
    fn load_or_make(path: &Path) -> io::Result<Self> {
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

    fn sign(&self, link: &Link<'_>) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, message(link).as_bytes()))
    }

    /// The signature is judged before the time: a forged link learns nothing.
    fn check(&self, link: &Link<'_>, signature: &str, now: DateTime<Utc>) -> Result<(), BadLink> {
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| BadLink::Forged)?;
        hmac::verify(&self.0, message(link).as_bytes(), &signature).map_err(|_| BadLink::Forged)?;
        if now.timestamp() > link.expires { Err(BadLink::Expired) } else { Ok(()) }
    }
}

/// Neither an id nor a name holds a line break.
fn message(link: &Link<'_>) -> String {
    format!("{}\n{}\n{}", link.asset, link.name, link.expires)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(dir: &Path) -> Links {
        Links::open(dir, Url::parse("https://rec.example/base").unwrap()).unwrap()
    }

    #[test]
    fn links_hold_until_they_expire_and_outlive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let now = Utc::now();
        let minute = Duration::from_secs(60);
        let url = links(dir.path()).presign("a1", "beam/r/d/Rec-r-1.mp4", minute, now);
        let url = Url::parse(&url).unwrap();
        assert!(url.as_str().starts_with("https://rec.example/base/files/a1/Rec-r-1.mp4?"));
        let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        let links = links(dir.path());
        let expires = query["expires"].parse().unwrap();
        let link = Link { asset: "a1", name: "Rec-r-1.mp4", expires };
        let signature = &query["signature"];
        assert_eq!(links.check(&link, signature, now), Ok(()));
        let later = now + chrono::TimeDelta::seconds(61);
        assert_eq!(links.check(&link, signature, later), Err(BadLink::Expired));
        for other in [
            Link { asset: "a2", ..link },
            Link { name: "Rec-r-2.mp4", ..link },
            Link { expires: expires + 1, ..link },
        ] {
            assert_eq!(links.check(&other, signature, now), Err(BadLink::Forged));
        }
        assert_eq!(links.check(&link, "", now), Err(BadLink::Forged));
    }
}
