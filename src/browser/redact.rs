//! Takes the secret parts out of text that goes to a log.
//!
//! Meeting links carry their token in the query and often the room's secret in
//! the path, so of an address only scheme and host are kept.

/// `https://user@host/path?token` becomes `https://host/…`; text that is no
/// address becomes what stands before its first `:`, as in `data:…`.
pub(super) fn origin_only(url: &str) -> String {
    match url::Url::parse(url) {
        Ok(parsed) => match parsed.host_str() {
            Some(host) => {
                let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
                format!("{}://{host}{port}/…", parsed.scheme())
            }
            None => format!("{}:…", parsed.scheme()),
        },
        Err(_) => String::new(),
    }
}

/// A line with every address in it cut down to its origin.
pub(super) fn line(text: &str) -> String {
    const END: &[char] = &['"', '\'', '<', '>', '(', ')', '[', ']', '{', '}', ',', '|'];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(colon) = rest.find("://") {
        let scheme_len = rest[..colon]
            .chars()
            .rev()
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            .count();
        let start = colon - scheme_len;
        let after = &rest[colon + 3..];
        let end = after.find(|c: char| c.is_whitespace() || END.contains(&c));
        let end = colon + 3 + end.unwrap_or(after.len());
        out.push_str(&rest[..start]);
        let address = &rest[start..end];
        let kept = origin_only(address);
        out.push_str(if kept.is_empty() { "…" } else { &kept });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_origin_stays() {
        for (given, kept) in [
            ("https://me:pw@meet.example/room/x?token=s#f", "https://meet.example/…"),
            ("http://127.0.0.1:8080/?a=b", "http://127.0.0.1:8080/…"),
            ("data:text/html,secret", "data:…"),
            ("about:blank", "about:…"),
            ("", ""),
        ] {
            assert_eq!(origin_only(given), kept);
        }
    }

    #[test]
    fn a_line_keeps_its_words() {
        for (given, kept) in [
            ("nothing here", "nothing here"),
            ("failed: \"https://a.example/p?q=1\" (2)", "failed: \"https://a.example/…\" (2)"),
            ("ws://127.0.0.1:1/x and wss://b/y", "ws://127.0.0.1:1/… and wss://b/…"),
            ("x ://nonsense y", "x … y"),
        ] {
            assert_eq!(line(given), kept);
        }
    }

    proptest! {
        #[test]
        fn a_token_never_survives(
            before in "[^:/]{0,20}",
            token in "[a-z0-9]{12}",
            after in "[ \"'<>)].{0,20}",
        ) {
            let text = format!("{before} https://host.example/r?t={token}{after}");
            prop_assume!(!before.contains(&token) && !after.contains(&token));
            prop_assert!(!line(&text).contains(&token), "{}", line(&text));
        }

        #[test]
        fn any_text_is_taken(text in ".{0,200}") {
            line(&text);
            origin_only(&text);
        }
    }
}
