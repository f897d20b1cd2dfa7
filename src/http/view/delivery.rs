//! What was told to webhook endpoints, in the contract's shape.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::time::Rfc3339;
use crate::store::{Delivery, DeliveryState, Recording};

/// How far a delivery is, as filters and answers name it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum DeliveryStatus {
    /// Only in filters: whatever its status.
    All,
    /// It was tried as often as it is worth.
    Failed,
    /// The endpoint took it.
    Success,
    /// It will be tried. Beyond the contract.
    Pending,
}

impl DeliveryStatus {
    /// What the store calls it; `None` for all.
    pub(in crate::http) fn state(self) -> Option<DeliveryState> {
        match self {
            Self::All => None,
            Self::Failed => Some(DeliveryState::Failed),
            Self::Success => Some(DeliveryState::Delivered),
            Self::Pending => Some(DeliveryState::Pending),
        }
    }

    fn of(state: DeliveryState) -> Self {
        match state {
            DeliveryState::Failed => Self::Failed,
            DeliveryState::Delivered => Self::Success,
            DeliveryState::Pending => Self::Pending,
        }
    }
}

/// A page of deliveries.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryHistory)]
pub(in crate::http) struct HistoryView {
    /// Newest first.
    pub(in crate::http) events: Vec<DeliveryView>,
    pub(in crate::http) pagination: Pagination,
}

#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Pagination {
    pub(in crate::http) current_page: usize,
    pub(in crate::http) page_size: usize,
    pub(in crate::http) has_next: bool,
    pub(in crate::http) has_prev: bool,
}

/// One event on its way to one endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(in crate::http) struct DeliveryView {
    /// The event's `id`, the same on every attempt at every endpoint.
    event_id: Uuid,
    /// `reporter.webhook.delivery.` and the status; the event's own name is in
    /// the payload.
    #[schema(example = "reporter.webhook.delivery.failed")]
    event_name: String,
    status: DeliveryStatus,
    room_id: String,
    /// When the event happened.
    event_timestamp: Rfc3339,
    /// Attempts so far.
    attempts: u32,
    /// When it was tried last, or made.
    updated_at: Rfc3339,
    /// When it will be tried next, while it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_attempt_at: Option<Rfc3339>,
    /// Somebody asked to tell it again.
    is_replay: bool,
    payload: DeliveryPayload,
}

#[derive(Serialize, ToSchema)]
struct DeliveryPayload {
    event_data: DeliveryData,
    /// The endpoint's name in the configuration, or `request`; its URL may hold a
    /// secret and is not shown.
    endpoint: String,
    #[schema(example = "beam.recording.success")]
    original_event_name: &'static str,
    /// What the endpoint answered last, if it did.
    response_status: Option<u16>,
    /// Why the last attempt failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error_reason: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct DeliveryData {
    recording_id: String,
    beam_id: String,
    session_id: String,
}

impl DeliveryView {
    /// `recording` is the one that the delivery is about.
    pub(in crate::http) fn of(delivery: &Delivery, recording: &Recording) -> Self {
        let status = DeliveryStatus::of(delivery.state);
        let word = match delivery.state {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "success",
            DeliveryState::Failed => "failed",
        };
        let pending = delivery.state == DeliveryState::Pending;
        Self {
            event_id: delivery.event.id,
            event_name: format!("reporter.webhook.delivery.{word}"),
            status,
            room_id: recording.room_id.clone(),
            event_timestamp: Rfc3339(delivery.event.at),
            attempts: delivery.attempts,
            updated_at: Rfc3339(delivery.updated_at),
            next_attempt_at: pending.then_some(Rfc3339(delivery.due_at)),
            is_replay: delivery.is_replay,
            payload: DeliveryPayload {
                event_data: DeliveryData {
                    recording_id: recording.id.to_string(),
                    beam_id: recording.beam_id.to_string(),
                    session_id: recording.session_id.to_string(),
                },
                endpoint: delivery.endpoint.clone(),
                original_event_name: delivery.event.occurrence.name(),
                response_status: delivery.last_status,
                error_reason: delivery.last_error.clone(),
            },
        }
    }
}

/// What a replay has set going.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay)]
pub(in crate::http) struct ReplayView {
    /// Always `started`: they are delivered behind the caller's back.
    #[schema(example = "started")]
    pub(in crate::http) status: &'static str,
    #[schema(example = "3 deliveries are made again")]
    pub(in crate::http) message: String,
    /// How many. Beyond the contract.
    pub(in crate::http) replayed: usize,
}
