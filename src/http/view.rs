//! Recordings as the contract shows them.

use chrono::{DateTime, SubsecRound, Timelike, Utc};
use secrecy::ExposeSecret;
use serde::{Serialize, Serializer};

use crate::job::{FailureKind, Resolution, State};
use crate::store::{Asset, Recording};

/// The only kind of file that is made.
const COMPOSITE: &str = "room-composite";
/// The only place that files go to; the contract's name for it is free text.
const DESTINATION: &str = "default";

/// The contract's Recording object, and our `error`.
#[derive(Serialize)]
pub(super) struct RecordingView<'a> {
    id: String,
    room_id: &'a str,
    session_id: String,
    status: State,
    created_at: Rfc3339,
    updated_at: Rfc3339,
    started_at: Option<Rfc3339>,
    stopped_at: Option<Rfc3339>,
    meeting_url: &'a str,
    /// Shown where something was started or stopped, and not where it is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'static str>,
    /// Peer ids in the contract, empty when it was the server side.
    started_by: &'static str,
    stopped_by: &'static str,
    asset_types: [&'static str; 1],
    recording_assets: Option<Vec<AssetView<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView<'a>>,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    r#type: FailureKind,
    message: &'a str,
}

/// An asset as it is nested in a recording: without `job_id`, `room_id` and
/// `session_id`.
#[derive(Serialize)]
struct AssetView<'a> {
    id: String,
    r#type: &'static str,
    status: &'static str,
    path: &'a str,
    size: u64,
    duration: u64,
    created_at: Rfc3339,
    thumbnails: Option<[&'a str; 0]>,
    metadata: Metadata,
}

#[derive(Serialize)]
struct Metadata {
    resolution: Resolution,
}

impl<'a> RecordingView<'a> {
    /// As a list shows it.
    pub(super) fn listed(recording: &'a Recording) -> Self {
        Self {
            id: recording.id.to_string(),
            room_id: &recording.room_id,
            session_id: recording.session_id.to_string(),
            status: recording.state,
            created_at: Rfc3339(recording.created_at),
            updated_at: Rfc3339(recording.updated_at),
            started_at: recording.started_at.map(Rfc3339),
            stopped_at: recording.stopped_at.map(Rfc3339),
            meeting_url: recording.meeting_url.expose_secret(),
            destination: None,
            started_by: "",
            stopped_by: "",
            asset_types: [COMPOSITE],
            recording_assets: None,
            error: recording
                .failure
                .as_ref()
                .map(|failure| ErrorView { r#type: failure.kind, message: &failure.message }),
        }
    }

    /// As the call shows it that started or stopped it.
    pub(super) fn acted_on(recording: &'a Recording) -> Self {
        Self { destination: Some(DESTINATION), ..Self::listed(recording) }
    }

    /// As it shows itself, with its assets once it has any.
    pub(super) fn whole(recording: &'a Recording) -> Self {
        let assets: Vec<_> = recording.assets.iter().map(AssetView::of).collect();
        let recording_assets = (!assets.is_empty()).then_some(assets);
        Self { recording_assets, ..Self::listed(recording) }
    }
}

impl<'a> AssetView<'a> {
    fn of(asset: &'a Asset) -> Self {
        Self {
            id: asset.id.to_string(),
            r#type: COMPOSITE,
            status: "completed",
            path: &asset.path,
            size: asset.size,
            duration: asset.duration(),
            created_at: Rfc3339(asset.created_at),
            thumbnails: None,
            metadata: Metadata { resolution: asset.resolution },
        }
    }
}

/// One page of recordings.
#[derive(Serialize)]
pub(super) struct Page<'a> {
    /// How many were asked for.
    limit: usize,
    data: Vec<RecordingView<'a>>,
    /// Id of the last item, where the next page goes on; empty without items.
    last: String,
}

impl<'a> Page<'a> {
    /// A page of `data`, for which `limit` were asked.
    pub(super) fn new(limit: usize, data: Vec<RecordingView<'a>>) -> Self {
        let last = data.last().map(|item| item.id.clone()).unwrap_or_default();
        Self { limit, data, last }
    }
}

/// RFC 3339 in UTC with as many of nine fraction digits as are needed.
#[derive(Clone, Copy)]
struct Rfc3339(DateTime<Utc>);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // A leap second reads as 1_000_000_000 and more nanoseconds.
        let whole = self.0.trunc_subsecs(0).format("%Y-%m-%dT%H:%M:%S");
        let fraction = format!(".{:09}", self.0.nanosecond() % 1_000_000_000);
        to.collect_str(&format_args!(
            "{whole}{}Z",
            fraction.trim_end_matches(['0']).trim_end_matches('.')
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_trailing_zeros() {
        for (nanos, text) in [
            (0, "\"2021-07-21T20:13:42Z\""),
            (670_000_000, "\"2021-07-21T20:13:42.67Z\""),
            (7_990_308, "\"2021-07-21T20:13:42.007990308Z\""),
            (1, "\"2021-07-21T20:13:42.000000001Z\""),
            (100_000_000, "\"2021-07-21T20:13:42.1Z\""),
        ] {
            let time = DateTime::from_timestamp(1_626_898_422, nanos).unwrap();
            assert_eq!(serde_json::to_string(&Rfc3339(time)).unwrap(), text);
        }
    }
}
