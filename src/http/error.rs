//! What a refused request is answered with: `{code, message, details}`.
//!
//! One constructor for each situation, named after it; handlers use these and
//! no status code of their own:
//!
//! | the caller                                | constructor                         |
//! |-------------------------------------------|-------------------------------------|
//! | sent no body, or text that is no JSON     | [`empty_body`], [`malformed`]       |
//! | sent a field or parameter we cannot use   | [`invalid`], one detail per field   |
//! | sent too long a body, or not as JSON      | [`too_large`], [`not_json`]         |
//! | starts a room that is being recorded      | [`already_started`]                 |
//! | names a recording that is not there       | [`not_found`]                       |
//! | names an asset or a file that is not there| [`no_asset`], [`no_file`]           |
//! | deletes what is not over yet              | [`active`]                          |
//! | uploads what does not wait for it         | [`nothing_kept`]                    |
//! | wants a link that the storage won't sign  | [`no_link`]                         |
//! | follows a link that is not good          | [`bad_link`]                        |
//! | wants a part of a file that is not there  | [`no_range`]                        |
//! | has conditions that the file does not meet| [`unmet`]                           |
//! | shows no token, or a bad one              | [`unauthorized`]                    |
//! | has shown too many bad ones               | [`too_many_failures`]               |
//! | tells of a room and is not known, or when nobody may | [`unknown_sender`], [`no_hooks`] |
//! | asks for a room or a peer that is not there | [`no_active_room`], [`no_peer`]   |
//! | calls a path or a method that we lack     | [`no_such_route`], [`wrong_method`] |
//! | wants more than this node takes           | [`busy`]                            |
//! | comes while we shut down                  | [`closing`]                         |
//! | starts while the disk is nearly full      | [`no_space`]                        |
//! | asks whether all is well when it is not   | [`not_ready`]                       |
//! | is a page, or calls us by a foreign name  | [`refused`]                         |
//! | did nothing wrong                         | [`internal`], with the cause to log |
//!
//! [`empty_body`]: ApiError::empty_body
//! [`malformed`]: ApiError::malformed
//! [`invalid`]: ApiError::invalid
//! [`too_large`]: ApiError::too_large
//! [`not_json`]: ApiError::not_json
//! [`already_started`]: ApiError::already_started
//! [`not_found`]: ApiError::not_found
//! [`no_asset`]: ApiError::no_asset
//! [`no_file`]: ApiError::no_file
//! [`active`]: ApiError::active
//! [`nothing_kept`]: ApiError::nothing_kept
//! [`no_link`]: ApiError::no_link
//! [`bad_link`]: ApiError::bad_link
//! [`no_range`]: ApiError::no_range
//! [`unmet`]: ApiError::unmet
//! [`unauthorized`]: ApiError::unauthorized
//! [`too_many_failures`]: ApiError::too_many_failures
//! [`unknown_sender`]: ApiError::unknown_sender
//! [`no_hooks`]: ApiError::no_hooks
//! [`no_active_room`]: ApiError::no_active_room
//! [`no_peer`]: ApiError::no_peer
//! [`not_ready`]: ApiError::not_ready
//! [`no_such_route`]: ApiError::no_such_route
//! [`wrong_method`]: ApiError::wrong_method
//! [`busy`]: ApiError::busy
//! [`closing`]: ApiError::closing
//! [`no_space`]: ApiError::no_space
//! [`refused`]: ApiError::refused
//! [`internal`]: ApiError::internal

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::body;
use super::log::Cause;
use crate::config;
use crate::node::{StartError, StopError, UploadError};
use crate::storage;
use crate::store::{RemoveError, Unavailable};

/// A refusal. The texts are the contract's where it has one.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: Cow<'static, str>,
    /// Sentences that name what is wrong and what would be right.
    details: Vec<String>,
    /// What else the answer says: when to retry, what to show.
    header: Option<Box<(HeaderName, HeaderValue)>>,
    /// For the log only.
    cause: Option<String>,
}

/// What was refused and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorView {
    /// The HTTP status.
    code: u16,
    /// In a few words.
    message: Cow<'static, str>,
    /// Sentences that name what is wrong and what would be right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    details: Vec<String>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let (details, header, cause) = Default::default();
        Self { status, message: message.into(), details, header, cause }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
    }

    fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some(Box::new((name, value))), ..self }
    }

    /// A body is needed and there is none.
    pub(super) fn empty_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request body must not be empty")
    }

    /// The body stops being JSON at its `position`-th byte.
    pub(super) fn malformed(position: usize) -> Self {
        let text = format!("request body contains badly-formed JSON (at position {position})");
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Fields or parameters that cannot be used, each as `name: problem`.
    pub(super) fn invalid(details: Vec<String>) -> Self {
        Self { details, ..Self::new(StatusCode::BAD_REQUEST, "invalid input") }
    }

    /// The body is longer than is ever needed.
    pub(super) fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request body too large")
            .detail(format!("a request body has at most {limit} bytes"))
    }

    /// The body is not declared as JSON.
    pub(super) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type")
            .detail("Content-Type: must be application/json")
    }

    /// The room is being recorded already.
    pub(super) fn already_started() -> Self {
        Self::new(StatusCode::CONFLICT, "beam already started")
    }

    /// No such recording, or none that could be stopped.
    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "beam not found")
    }

    /// No such asset.
    pub(super) fn no_asset() -> Self {
        Self::new(StatusCode::NOT_FOUND, "asset not found")
    }

    /// The link is good, but what it leads to is gone.
    pub(super) fn no_file() -> Self {
        Self::new(StatusCode::NOT_FOUND, "file not found").detail("the file has been deleted")
    }

    /// The recording is not over.
    pub(super) fn active(error: &RemoveError) -> Self {
        Self::new(StatusCode::CONFLICT, "recording is active").detail(error.to_string())
    }

    /// The link is none of ours, or was.
    pub(super) fn bad_link(why: storage::BadLink) -> Self {
        Self::new(StatusCode::FORBIDDEN, "link refused").detail(why.to_string())
    }

    /// A file of `size` bytes has no such part.
    pub(super) fn no_range(size: u64) -> Self {
        let error = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range not satisfiable")
            .detail(format!("Range: must be one range within the {size} bytes of the file"));
        // Digits, slash, star and a word are a header value.
        match HeaderValue::try_from(format!("bytes */{size}")) {
            Ok(value) => error.header(header::CONTENT_RANGE, value),
            Err(_) => error,
        }
    }

    /// `If-Match` or `If-Unmodified-Since` do not hold.
    pub(super) fn unmet() -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition failed")
            .detail("the file is another one than the request is made for")
    }

    /// No token, or one that proves nothing. The message is the contract's.
    pub(super) fn unauthorized(why: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Token validation error")
            .detail(why)
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// What was shown is no good, and so was too much before it.
    pub(super) fn too_many_failures(seconds: u64) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too many failed attempts").detail(
            "too many bad tokens or webhooks came from this address; a good one is taken any time",
        );
        error.header(header::RETRY_AFTER, seconds.into())
    }

    /// The post shows nothing that a sender alone knows.
    pub(super) fn unknown_sender() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "webhook validation error").detail(
            "neither the secret headers nor the signature of a sender in [hooks] are there and right",
        )
    }

    /// Nobody may tell of rooms.
    pub(super) fn no_hooks() -> Self {
        Self::new(StatusCode::FORBIDDEN, "webhooks are not configured")
            .detail("hooks.senders: name who may post here, and by what secret it is known")
    }

    /// Nothing goes on in the room, as far as is known.
    pub(super) fn no_active_room() -> Self {
        Self::new(StatusCode::NOT_FOUND, "room is not active")
    }

    /// Nobody in the room has this id.
    pub(super) fn no_peer() -> Self {
        Self::new(StatusCode::NOT_FOUND, "peer not found")
    }

    /// Recordings cannot be taken on now; `cause` is logged and not shown.
    pub(super) fn not_ready(what: &'static str, cause: impl ToString) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "not ready").detail(what);
        Self { cause: Some(cause.to_string()), ..error }
    }

    /// The storage gives no link; the words are free of secrets.
    pub(super) fn no_link(error: storage::StorageError) -> Self {
        let shown = error.trouble.text();
        let failed =
            Self::new(StatusCode::BAD_GATEWAY, "no link").detail(format!("storage: {shown}"));
        Self { cause: Some(error.to_string()), ..failed }
    }

    /// There is no file that waits for an upload.
    pub(super) fn nothing_kept() -> Self {
        Self::new(StatusCode::CONFLICT, "nothing to upload")
            .detail("only a recording that failed with UPLOAD_ERROR has a file that waits for it")
    }

    /// No route has this path.
    pub(super) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found").detail("no route has this path")
    }

    /// The recording is not one that goes on.
    pub(super) fn not_watched() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing to watch").detail(
            "the recording is not going on, or has no frame yet: see its status, and its assets \
             once it is completed",
        )
    }

    /// There is no such picture, or not yet.
    pub(super) fn no_picture() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no picture").detail(
            "of a recording without a picture, one that has no frame yet, or one whose pictures \
             are not made yet or not kept any more (recording.posters, storage.retention)",
        )
    }

    /// As many as may are watching.
    pub(super) fn too_many_watch() -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too many are watching")
            .detail("close one of the streams or retry later");
        error.header(header::RETRY_AFTER, 30.into())
    }

    /// The path takes other methods, which the `Allow` header lists.
    pub(super) fn wrong_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            .detail("the Allow header lists the methods that this path takes")
    }

    /// Every one of `slots` recordings is running.
    pub(super) fn busy(slots: usize) -> Self {
        let detail = format!(
            "this node records {slots} at once (recording.max_concurrent): stop one or retry later"
        );
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too many recordings").detail(detail);
        error.header(header::RETRY_AFTER, 30.into())
    }

    /// The service is about to end.
    pub(super) fn closing() -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down")
            .detail("the service is being restarted or stopped: retry later");
        error.header(header::RETRY_AFTER, 30.into())
    }

    /// The disk has less than `needed` bytes left.
    pub(super) fn no_space(needed: u64) -> Self {
        let detail = format!(
            "the disk has less than {} left (data.min_free): delete recordings or retry later",
            config::size::text(needed)
        );
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "insufficient storage").detail(detail)
    }

    /// The request looks like one that a foreign page made a browser send.
    pub(super) fn refused(detail: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, "request refused").detail(detail)
    }

    /// Our own fault; `cause` is logged and not shown.
    pub(super) fn internal(cause: impl ToString) -> Self {
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error");
        Self { cause: Some(cause.to_string()), ..error }
    }
}

impl From<Unavailable> for ApiError {
    fn from(error: Unavailable) -> Self {
        Self::internal(error)
    }
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::RoomHeld => Self::already_started(),
            StartError::Full { slots } => Self::busy(slots),
            StartError::NoSpace { needed, .. } => {
                Self { cause: Some(error.to_string()), ..Self::no_space(needed) }
            }
            StartError::Closing => Self::closing(),
            StartError::Destination(why) => Self::invalid(vec![format!("destination: {why}")]),
            StartError::Unavailable(e) => e.into(),
        }
    }
}

impl From<StopError> for ApiError {
    fn from(error: StopError) -> Self {
        match error {
            StopError::NotActive => Self::not_found(),
            StopError::Unavailable(e) => e.into(),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::NotFound => Self::not_found(),
            UploadError::NothingKept => Self::nothing_kept(),
            UploadError::Unavailable(e) => e.into(),
        }
    }
}

impl From<RemoveError> for ApiError {
    fn from(error: RemoveError) -> Self {
        match error {
            RemoveError::NotFound => Self::not_found(),
            RemoveError::Active(_) => Self::active(&error),
            RemoveError::Unavailable(e) => e.into(),
        }
    }
}

impl ApiError {
    /// Status, message and details, for a page; the cause goes to the log with it.
    pub(super) fn told(&self) -> (StatusCode, &str, &[String]) {
        (self.status, &self.message, &self.details)
    }

    /// Status and body, for the document of the API.
    pub(super) fn shown(self) -> (StatusCode, ErrorView) {
        let code = self.status.as_u16();
        (self.status, ErrorView { code, message: self.message, details: self.details })
    }
}

impl IntoResponse for ApiError {
    fn into_response(mut self) -> Response {
        let (header, cause) = (self.header.take(), self.cause.take());
        let (status, text) = self.shown();
        let mut response = body::answer(status, &text);
        if let Some((name, value)) = header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        if let Some(cause) = cause {
            response.extensions_mut().insert(Cause(cause.into()));
        }
        response
    }
}
