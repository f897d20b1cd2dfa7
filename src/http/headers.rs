//! What every answer says to browsers: believe the media type, show it in no
//! frame, run nothing of it.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// Answers are data. Nothing of them is a page.
const DATA: &str = "default-src 'none'; frame-ancestors 'none'; sandbox";

/// The documentation is a page of ours: its own scripts, styles and pictures.
const DOCS: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; \
                    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files are played by pages of others; they are no documents, and a policy
/// would only get in the way of the browser's own player.
const FILES: &str = "/files/{asset_id}/{name}";

/// Travels with a page of ours to this place: the policy that it needs.
#[derive(Clone)]
pub(super) struct Policy(pub(super) HeaderValue);

/// Adds the headers to the answer.
pub(super) async fn add(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let is_file = path == Some(FILES);
    let is_docs = path.is_some_and(|path| path.starts_with("/docs"));
    let mut response = next.run(request).await;
    let page: Option<Policy> = response.extensions_mut().remove();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    // Under `no-referrer` a browser does not say which page a form was sent from.
    set(header::REFERRER_POLICY, if page.is_some() { "same-origin" } else { "no-referrer" });
    if !is_file {
        set(header::X_FRAME_OPTIONS, "DENY");
        set(header::CONTENT_SECURITY_POLICY, if is_docs { DOCS } else { DATA });
        set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    }
    if let Some(Policy(policy)) = page {
        set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}
