//! A recording as the contract shows it.

use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::asset::{AssetView, COMPOSITE};
use super::time::Rfc3339;
use crate::config::ShowMeetingUrl;
use crate::http::App;
use crate::job::{State, redact_url};
use crate::storage::Storage;
use crate::store::Recording;

/// Where a recording is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum Status {
    Starting,
    Running,
    Stopping,
    PostProcessing,
    Completed,
    Failed,
}

impl From<State> for Status {
    fn from(state: State) -> Self {
        match state {
            State::Starting => Self::Starting,
            State::Running => Self::Running,
            State::Stopping => Self::Stopping,
            State::PostProcessing => Self::PostProcessing,
            State::Completed => Self::Completed,
            State::Failed => Self::Failed,
        }
    }
}

/// A recording of a room.
#[derive(Serialize, ToSchema)]
#[schema(as = Recording, example = json!({
    "id": "6553f1002e9a7c51d0b2aa17", "room_id": "standup",
    "session_id": "6553f1002e9a7c51d0b2aa18", "status": "completed",
    "created_at": "2023-11-14T22:13:20.007990308Z", "updated_at": "2023-11-14T22:15:03.67Z",
    "started_at": "2023-11-14T22:13:23.12Z", "stopped_at": "2023-11-14T22:15:02.62Z",
    "meeting_url": "https://meet.example/standup?auth_token=***&skip_preview=true",
    "started_by": "", "stopped_by": "", "asset_types": ["room-composite"],
    "recording_assets": [{
        "id": "6553f1672e9a7c51d0b2aa19", "type": "room-composite", "status": "completed",
        "path": "file:///srv/roomreel/data/files/beam/standup/20231114/Rec-standup-1700000003120.mp4",
        "size": 34412077, "duration": 100, "created_at": "2023-11-14T22:15:03.67Z",
        "thumbnails": null,
        "metadata": {"resolution": {"width": 1280, "height": 720}, "media_type": "video"},
    }],
}))]
pub(in crate::http) struct RecordingView {
    /// 24 hex digits; the first eight are the second of `created_at`.
    pub(super) id: String,
    room_id: String,
    /// What recordings are grouped by; made up for each recording.
    session_id: String,
    status: Status,
    /// True while it is paused, and absent otherwise. Beyond the contract.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    paused: bool,
    created_at: Rfc3339,
    updated_at: Rfc3339,
    /// When the first frame was taken.
    started_at: Option<Rfc3339>,
    /// When the last frame was taken.
    stopped_at: Option<Rfc3339>,
    /// With `***` in place of secrets, unless configured otherwise.
    meeting_url: String,
    /// Name of the storage; shown where something was started, stopped, paused or
    /// resumed, and not where it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    destination: Option<String>,
    /// Always empty: it was the server side.
    started_by: &'static str,
    /// Always empty: it was the server side.
    stopped_by: &'static str,
    /// What it produces.
    asset_types: Vec<&'static str>,
    /// What it has produced; null before that, and in lists.
    recording_assets: Option<Vec<AssetView>>,
    /// What the caller should know although nothing failed. Beyond the contract.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
    /// Why it failed, if it did. Beyond the contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<FailureView>,
}

/// Why a recording failed.
#[derive(Serialize, ToSchema)]
#[schema(as = Failure)]
struct FailureView {
    /// The contract's error type.
    #[schema(example = "MAX_RETRIES_REACHED")]
    r#type: &'static str,
    message: String,
}

/// Shows recordings as this service is configured to.
pub(in crate::http) struct Viewer<'a> {
    meeting_url: ShowMeetingUrl,
    storage: &'a Storage,
}

impl App {
    /// What shows this service's recordings.
    pub(in crate::http) fn view(&self) -> Viewer<'_> {
        let meeting_url = self.settings.recording.show_meeting_url;
        Viewer { meeting_url, storage: &self.storage }
    }
}

impl Viewer<'_> {
    /// As a list shows it.
    pub(in crate::http) fn listed(&self, recording: &Recording) -> RecordingView {
        RecordingView {
            id: recording.id.to_string(),
            room_id: recording.room_id.clone(),
            session_id: recording.session_id.to_string(),
            status: recording.state.into(),
            paused: recording.paused,
            created_at: Rfc3339(recording.created_at),
            updated_at: Rfc3339(recording.updated_at),
            started_at: recording.started_at.map(Rfc3339),
            stopped_at: recording.stopped_at.map(Rfc3339),
            meeting_url: self.meeting_url(recording),
            destination: None,
            started_by: "",
            stopped_by: "",
            asset_types: vec![COMPOSITE],
            recording_assets: None,
            warnings: recording.warnings.clone(),
            error: recording.failure.as_ref().map(|failure| FailureView {
                r#type: failure.kind.name(),
                message: failure.message.clone(),
            }),
        }
    }

    /// The meeting's address as far as it is shown.
    pub(in crate::http) fn meeting_url(&self, recording: &Recording) -> String {
        let meeting_url = recording.meeting_url.expose_secret();
        match self.meeting_url {
            ShowMeetingUrl::Full => meeting_url.to_owned(),
            ShowMeetingUrl::Redacted => redact_url(meeting_url),
        }
    }

    /// As the call shows it that started, stopped, paused or resumed it.
    pub(in crate::http) fn acted_on(&self, recording: &Recording) -> RecordingView {
        let destination = Some(recording.destination.clone());
        RecordingView { destination, ..self.listed(recording) }
    }

    /// As it shows itself, with its assets once it has any.
    pub(in crate::http) fn whole(&self, recording: &Recording) -> RecordingView {
        let assets = recording.assets.iter().map(|asset| AssetView::of(asset, self.storage));
        let assets: Vec<_> = assets.collect();
        let recording_assets = (!assets.is_empty()).then_some(assets);
        RecordingView { recording_assets, ..self.listed(recording) }
    }
}
