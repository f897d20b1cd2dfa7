//! What all pages share: their frame, their headers, and how a refusal looks.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::gate::Visitor;
use crate::http::error::ApiError;
use crate::http::headers::Policy;

/// What pages are never kept as: they show links that are as good as files.
pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What stands around a page.
pub(super) struct Frame {
    /// From the page to `/`.
    pub(super) root: String,
    /// What its forms carry.
    pub(super) token: String,
    /// Its name, and that of the entry of the menu that it belongs to.
    pub(super) title: String,
    pub(super) here: Menu,
    /// There is a menu.
    pub(super) is_in: bool,
    /// There is somebody to be signed out.
    pub(super) signed_in: bool,
    /// The script looks again after so many seconds; 0: never.
    pub(super) refresh: u32,
    /// Origins besides our own that media come from.
    media: Vec<String>,
}

/// An entry of the menu.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Menu {
    None,
    Recordings,
    Deliveries,
    Storage,
    Node,
}

impl Frame {
    pub(super) fn new(visitor: &Visitor, title: impl Into<String>, here: Menu) -> Self {
        Self {
            root: visitor.root.clone(),
            token: visitor.token.clone(),
            title: title.into(),
            here,
            is_in: visitor.is_in,
            signed_in: visitor.session.is_some(),
            refresh: 0,
            media: Vec::new(),
        }
    }

    /// Every entry of the menu with its address and its name.
    pub(super) fn menu(&self) -> [(Menu, &'static str, &'static str); 4] {
        [
            (Menu::Recordings, "", "Recordings"),
            (Menu::Deliveries, "deliveries", "Webhooks"),
            (Menu::Storage, "storage", "Storage"),
            (Menu::Node, "node", "Node"),
        ]
    }

    /// Lets the page play what comes from `url`.
    pub(super) fn allow_media(&mut self, url: &url::Url) {
        // Schemes that have no origin are none that files come by.
        if matches!(url.scheme(), "http" | "https") {
            self.media.push(url.origin().ascii_serialization());
        }
    }

    fn policy(&self) -> Policy {
        let media = self.media.join(" ");
        let text = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             media-src 'self' {media}; connect-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        // An origin is plain text.
        Policy(
            HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'none'")),
        )
    }
}

/// A page, rendered.
pub(super) fn show(status: StatusCode, frame: &Frame, page: &impl Template) -> Response {
    let text = match page.render() {
        Ok(text) => text,
        Err(error) => return ApiError::internal(error).into_response(),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, NO_STORE),
    ];
    let mut response = (status, headers, text).into_response();
    response.extensions_mut().insert(frame.policy());
    response
}

/// From `path` to `/`.
pub(super) fn root(path: &str) -> String {
    match path.matches('/').count() {
        0 | 1 => "./".into(),
        deep => "../".repeat(deep - 1),
    }
}

/// What the API refuses, as a page.
pub(super) struct Refusal {
    frame: Frame,
    error: ApiError,
}

#[derive(Template)]
#[template(path = "refusal.html", config = "src/http/dashboard/askama.toml")]
struct RefusalPage<'a> {
    frame: &'a Frame,
    message: &'a str,
    details: &'a [String],
}

impl Refusal {
    pub(super) fn of(error: impl Into<ApiError>, visitor: &Visitor) -> Self {
        let frame = Frame::new(visitor, "That did not work", Menu::None);
        Self { frame, error: error.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message, details) = self.error.told();
        let mut response =
            show(status, &self.frame, &RefusalPage { frame: &self.frame, message, details });
        let headers = self.error.into_response();
        if let Some(wait) = headers.headers().get(header::RETRY_AFTER) {
            response.headers_mut().insert(header::RETRY_AFTER, wait.clone());
        }
        if let Some(cause) = headers.extensions().get::<crate::http::log::Cause>() {
            response.extensions_mut().insert(cause.clone());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_finds_the_way_home() {
        for (path, way) in [("/", "./"), ("/node", "./"), ("/a/b", "../"), ("/a/b/c", "../../")] {
            assert_eq!(root(path), way, "{path}");
        }
    }
}
