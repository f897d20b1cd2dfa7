//! `/recordings/ID`: one recording, live or finished, and what can be done with it.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use url::Url;

use super::deliveries::Row as Told;
use super::gate::{Visitor, Who, see_other};
use super::page::{self, Frame, Menu, Refusal};
use super::recordings::Badge;
use super::words::{When, bytes, clock, span};
use super::{Desk, advice};
use crate::http::error::ApiError;
use crate::http::query::RecordingId;
use crate::job::State as JobState;
use crate::node::Vitals;
use crate::storage::LinkLife;
use crate::store::{Asset, DeliveryQuery, Recording};

/// How soon the page of a recording that goes on is looked at again.
const REFRESH: u32 = 2;
/// Deliveries that are shown; the page of deliveries has them all.
const DELIVERIES: usize = 10;
/// The quietest that a level shows, in dBFS.
const QUIET: f64 = -60.0;

#[derive(Template)]
#[template(path = "recording.html", config = "src/http/dashboard/askama.toml")]
struct Page {
    frame: Frame,
    id: String,
    room: String,
    session: String,
    session_known: bool,
    status: Badge,
    is_live: bool,
    can_stop: bool,
    can_pause: bool,
    can_resume: bool,
    can_upload: bool,
    audio_only: bool,
    failure: Option<Failure>,
    warnings: Vec<String>,
    now: Option<Now>,
    files: Vec<File>,
    facts: Vec<(&'static str, String)>,
    times: Vec<(&'static str, When)>,
    meeting_url: String,
    told: Vec<Told>,
}

struct Failure {
    kind: &'static str,
    message: String,
    advice: &'static str,
}

/// What a running recording is like.
struct Now {
    elapsed: String,
    /// New pictures a second, and the file's frames.
    fps: Option<String>,
    rate: u32,
    /// Decibels, for people and for a meter that begins at [`QUIET`].
    level: String,
    level_over_quiet: u32,
    people: String,
    names: Vec<String>,
    size: String,
    late: u64,
}

struct File {
    id: String,
    name: String,
    size: String,
    length: String,
    is_audio: bool,
    failed: bool,
    /// Why there is no link, or the links.
    links: Result<Links, &'static str>,
}

struct Links {
    /// What the page plays and saves.
    play: String,
    save: String,
    /// What can be given to somebody, and for how long it holds.
    copy: String,
    life: String,
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    id: Result<RecordingId, ApiError>,
) -> Response {
    let page = match id {
        Ok(id) => desk.recording_page(&visitor, id).await,
        Err(error) => Err(error),
    };
    match page {
        Ok(page) => page::show(StatusCode::OK, &page.frame, &page),
        Err(error) => Refusal::of(error, &visitor).into_response(),
    }
}

/// Back to the page of the recording that something was done with.
fn done(result: Result<Recording, ApiError>, visitor: &Visitor) -> Response {
    match result {
        Ok(recording) => see_other(&format!("{}recordings/{}", visitor.root, recording.id)),
        Err(error) => Refusal::of(error, visitor).into_response(),
    }
}

pub(super) async fn stop(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    RecordingId(id): RecordingId,
) -> Response {
    done(desk.app.stop(id).await.map_err(Into::into), &visitor)
}

pub(super) async fn pause(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    RecordingId(id): RecordingId,
) -> Response {
    done(desk.app.node.pause(id).await.map_err(Into::into), &visitor)
}

pub(super) async fn resume(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    RecordingId(id): RecordingId,
) -> Response {
    done(desk.app.node.resume(id).await.map_err(Into::into), &visitor)
}

pub(super) async fn upload(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    RecordingId(id): RecordingId,
) -> Response {
    done(desk.app.node.upload(id).await.map_err(Into::into), &visitor)
}

impl Desk {
    async fn recording_page(
        &self,
        visitor: &Visitor,
        RecordingId(id): RecordingId,
    ) -> Result<Page, ApiError> {
        let app = &self.app;
        let recording = app.store.get(id).await?.ok_or_else(ApiError::not_found)?;
        let is_live = !recording.state.is_final();
        let mut frame =
            Frame::new(visitor, format!("Recording of {}", recording.room_id), Menu::Recordings);
        frame.refresh = if is_live { REFRESH } else { 0 };
        let vitals = if is_live { app.node.vitals().await } else { Vec::new() };
        let now = vitals.into_iter().find(|vitals| vitals.id == id);
        let mut files = Vec::new();
        for asset in &recording.assets {
            files.push(self.file(asset, &mut frame).await);
        }
        let filter = DeliveryQuery { recording_id: Some(id), ..DeliveryQuery::default() };
        let (told, _) = app.history(filter, 1, DELIVERIES).await?;
        Ok(Page {
            id: id.to_string(),
            room: recording.room_id.clone(),
            session: recording.session_id.to_string(),
            session_known: !recording.session_is_made_up,
            status: Badge::of(&recording),
            is_live,
            can_stop: matches!(recording.state, JobState::Starting | JobState::Running),
            can_pause: recording.state == JobState::Running && !recording.paused,
            can_resume: recording.state == JobState::Running && recording.paused,
            can_upload: recording.can_upload(),
            audio_only: recording.terms.audio_only,
            failure: recording.failure.as_ref().map(|failure| Failure {
                kind: failure.kind.name(),
                message: failure.message.clone(),
                advice: advice::on(failure.kind),
            }),
            warnings: recording.warnings.clone(),
            now: now.and_then(|vitals| Now::of(&recording, vitals)),
            files,
            facts: facts(&recording),
            times: times(&recording),
            meeting_url: app.view().meeting_url(&recording),
            told: told.iter().map(|(delivery, of)| Told::of(delivery, of)).collect(),
            frame,
        })
    }

    async fn file(&self, asset: &Asset, frame: &mut Frame) -> File {
        let links = self.links(asset, frame).await;
        File {
            id: asset.id.to_string(),
            name: asset.path.rsplit('/').next().unwrap_or(&asset.path).to_owned(),
            size: bytes(asset.size),
            length: clock(asset.duration_s),
            is_audio: asset.audio_only,
            failed: asset.failed,
            links,
        }
    }

    async fn links(&self, asset: &Asset, frame: &mut Frame) -> Result<Links, &'static str> {
        let signed = self.app.link(asset, LinkLife::Usual(None)).await;
        let signed = signed.map_err(|error| error.trouble.text())?;
        let (copy, life) = (signed.url, span(signed.life));
        let Ok(url) = Url::parse(&copy) else { return Err("the storage signs no address") };
        if self.app.storage.file(&asset.destination, &asset.path).is_none() {
            frame.allow_media(&url);
            return Ok(Links { play: copy.clone(), save: copy.clone(), copy, life });
        }
        // A file of ours comes from where this page does, however that is called.
        let path: Vec<&str> = url.path().rsplitn(4, '/').take(3).collect();
        let path: Vec<&str> = path.into_iter().rev().collect();
        let save = format!("{}{}?{}", frame.root, path.join("/"), url.query().unwrap_or_default());
        Ok(Links { play: format!("{save}&disposition=inline"), save, copy, life })
    }
}

impl Now {
    /// `None` before the first frame.
    fn of(recording: &Recording, vitals: Vitals) -> Option<Self> {
        let Vitals { stats, fps, others, peers, .. } = vitals;
        let stats = stats?;
        let level = stats.audio_dbfs.max(QUIET);
        let named = peers.into_iter().map(|peer| peer.name).filter(|name| !name.is_empty());
        Some(Self {
            elapsed: clock(stats.elapsed_s),
            fps: fps.filter(|_| !recording.terms.audio_only).map(|fps| format!("{fps:.0}")),
            rate: recording.terms.quality.fps,
            level: match level {
                level if level <= QUIET => "silent".into(),
                level => format!("{level:.0} dB"),
            },
            // Between nothing and sixty.
            level_over_quiet: (level - QUIET) as u32,
            people: others.map_or_else(|| "not known".into(), |others| others.to_string()),
            names: named.collect(),
            size: bytes(stats.bytes),
            late: stats.late,
        })
    }
}

fn facts(recording: &Recording) -> Vec<(&'static str, String)> {
    let terms = &recording.terms;
    let kind = match terms.audio_only {
        true => "sound alone".to_owned(),
        false => format!("{} at {} frames a second", terms.quality.resolution, terms.quality.fps),
    };
    let mut facts = vec![("Recorded as", kind), ("Storage", recording.destination.clone())];
    if let Some(reason) = recording.stop_reason {
        facts.push(("Ended by", reason.text().to_owned()));
    }
    facts.push(("Ends by itself after", clock(terms.max_duration_s)));
    facts.push(("Beam", recording.beam_id.to_string()));
    facts
}

fn times(recording: &Recording) -> Vec<(&'static str, When)> {
    let all = [
        ("Asked for", Some(recording.created_at)),
        ("First frame", recording.started_at),
        ("Last frame", recording.stopped_at),
    ];
    let known = all.into_iter().filter_map(|(name, at)| Some((name, When(at?))));
    known.filter(|(_, When(at))| *at <= Utc::now()).collect()
}
