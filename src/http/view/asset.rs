//! Assets as the contract shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Rfc3339;
use crate::storage::Storage;
use crate::store::{Asset, OwnedAsset};

/// The only type of asset that is made.
pub(super) const COMPOSITE: &str = "room-composite";

/// What became of an asset.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum AssetStatus {
    /// It is the recording.
    Completed,
    /// It keeps what a failed recording had recorded.
    Failed,
}

/// A file, as it is nested in its recording.
#[derive(Serialize, ToSchema)]
#[schema(as = NestedAsset)]
pub(super) struct AssetView {
    /// 24 hex digits.
    id: String,
    #[schema(example = "room-composite")]
    r#type: &'static str,
    status: AssetStatus,
    /// Where the file is in its storage.
    path: String,
    /// Bytes.
    size: u64,
    /// Whole seconds.
    duration: u64,
    created_at: Rfc3339,
    /// Always null: none are made.
    #[schema(value_type = Option<Vec<String>>)]
    thumbnails: (),
    metadata: Metadata,
}

/// What is in a file.
#[derive(Serialize, ToSchema)]
struct Metadata {
    /// Size of the picture, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resolution: Option<ResolutionView>,
    /// `audio` if there is no picture.
    media_type: MediaType,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Resolution)]
struct ResolutionView {
    width: u32,
    height: u32,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum MediaType {
    Video,
    Audio,
}

impl AssetView {
    pub(super) fn of(asset: &Asset, storage: &Storage) -> Self {
        let resolution =
            ResolutionView { width: asset.resolution.width(), height: asset.resolution.height() };
        Self {
            id: asset.id.to_string(),
            r#type: COMPOSITE,
            status: if asset.failed { AssetStatus::Failed } else { AssetStatus::Completed },
            path: storage.uri(&asset.destination, &asset.path),
            size: asset.size,
            duration: asset.duration(),
            created_at: Rfc3339(asset.created_at),
            thumbnails: (),
            metadata: Metadata {
                resolution: (!asset.audio_only).then_some(resolution),
                media_type: if asset.audio_only { MediaType::Audio } else { MediaType::Video },
            },
        }
    }
}

/// A file and whose it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Asset)]
pub(in crate::http) struct OwnedAssetView {
    /// The recording's id; the contract's name of it.
    job_id: String,
    /// The same; clients read it under this name, too.
    recording_id: String,
    room_id: String,
    session_id: String,
    #[serde(flatten)]
    asset: AssetView,
}

impl OwnedAssetView {
    pub(in crate::http) fn of(owned: &OwnedAsset, storage: &Storage) -> Self {
        Self {
            job_id: owned.recording_id.to_string(),
            recording_id: owned.recording_id.to_string(),
            room_id: owned.room_id.clone(),
            session_id: owned.session_id.to_string(),
            asset: AssetView::of(&owned.asset, storage),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.asset.id
    }
}

/// A link to a file.
#[derive(Serialize, ToSchema)]
#[schema(as = PresignedUrl)]
pub(in crate::http) struct PresignedView {
    /// The asset's id.
    pub(in crate::http) id: String,
    /// Where the file is in its storage.
    pub(in crate::http) path: String,
    /// Where it can be downloaded without a token.
    pub(in crate::http) url: String,
    /// Seconds that the link holds from now on.
    pub(in crate::http) expiry: u64,
}
