//! A meeting's URL with a mask in place of its secrets, the rest as it was.

/// Stands in place of a secret.
const MASK: &str = "***";

/// Words that name a parameter whose value nobody else should see.
const SECRET_WORDS: [&str; 10] =
    ["token", "auth", "secret", "passw", "pwd", "key", "jwt", "signature", "credential", "session"];

/// `url` with masks for user and password, for the values of parameters (of query
/// and fragment) whose name or value looks like a secret.
pub(super) fn redact(url: &str) -> String {
    let (address, fragment) = split(url, '#');
    let (address, query) = split(address, '?');
    let mut out = without_user(address);
    for (mark, part) in [('?', query), ('#', fragment)] {
        if let Some(part) = part {
            out.push(mark);
            out.push_str(&without_secrets(part));
        }
    }
    out
}

fn split(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn without_user(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find(['/', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{MASK}@{host}{path}"),
        None => address.to_owned(),
    }
}

fn without_secrets(part: &str) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() && (names_secret(name) || is_token(value)) => {
            format!("{name}={MASK}")
        }
        None if is_token(pair) => MASK.to_owned(),
        _ => pair.to_owned(),
    };
    part.split('&').map(pair).collect::<Vec<_>>().join("&")
}

/// `token=beam_recording` is the contract's old alias of `skip_preview`, but that
/// shows only in its value; it is masked like the rest.
fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word)) || matches!(&*name, "sig" | "code" | "pin")
}

/// Looks like a JSON Web Token (RFC 7519: `{"` is `eyJ` in base64url).
fn is_token(value: &str) -> bool {
    value.contains("eyJ") && value.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_secrets_are_masked() {
        for (url, shown) in [
            ("https://meet.example/r?skip_preview=true", None),
            ("https://meet.example/preview/r/role?name=A%20B&ui_mode=x", None),
            ("https://meet.example/r?token=", None),
            (
                "https://meet.example/r?auth_token=ab.c&skip_preview=true",
                Some("https://meet.example/r?auth_token=***&skip_preview=true"),
            ),
            (
                "https://meet.example/r?x=eyJh.eyJi.c#jwt=a",
                Some("https://meet.example/r?x=***#jwt=***"),
            ),
            (
                "https://meet.example/r#config.x=1&eyJh.eyJi.c",
                Some("https://meet.example/r#config.x=1&***"),
            ),
            (
                "https://me:pass@meet.example:1/r?PWD=x",
                Some("https://***@meet.example:1/r?PWD=***"),
            ),
            ("https://a:b@c@meet.example", Some("https://***@meet.example")),
        ] {
            assert_eq!(redact(url), shown.unwrap_or(url));
        }
    }
}
