//! JSON bodies, in and out.

use std::fmt;
use std::marker::PhantomData;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::ApiError;

/// The longest request body that is read, in bytes.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// A `T` that is a JSON object. A derived struct alone would take an array of
/// its fields' values, too.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Map<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        from.deserialize_map(Map(PhantomData)).map(Self)
    }
}

/// Reads a body, an object, as `T`. Unknown fields are ignored; an error names the byte or
/// the field at fault.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    parse(&collect(body).await?.ok_or_else(ApiError::empty_body)?)
}

/// The same where a body may be left out; `null` is as good as none.
pub(super) async fn read_or_default<T: DeserializeOwned + Default>(
    body: Body,
) -> Result<T, ApiError> {
    let given = collect(body).await?.filter(|bytes| bytes.trim_ascii() != b"null");
    given.map_or_else(|| Ok(T::default()), |bytes| parse(&bytes))
}

/// The whole body; `None` if there is nothing in it.
pub(super) async fn collect(body: Body) -> Result<Option<Bytes>, ApiError> {
    match Limited::new(body, MAX_BODY).collect().await.map(|collected| collected.to_bytes()) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(None),
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.is::<LengthLimitError>() => Err(ApiError::too_large(MAX_BODY)),
        Err(_) => Err(ApiError::invalid(vec!["body: could not be read whole".into()])),
    }
}

/// Reads bytes, an object, as `T`; see [`read`].
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Syntax first, so that a body that is no JSON is never judged by its fields.
    let syntax = |e: &serde_json::Error| ApiError::malformed(position(bytes, e));
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|e| syntax(&e))?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize(&mut json) {
        Ok(Object(value)) => Ok(value),
        Err(e) if e.inner().is_data() => Err(ApiError::invalid(vec![field_error(&e)])),
        Err(e) => Err(syntax(e.inner())),
    }
}

/// How many bytes were read when the error was found.
fn position(bytes: &[u8], error: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|&b| b == b'\n').take(error.line().saturating_sub(1));
    lines.map(<[u8]>::len).sum::<usize>() + error.column()
}

/// `field: problem`, in words of JSON rather than of Rust.
fn field_error(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = match error.path().to_string() {
        root if root == "." => "body".to_owned(),
        path => path,
    };
    let text = error.inner().to_string();
    // The place means nothing to who sent the field by a client.
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let text = text.replace("expected u32", "expected a whole number");
    format!("{path}: {}", text.replace("expected f64", "expected a number"))
}

/// An answer as the contract's service sends it: its media type, and a newline
/// at the end. Answers show meeting URLs with their tokens: nobody caches them.
pub(super) fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    let mut bytes = match serde_json::to_vec(value) {
        Ok(bytes) => bytes,
        // Our own structs have string keys and no failing serializer.
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    bytes.push(b'\n');
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, bytes).into_response()
}
