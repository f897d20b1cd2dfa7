//! The refusals of the routes as the API's document lists them: one type for
//! each status of a route, with what is really sent as its examples.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::IntoResponses;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use super::error::{ApiError, ErrorView};
use crate::job::State;
use crate::storage::{BadLink as Link, StorageError, Trouble};
use crate::store::RemoveError;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $description:literal => [$($error:expr),+ $(,)?];)+) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                one($description, vec![$($error),+])
            }
        }
    )+};
}

refusals! {
    /// Of a start.
    BadStart: "The body cannot be used; `details` name the fields at fault" => [
        ApiError::invalid(vec!["fps: 5 is out of range: fps must be 10 to 60".into()]),
        ApiError::empty_body(),
        ApiError::malformed(17),
    ];
    /// Of other requests.
    BadRequest: "A parameter or field cannot be used; `details` name those at fault" => [
        ApiError::invalid(vec!["limit: \"9\" is out of range: give 10 to 100".into()]),
    ];
    BadReplay: "The body cannot be used; `details` name the fields at fault" => [
        ApiError::invalid(vec!["event_id: must be a UUID".into()]),
        ApiError::malformed(17),
    ];
    BadHook: "The event cannot be used; `details` name the fields at fault" => [
        ApiError::invalid(vec!["data.room_id: is required".into()]),
        ApiError::malformed(17),
        ApiError::empty_body(),
    ];
    HookRefused: "The post shows nothing that a configured sender alone knows" => [
        ApiError::unknown_sender(),
    ];
    NoHooks: "No sender is configured" => [
        ApiError::no_hooks(),
        ApiError::refused("Host: \"other\" is no name of this service".into()),
    ];
    NotWatched: "There is no such recording, or it is not going on" => [
        ApiError::not_watched(),
        ApiError::not_found(),
    ];
    TooManyWatch: "As many as may are watching; `Retry-After` says when to ask again" => [
        ApiError::too_many_watch(),
    ];
    NoPicture: "There is no such recording, or no picture of it" => [
        ApiError::no_picture(),
        ApiError::not_found(),
    ];
    NoActiveRoom: "The room is not active" => [ApiError::no_active_room()];
    NoPeer: "The room is not active, or the peer is not in it" => [
        ApiError::no_peer(),
        ApiError::no_active_room(),
    ];
    Held: "The room is being recorded" => [ApiError::already_started()];
    NoRecording: "There is no such recording, or none to act on" => [ApiError::not_found()];
    NoAsset: "There is no such asset" => [ApiError::no_asset()];
    NoFile: "The file is gone" => [ApiError::no_file()];
    Active: "The recording is not over" => [
        ApiError::active(&RemoveError::Active(State::Running)),
    ];
    NothingKept: "No file of the recording waits for an upload" => [ApiError::nothing_kept()];
    NoLink: "The storage gives no link" => [
        ApiError::no_link(StorageError { trouble: Trouble::Key, detail: String::new() }),
    ];
    Busy: "All slots of the node are taken, or too many bad tokens were shown; `Retry-After` \
           says when to retry" => [
        ApiError::busy(2),
        ApiError::too_many_failures(6),
    ];
    /// Of every route that asks for a token or a secret.
    TooManyFailures: "Too many bad tokens or webhooks; `Retry-After` says when to retry" => [
        ApiError::too_many_failures(6),
    ];
    NoSpace: "The disk is nearly full" => [ApiError::no_space(1 << 30)];
    Closing: "The service is shutting down" => [ApiError::closing()];
    NotReady: "Recordings cannot be taken on now" => [
        ApiError::not_ready("the data directory cannot be written", ""),
        ApiError::closing(),
    ];
    BadLink: "The link is not, or no longer, good" => [
        ApiError::bad_link(Link::Expired),
        ApiError::bad_link(Link::Forged),
        ApiError::refused("Host: \"other\" is no name of this service".into()),
    ];
    NoRange: "The file has no such part" => [ApiError::no_range(34_412_077)];
    Unmet: "A condition of the request does not hold" => [ApiError::unmet()];
    /// Of every route that asks for a token.
    Unauthorized: "A management token is needed, and none or a bad one was shown" => [
        ApiError::unauthorized("expired"),
        ApiError::unauthorized("Authorization: a Bearer token is needed"),
    ];
    /// Of every route, as are the next.
    Refused: "The request looks like one that a foreign page made a browser send" => [
        ApiError::refused("Host: \"other\" is no name of this service".into()),
    ];
    TooLarge: "The body is too long" => [ApiError::too_large(super::body::MAX_BODY)];
    NotJson: "The body is not declared as JSON" => [ApiError::not_json()];
    Internal: "Our own fault; the log says why" => [ApiError::internal("")];
}

/// All of `errors` have the same status.
fn one(description: &str, errors: Vec<ApiError>) -> BTreeMap<String, RefOr<Response>> {
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error")));
    let mut code = String::new();
    for (n, error) in errors.into_iter().enumerate() {
        let (status, shown) = error.shown();
        code = status.as_u16().to_string();
        content = content.examples_from_iter([(format!("{}", n + 1), example(&shown))]);
    }
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", content.build())
        .build();
    BTreeMap::from([(code, RefOr::T(response))])
}

fn example(shown: &ErrorView) -> utoipa::openapi::example::Example {
    ExampleBuilder::new().value(Some(json!(shown))).build()
}
