//! `POST /v2/hooks/room`: what the meeting software tells of its rooms.
//!
//! A post is believed if it shows what a configured sender alone knows. Its event
//! is written down before it is answered; what comes of it is `automation`'s.

mod envelope;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::Utc;
use serde::Serialize;
use utoipa::ToSchema;

use self::envelope::Told;
use super::error::ApiError;
use super::refusals::{BadHook, HookRefused, NoHooks, TooManyFailures};
use super::{App, body};

/// What became of an event.
#[derive(Serialize, ToSchema)]
pub(super) struct Taken {
    /// `taken`; `known` if an event with its id came before; `ignored` if
    /// nothing is made of its type.
    #[schema(example = "taken")]
    result: &'static str,
}

/// Tell what happens in a room
///
/// Takes the contract's webhooks `session.open.success`, `session.close.success`,
/// `peer.join.success`, `peer.leave.success` and `room.end.success` as they are
/// sent; other types are acknowledged and ignored. It needs no token: a post shows
/// the secret headers or the Standard Webhooks signature of a sender in `[hooks]`.
/// Events may come more than once and in any order.
#[utoipa::path(
    post, path = "/v2/hooks/room", tag = "rooms", security(()),
    request_body = envelope::Hook,
    responses(
        (status = 200, description = "It was written down, or needs not be", body = Taken),
        BadHook, HookRefused, NoHooks, TooManyFailures,
    ),
)]
pub(super) async fn room(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if app.senders.is_empty() {
        return Err(ApiError::no_hooks());
    }
    // Read first: a signature is of the body. Nobody learns anything from that.
    let bytes = body::collect(body).await?.unwrap_or_default();
    let now = Utc::now();
    let Some(sender) = app.senders.recognise(&headers, &bytes, now) else {
        return Err(ApiError::unknown_sender());
    };
    let (room_id, kind, result) = match envelope::read(&bytes, now)? {
        Told::Event(event) => {
            let fresh = app.rooms.take_in(&event, now).await?;
            if fresh {
                app.hooked.notify_one();
            }
            let kind = event.happening.name().to_owned();
            (event.room_id, kind, if fresh { "taken" } else { "known" })
        }
        Told::Other(kind) => (String::new(), kind, "ignored"),
    };
    tracing::debug!(sender, room_id, kind, result, "a room's event");
    Ok(body::answer(StatusCode::OK, &Taken { result }))
}
