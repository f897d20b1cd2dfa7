//! Keeps a meeting's token out of what is logged and shown.

use url::Url;

const MASK: &str = "***";
/// Shorter values (`true`, `1`) are no secrets, and masking them would eat text.
const SECRET_LENGTH: usize = 6;

/// `text` without the secrets of `url`, without the query of any URL, and
/// without anything that looks like a JSON Web Token.
pub(super) fn redact(text: &str, url: &Url) -> String {
    let mut text = text.to_owned();
    for secret in secrets(url) {
        text = text.replace(&secret, MASK);
    }
    mask_tokens(&mask_queries(&text))
}

/// What the URL carries besides the address of a page, as it is written and as
/// it is meant; the longest first, as one may hold another.
fn secrets(url: &Url) -> Vec<String> {
    let written = url.query().into_iter().flat_map(|query| query.split('&'));
    let written = written.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
    let meant = url.query_pairs().map(|(_, value)| value.into_owned());
    let mut secrets: Vec<String> = written
        .map(str::to_owned)
        .chain(meant)
        .chain(url.password().map(str::to_owned))
        .chain(url.fragment().map(str::to_owned))
        .filter(|secret| secret.len() >= SECRET_LENGTH)
        .collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets
}

/// Cuts every URL at its `?` or `#`.
fn mask_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        let end = url.find(|c: char| c.is_whitespace() || "\"'<>`".contains(c));
        let (url, after) = url.split_at(end.unwrap_or(url.len()));
        match url.find(['?', '#']) {
            Some(cut) => {
                out.push_str(&url[..=cut]);
                out.push_str(MASK);
            }
            None => out.push_str(url),
        }
        rest = after;
    }
    out + rest
}

/// Masks words of three base64url parts of which the first is a JSON object
/// (RFC 7519: `{"` is `eyJ` in base64url).
fn mask_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("eyJ") {
        let (before, token) = rest.split_at(at);
        out.push_str(before);
        let of_token = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let end = token.find(|c| !of_token(c)).unwrap_or(token.len());
        let (token, after) = token.split_at(end);
        out.push_str(if token.contains('.') { MASK } else { token });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cases() {
        let url =
            Url::parse("https://u:hunter22@meet.example/r?auth_token=s3cr%2Bet&skip=true#frag-42")
                .unwrap();
        for (text, clean) in [
            ("nothing to hide", "nothing to hide"),
            ("the token s3cr%2Bet was bad", "the token *** was bad"),
            ("the token s3cr+et was bad", "the token *** was bad"),
            ("password hunter22, fragment frag-42", "password ***, fragment ***"),
            ("GET \"http://other/?a=b\": no", "GET \"http://other/?***\": no"),
            ("http://a/b and ws://c#d end", "http://a/b and ws://c#*** end"),
            ("Bearer eyJhbGciOi.eyJ0.sig_-x, true", "Bearer ***, true"),
            ("eyJ is a word", "eyJ is a word"),
        ] {
            assert_eq!(redact(text, &url), clean);
        }
    }

    proptest! {
        #[test]
        fn a_token_never_survives(
            token in "[A-Za-z0-9+/=._-]{6,60}", before in "\\PC{0,20}", after in "\\PC{0,20}",
        ) {
            let mut url = Url::parse("https://meet.example/room").unwrap();
            url.query_pairs_mut().append_pair("token", &token);
            let text = format!("{before} {token} {url} {after}");
            // A mask holds no character of a token, so none can grow back.
            prop_assert!(!redact(&text, &url).contains(&token));
        }
    }
}
