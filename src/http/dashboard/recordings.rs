//! `/`: recordings, newest first, and the form that starts one.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::Desk;
use super::gate::{Form, Sent, Visitor, Who, see_other};
use super::page::{self, Frame, Menu, Refusal};
use super::words::{When, bytes, clock, count};
use crate::http::error::ApiError;
use crate::http::query::{self, RoomId};
use crate::http::recordings::parse_query;
use crate::http::start::Start;
use crate::job::{Resolution, State as JobState};
use crate::node::Vitals;
use crate::store::{Query, Recording};

/// Recordings on a page, unless the address says otherwise.
const PAGE: &str = "limit=25";
/// How soon the list is looked at again while something on it goes on.
const REFRESH: u32 = 5;
/// Sizes of the picture that the form offers besides the configured one.
const SIZES: [(u32, u32); 5] = [(1280, 720), (1920, 1080), (854, 480), (720, 1280), (1080, 1920)];

#[derive(Template)]
#[template(path = "recordings.html", config = "src/http/dashboard/askama.toml")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    /// What is filtered by.
    room: String,
    session: String,
    states: Vec<Choice>,
    /// The query of the page of older ones.
    older: Option<String>,
    is_first: bool,
    /// How busy the node is, in words.
    busy: String,
    start: StartForm,
}

struct Row {
    id: String,
    room: String,
    session: String,
    status: Badge,
    /// Of what is recorded now, or of the file.
    has_picture: bool,
    created: When,
    length: String,
    people: Option<u32>,
    size: Option<String>,
    problem: Option<&'static str>,
}

/// One of several to choose from.
struct Choice {
    value: String,
    name: String,
    chosen: bool,
}

/// The form that starts a recording, as it was sent or empty.
#[derive(Default)]
struct StartForm {
    problems: Vec<String>,
    room: String,
    url: String,
    audio_only: bool,
    needs_url: bool,
    sizes: Vec<Choice>,
    destinations: Vec<Choice>,
}

/// Where a recording is in its life, as pages show it.
pub(super) struct Badge {
    pub(super) text: &'static str,
    /// What the style sheet calls it.
    pub(super) class: &'static str,
}

impl Badge {
    pub(super) fn of(recording: &Recording) -> Self {
        let (text, class) = match recording.state {
            JobState::Running if recording.paused => ("Paused", "paused"),
            state => (name(state), class(state)),
        };
        Self { text, class }
    }
}

const STATES: [JobState; 6] = [
    JobState::Starting,
    JobState::Running,
    JobState::Stopping,
    JobState::PostProcessing,
    JobState::Completed,
    JobState::Failed,
];

fn name(state: JobState) -> &'static str {
    match state {
        JobState::Starting => "Starting",
        JobState::Running => "Recording",
        JobState::Stopping => "Stopping",
        JobState::PostProcessing => "Finishing",
        JobState::Completed => "Completed",
        JobState::Failed => "Failed",
    }
}

/// The contract's name of it.
fn class(state: JobState) -> &'static str {
    match state {
        JobState::Starting => "starting",
        JobState::Running => "running",
        JobState::Stopping => "stopping",
        JobState::PostProcessing => "post_processing",
        JobState::Completed => "completed",
        JobState::Failed => "failed",
    }
}

pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    RawQuery(query): RawQuery,
) -> Response {
    match desk.list_page(&visitor, query.as_deref(), StartForm::default()).await {
        Ok(page) => page::show(StatusCode::OK, &page.frame, &page),
        Err(error) => Refusal::of(error, &visitor).into_response(),
    }
}

pub(super) async fn start(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    Extension(form): Sent,
) -> Response {
    let error = match desk.start(&form).await {
        Ok(recording) => return see_other(&format!("{}recordings/{}", visitor.root, recording.id)),
        Err(error) => error,
    };
    let (status, message, details) = error.told();
    let problems = if details.is_empty() { vec![message.to_owned()] } else { details.to_vec() };
    if status.is_server_error() {
        return Refusal::of(error, &visitor).into_response();
    }
    match desk.list_page(&visitor, None, StartForm::sent(&form, problems)).await {
        Ok(mut page) => {
            // To look again at this address would be to start again.
            page.frame.refresh = 0;
            page::show(status, &page.frame, &page)
        }
        Err(error) => Refusal::of(error, &visitor).into_response(),
    }
}

impl Desk {
    async fn start(&self, form: &Form) -> Result<Recording, ApiError> {
        let text = |name| form.get(name).map(ToOwned::to_owned);
        let RoomId(room_id) = RoomId::of(text("room_id").unwrap_or_default())?;
        let size = form.get("resolution").map(|text| {
            let size = text.parse::<Resolution>();
            size.map_err(|bad| ApiError::invalid(vec![bad.to_string()]))
        });
        let size = size.transpose()?.map(|size| (size.width(), size.height()));
        let audio_only = form.get("audio_only").is_some();
        let wish = Start::simple(text("meeting_url"), size, audio_only, text("destination"));
        self.app.start(room_id, wish).await
    }

    async fn list_page(
        &self,
        visitor: &Visitor,
        query: Option<&str>,
        start: StartForm,
    ) -> Result<Page, ApiError> {
        let asked = parse_query(Some(&format!("{PAGE}&{}", query.unwrap_or_default())))?;
        // One more than is shown tells whether there are older ones.
        let wanted = Query { limit: asked.limit + 1, ..asked.clone() };
        let mut found = self.app.store.list(&wanted).await?;
        let has_older = found.len() > asked.limit;
        found.truncate(asked.limit);
        let is_live = found.iter().any(|recording| !recording.state.is_final());
        let vitals = if is_live { self.app.node.vitals().await } else { Vec::new() };
        let row = |recording: &Recording| {
            Row::of(recording, vitals.iter().find(|vitals| vitals.id == recording.id))
        };
        let older = found.last().filter(|_| has_older).map(|last| {
            let kept = query::pairs(query).filter(|(name, _)| name != "start");
            let mut next = form_urlencoded::Serializer::new(String::new());
            next.extend_pairs(kept).append_pair("start", &last.id.to_string());
            next.finish()
        });
        let mut frame = Frame::new(visitor, "Recordings", Menu::Recordings);
        frame.refresh = if is_live { REFRESH } else { 0 };
        let any =
            Choice { value: String::new(), name: "Any".into(), chosen: asked.state.is_none() };
        let states = STATES.map(|state| Choice {
            value: class(state).into(),
            name: name(state).into(),
            chosen: asked.state == Some(state),
        });
        let capacity = self.app.node.capacity();
        let running = capacity.slots.saturating_sub(capacity.free);
        let busy = format!("{running} of {} at once", count(capacity.slots, "recording"));
        Ok(Page {
            frame,
            rows: found.iter().map(row).collect(),
            room: asked.room_id.unwrap_or_default(),
            session: asked.session_id.unwrap_or_default(),
            states: std::iter::once(any).chain(states).collect(),
            older,
            is_first: asked.before.is_none(),
            busy,
            start: self.offer(start),
        })
    }

    /// The form with what can be chosen in it.
    fn offer(&self, sent: StartForm) -> StartForm {
        let usual = self.app.settings.recording.resolution;
        let chosen = |choices: &[Choice]| choices.first().map(|choice| choice.value.clone());
        let (size, destination) = (chosen(&sent.sizes), chosen(&sent.destinations));
        let as_usual =
            Choice { value: String::new(), name: format!("Default: {usual}"), chosen: false };
        let sizes = SIZES.map(|(width, height)| {
            let value = format!("{width}x{height}");
            Choice { chosen: size.as_ref() == Some(&value), name: value.clone(), value }
        });
        let names: Vec<&str> = self.app.storage.configured().iter().map(|to| to.name()).collect();
        let destinations = if names.len() > 1 { names } else { Vec::new() };
        let destinations = destinations.into_iter().map(|name| Choice {
            value: name.into(),
            name: name.into(),
            chosen: destination.as_deref() == Some(name),
        });
        StartForm {
            needs_url: !self.app.settings.meeting.has_template(),
            sizes: std::iter::once(as_usual).chain(sizes).collect(),
            destinations: destinations.collect(),
            ..sent
        }
    }
}

impl StartForm {
    fn sent(form: &Form, problems: Vec<String>) -> Self {
        let text = |name| form.get(name).unwrap_or_default().to_owned();
        let chosen = |name| vec![Choice { value: text(name), name: String::new(), chosen: true }];
        Self {
            problems,
            room: text("room_id"),
            url: text("meeting_url"),
            audio_only: form.get("audio_only").is_some(),
            sizes: chosen("resolution"),
            destinations: chosen("destination"),
            needs_url: false,
        }
    }
}

impl Row {
    fn of(recording: &Recording, vitals: Option<&Vitals>) -> Self {
        let file = recording.assets.first();
        let recorded = vitals.and_then(|vitals| vitals.stats).map(|stats| stats.elapsed_s);
        let length = file.map(|file| file.duration_s).or(recorded);
        Self {
            id: recording.id.to_string(),
            room: recording.room_id.clone(),
            session: recording.session_id.to_string(),
            status: Badge::of(recording),
            has_picture: !recording.terms.audio_only
                && matches!(recording.state, JobState::Running | JobState::Completed),
            created: When(recording.created_at),
            length: length.map(clock).unwrap_or_default(),
            people: vitals.and_then(|vitals| vitals.others),
            size: file.map(|file| bytes(file.size)),
            problem: recording.failure.as_ref().map(|failure| failure.kind.name()),
        }
    }
}
