//! JSON Web Tokens of the contract: management tokens that callers show, and
//! app tokens that the bot joins a room with.
//!
//! Both are HS256 (RFC 7518, section 3.2) over an app's secret. `http` checks
//! callers and mints the bot's token, the `token` command mints for people.
//! Tokens and secrets are never logged, and no error holds one.

use std::time::Duration;

use chrono::Utc;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{AppKey, Auth, Meeting};

/// Clocks of callers may be this far off, in seconds.
const LEEWAY_S: u64 = 30;

/// Longest life of a management token that is minted here (contract: 14 days).
pub const LONGEST_LIFE: Duration = Duration::from_secs(14 * 86_400);

/// How long a token is good with which the bot joins a room (contract: a day).
const PEER_LIFE: Duration = Duration::from_secs(86_400);

/// Minted tokens begin this much earlier, for callees whose clock is behind.
const BACKDATE_S: i64 = 10;

/// A longer text is no token of ours, and not worth decoding.
const LONGEST_TOKEN: usize = 4096;

/// The contract's version of both kinds of token.
const VERSION: u32 = 2;

/// Claims of both kinds; what a kind does not have is absent. Times are JWT
/// NumericDates (RFC 7519, section 2), which may have a fraction.
#[derive(Deserialize)]
struct Claims {
    access_key: String,
    #[serde(rename = "type")]
    kind: String,
    version: u32,
    #[serde(default)]
    iat: Option<f64>,
    #[serde(default)]
    exp: f64,
}

/// The same, as they are minted.
#[derive(Serialize)]
struct Minted<'a> {
    access_key: &'a str,
    r#type: &'static str,
    version: u32,
    #[serde(flatten)]
    seat: Option<Seat<'a>>,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Which place in a room an app token is for.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Seat<'a> {
    /// The room in the meeting software.
    pub room_id: &'a str,
    /// The role to join with.
    pub role: &'a str,
    /// Whom the room shows.
    pub user_id: &'a str,
}

/// Why a token was refused. Told to the caller; says nothing about keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a JWT, or signed with another algorithm than HS256.
    #[error("not an HS256 JSON Web Token")]
    Malformed,
    /// `access_key` is not configured, or the signature is not of its secret.
    #[error("unknown access key or wrong signature")]
    Unproven,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` or `iat` lies ahead: check the caller's clock.
    #[error("not valid yet: check the clock")]
    TooEarly,
    /// Another type or version than wanted.
    #[error("wrong type or version: a management token of version 2 is needed")]
    WrongKind,
}

/// The configured keys; several may be valid at once while they are rotated.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<AppKey>);

impl Keys {
    /// Takes the keys in the order of the configuration.
    pub fn new(keys: Vec<AppKey>) -> Self {
        Self(keys)
    }

    /// True when nothing is configured, and nobody can show a token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key with this access key, or the first one.
    pub fn find(&self, access_key: Option<&str>) -> Option<&AppKey> {
        match access_key {
            Some(wanted) => self.0.iter().find(|key| key.access_key == wanted),
            None => self.0.first(),
        }
    }

    /// Checks a management token; the signature in constant time, and before any
    /// claim is believed. `nbf`, `iat` and `jti` may be absent, as real clients
    /// leave them out; `exp` may not.
    pub fn check_management(&self, token: &str) -> Result<(), Refused> {
        self.management_life(token).map(drop)
    }

    /// The same; for how long the token is still good.
    pub fn management_life(&self, token: &str) -> Result<Duration, Refused> {
        if token.len() > LONGEST_TOKEN {
            return Err(Refused::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Malformed)?;
        if header.alg != Algorithm::HS256 {
            return Err(Refused::Malformed);
        }
        // Unproven yet, and used for nothing but to find the key that proves it.
        let named: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_| Refused::Malformed)?;
        let key = self.find(Some(&named.access_key)).ok_or(Refused::Unproven)?;
        let secret = DecodingKey::from_secret(key.secret.expose_secret().as_bytes());
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = LEEWAY_S;
        rules.validate_nbf = true;
        rules.validate_aud = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &secret, &rules)
            .map_err(|error| refusal(error.kind()))?
            .claims;
        let now = Utc::now().timestamp();
        let latest = (now + LEEWAY_S as i64) as f64;
        if claims.iat.is_some_and(|iat| iat > latest) {
            return Err(Refused::TooEarly);
        }
        if claims.kind != "management" || claims.version != VERSION {
            return Err(Refused::WrongKind);
        }
        // A cast of what is negative or too large saturates.
        Ok(Duration::from_secs((claims.exp - now as f64) as u64))
    }
}

/// A management token of the key, good for `life`.
pub fn mint_management(key: &AppKey, life: Duration) -> Option<SecretString> {
    mint(key, "management", None, life)
}

/// A token with which the bot joins a room of the meeting software that shares
/// the key; good for a day.
pub fn mint_peer(key: &AppKey, seat: Seat<'_>) -> Option<SecretString> {
    mint(key, "app", Some(seat), PEER_LIFE)
}

/// The address of a room by the configuration, with a token of the bot's own if
/// it wants one; `None` without a template, or without a key to sign the token.
pub fn room_url(room_id: &str, meeting: &Meeting, auth: &Auth) -> Option<SecretString> {
    let token = if meeting.wants_token() {
        let seat = Seat { room_id, role: &meeting.role, user_id: &meeting.name };
        mint_peer(auth.peer_key()?, seat)?
    } else {
        SecretString::default()
    };
    meeting.url(room_id, token.expose_secret()).map(Into::into)
}

/// `None` if the claims cannot be encoded, which plain strings and numbers can.
fn mint(
    key: &AppKey,
    kind: &'static str,
    seat: Option<Seat<'_>>,
    life: Duration,
) -> Option<SecretString> {
    let now = Utc::now().timestamp();
    let claims = Minted {
        access_key: &key.access_key,
        r#type: kind,
        version: VERSION,
        seat,
        jti: uuid::Uuid::new_v4().to_string(),
        iat: now - BACKDATE_S,
        nbf: now - BACKDATE_S,
        exp: now.saturating_add_unsigned(life.as_secs()),
    };
    let secret = EncodingKey::from_secret(key.secret.expose_secret().as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret).ok().map(Into::into)
}

fn refusal(kind: &jsonwebtoken::errors::ErrorKind) -> Refused {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::ExpiredSignature => Refused::Expired,
        ErrorKind::ImmatureSignature => Refused::TooEarly,
        ErrorKind::InvalidSignature => Refused::Unproven,
        _ => Refused::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    fn key(name: &str, secret: &str) -> AppKey {
        AppKey { access_key: name.into(), secret: secret.into() }
    }

    fn sign(alg: Algorithm, claims: &Value, secret: &str) -> String {
        jsonwebtoken::encode(
            &Header::new(alg),
            claims,
            &EncodingKey::from_secret(secret.as_bytes()),
        )
        .unwrap()
    }

    fn claims(change: impl FnOnce(&mut Value)) -> Value {
        let now = Utc::now().timestamp();
        let mut claims = json!({
            "access_key": "a", "type": "management", "version": 2,
            "iat": now, "nbf": now, "exp": now + 60,
        });
        change(&mut claims);
        claims
    }

    fn minted(name: &str, secret: &str) -> String {
        let token = mint_management(&key(name, secret), Duration::from_secs(60)).unwrap();
        token.expose_secret().to_owned()
    }

    #[test]
    fn minted_tokens_are_accepted_also_while_keys_rotate() {
        let both = Keys::new(vec![key("new", "secret-2"), key("old", "secret-1")]);
        assert_eq!(both.check_management(&minted("old", "secret-1")), Ok(()));
        assert_eq!(both.check_management(&minted("new", "secret-2")), Ok(()));
        let rotated = Keys::new(vec![key("new", "secret-2")]);
        assert_eq!(rotated.check_management(&minted("old", "secret-1")), Err(Refused::Unproven));
        // The secret of another key proves nothing.
        assert_eq!(both.check_management(&minted("old", "secret-2")), Err(Refused::Unproven));
    }

    #[test]
    fn claims_are_checked_one_by_one() {
        let keys = Keys::new(vec![key("a", "s")]);
        let now = Utc::now().timestamp();
        let table: Vec<(Value, Result<(), Refused>)> = vec![
            (claims(|_| {}), Ok(())),
            (claims(|c| c["iat"] = json!(now + 20)), Ok(())),
            (claims(|c| c["iat"] = json!(now as f64 + 0.5)), Ok(())),
            (claims(|c| drop(c.as_object_mut().unwrap().remove("iat"))), Ok(())),
            (claims(|c| c["exp"] = json!("never")), Err(Refused::Malformed)),
            (claims(|c| drop(c.as_object_mut().unwrap().remove("nbf"))), Ok(())),
            (claims(|c| c["exp"] = json!(now - 3600)), Err(Refused::Expired)),
            (claims(|c| c["nbf"] = json!(now + 3600)), Err(Refused::TooEarly)),
            (claims(|c| c["iat"] = json!(now + 3600)), Err(Refused::TooEarly)),
            (claims(|c| c["type"] = json!("app")), Err(Refused::WrongKind)),
            (claims(|c| c["version"] = json!(1)), Err(Refused::WrongKind)),
            (claims(|c| c["access_key"] = json!("b")), Err(Refused::Unproven)),
            (claims(|c| drop(c.as_object_mut().unwrap().remove("exp"))), Err(Refused::Malformed)),
        ];
        for (claims, expected) in table {
            assert_eq!(
                keys.check_management(&sign(Algorithm::HS256, &claims, "s")),
                expected,
                "{claims}"
            );
        }
        let good = claims(|_| {});
        assert_eq!(
            keys.check_management(&sign(Algorithm::HS256, &good, "t")),
            Err(Refused::Unproven)
        );
        assert_eq!(
            keys.check_management(&sign(Algorithm::HS512, &good, "s")),
            Err(Refused::Malformed)
        );
        for text in ["", "a.b.c", "Bearer x", "eyJhbGciOiJub25lIn0.e30."] {
            assert_eq!(keys.check_management(text), Err(Refused::Malformed), "{text}");
        }
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let keys = Keys::new(vec![key("a", "s")]);
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        for alg in ["none", "None", "HS256"] {
            let header = part(&json!({ "alg": alg, "typ": "JWT" }));
            let token = format!("{header}.{}.", part(&claims(|_| {})));
            assert!(keys.check_management(&token).is_err(), "{alg}");
        }
        let endless = "a".repeat(LONGEST_TOKEN + 1);
        assert_eq!(keys.check_management(&endless), Err(Refused::Malformed));
    }

    #[test]
    fn an_app_token_is_the_contracts_and_no_management_token() {
        let seat = Seat { room_id: "r", role: "__internal_recorder", user_id: "bot" };
        let token = mint_peer(&key("a", "s"), seat).unwrap();
        let token = token.expose_secret();
        assert_eq!(Keys::new(vec![key("a", "s")]).check_management(token), Err(Refused::WrongKind));
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
        let iat = claims["iat"].as_i64().unwrap();
        let expected = json!({
            "access_key": "a", "type": "app", "version": 2, "room_id": "r",
            "role": "__internal_recorder", "user_id": "bot", "jti": claims["jti"],
            "iat": iat, "nbf": iat, "exp": iat + BACKDATE_S + 86_400,
        });
        assert_eq!(claims, expected);
    }
}
