//! A meeting URL for other eyes than its owner's.

use url::Url;

/// Stands where something was taken out.
const MASK: &str = "***";

/// A parameter whose name holds one of these carries a secret.
const SECRET_NAMES: &[&str] =
    &["token", "key", "secret", "pass", "auth", "jwt", "code", "sig", "credential"];

/// `url` without user and password, without the values of parameters whose names
/// sound like secrets (in query and fragment), and without JSON Web Tokens
/// wherever they stand. The rest is as it was; text that is no URL becomes empty.
pub fn redact_url(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return String::new() };
    if !url.username().is_empty() || url.password().is_some() {
        // Neither fails where there is a user: such a URL has a host.
        _ = url.set_password(None);
        _ = url.set_username(MASK);
    }
    let path = url.path().split('/').map(masked_token).collect::<Vec<_>>().join("/");
    if path != url.path() {
        url.set_path(&path);
    }
    let query = url.query().map(pairs);
    url.set_query(query.as_deref());
    let fragment = url.fragment().map(fragment);
    url.set_fragment(fragment.as_deref());
    url.into()
}

/// A fragment may be a path with a query of its own (`#/room?token=…`).
fn fragment(text: &str) -> String {
    match text.split_once('?') {
        Some((path, query)) => format!("{}?{}", pairs(path), pairs(query)),
        None => pairs(text),
    }
}

fn pairs(text: &str) -> String {
    let pairs = text.split_inclusive(['&', ';']).map(|pair| {
        let (pair, end) = match pair.char_indices().next_back() {
            Some((at, '&' | ';')) => pair.split_at(at),
            _ => (pair, ""),
        };
        match pair.split_once('=') {
            Some((name, value)) if !value.is_empty() && is_secret(name, value) => {
                format!("{name}={MASK}{end}")
            }
            Some((name, value)) => format!("{name}={}{end}", masked_token(value)),
            None => format!("{}{end}", masked_token(pair)),
        }
    });
    pairs.collect()
}

fn is_secret(name: &str, value: &str) -> bool {
    let sounds = |text: &str| {
        let text = text.to_lowercase();
        SECRET_NAMES.iter().any(|secret| text.contains(secret))
    };
    // A value may be a URL with parameters of its own.
    let value = decoded(value);
    sounds(&decoded(name)) || (value.contains('=') && sounds(&value))
}

fn decoded(text: &str) -> String {
    // A key without a value is what the whole text is here.
    let text = text.replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

/// The mask in place of a JSON Web Token: parts in base64url with dots between,
/// the first of them a JSON object (RFC 7519 section 3: `{"` is `eyJ`).
fn masked_token(text: &str) -> &str {
    if text.starts_with("eyJ") && text.contains('.') { MASK } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cases() {
        for (given, clean) in [
            (
                "https://meet.example/a?skip_preview=true",
                "https://meet.example/a?skip_preview=true",
            ),
            (
                "https://meet.example/preview/r/rec?auth_token=eyJh.b.c&skip_preview=true",
                "https://meet.example/preview/r/rec?auth_token=***&skip_preview=true",
            ),
            ("https://u:pw@meet.example/", "https://***@meet.example/"),
            ("https://u@meet.example/", "https://***@meet.example/"),
            ("https://a.example/?PassWord=x&b=1", "https://a.example/?PassWord=***&b=1"),
            (
                "https://a.example/?X-Amz-Signature=x;b=1",
                "https://a.example/?X-Amz-Signature=***;b=1",
            ),
            ("https://a.example/?%74oken=x", "https://a.example/?%74oken=***"),
            ("https://a.example/?token=", "https://a.example/?token="),
            ("https://a.example/?u=eyJh.b.c", "https://a.example/?u=***"),
            ("https://a.example/j/eyJh.b.c/x", "https://a.example/j/***/x"),
            ("https://a.example/?to=b%3Ftoken%3Dx", "https://a.example/?to=***"),
            ("https://a.example/#jwt=x&c=1", "https://a.example/#jwt=***&c=1"),
            ("https://a.example/#/room?token=x", "https://a.example/#/room?token=***"),
            ("https://a.example/#room", "https://a.example/#room"),
            ("https://a.example/?", "https://a.example/?"),
            ("not a url with token=x", ""),
        ] {
            assert_eq!(redact_url(given), clean);
        }
    }

    proptest! {
        #[test]
        fn a_secret_never_survives(
            name in prop::sample::select(vec!["token", "roomCode", "x-api-key", "sig", "AUTH"]),
            secret in "[a-zA-Z0-9+/=&?#. ]{12,40}",
            other in "[a-z]{0,8}",
        ) {
            let mut url = Url::parse("https://meet.example/room").unwrap();
            url.query_pairs_mut().append_pair("a", &other).append_pair(name, &secret);
            let query = url.query().unwrap().to_owned();
            let written = query.rsplit_once('=').map(|(_, value)| value.to_owned()).unwrap();
            let clean = redact_url(url.as_str());
            prop_assert!(!clean.contains(&written), "{clean}");
            let kept = format!("https://meet.example/room?a={other}&");
            prop_assert!(clean.starts_with(&kept), "{clean}");
        }

        #[test]
        fn any_text_is_taken(text in ".{0,80}") {
            redact_url(&text);
        }
    }
}
