//! The recording-assets routes: finished files and links to them.

use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::Utc;
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::query::{self, AssetId, Paging, Wrong};
use super::refusals::{BadRequest, NoAsset, NoLink};
use super::view::{AssetStatus, OwnedAssetView, Page, PresignedView};
use super::{App, body};
use crate::config::LONGEST_LINK;
use crate::storage::{LinkLife, Presigned, StorageError};
use crate::store::{Asset, AssetQuery};

/// How long a link holds at most, in seconds: what all providers' signatures allow.
const PRESIGN_MOST: usize = LONGEST_LINK as usize;

/// The contract's types of assets. Only the first is made here.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AssetType {
    RoomComposite,
    RoomCompositeLegacy,
    RoomVod,
    Chat,
    Transcript,
    Summary,
    Track,
    Stream,
}

/// Assets, newest first
#[utoipa::path(
    get, path = "/v2/recording-assets", tag = "assets",
    params(
        ("room_id" = Option<String>, Query, description = "Only of this room"),
        ("session_id" = Option<String>, Query, description = "Only of this session"),
        ("status" = Option<AssetStatus>, Query, description = "Only in this status"),
        ("type" = Option<AssetType>, Query,
            description = "Only of this type; others than `room-composite` are never made, \
                           which `warnings` says"),
        ("start" = Option<String>, Query, pattern = "^([0-9a-fA-F]{24})?$",
            description = "`last` of the page before"),
        ("limit" = Option<u32>, Query, minimum = 10, maximum = 100,
            description = "How many; 10 if absent"),
    ),
    responses(
        (status = 200, description = "A page", body = Page<OwnedAssetView>, links(
            ("get" = (
                operation_id = "assets_get",
                parameters(("asset_id" = "$response.body#/data/0/id")),
            )),
            ("presign" = (
                operation_id = "assets_presign",
                parameters(("asset_id" = "$response.body#/data/0/id")),
            )),
        )),
        BadRequest,
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (query, kind) = parse_query(query.as_deref())?;
    let made = matches!(kind, None | Some(AssetType::RoomComposite));
    let found = if made { app.store.assets(&query).await? } else { Vec::new() };
    let shown = found.iter().map(|asset| OwnedAssetView::of(asset, &app.storage)).collect();
    let mut page = Page::of_assets(query.limit, shown);
    if !made {
        page.warnings.push("type: no assets of this type are made here".into());
    }
    Ok(body::answer(StatusCode::OK, &page))
}

/// An asset
#[utoipa::path(
    get, path = "/v2/recording-assets/{asset_id}", tag = "assets",
    params(("asset_id" = String, Path, description = "24 hex digits")),
    responses(
        (status = 200, description = "The asset", body = OwnedAssetView),
        NoAsset,
    ),
)]
pub(super) async fn get(
    State(app): State<App>,
    AssetId(id): AssetId,
) -> Result<Response, ApiError> {
    let asset = app.store.asset(id).await?.ok_or_else(ApiError::no_asset)?;
    Ok(body::answer(StatusCode::OK, &OwnedAssetView::of(&asset, &app.storage)))
}

/// A link to an asset's file
///
/// Whoever knows the link can download the file until it expires.
#[utoipa::path(
    get, path = "/v2/recording-assets/{asset_id}/presigned-url", tag = "assets",
    params(
        ("asset_id" = String, Path, description = "24 hex digits"),
        ("presign_duration" = Option<u32>, Query, minimum = 1, maximum = 604_800,
            description = "Seconds that the link holds; if absent, what the destination is \
                           configured to, else 259200 (three days), on OSS 32400 (nine hours)"),
    ),
    responses(
        (status = 200, description = "The link", body = PresignedView),
        BadRequest, NoAsset, NoLink,
    ),
)]
pub(super) async fn presign(
    State(app): State<App>,
    AssetId(id): AssetId,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (mut seconds, mut wrong) = (None, Wrong::default());
    for (name, value) in query::pairs(query.as_deref()) {
        if name == "presign_duration"
            && let Some(given) = query::number(&name, &value, 1, PRESIGN_MOST, &mut wrong)
        {
            seconds = Some(given as u64);
        }
    }
    let life = match wrong.unless(seconds)? {
        Some(seconds) => LinkLife::Exactly(Duration::from_secs(seconds)),
        None => LinkLife::Usual(None),
    };
    let owned = app.store.asset(id).await?.ok_or_else(ApiError::no_asset)?;
    let presigned = app.link(&owned.asset, life).await;
    let Presigned { url, life } = presigned.map_err(ApiError::no_link)?;
    let Asset { id, destination, path, .. } = &owned.asset;
    let (id, path) = (id.to_string(), app.storage.uri(destination, path));
    let shown = PresignedView { id, path, url, expiry: life.as_secs() };
    Ok(body::answer(StatusCode::OK, &shown))
}

impl App {
    /// A link to an asset's file.
    pub(super) async fn link(
        &self,
        asset: &Asset,
        life: LinkLife,
    ) -> Result<Presigned, StorageError> {
        let Asset { id, destination, path, .. } = asset;
        self.storage.presign(&id.to_string(), destination, path, life, Utc::now()).await
    }
}

/// The last of several values counts.
fn parse_query(text: Option<&str>) -> Result<(AssetQuery, Option<AssetType>), ApiError> {
    let (mut query, mut kind) = (AssetQuery::default(), None);
    let (mut paging, mut wrong) = (Paging::default(), Wrong::default());
    for (name, value) in query::pairs(text) {
        match &*name {
            "room_id" => query.room_id = Some(value),
            "session_id" => query.session_id = Some(value),
            "status" => {
                let status =
                    query::choice::<AssetStatus>(&name, &value, "completed, failed", &mut wrong);
                query.failed = status.map(|status| status == AssetStatus::Failed);
            }
            "type" => {
                let names = "room-composite, room-composite-legacy, room-vod, chat, transcript, \
                             summary, track, stream";
                kind = query::choice(&name, &value, names, &mut wrong);
            }
            _ => _ = paging.take(&name, &value, &mut wrong),
        }
    }
    let query = AssetQuery { before: paging.before, limit: paging.limit, ..query };
    wrong.unless((query, kind))
}
