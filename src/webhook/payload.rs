//! The bodies of outgoing webhooks, in the contract's shapes (`docs/api.md`,
//! "Webhooks"). Pure.

mod room;

use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::ExposeSecret;
use serde::Serialize;
use uuid::Uuid;

use self::room::Room;
use crate::config::Webhooks;
use crate::job::{Occurrence, redact_url};
use crate::store::{Asset, OutboxEvent, Recording};

/// The older API's "internal server error", for all that has no number there.
const ERROR_CODE: u32 = 2;

/// The file of a recording, with what only its storage knows.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    /// Bytes.
    size: u64,
    /// Whole seconds.
    duration: u64,
    /// Path with the storage's scheme.
    uri: String,
    /// Where it can be had for a while.
    url: String,
}

impl File {
    pub(super) fn new(asset: &Asset, uri: String, url: String) -> Self {
        Self { size: asset.size, duration: asset.duration(), uri, url }
    }
}

/// The whole body of one delivery. `file` is the asset that the event names; an
/// absent one was removed meanwhile.
pub(super) fn body(
    settings: &Webhooks,
    recording: &Recording,
    event: &OutboxEvent,
    file: Option<File>,
    is_replay: bool,
) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Envelope {
        version: "2.0",
        id: event.id,
        account_id: &settings.account_id,
        app_id: &settings.app_id,
        timestamp: event.at.to_rfc3339_opts(SecondsFormat::Secs, true),
        name: event.occurrence.name(),
        is_replay,
        data: Data::new(settings, recording, event, file),
    })
}

#[derive(Serialize)]
struct Envelope<'a> {
    version: &'static str,
    id: Uuid,
    account_id: &'a str,
    app_id: &'a str,
    timestamp: String,
    #[serde(rename = "type")]
    name: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_replay: bool,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    /// Of an event of a recording.
    Beam {
        #[serde(flatten)]
        beam: Box<Beam<'a>>,
        #[serde(flatten)]
        own: Box<Own<'a>>,
    },
    /// Of one of its room.
    Room(Box<Room<'a>>),
}

impl<'a> Data<'a> {
    fn new(
        settings: &'a Webhooks,
        recording: &'a Recording,
        event: &'a OutboxEvent,
        file: Option<File>,
    ) -> Self {
        let job = |state_name| Job {
            job_id: recording.id.to_string(),
            recording_enabled: true,
            state_name,
            state_timestamp: exact(moment(recording, event)),
        };
        let own = match &event.occurrence {
            Occurrence::Room { news } => {
                return Self::Room(Box::new(Room::new(settings, recording, news)));
            }
            Occurrence::Started { start_delay } => {
                Own::Started { job: job("Started"), start_delay: *start_delay }
            }
            Occurrence::Stopped { duration, ended } => {
                Own::Stopped { job: job("Stopped"), duration: *duration, reason: ended.text() }
            }
            Occurrence::Recorded { asset } => {
                let file = file.unwrap_or_default();
                Own::Recorded {
                    recording_id: asset,
                    created_at: exact(recording.created_at),
                    started_at: recording.started_at.map(exact),
                    stopped_at: recording.stopped_at.map(exact),
                    duration: file.duration,
                    size: file.size,
                    location: file.uri.clone(),
                    recording_path: file.uri,
                    recording_presigned_url: file.url,
                    chat_recording_path: "",
                    chat_recording_presigned_url: "",
                }
            }
            Occurrence::Failed { kind, message, duration, asset } => Own::Failed {
                job: job("Failed"),
                error_type: kind.name(),
                error_message: message,
                error_code: ERROR_CODE,
                duration: *duration,
                kept: asset.is_some().then(|| {
                    let file = file.unwrap_or_default();
                    Kept { recording_path: file.uri, recording_presigned_url: file.url }
                }),
            },
        };
        let beam = Box::new(Beam::new(settings, recording, event));
        Self::Beam { beam, own: Box::new(own) }
    }
}

/// What all events have in common.
#[derive(Serialize)]
struct Beam<'a> {
    beam_id: String,
    room_id: &'a str,
    session_id: String,
    peer_id: &'static str,
    template_id: &'a str,
    metadata_id: Uuid,
    metadata_timestamp: String,
    max_width: u32,
    max_height: u32,
    meeting_url: String,
    rtmp: [(); 0],
    session_started_at: String,
}

impl<'a> Beam<'a> {
    fn new(settings: &'a Webhooks, recording: &'a Recording, event: &OutboxEvent) -> Self {
        let resolution = recording.terms.quality.resolution;
        Self {
            beam_id: recording.beam_id.to_string(),
            room_id: &recording.room_id,
            session_id: recording.session_id.to_string(),
            peer_id: "",
            template_id: &settings.template_id,
            metadata_id: event.metadata_id,
            metadata_timestamp: exact(moment(recording, event)),
            max_width: resolution.width(),
            max_height: resolution.height(),
            meeting_url: redact_url(recording.meeting_url.expose_secret()),
            rtmp: [],
            session_started_at: exact(recording.created_at),
        }
    }
}

/// What each event has of its own.
#[derive(Serialize)]
#[serde(untagged)]
enum Own<'a> {
    Started {
        #[serde(flatten)]
        job: Job,
        start_delay: u64,
    },
    Stopped {
        #[serde(flatten)]
        job: Job,
        duration: u64,
        reason: String,
    },
    Recorded {
        recording_id: &'a str,
        created_at: String,
        started_at: Option<String>,
        stopped_at: Option<String>,
        duration: u64,
        size: u64,
        recording_path: String,
        recording_presigned_url: String,
        chat_recording_path: &'static str,
        chat_recording_presigned_url: &'static str,
        location: String,
    },
    Failed {
        #[serde(flatten)]
        job: Job,
        error_type: &'static str,
        error_message: &'a str,
        error_code: u32,
        duration: u64,
        #[serde(flatten)]
        kept: Option<Kept>,
    },
}

/// What the events about a job share; those about a file do not have it.
#[derive(Serialize)]
struct Job {
    job_id: String,
    recording_enabled: bool,
    state_name: &'static str,
    state_timestamp: String,
}

/// The file of a recording that failed; beyond the contract.
#[derive(Serialize)]
struct Kept {
    recording_path: String,
    recording_presigned_url: String,
}

/// When it happened. Clients take the time of `beam.started.success` for the
/// beginning of the recording, so that is the first frame's, not the report's.
fn moment(recording: &Recording, event: &OutboxEvent) -> DateTime<Utc> {
    let happened = match event.occurrence {
        Occurrence::Started { .. } => recording.started_at,
        Occurrence::Stopped { .. } => recording.stopped_at,
        Occurrence::Recorded { .. } | Occurrence::Failed { .. } | Occurrence::Room { .. } => None,
    };
    happened.unwrap_or(event.at)
}

fn exact(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

#[cfg(test)]
mod tests;
