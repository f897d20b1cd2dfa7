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
//! | calls a path or a method that we lack     | [`no_such_route`], [`wrong_method`] |
//! | wants more than this node takes           | [`busy`]                            |
//! | comes while we shut down                  | [`closing`]                         |
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
//! [`no_such_route`]: ApiError::no_such_route
//! [`wrong_method`]: ApiError::wrong_method
//! [`busy`]: ApiError::busy
//! [`closing`]: ApiError::closing
//! [`refused`]: ApiError::refused
//! [`internal`]: ApiError::internal

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::body;
use super::log::Cause;
use crate::node::{StartError, StopError};
use crate::store::Unavailable;

/// A refusal. The texts are the contract's where it has one.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    message: Cow<'static, str>,
    /// Sentences that name what is wrong and what would be right.
    details: Vec<String>,
    /// Seconds after which the same request may succeed.
    retry_after: Option<u16>,
    /// For the log only.
    cause: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    details: &'a [String],
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        let (details, retry_after, cause) = Default::default();
        Self { status, message: message.into(), details, retry_after, cause }
    }

    fn detail(mut self, detail: impl Into<String>) -> Self {
        self.details.push(detail.into());
        self
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

    /// No route has this path.
    pub(super) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found").detail("no route has this path")
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
        Self { retry_after: Some(30), ..error }
    }

    /// The service is about to end.
    pub(super) fn closing() -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting down")
            .detail("the service is being restarted or stopped: retry later");
        Self { retry_after: Some(30), ..error }
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
            StartError::Closing => Self::closing(),
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

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.status.as_u16();
        let text = Body { code, message: &self.message, details: &self.details };
        let mut response = body::answer(self.status, &text);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause.into()));
        }
        response
    }
}
