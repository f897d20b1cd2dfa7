//! `/deliveries`: what was told to webhook endpoints, and telling it again.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::Desk;
use super::gate::{Form, Sent, Visitor, Who, see_other};
use super::page::{self, Frame, Menu, Refusal};
use super::words::When;
use crate::http::deliveries::{MOST_REPLAYED, parse_query};
use crate::http::error::ApiError;
use crate::http::query;
use crate::job::Occurrence;
use crate::store::{Delivery, DeliveryQuery, DeliveryState, Recording};

/// Deliveries on a page, unless the address says otherwise.
const PAGE: &str = "limit=25";
/// How soon they are looked at again while one of them is on its way.
const REFRESH: u32 = 5;

#[derive(Template)]
#[template(path = "deliveries.html", config = "src/http/dashboard/askama.toml")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    room: String,
    recording: String,
    /// What is chosen, and what can be.
    status: String,
    event: String,
    statuses: [(&'static str, &'static str); 4],
    events: [&'static str; 8],
    newer: Option<String>,
    older: Option<String>,
    notice: Option<String>,
    no_endpoints: bool,
}

/// One event on its way to one endpoint.
pub(super) struct Row {
    pub(super) recording: String,
    pub(super) room: String,
    pub(super) event_id: String,
    pub(super) event: &'static str,
    pub(super) endpoint: String,
    pub(super) at: When,
    pub(super) status: &'static str,
    pub(super) class: &'static str,
    pub(super) attempts: u32,
    pub(super) answer: String,
    pub(super) next: Option<When>,
    pub(super) is_replay: bool,
    pub(super) can_replay: bool,
}

impl Row {
    pub(super) fn of(delivery: &Delivery, recording: &Recording) -> Self {
        let (status, class) = match delivery.state {
            DeliveryState::Pending => ("On its way", "pending"),
            DeliveryState::Delivered => ("Delivered", "completed"),
            DeliveryState::Failed => ("Failed", "failed"),
        };
        let pending = delivery.state == DeliveryState::Pending;
        let answer = match (delivery.last_status, &delivery.last_error) {
            (_, Some(error)) => error.clone(),
            (Some(status), None) => status.to_string(),
            (None, None) => String::new(),
        };
        Self {
            recording: recording.id.to_string(),
            room: recording.room_id.clone(),
            event_id: delivery.event.id.to_string(),
            event: delivery.event.occurrence.name(),
            endpoint: delivery.endpoint.clone(),
            at: When(delivery.event.at),
            status,
            class,
            attempts: delivery.attempts,
            answer,
            next: (pending && delivery.attempts > 0).then_some(When(delivery.due_at)),
            is_replay: delivery.is_replay,
            can_replay: !pending,
        }
    }
}

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    RawQuery(query): RawQuery,
) -> Response {
    match desk.deliveries_page(&visitor, query.as_deref()).await {
        Ok(page) => page::show(StatusCode::OK, &page.frame, &page),
        Err(error) => Refusal::of(error, &visitor).into_response(),
    }
}

/// Makes one delivery again (`event_id` and `endpoint`), or all that failed, of
/// one recording or of all.
pub(super) async fn replay(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    Extension(form): Sent,
) -> Response {
    let replayed = async {
        let filter = filter(&form)?;
        Ok::<_, ApiError>(desk.app.replay(filter).await?)
    };
    let replayed = match replayed.await {
        Ok(replayed) => replayed.to_string(),
        Err(error) => return Refusal::of(error, &visitor).into_response(),
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("replayed", &replayed);
    if let Some(recording) = form.get("recording_id") {
        query.append_pair("recording_id", recording);
    }
    see_other(&format!("{}deliveries?{}", visitor.root, query.finish()))
}

fn filter(form: &Form) -> Result<DeliveryQuery, ApiError> {
    let bad = |name: &str| ApiError::invalid(vec![format!("{name}: is none of ours")]);
    let recording_id = form.get("recording_id").map(str::parse).transpose();
    let all = DeliveryQuery {
        recording_id: recording_id.map_err(|_| bad("recording_id"))?,
        state: Some(DeliveryState::Failed),
        limit: MOST_REPLAYED,
        ..DeliveryQuery::default()
    };
    let Some(event_id) = form.get("event_id") else { return Ok(all) };
    let event_id = Some(event_id.parse().map_err(|_| bad("event_id"))?);
    let endpoint = form.get("endpoint").map(ToOwned::to_owned);
    Ok(DeliveryQuery { event_id, endpoint, state: None, limit: 1, ..all })
}

impl Desk {
    async fn deliveries_page(
        &self,
        visitor: &Visitor,
        query: Option<&str>,
    ) -> Result<Page, ApiError> {
        let text = query.unwrap_or_default();
        let (filter, page, limit) = parse_query(Some(&format!("{PAGE}&{text}")))?;
        let value = |wanted: &str| {
            let found = query::pairs(query).filter(|(name, _)| name == wanted).last();
            found.map(|(_, value)| value).unwrap_or_default()
        };
        let (told, has_next) = self.app.history(filter.clone(), page, limit).await?;
        let other = |page: usize| {
            let kept = query::pairs(query).filter(|(name, _)| name != "page" && name != "replayed");
            let mut other = form_urlencoded::Serializer::new(String::new());
            other.extend_pairs(kept).append_pair("page", &page.to_string());
            other.finish()
        };
        let rows: Vec<Row> = told.iter().map(|(delivery, of)| Row::of(delivery, of)).collect();
        let mut frame = Frame::new(visitor, "Webhooks", Menu::Deliveries);
        frame.refresh = if rows.iter().any(|row| !row.can_replay) { REFRESH } else { 0 };
        let replayed: Option<usize> = value("replayed").parse().ok();
        Ok(Page {
            frame,
            no_endpoints: rows.is_empty() && text.is_empty(),
            rows,
            room: filter.room_id.unwrap_or_default(),
            recording: filter.recording_id.map(|id| id.to_string()).unwrap_or_default(),
            status: value("status"),
            event: filter.name.unwrap_or_default(),
            statuses: [
                ("", "Any"),
                ("pending", "On its way"),
                ("success", "Delivered"),
                ("failed", "Failed"),
            ],
            events: Occurrence::NAMES,
            newer: (page > 1).then(|| other(page - 1)),
            older: has_next.then(|| other(page + 1)),
            notice: replayed.map(|many| match many {
                1 => "1 delivery is made again.".to_owned(),
                many => format!("{many} deliveries are made again."),
            }),
        })
    }
}
