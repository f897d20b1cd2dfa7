//! Rooms that are active, and who is in them, as far as their webhooks and the
//! pages of their recordings tell.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::Utc;

use super::error::ApiError;
use super::query::{self, PeerId, RoomId};
use super::refusals::{BadRequest, NoActiveRoom, NoPeer};
use super::view::{ActiveRoom, ActiveRoomView, PeerWithTracksView, PeersView};
use super::{App, body};

/// An active room
///
/// Active is a room whose session was told by a webhook and is not over, and one
/// that is being recorded.
#[utoipa::path(
    get, path = "/v2/active-rooms/{room_id}", tag = "rooms",
    params(("room_id" = String, Path, description = "The room", pattern = "^[A-Za-z0-9._-]{1,128}$")),
    responses(
        (status = 200, description = "It is active", body = ActiveRoomView),
        BadRequest, NoActiveRoom,
    ),
)]
pub(super) async fn get(
    State(app): State<App>,
    RoomId(room_id): RoomId,
) -> Result<Response, ApiError> {
    let room = app.active_room(&room_id).await?;
    let customer_id = &app.settings.customer_id;
    Ok(body::answer(StatusCode::OK, &ActiveRoomView::of(&room, &room_id, customer_id)))
}

/// Who is in an active room
#[utoipa::path(
    get, path = "/v2/active-rooms/{room_id}/peers", tag = "rooms",
    params(
        ("room_id" = String, Path, description = "The room", pattern = "^[A-Za-z0-9._-]{1,128}$"),
        ("user_id" = Option<String>, Query, description = "Only of this user"),
        ("role" = Option<String>, Query, description = "Only in this role"),
    ),
    responses(
        (status = 200, description = "Its peers by their ids", body = PeersView),
        BadRequest, NoActiveRoom,
    ),
)]
pub(super) async fn peers(
    State(app): State<App>,
    RoomId(room_id): RoomId,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (mut user_id, mut role) = (None, None);
    for (name, value) in query::pairs(query.as_deref()) {
        match &*name {
            "user_id" => user_id = Some(value),
            "role" => role = Some(value),
            _ => {}
        }
    }
    let room = app.active_room(&room_id).await?;
    let view = PeersView::of(&room, user_id.as_deref(), role.as_deref());
    Ok(body::answer(StatusCode::OK, &view))
}

/// One peer of an active room
#[utoipa::path(
    get, path = "/v2/active-rooms/{room_id}/peers/{peer_id}", tag = "rooms",
    params(
        ("room_id" = String, Path, description = "The room", pattern = "^[A-Za-z0-9._-]{1,128}$"),
        ("peer_id" = String, Path, description = "The peer"),
    ),
    responses(
        (status = 200, description = "The peer", body = PeerWithTracksView),
        BadRequest, NoPeer,
    ),
)]
pub(super) async fn peer(
    State(app): State<App>,
    RoomId(room_id): RoomId,
    PeerId(peer_id): PeerId,
) -> Result<Response, ApiError> {
    let room = app.active_room(&room_id).await?;
    let found = room.peers.iter().find(|peer| peer.id == peer_id);
    let peer = found.ok_or_else(ApiError::no_peer)?;
    Ok(body::answer(StatusCode::OK, &PeerWithTracksView::of(peer)))
}

impl App {
    /// What is known of the room, or that it is not active.
    async fn active_room(&self, room_id: &str) -> Result<ActiveRoom, ApiError> {
        let told = self.rooms.newest_session(room_id).await?;
        let holder = self.store.holder(room_id).await?;
        let others = holder.as_ref().and_then(|recording| self.node.others(recording.id));
        let settings = &self.settings;
        let longest = settings.longest_session;
        let told = told.filter(|told| told.session.is_active(Utc::now(), longest));
        ActiveRoom::of(told, holder.as_ref(), others, &settings.bots, &settings.meeting)
            .ok_or_else(ApiError::no_active_room)
    }
}
