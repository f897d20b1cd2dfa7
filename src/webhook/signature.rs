//! Standard Webhooks signatures (standardwebhooks.com, spec version 1.0.0,
//! "Symmetric signatures"): `v1,` and the base64 of HMAC-SHA256 over
//! `id.timestamp.body`.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::{BadSecret, Secret, signing_key};

/// Signs the deliveries of one endpoint.
#[derive(Default)]
pub(super) struct Signer(Vec<hmac::Key>);

impl Signer {
    /// A signer with every one of `secrets`.
    pub(super) fn new(secrets: &[Secret]) -> Result<Self, BadSecret> {
        let key = |secret| Ok(hmac::Key::new(hmac::HMAC_SHA256, &signing_key(secret)?));
        secrets.iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// The `webhook-signature` header of a delivery, one signature for each
    /// secret; `None` without secrets. `timestamp` is in Unix seconds.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let mut message = format!("{id}.{timestamp}.").into_bytes();
        message.extend_from_slice(body);
        let one = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, &message)));
        let all: Vec<String> = self.0.iter().map(one).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn headers(id: &str, timestamp: i64, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", timestamp.to_string().parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    #[test]
    fn the_official_library_accepts_it_and_only_it() {
        let now = chrono::Utc::now().timestamp();
        let old = "whsec_b3RoZXIga2V5IG9mIHRoaXJ0eSBieXRlcyEh";
        let signer = Signer::new(&[SECRET.into(), old.into()]).unwrap();
        let signature = signer.sign("msg_1", now, b"{\"a\":1}").unwrap();
        for secret in [SECRET, old] {
            let judge = standardwebhooks::Webhook::new(secret).unwrap();
            judge.verify(b"{\"a\":1}", &headers("msg_1", now, &signature)).unwrap();
            assert!(judge.verify(b"{\"a\":2}", &headers("msg_1", now, &signature)).is_err());
            assert!(judge.verify(b"{\"a\":1}", &headers("msg_2", now, &signature)).is_err());
        }
    }

    #[test]
    fn without_secrets_there_is_no_signature() {
        assert_eq!(Signer::new(&[]).unwrap().sign("msg_1", 1, b""), None);
    }

    #[test]
    fn unusable_secrets_are_refused() {
        assert_eq!(Signer::new(&["whsec_!!".into()]).err(), Some(BadSecret::NotBase64));
        assert_eq!(Signer::new(&["whsec_c2hvcnQ=".into()]).err(), Some(BadSecret::Length(5)));
    }
}
