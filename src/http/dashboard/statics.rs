//! The script, the style sheet and the icon.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::http::error::ApiError;

/// Open to everybody: it says nothing about this service.
pub(super) async fn get(Path(name): Path<String>) -> Result<Response, ApiError> {
    let (media_type, text) = match name.as_str() {
        "dashboard.css" => ("text/css; charset=utf-8", include_str!("static/dashboard.css")),
        "dashboard.js" => ("text/javascript; charset=utf-8", include_str!("static/dashboard.js")),
        "icon.svg" => ("image/svg+xml", include_str!("static/icon.svg")),
        _ => return Err(ApiError::no_such_route()),
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        // Small, and another one after an update.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    Ok((headers, text).into_response())
}
