//! What was told to webhook endpoints, and telling it again.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::Utc;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::ApiError;
use super::query::{self, Wrong};
use super::refusals::{BadReplay, BadRequest};
use super::view::{DeliveryStatus, DeliveryView, HistoryView, Pagination, ReplayView};
use super::{App, body};
use crate::store::{Delivery, DeliveryQuery, Id, Recording, Replayed, Unavailable};

/// Deliveries on a page, and the most.
const PAGE: usize = 10;
const LONGEST_PAGE: usize = 100;
/// Pages that can be turned to.
const LAST_PAGE: usize = 1_000;
/// Deliveries that one call makes again, at most.
pub(super) const MOST_REPLAYED: usize = 1_000;
const STATUSES: &str = "all, failed, success, pending";

/// What was told to webhook endpoints, newest first
#[utoipa::path(
    get, path = "/v2/analytics/webhooks", tag = "webhooks",
    params(
        ("room_id" = Option<String>, Query, description = "Only of this room"),
        ("recording_id" = Option<String>, Query, pattern = "^([0-9a-fA-F]{24})?$",
            description = "Only of this recording"),
        ("event_id" = Option<String>, Query, description = "Only of this event, a UUID",
            pattern = "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$"),
        ("event_name" = Option<String>, Query, description = "Only events of this name"),
        ("status" = Option<DeliveryStatus>, Query, description = "Only in this status"),
        ("page" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "From 1 on"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100,
            description = "How many; 10 if absent"),
    ),
    responses(
        (status = 200, description = "A page", body = HistoryView),
        BadRequest,
    ),
)]
pub(super) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (filter, page, limit) = parse_query(query.as_deref())?;
    let (told, has_next) = app.history(filter, page, limit).await?;
    let events = told.iter().map(|(delivery, of)| DeliveryView::of(delivery, of)).collect();
    let pagination =
        Pagination { current_page: page, page_size: limit, has_next, has_prev: page > 1 };
    Ok(body::answer(StatusCode::OK, &HistoryView { events, pagination }))
}

impl App {
    /// The deliveries of one page, each with its recording, and whether there is
    /// another page.
    pub(super) async fn history(
        &self,
        mut filter: DeliveryQuery,
        page: usize,
        limit: usize,
    ) -> Result<(Vec<(Delivery, Recording)>, bool), Unavailable> {
        // One more than is shown tells whether there is a next page.
        filter.limit = page * limit + 1;
        let found = self.store.deliveries(&filter).await?;
        let has_next = found.len() > page * limit;
        let mut told = Vec::new();
        for delivery in found.into_iter().skip((page - 1) * limit).take(limit) {
            // One that was removed in between takes its deliveries with it.
            if let Some(recording) = self.store.get(delivery.event.recording_id).await? {
                told.push((delivery, recording));
            }
        }
        Ok((told, has_next))
    }

    /// Makes again the newest deliveries that match; how many.
    pub(super) async fn replay(&self, filter: DeliveryQuery) -> Result<Replayed, Unavailable> {
        let replayed = self.store.replay(&filter, Utc::now()).await?;
        self.told.notify_one();
        Ok(replayed)
    }
}

pub(super) fn parse_query(text: Option<&str>) -> Result<(DeliveryQuery, usize, usize), ApiError> {
    let (mut filter, mut page, mut limit) = (DeliveryQuery::default(), 1, PAGE);
    let mut wrong = Wrong::default();
    for (name, value) in query::pairs(text) {
        match &*name {
            "room_id" => filter.room_id = Some(value),
            "event_name" => filter.name = Some(value),
            "recording_id" => match value.parse() {
                Ok(id) => filter.recording_id = Some(id),
                Err(e) => wrong.add(format!("recording_id: {e}")),
            },
            "event_id" => match value.parse() {
                Ok(id) => filter.event_id = Some(id),
                Err(_) => wrong.add("event_id: must be a UUID".to_owned()),
            },
            "status" => {
                let status = query::choice::<DeliveryStatus>(&name, &value, STATUSES, &mut wrong);
                filter.state = status.and_then(DeliveryStatus::state);
            }
            "page" => {
                page = query::number(&name, &value, 1, LAST_PAGE, &mut wrong).unwrap_or(page);
            }
            "limit" => {
                limit = query::number(&name, &value, 1, LONGEST_PAGE, &mut wrong).unwrap_or(limit);
            }
            _ => {}
        }
    }
    wrong.unless((filter, page, limit))
}

/// Which deliveries to make again; an absent filter matches all.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct ReplayWish {
    /// Only of this event.
    #[schema(value_type = Option<Uuid>)]
    event_id: Option<String>,
    /// Only of this recording.
    #[schema(pattern = "^([0-9a-fA-F]{24})?$")]
    recording_id: Option<String>,
    /// Only of this room.
    room_id: Option<String>,
    /// Only events of this name.
    #[schema(example = "beam.recording.success")]
    event_name: Option<String>,
    /// Only in this status; `failed` if absent. What is pending will be tried
    /// anyway and is not made again.
    status: Option<DeliveryStatus>,
}

/// An empty text is as good as none.
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Tell webhook endpoints again
///
/// At most the newest 1000 that match. What is told again carries `is_replay`.
#[utoipa::path(
    post, path = "/v2/analytics/webhooks/replay", tag = "webhooks",
    request_body = Option<ReplayWish>,
    responses(
        (status = 200, description = "How many are made again", body = ReplayView),
        BadReplay,
    ),
)]
pub(super) async fn replay(State(app): State<App>, body: Body) -> Result<Response, ApiError> {
    let wish = body::read_or_default::<ReplayWish>(body).await?;
    let mut wrong = Wrong::default();
    let event_id = given(&wish.event_id).map(str::parse::<Uuid>).transpose();
    if event_id.is_err() {
        wrong.add("event_id: must be a UUID".to_owned());
    }
    let recording_id = given(&wish.recording_id).map(str::parse::<Id>).transpose();
    if let Err(e) = &recording_id {
        wrong.add(format!("recording_id: {e}"));
    }
    let filter = DeliveryQuery {
        event_id: event_id.unwrap_or_default(),
        recording_id: recording_id.unwrap_or_default(),
        room_id: given(&wish.room_id).map(ToOwned::to_owned),
        name: given(&wish.event_name).map(ToOwned::to_owned),
        state: wish.status.unwrap_or(DeliveryStatus::Failed).state(),
        limit: MOST_REPLAYED,
        ..DeliveryQuery::default()
    };
    let filter = wrong.unless(filter)?;
    let replayed = app.replay(filter).await?;
    let message = format!("{replayed} deliveries are made again");
    Ok(body::answer(StatusCode::OK, &ReplayView { status: "started", message, replayed }))
}
