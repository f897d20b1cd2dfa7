//! Who may tell what happens in rooms: a post is believed for what its sender
//! alone knows, a header's value or the key of a signature.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

use crate::config::{self, BadSecret, signing_key};

/// How far the time of a signature may be off, in seconds (Standard Webhooks
/// 1.0.0, "Verifying webhook authenticity": the libraries take 5 minutes).
const LEEWAY_S: i64 = 300;
/// Signatures looked at in one post; a sender that rotates keys sends two.
const MOST_SIGNATURES: usize = 8;

/// The senders of the configuration.
pub struct Senders(Vec<Sender>);

struct Sender {
    name: String,
    /// Names of headers, and the digests of what they have to hold.
    headers: Vec<(String, digest::Digest)>,
    keys: Vec<hmac::Key>,
}

impl Senders {
    /// Those of `[hooks]`.
    pub fn new(senders: &[config::Sender]) -> Result<Self, BadSecret> {
        let one = |sender: &config::Sender| {
            let key = |secret| Ok(hmac::Key::new(hmac::HMAC_SHA256, &signing_key(secret)?));
            let header = |(name, value): (&String, &config::Secret)| {
                (name.clone(), hash(value.expose().as_bytes()))
            };
            Ok(Sender {
                name: sender.name.clone(),
                headers: sender.headers.iter().map(header).collect(),
                keys: sender.secrets.iter().map(key).collect::<Result<_, _>>()?,
            })
        };
        senders.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// True if nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the sender whose post this is, in the time that it takes for
    /// any of them.
    pub fn recognise(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Option<&str> {
        let mut found = None;
        for sender in &self.0 {
            if sender.has_sent(headers, body, now) && found.is_none() {
                found = Some(sender.name.as_str());
            }
        }
        found
    }
}

impl Sender {
    fn has_sent(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> bool {
        // No `all`: it would stop at the first wrong one.
        let wrong = self.headers.iter().filter(|(name, wanted)| !holds(headers, name, wanted));
        let signed = self.keys.is_empty() || self.has_signed(headers, body, now);
        wrong.count() == 0 && signed
    }

    fn has_signed(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> bool {
        let text = |name| single(headers, name).and_then(|value| std::str::from_utf8(value).ok());
        let (Some(id), Some(timestamp), Some(signatures)) =
            (text("webhook-id"), text("webhook-timestamp"), text("webhook-signature"))
        else {
            return false;
        };
        let Ok(seconds) = timestamp.parse::<i64>() else { return false };
        if seconds.abs_diff(now.timestamp()) > LEEWAY_S.unsigned_abs() {
            return false;
        }
        let mut message = format!("{id}.{seconds}.").into_bytes();
        message.extend_from_slice(body);
        let given = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
        given.take(MOST_SIGNATURES).filter_map(|signature| STANDARD.decode(signature).ok()).any(
            |signature| self.keys.iter().any(|key| hmac::verify(key, &message, &signature).is_ok()),
        )
    }
}

/// Compares digests: neither length nor content of the secret shows in the time.
fn holds(headers: &HeaderMap, name: &str, wanted: &digest::Digest) -> bool {
    let given = hash(single(headers, name).unwrap_or_default());
    constant_time::verify_slices_are_equal(given.as_ref(), wanted.as_ref()).is_ok()
}

fn hash(bytes: &[u8]) -> digest::Digest {
    digest::digest(&digest::SHA256, bytes)
}

/// The header's value, if it is there once.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;

    use super::super::signature::Signer;
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_b3RoZXIga2V5IG9mIHRoaXJ0eSBieXRlcyEh";
    const BODY: &[u8] = b"{\"a\":1}";

    fn sender(name: &str, headers: &[(&str, &str)], secrets: &[&str]) -> config::Sender {
        config::Sender {
            name: name.into(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).into())).collect(),
            secrets: secrets.iter().map(|secret| (*secret).into()).collect(),
        }
    }

    fn senders(of: &[config::Sender]) -> Senders {
        Senders::new(of).unwrap()
    }

    fn map(pairs: &[(&'static str, String)]) -> HeaderMap {
        let pairs = pairs.iter().cloned().collect::<BTreeMap<_, _>>();
        pairs.into_iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    fn signed(secret: &str, at: DateTime<Utc>, body: &[u8]) -> HeaderMap {
        let timestamp = at.timestamp();
        let signature = Signer::new(&[secret.into()]).unwrap().sign("msg_1", timestamp, body);
        map(&[
            ("webhook-id", "msg_1".into()),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signature.unwrap()),
        ])
    }

    #[test]
    fn a_header_is_right_or_it_is_not() {
        let of = [
            sender("old", &[("x-passcode", "the old passcode")], &[]),
            sender(
                "new",
                &[("X-Passcode", "the new passcode"), ("x-app", "of this app only")],
                &[],
            ),
        ];
        let senders = senders(&of);
        let judge = |pairs: &[(&'static str, String)]| {
            senders.recognise(&map(pairs), BODY, Utc::now()).map(str::to_owned)
        };
        let passcode = |value: &str| ("x-passcode", value.to_owned());
        let app = || ("x-app", "of this app only".to_owned());
        assert_eq!(judge(&[passcode("the old passcode")]).as_deref(), Some("old"));
        assert_eq!(judge(&[passcode("the new passcode"), app()]).as_deref(), Some("new"));
        for wrong in [
            vec![],
            vec![passcode("")],
            vec![passcode("the old passcod")],
            vec![passcode("the old passcode ")],
            vec![passcode("THE OLD PASSCODE")],
            // All of a sender's headers have to be right.
            vec![passcode("the new passcode")],
            vec![app()],
        ] {
            assert_eq!(judge(&wrong), None, "{wrong:?}");
        }
        let mut twice = map(&[passcode("the old passcode")]);
        twice.append("x-passcode", "the old passcode".parse().unwrap());
        assert_eq!(senders.recognise(&twice, BODY, Utc::now()), None);
    }

    #[test]
    fn a_signature_is_of_the_key_the_body_and_the_hour() {
        let senders = senders(&[sender("app", &[], &[OTHER, SECRET])]);
        let now = Utc::now();
        let judge = |headers: &HeaderMap, body| senders.recognise(headers, body, now).is_some();
        for off in [-290, 0, 290] {
            assert!(judge(&signed(SECRET, now + TimeDelta::seconds(off), BODY), BODY), "{off}");
        }
        assert!(!judge(&signed(SECRET, now, BODY), b"{\"a\":2}"));
        for off in [-310, 310] {
            assert!(!judge(&signed(SECRET, now + TimeDelta::seconds(off), BODY), BODY), "{off}");
        }
        let stranger = "whsec_c3RyYW5nZXIga2V5IG9mIHRoaXJ0eSBieXRlcyE=";
        assert!(!judge(&signed(stranger, now, BODY), BODY));
        let good = signed(SECRET, now, BODY);
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut without = good.clone();
            without.remove(name);
            assert!(!judge(&without, BODY), "{name}");
            let mut odd = good.clone();
            odd.insert(name, "odd".parse().unwrap());
            assert!(!judge(&odd, BODY), "{name}");
        }
        // Beside others of a key that is not known.
        let mut several = good.clone();
        let both = format!("v1,AAAA v2,BBBB {}", good["webhook-signature"].to_str().unwrap());
        several.insert("webhook-signature", both.parse().unwrap());
        assert!(judge(&several, BODY));
    }

    #[test]
    fn the_official_library_s_signature_is_taken() {
        let now = Utc::now();
        let judge = standardwebhooks::Webhook::new(SECRET).unwrap();
        let signature = judge.sign("msg_2", now.timestamp(), BODY).unwrap();
        let headers = map(&[
            ("webhook-id", "msg_2".into()),
            ("webhook-timestamp", now.timestamp().to_string()),
            ("webhook-signature", signature),
        ]);
        let senders = senders(&[sender("app", &[], &[SECRET])]);
        assert_eq!(senders.recognise(&headers, BODY, now), Some("app"));
    }

    #[test]
    fn a_sender_with_both_shows_both() {
        let senders = senders(&[sender("app", &[("x-passcode", "a passcode to see")], &[SECRET])]);
        let now = Utc::now();
        let mut headers = signed(SECRET, now, BODY);
        assert_eq!(senders.recognise(&headers, BODY, now), None);
        headers.insert("x-passcode", "a passcode to see".parse().unwrap());
        assert_eq!(senders.recognise(&headers, BODY, now), Some("app"));
        headers.remove("webhook-signature");
        assert_eq!(senders.recognise(&headers, BODY, now), None);
    }
}
