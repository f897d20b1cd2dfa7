//! Downloads of finished files by signed links; the only handler that knows of
//! files.

use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::App;
use super::error::ApiError;
use super::query;
use super::refusals::{BadLink, NoFile, NoRange, Unmet};
use crate::storage::Link;

/// A file, by a signed link
///
/// Needs no token: the link is its own proof. `Range` and conditional requests
/// are answered.
#[utoipa::path(
    get, path = "/files/{asset_id}/{name}", tag = "assets", security(()),
    params(
        ("asset_id" = String, Path, description = "24 hex digits"),
        ("name" = String, Path, description = "The file's name"),
        ("expires" = i64, Query, description = "When the link ends, seconds since 1970"),
        ("signature" = String, Query, description = "What proves the link"),
        ("disposition" = Option<String>, Query,
            description = "`inline` to be shown by a browser; saved otherwise"),
    ),
    responses(
        (status = 200, description = "The file", content_type = "video/mp4",
            headers(
                ("Content-Disposition" = String, description = "attachment or inline, and a name"),
                ("Accept-Ranges" = String, description = "bytes"),
            )),
        (status = 206, description = "The part of the file that `Range` asked for",
            content_type = "video/mp4",
            headers(("Content-Range" = String, description = "Which part of how many bytes"))),
        (status = 304, description = "Unchanged since the time or the tag given"),
        BadLink, NoFile, Unmet, NoRange,
    ),
)]
pub(super) async fn download(
    State(app): State<App>,
    Path((asset_id, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let (mut expires, mut signature, mut inline) = (None, String::new(), false);
    for (name, value) in query::pairs(query.as_deref()) {
        match &*name {
            "expires" => expires = value.parse().ok(),
            "signature" => signature = value,
            "disposition" => inline = value == "inline",
            _ => {}
        }
    }
    let now = Utc::now();
    // A time that is no number was never signed.
    let link = Link { asset: &asset_id, name: &name, expires: expires.unwrap_or(i64::MIN) };
    app.storage.check_link(&link, &signature, now).map_err(ApiError::bad_link)?;

    let id = asset_id.parse().map_err(|_| ApiError::no_file())?;
    let asset = app.store.asset(id).await?.ok_or_else(ApiError::no_file)?.asset;
    let file = app.storage.file(&asset.destination, &asset.path).ok_or_else(ApiError::no_file)?;
    let served = ServeFile::new(file).oneshot(request).await;
    let mut response = match served {
        Ok(response) => response.map(Body::new).into_response(),
        Err(never) => match never {},
    };
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            // The container is the same, and its name does not tell.
            let media_type = if asset.audio_only { "audio/mp4" } else { "video/mp4" };
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            headers.insert(header::CONTENT_DISPOSITION, disposition(&asset.path, inline));
        }
        StatusCode::NOT_MODIFIED => {}
        StatusCode::NOT_FOUND => return Err(ApiError::no_file()),
        StatusCode::PRECONDITION_FAILED => return Err(ApiError::unmet()),
        StatusCode::RANGE_NOT_SATISFIABLE => return Err(ApiError::no_range(asset.size)),
        status => return Err(ApiError::internal(format!("the file was answered with {status}"))),
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // The address is as good as the file: pages that play it must not pass it on.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

/// Names are made of letters, digits, dots, underscores and hyphens here; what
/// else a store may hold becomes an underscore, so that nothing ends the quotes.
fn disposition(path: &str, inline: bool) -> HeaderValue {
    let name = path.rsplit('/').next().unwrap_or(path);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    let kind = if inline { "inline" } else { "attachment" };
    HeaderValue::try_from(format!("{kind}; filename=\"{name}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        for (path, inline, expected) in [
            ("beam/r/20260101/Rec-r-1.mp4", false, "attachment; filename=\"Rec-r-1.mp4\""),
            ("Rec-r-1.mp4", true, "inline; filename=\"Rec-r-1.mp4\""),
            ("a/x\"; filename=\"y.exe", false, "attachment; filename=\"x___filename__y.exe\""),
            ("a/é\r\nX: y", false, "attachment; filename=\"___X__y\""),
        ] {
            assert_eq!(disposition(path, inline), expected, "{path:?}");
        }
    }
}
