//! Why a storage did not do what it was asked: one kind to act on, one sentence
//! to read. Free of secrets.

use std::error::Error as StdError;

/// What is wrong, as far as it matters to whoever has to do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such bucket or container.
    NoBucket,
    /// The key is unknown, or its secret is wrong.
    Key,
    /// The key is good and has no permission for this.
    Denied,
    /// This machine's clock and the storage's are too far apart.
    Clock,
    /// It asks to be left alone for a while.
    Throttled,
    /// No connection, no answer, or an answer that broke off.
    Unreachable,
    /// There is no such object.
    NoObject,
    /// The multipart upload is not known (any more).
    NoUpload,
    /// What is stored is not what was sent.
    Damaged,
    /// It has no such ability.
    NotSupported,
    /// This machine's own disk.
    Disk,
    /// The configuration names no such destination.
    NoDestination,
    /// Anything else.
    Other,
}

impl Trouble {
    /// What is wrong and what can be done, in a few words without any names.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoBucket => "there is no such bucket",
            Self::Key => "the key or its secret is refused",
            Self::Denied => "the key has no permission",
            Self::Clock => "the clocks differ too much: set this machine's",
            Self::Throttled => "it is throttling",
            Self::Unreachable => "it cannot be reached",
            Self::NoObject => "there is no such object",
            Self::NoUpload => "the multipart upload is gone",
            Self::Damaged => "what is stored is not what was sent",
            Self::NotSupported => "it has no such ability",
            Self::Disk => "the local disk failed",
            Self::NoDestination => "the configuration names no such destination",
            Self::Other => "it failed",
        }
    }
}

/// See the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", trouble.text())]
pub struct StorageError {
    /// The kind.
    pub trouble: Trouble,
    /// What the storage or the system said.
    pub detail: String,
}

impl StorageError {
    pub(super) fn new(trouble: Trouble, detail: impl Into<String>) -> Self {
        Self { trouble, detail: detail.into() }
    }

    pub(crate) fn disk(action: &str, error: &std::io::Error) -> Self {
        Self::new(Trouble::Disk, format!("cannot {action}: {error}"))
    }

    pub(super) fn unreachable(error: &dyn StdError) -> Self {
        Self::new(Trouble::Unreachable, short(innermost(&chain(error))))
    }

    pub(super) fn answered(status: u16, body: &str) -> Self {
        judge(&format!("non-2xx status code: {status}: {body}"))
    }
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        judge(&chain(&error))
    }
}

/// Every layer of the error: the library tells status, code and message of an
/// answer in their texts only.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let layer = cause.to_string();
        if !text.contains(&layer) {
            text = format!("{text}: {layer}");
        }
        source = cause.source();
    }
    text
}

/// How much of an answer that is not understood is repeated, in characters.
const QUOTE: usize = 300;

fn judge(text: &str) -> StorageError {
    let code = between(text, "<Code>", "</Code>").unwrap_or_default();
    let status = status(text);
    let has = |word: &str| text.contains(word);
    let trouble = match code {
        "NoSuchBucket" | "ContainerNotFound" | "InvalidBucketName" => Trouble::NoBucket,
        "RequestTimeTooSkewed" | "RequestExpired" => Trouble::Clock,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "ExpiredToken"
        | "AuthenticationFailed"
        | "AuthorizationHeaderMalformed"
        | "InvalidSecurity" => Trouble::Key,
        // Azure's emulator calls a bad signature so, Azure a network that is not let in.
        "AuthorizationFailure" if has("failed to authenticate") => Trouble::Key,
        "AccessDenied"
        | "AuthorizationPermissionMismatch"
        | "AuthorizationFailure"
        | "InsufficientAccountPermissions"
        | "AllAccessDisabled" => Trouble::Denied,
        "SlowDown" | "ServerBusy" | "ServiceUnavailable" | "RequestLimitExceeded" => {
            Trouble::Throttled
        }
        "NoSuchUpload" => Trouble::NoUpload,
        "NoSuchKey" | "BlobNotFound" => Trouble::NoObject,
        "BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "Md5Mismatch" => {
            Trouble::Damaged
        }
        "NotImplemented" => Trouble::NotSupported,
        _ if has("invalid_grant") && has("timeframe") => Trouble::Clock,
        _ if has("invalid_grant") || has("invalid_client") => Trouble::Key,
        _ => match status {
            Some(401) => Trouble::Key,
            Some(403) => Trouble::Denied,
            Some(404) => Trouble::NoObject,
            Some(429 | 503) => Trouble::Throttled,
            Some(_) => Trouble::Other,
            None if has("HTTP error") || has("error sending request") => Trouble::Unreachable,
            None => Trouble::Other,
        },
    };
    let message = between(text, "<Message>", "</Message>").unwrap_or_default();
    let detail = match (status, code) {
        (Some(status), "") => format!("answered {status}{}", body_of(text)),
        (Some(status), code) => format!("answered {status} {code}: {}", first_line(message)),
        (None, "") => short(innermost(text)),
        (None, code) => format!("answered {code}: {}", first_line(message)),
    };
    StorageError::new(trouble, detail)
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(start)?;
    Some(after.split_once(end)?.0.trim())
}

fn status(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("non-2xx status code: ")?;
    after.get(..3)?.parse().ok()
}

/// What an answer says that is no XML of a known shape.
fn body_of(text: &str) -> String {
    let after = text.split_once("non-2xx status code: ").map_or("", |(_, after)| after);
    let body = after.split_once(": ").map_or("", |(_, body)| body).trim();
    if body.is_empty() { String::new() } else { format!(": {}", short(body)) }
}

/// The layers above the last one name addresses and repeat themselves.
fn innermost(text: &str) -> &str {
    text.rsplit_once("HTTP error: ").map_or(text, |(_, cause)| cause)
}

fn first_line(text: &str) -> String {
    short(text.lines().next().unwrap_or_default())
}

fn short(text: &str) -> String {
    let flat: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let cut: String = flat.trim().chars().take(QUOTE).collect();
    if cut.len() < flat.trim().len() { format!("{cut} …") } else { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        let answer = |status: &str, code: &str| {
            format!(
                "Error performing PUT http://h/b/k in 1ms - Server returned non-2xx status code: \
                 {status}: <?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Why not.\
                 </Message><StringToSign>x</StringToSign></Error>"
            )
        };
        for (text, trouble, detail) in [
            (
                answer("403 Forbidden", "SignatureDoesNotMatch"),
                Trouble::Key,
                "answered 403 SignatureDoesNotMatch: Why not.",
            ),
            (
                answer("404 Not Found", "NoSuchBucket"),
                Trouble::NoBucket,
                "answered 404 NoSuchBucket: Why not.",
            ),
            (
                answer("503 Service Unavailable", "SlowDown"),
                Trouble::Throttled,
                "answered 503 SlowDown: Why not.",
            ),
            (
                "x - Server returned non-2xx status code: 404 Not Found: ".into(),
                Trouble::NoObject,
                "answered 404",
            ),
            (
                "Error performing PUT http://h/b in 1ms - HTTP error: error sending request: \
                 HTTP error: error sending request: Connection refused"
                    .into(),
                Trouble::Unreachable,
                "error sending request: Connection refused",
            ),
        ] {
            assert_eq!(judge(&text), StorageError::new(trouble, detail), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_cut_short() {
        let text = format!("non-2xx status code: 500 Oops: {}", "é\n".repeat(1000));
        let error = judge(&text);
        assert_eq!(error.trouble, Trouble::Other);
        assert!(error.detail.chars().count() < 350 && !error.detail.contains('\n'), "{error}");
    }
}
