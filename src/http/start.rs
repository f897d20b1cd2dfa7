//! `POST /v2/recordings/room/{room_id}/start`: what a caller wants recorded, made
//! out of the body and the configuration.

mod presence;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{self, Object};
use super::error::ApiError;
use super::query::RoomId;
use super::refusals::{BadStart, Busy, Closing, Held, NoSpace};
use super::view::RecordingView;
use super::{App, Settings};
use crate::config::{Transcription, check_header, parse_endpoint_url};
use crate::job::{
    BadSpec, BasicAuth, JoinRule, PageOptions, QualityWish, RecordingSpec, Resolution,
};
use crate::net;
use crate::node::Wanted;
use crate::storage::Storage;
use crate::store::{Recording, WebhookTarget};
use crate::token;

/// How long a caller may let a recording run, in seconds: up to a day.
const MAX_DURATION: std::ops::RangeInclusive<f64> = 1.0..=86_400.0;
/// Said where a transcript was asked for.
const NO_TRANSCRIPT: &str = "transcription: is not supported: no transcript will come";

/// What is to be recorded. Fields that the contract knows and this service does
/// not are ignored.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct Start {
    /// The page to record; http or https. May be left out if the configuration
    /// has a template for it.
    #[schema(example = "https://meet.example/preview/standup/recorder?skip_preview=true")]
    meeting_url: Option<String>,
    /// Size of the picture; 1280x720 unless configured otherwise.
    #[schema(value_type = Option<Size>)]
    resolution: Option<Object<Size>>,
    /// Sound alone.
    audio_only: Option<bool>,
    /// Name of the storage that the file goes to; required if several are
    /// configured.
    #[schema(example = "default")]
    destination: Option<String>,
    /// Not supported; by configuration ignored with a warning, or refused.
    #[schema(value_type = Option<TranscriptionWish>)]
    transcription: Option<Object<TranscriptionWish>>,
    /// Where this recording's events go instead of the configured endpoints.
    /// Beyond the contract.
    #[schema(value_type = Option<WebhookWish>)]
    webhook: Option<Object<WebhookWish>>,
    /// What the page is opened with. Beyond the contract.
    #[schema(value_type = Option<PageWish>)]
    page: Option<Object<PageWish>>,
    /// What counts as joined: `auto`, `signal`, `media` or `load`. Beyond the
    /// contract.
    #[schema(example = "auto")]
    join: Option<String>,
    /// It ends by itself after so many seconds. Beyond the contract.
    #[schema(minimum = 1, maximum = 86_400)]
    max_duration: Option<f64>,
    /// Size and frame rate by name; `resolution` and `fps` win over it. Beyond the
    /// contract.
    #[schema(example = "1080p30")]
    preset: Option<String>,
    /// Frames per second. Beyond the contract.
    #[schema(minimum = 10, maximum = 60)]
    fps: Option<u32>,
    /// Constant quality, 0 best; not together with `bitrate`. Beyond the contract.
    #[schema(minimum = 0, maximum = 51)]
    crf: Option<u8>,
    /// Bitrate of the picture in kb/s; not together with `crf`. The least depends on
    /// size and frame rate. Beyond the contract.
    #[schema(minimum = 100, maximum = 40_000)]
    bitrate: Option<u32>,
    /// Seconds from keyframe to keyframe. Beyond the contract.
    #[schema(minimum = 0.5, maximum = 20)]
    keyframe_interval: Option<f64>,
    /// Bitrate of the sound in kb/s. Beyond the contract.
    #[schema(minimum = 32, maximum = 320)]
    audio_bitrate: Option<u32>,
    /// What makes the picture: `auto`, `x264`, `nvenc`, `vaapi` or `qsv`; x264 where
    /// that does not work. Beyond the contract.
    #[schema(example = "auto")]
    encoder: Option<String>,
    /// It ends when the room has been empty for so many seconds. Beyond the contract.
    #[schema(minimum = 1, maximum = 86_400)]
    empty_timeout: Option<f64>,
    /// It fails when nobody has come for so many seconds. Beyond the contract.
    #[schema(minimum = 1, maximum = 86_400)]
    nobody_timeout: Option<f64>,
    /// It ends when no media has come for so many seconds; 0: never. Beyond the
    /// contract.
    #[schema(minimum = 0, maximum = 86_400)]
    no_media_timeout: Option<f64>,
    /// A JavaScript expression that is asked in the page who is there, instead of the
    /// probes. Beyond the contract.
    #[schema(example = "document.querySelectorAll('.participant').length - 1")]
    presence_expression: Option<String>,
    /// Which ends leave the empty end out of the file: `never`, `automatic` or
    /// `always`. Beyond the contract.
    #[schema(example = "automatic")]
    trim_empty: Option<String>,
    /// The file begins when somebody is there. Beyond the contract.
    trim_start: Option<bool>,
}

/// Width 500 to 1920, height 480 to 1920, only one side over 1080, both even.
#[derive(Deserialize, ToSchema)]
pub(super) struct Size {
    #[schema(minimum = 500, maximum = 1920, multiple_of = 2)]
    width: u32,
    #[schema(minimum = 480, maximum = 1920, multiple_of = 2)]
    height: u32,
}

/// A wish for a transcript.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct TranscriptionWish {
    enabled: Option<bool>,
}

/// What the meeting's page is opened with. Headers, cookies and the password go to
/// the meeting's own origin only.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct PageWish {
    headers: Option<BTreeMap<String, String>>,
    cookies: Option<BTreeMap<String, String>>,
    /// For HTTP authentication.
    #[schema(value_type = Option<AccountWish>)]
    basic_auth: Option<Object<AccountWish>>,
    /// Laid over the page and its frames.
    #[schema(example = "header, footer { display: none !important }")]
    css: Option<String>,
    /// A BCP 47 language tag.
    #[schema(example = "de-DE")]
    locale: Option<String>,
    /// A name of the IANA time zone data base.
    #[schema(example = "Europe/Berlin")]
    time_zone: Option<String>,
}

/// A name and a password.
#[derive(Deserialize, ToSchema)]
pub(super) struct AccountWish {
    user: String,
    password: String,
}

/// An endpoint for one recording's events.
#[derive(Deserialize, ToSchema)]
pub(super) struct WebhookWish {
    /// http or https.
    #[schema(example = "https://backend.example/hooks")]
    url: String,
    /// Sent along with each event, a secret for example.
    headers: Option<BTreeMap<String, String>>,
}

/// Start recording a room
///
/// Answers before the meeting is joined; `status`, `started_at` and the webhooks
/// tell whether and when it was.
#[utoipa::path(
    post, path = "/v2/recordings/room/{room_id}/start", tag = "recordings",
    params(("room_id" = String, Path, description = "The room", pattern = "^[A-Za-z0-9._-]{1,128}$")),
    request_body = Start,
    responses(
        (status = 200, description = "The new recording", body = RecordingView, links(
            ("get" = (
                operation_id = "recordings_get",
                parameters(("recording_id" = "$response.body#/id")),
            )),
            ("stop" = (
                operation_id = "recordings_stop",
                parameters(("recording_id" = "$response.body#/id")),
            )),
            ("delete" = (
                operation_id = "recordings_delete",
                parameters(("recording_id" = "$response.body#/id")),
            )),
            ("stop the room's" = (
                operation_id = "recordings_stop_room",
                parameters(("room_id" = "$response.body#/room_id")),
            )),
        )),
        BadStart, Held, Busy, NoSpace, Closing,
    ),
)]
pub(super) async fn start(
    State(app): State<App>,
    RoomId(room_id): RoomId,
    body: Body,
) -> Result<Response, ApiError> {
    let wish = if app.settings.meeting.has_template() {
        body::read_or_default::<Start>(body).await?
    } else {
        body::read::<Start>(body).await?
    };
    let recording = app.start(room_id, wish).await?;
    Ok(body::answer(StatusCode::OK, &app.view().acted_on(&recording)))
}

impl App {
    /// Starts what is wished for.
    pub(super) async fn start(&self, room_id: String, wish: Start) -> Result<Recording, ApiError> {
        let mut wanted = wish.check(room_id, &self.settings, &self.storage)?;
        match self.addresses.check_url(&wanted.page).await {
            // A name that has no address now may have one when the browser asks; if
            // not, the recording fails and says so.
            Ok(()) | Err(net::Refused::Unresolved { .. }) => {}
            Err(refused) => return Err(ApiError::invalid(vec![format!("meeting_url: {refused}")])),
        }
        wanted.session = self.session_of(&wanted.room_id).await?;
        let recording = self.node.start(wanted).await?;
        Ok(self.in_session(recording).await)
    }
}

impl Start {
    /// Of what a page of the dashboard asks for; the rest is as configured.
    pub(super) fn simple(
        meeting_url: Option<String>,
        size: Option<(u32, u32)>,
        audio_only: bool,
        destination: Option<String>,
    ) -> Self {
        let resolution = size.map(|(width, height)| Object(Size { width, height }));
        let audio_only = Some(audio_only);
        Self { meeting_url, resolution, audio_only, destination, ..Self::default() }
    }

    /// Everything that is wrong with it at once, or what it asks for.
    fn check(
        self,
        room_id: String,
        settings: &Settings,
        storage: &Storage,
    ) -> Result<Wanted, ApiError> {
        let mut wrong = Vec::new();
        let configured = settings.presence.rule(&settings.meeting);
        let presence = good(self.presence(configured), &mut wrong).flatten();
        let mut warnings = Vec::new();
        let own = self.meeting_url.map(SecretString::from);
        let url = own.or_else(|| token::room_url(&room_id, &settings.meeting, &settings.auth));
        let url = url.unwrap_or_default();
        let page = if url.expose_secret().is_empty() {
            wrong.push("meeting_url: is required: give a full http or https address".to_owned());
            None
        } else {
            good(RecordingSpec::parse_meeting_url(url.expose_secret()), &mut wrong)
        };
        let resolution = self
            .resolution
            .and_then(|Object(size)| good(Resolution::new(size.width, size.height), &mut wrong));
        let join = self.join.and_then(|text| good(text.parse::<JoinRule>(), &mut wrong));
        let preset = self.preset.and_then(|text| good(text.parse(), &mut wrong));
        let encoder = self.encoder.and_then(|text| good(text.parse(), &mut wrong));
        let wish = QualityWish {
            preset,
            resolution,
            fps: self.fps,
            crf: self.crf,
            bitrate: self.bitrate,
            keyframe_interval_s: self.keyframe_interval,
            audio_bitrate: self.audio_bitrate,
            encoder,
        };
        let quality = wish.over(settings.recording.quality());
        let quality =
            quality.map_err(|faults| wrong.extend(faults.iter().map(ToString::to_string))).ok();
        if let Some(seconds) = self.max_duration.filter(|s| !MAX_DURATION.contains(s)) {
            let limits = "give 1 to 86400 seconds";
            wrong.push(format!("max_duration: {seconds} is out of range: {limits}"));
        }
        if let Err(why) = storage.choose(self.destination.as_deref()) {
            wrong.push(format!("destination: {why}"));
        }
        let transcript = self.transcription.is_some_and(|Object(t)| t.enabled == Some(true));
        match settings.recording.transcription {
            _ if !transcript => {}
            Transcription::Refuse => wrong.push(NO_TRANSCRIPT.to_owned()),
            Transcription::Ignore => warnings.push(NO_TRANSCRIPT.to_owned()),
        }
        let webhook = self.webhook.and_then(|Object(wish)| wish.check(&mut wrong));
        let page_options = self.page.map(|Object(wish)| wish.options()).unwrap_or_default();
        good(page_options.check(), &mut wrong);
        match page {
            Some(page) if wrong.is_empty() => Ok(Wanted {
                room_id,
                session: None,
                meeting_url: url,
                page,
                quality,
                join,
                max_duration: self.max_duration.map(Duration::from_secs_f64),
                presence,
                audio_only: self.audio_only.unwrap_or(false),
                destination: self.destination,
                webhook,
                page_options,
                warnings,
            }),
            _ => Err(ApiError::invalid(wrong)),
        }
    }
}

impl PageWish {
    fn options(self) -> PageOptions {
        let hidden = |texts: Option<BTreeMap<String, String>>| {
            let texts = texts.unwrap_or_default().into_iter();
            texts.map(|(name, value)| (name, value.as_str().into())).collect()
        };
        PageOptions {
            headers: hidden(self.headers),
            cookies: hidden(self.cookies),
            basic_auth: self.basic_auth.map(|Object(account)| BasicAuth {
                user: account.user,
                password: account.password.as_str().into(),
            }),
            css: self.css.unwrap_or_default(),
            locale: self.locale.unwrap_or_default(),
            time_zone: self.time_zone.unwrap_or_default(),
        }
    }
}

impl WebhookWish {
    fn check(self, wrong: &mut Vec<String>) -> Option<WebhookTarget> {
        let before = wrong.len();
        if let Err(problem) = parse_endpoint_url(&self.url) {
            wrong.push(format!("webhook.url: {problem}"));
        }
        let headers = self.headers.unwrap_or_default();
        for (name, value) in &headers {
            if let Err(problem) = check_header(name, value) {
                wrong.push(format!("webhook.headers: {name:?} {problem}"));
            }
        }
        let headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        (wrong.len() == before).then(|| WebhookTarget { url: self.url.into(), headers })
    }
}

fn good<T>(checked: Result<T, BadSpec>, wrong: &mut Vec<String>) -> Option<T> {
    checked.map_err(|bad| wrong.push(bad.to_string())).ok()
}
