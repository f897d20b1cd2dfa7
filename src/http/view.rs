//! What is shown, in the contract's shapes; the only place that knows them.

mod active_room;
mod asset;
mod delivery;
mod recording;
mod time;

use serde::Serialize;
use utoipa::ToSchema;

pub(super) use active_room::{ActiveRoom, ActiveRoomView, PeerWithTracksView, PeersView};
pub(super) use asset::{AssetStatus, OwnedAssetView, PresignedView};
pub(super) use delivery::{DeliveryStatus, DeliveryView, HistoryView, Pagination, ReplayView};
pub(super) use recording::{RecordingView, Status};

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct Page<T: ToSchema> {
    /// How many were asked for.
    limit: usize,
    /// Newest first; fewer than `limit` on the last page.
    data: Vec<T>,
    /// Id of the last item, to be given as `start` for the next page; empty
    /// without items.
    last: String,
    /// What the caller should know although nothing failed. Beyond the contract.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) warnings: Vec<String>,
}

impl Page<RecordingView> {
    /// A page of `data`, for which `limit` were asked.
    pub(super) fn of_recordings(limit: usize, data: Vec<RecordingView>) -> Self {
        let last = data.last().map(|item| item.id.clone()).unwrap_or_default();
        Self { limit, data, last, warnings: Vec::new() }
    }
}

impl Page<OwnedAssetView> {
    /// A page of `data`, for which `limit` were asked.
    pub(super) fn of_assets(limit: usize, data: Vec<OwnedAssetView>) -> Self {
        let last = data.last().map(|item| item.id().to_owned()).unwrap_or_default();
        Self { limit, data, last, warnings: Vec::new() }
    }
}
