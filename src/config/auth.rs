//! `[auth]`: who may call, and what the bot joins rooms with.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Bytes that a secret has at least: HS256 wants a key as long as its hash
/// (RFC 7518, section 3.2).
pub const SHORTEST_SECRET: usize = 32;

/// `[auth]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Key pairs that callers sign their management tokens with; all of them are
    /// good at once, so that keys can be rotated. Empty: no tokens are asked for.
    pub keys: Vec<AppKey>,
    /// Key pair of the meeting software, which the bot's own token is signed
    /// with. Empty: the first of `keys`.
    pub app_key: AppKey,
}

/// An app's key pair.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppKey {
    /// The public half: names the key in a token's claims.
    pub access_key: String,
    /// The secret half: signs.
    pub secret: SecretString,
}

impl Auth {
    /// What the bot's token is signed with, if there is anything.
    pub fn peer_key(&self) -> Option<&AppKey> {
        Some(&self.app_key).filter(|key| !key.is_empty()).or_else(|| self.keys.first())
    }

    /// What is wrong, as setting and problem.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        for (n, key) in self.keys.iter().enumerate() {
            key.check().map_err(|problem| ("auth.keys", format!("key {}: {problem}", n + 1)))?;
            if self.keys[..n].iter().any(|other| other.access_key == key.access_key) {
                return Err((
                    "auth.keys",
                    format!("{:?} is there twice: a rotated key needs a new name", key.access_key),
                ));
            }
        }
        if !self.app_key.is_empty() {
            self.app_key.check().map_err(|problem| ("auth.app_key", problem))?;
        }
        Ok(())
    }
}

impl AppKey {
    fn is_empty(&self) -> bool {
        self.access_key.is_empty() && self.secret.expose_secret().is_empty()
    }

    fn check(&self) -> Result<(), String> {
        if self.access_key.is_empty() {
            return Err("access_key must not be empty".into());
        }
        let length = self.secret.expose_secret().len();
        if length < SHORTEST_SECRET {
            return Err(format!(
                "the secret has {length} bytes: give at least {SHORTEST_SECRET}, for example by \
                 `openssl rand -base64 48`"
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl PartialEq for AppKey {
    fn eq(&self, other: &Self) -> bool {
        self.access_key == other.access_key
            && self.secret.expose_secret() == other.secret.expose_secret()
    }
}

/// With a mask for the secret: a configuration that is shown must not show it.
impl Serialize for AppKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            access_key: &'a str,
            secret: &'static str,
        }
        let secret = if self.secret.expose_secret().is_empty() { "" } else { "***" };
        Shown { access_key: &self.access_key, secret }.serialize(to)
    }
}
