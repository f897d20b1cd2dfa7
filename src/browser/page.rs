//! The one page: load, ask, listen.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chromiumoxide::cdp::browser_protocol::network::{
    DisableParams as DisableNetwork, EnableParams as EnableNetwork,
};
use chromiumoxide::cdp::browser_protocol::page::{
    CloseParams, EnableParams as EnablePage, NavigateParams, ReloadParams,
    SetLifecycleEventsEnabledParams, StopLoadingParams,
};
use chromiumoxide::cdp::browser_protocol::storage::SetCookiesParams;
use chromiumoxide::cdp::browser_protocol::target::{AttachToTargetParams, TargetId};
use chromiumoxide::cdp::js_protocol::runtime::{EnableParams as EnableRuntime, EvaluateParams};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::cdp::{CallError, Client, Session};
use super::load::{ABORTED, Load, LoadError, Stage};
use super::site::Site;
use super::watcher::{Context, Main, PageEvent, Shared, at_start, attach_frames};
use super::wire::Exception;
use crate::job::PageOptions;

/// For commands that only the browser process has to answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

/// How long pictures and frames may keep a page, whose scripts have run, from
/// counting as loaded.
const LOAD_GRACE: Duration = Duration::from_secs(5);

/// How long an aborted load is watched for the reason.
const ABORT_GRACE: Duration = Duration::from_secs(1);

/// How often a refused reload is tried again, and the pause before it.
const RELOAD_TRIES: u32 = 40;
const RELOAD_PAUSE: Duration = Duration::from_millis(50);

/// Keeps windows and dialogs off the screen.
const OVERRIDES: &str = include_str!("overrides.js");

/// Why an expression gave no value.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The page did not answer: it hangs, navigated away or is gone.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The expression threw, or its promise was rejected.
    #[error("the page's script threw: {message}")]
    Threw {
        /// The page's words; they may hold secrets.
        message: String,
    },
    /// The value is not of the type asked for; the text may quote it.
    #[error("the page's answer has another form: {0}")]
    Form(#[from] serde_json::Error),
}

/// The page that is recorded. Every call ends within its time-out.
#[derive(Debug)]
pub struct Page {
    client: Client,
    main: Main,
    shared: Shared,
    load: watch::Receiver<Load>,
    /// Until somebody takes it.
    events: Mutex<Option<mpsc::Receiver<PageEvent>>>,
}

impl Page {
    /// Attaches to the target that Chromium opened at its start.
    pub(super) async fn attach(
        client: Client,
        target: String,
        shared: Shared,
        load: watch::Receiver<Load>,
        events: mpsc::Receiver<PageEvent>,
    ) -> Result<Self, CallError> {
        let mut attach = AttachToTargetParams::new(TargetId::from(target.clone()));
        attach.flatten = Some(true);
        let session: Session =
            client.call(None, attach, COMMAND_TIMEOUT).await?.session_id.inner().clone();
        let main = Main { target, session };
        shared.adopt(main.clone());
        let page = Self { client, main, shared, load, events: Mutex::new(Some(events)) };
        let client = &page.client;
        let session = Some(page.main.session.as_str());
        client.call(session, EnablePage::default(), COMMAND_TIMEOUT).await?;
        client.call(session, SetLifecycleEventsEnabledParams::new(true), COMMAND_TIMEOUT).await?;
        client.call(session, EnableRuntime::default(), COMMAND_TIMEOUT).await?;
        client.call(session, attach_frames(), COMMAND_TIMEOUT).await?;
        page.install(OVERRIDES).await?;
        Ok(page)
    }

    fn session(&self) -> Option<&str> {
        Some(&self.main.session)
    }

    /// Runs `script` in every document loaded from now on, in the main frame and
    /// all others, before the document's own scripts.
    pub async fn install(&self, script: &str) -> Result<(), CallError> {
        let children = self.shared.add_script(script);
        for child in &children {
            self.client.send(Some(child), &at_start(script)).await;
        }
        self.client.call(self.session(), at_start(script), COMMAND_TIMEOUT).await?;
        Ok(())
    }

    /// From now on the site of `meeting` is given what `options` say, and the
    /// page is dressed as they say; to be called once, before the page is opened.
    /// Language of the network and time zone are those of the launch.
    pub async fn prepare(
        &self,
        meeting: &url::Url,
        options: &PageOptions,
    ) -> Result<(), CallError> {
        let site = Site::new(meeting, options);
        if let Some(script) = site.style_script() {
            self.install(&script).await?;
        }
        let cookies = site.cookies();
        if !cookies.is_empty() {
            let set = SetCookiesParams::new(cookies);
            self.client.call(None, set, COMMAND_TIMEOUT).await?;
        }
        for order in self.shared.serve_site(site) {
            self.client.give(order, COMMAND_TIMEOUT).await?;
        }
        Ok(())
    }

    /// Opens `url` and waits until it has loaded: its `load` event, or 5 s after
    /// `DOMContentLoaded` where a picture or frame never finishes.
    ///
    /// # Errors
    /// See [`LoadError`]; after one the page shows whatever came of it.
    pub async fn goto(&self, url: &url::Url, timeout: Duration) -> Result<(), LoadError> {
        let command = NavigateParams::new(url.as_str());
        self.load_by(timeout, async move {
            let answer = self.client.call(self.session(), command, timeout).await?;
            match (answer.error_text, answer.loader_id) {
                (Some(code), _) if code == ABORTED => Ok(Begun::Aborted),
                (Some(code), _) => Err(LoadError::from_net(&code)),
                // Only the fragment differs: nothing is loaded.
                (None, None) => Ok(Begun::SameDocument),
                (None, Some(_)) => Ok(Begun::Load),
            }
        })
        .await
    }

    /// Loads the shown document again; otherwise like [`Page::goto`].
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn reload(&self, timeout: Duration) -> Result<(), LoadError> {
        self.load_by(timeout, async move {
            // Refused for a moment while a document that failed gives way to its error page.
            let mut tries = RELOAD_TRIES;
            loop {
                let asked = self.client.call(self.session(), ReloadParams::default(), timeout);
                match asked.await {
                    Ok(_) => return Ok(Begun::Load),
                    Err(CallError::Refused { .. }) if tries > 0 => tries -= 1,
                    Err(error) => return Err(error.into()),
                }
                tokio::time::sleep(RELOAD_PAUSE).await;
            }
        })
        .await
    }

    /// Runs `command` and follows the load that it begins. The Network domain is
    /// on for as long only: it reports every request and keeps their bodies.
    async fn load_by(
        &self,
        timeout: Duration,
        command: impl Future<Output = Result<Begun, LoadError>>,
    ) -> Result<(), LoadError> {
        let mut load = self.load.clone();
        let before = load.borrow_and_update().clone();
        let network = EnableNetwork {
            max_total_buffer_size: Some(0),
            max_resource_buffer_size: Some(0),
            ..EnableNetwork::default()
        };
        let work = async {
            // Not waited for: a crashed renderer answers only once it is loaded anew.
            self.client.send(self.session(), &network).await;
            // The command's answer may come before or after the events that tell
            // how the load went; the first to know an error wins.
            let follow = follow(&mut load, &before);
            tokio::pin!(follow);
            let begun = tokio::select! {
                begun = command => begun?,
                ended = &mut follow => return ended,
            };
            match begun {
                Begun::SameDocument => Ok(()),
                Begun::Load => follow.await,
                // A renderer that dies on the way aborts the load first.
                Begun::Aborted => tokio::time::timeout(ABORT_GRACE, follow)
                    .await
                    .unwrap_or_else(|_| Err(LoadError::from_net(ABORTED))),
            }
        };
        let result = match tokio::time::timeout(timeout, work).await {
            Ok(Err(LoadError::Browser(CallError::TimedOut { .. }))) | Err(_) => {
                let now = self.load.borrow().clone();
                if matches!(now.outcome(&before), Some(Ok(stage)) if stage >= Stage::Parsed) {
                    Ok(())
                } else {
                    self.client.send(self.session(), &StopLoadingParams::default()).await;
                    Err(now.timed_out(&before, timeout))
                }
            }
            Ok(result) => result,
        };
        self.client.send(self.session(), &DisableNetwork::default()).await;
        result
    }

    /// Host and port that the newest load was last asked of, redirects followed.
    pub fn requested_authority(&self) -> Option<String> {
        self.load.borrow().authority.clone()
    }

    /// Evaluates `expression` in the main frame, waits for its promise and reads
    /// the value as a `T` by way of JSON.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub async fn evaluate<T: DeserializeOwned>(
        &self,
        expression: &str,
        timeout: Duration,
    ) -> Result<T, EvaluateError> {
        self.evaluate_in(&self.main.session, None, expression, timeout).await
    }

    /// Evaluates `expression` in every other frame, cross-site ones included, and
    /// returns the values of those that answered in time.
    pub async fn evaluate_frames<T: DeserializeOwned>(
        &self,
        expression: &str,
        timeout: Duration,
    ) -> Vec<T> {
        let frames = self.shared.frames();
        let asked = frames.iter().map(|Context { session, id }| {
            self.evaluate_in(session, Some(id.clone()), expression, timeout)
        });
        futures::future::join_all(asked).await.into_iter().filter_map(Result::ok).collect()
    }

    async fn evaluate_in<T: DeserializeOwned>(
        &self,
        session: &str,
        context: Option<String>,
        expression: &str,
        timeout: Duration,
    ) -> Result<T, EvaluateError> {
        let mut command = EvaluateParams::new(expression);
        command.return_by_value = Some(true);
        command.await_promise = Some(true);
        command.unique_context_id = context;
        let answer: Evaluated = self.client.call_as(Some(session), command, timeout).await?;
        if let Some(exception) = answer.exception {
            return Err(EvaluateError::Threw { message: exception.to_string() });
        }
        Ok(serde_json::from_value(answer.result.value)?)
    }

    /// The one receiver of what the page does by itself; `None` once taken. It
    /// holds a bounded number of events: console lines are the first to be lost.
    pub fn events(&self) -> Option<mpsc::Receiver<PageEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Width and height that the page has to draw on, in CSS pixels.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub async fn inner_size(&self, timeout: Duration) -> Result<(u32, u32), EvaluateError> {
        self.evaluate("[innerWidth, innerHeight]", timeout).await
    }

    /// Closes the page with its unload handlers run, and waits until it is gone.
    pub(super) async fn close(&self, timeout: Duration) {
        let mut load = self.load.clone();
        let losses = load.borrow_and_update().losses;
        let closing = async {
            // Refused by a page that is an error page or crashed: it has no handlers.
            let asked = self.client.call(self.session(), CloseParams::default(), timeout).await;
            if asked.is_ok() {
                let _ = load.wait_for(|load| load.losses != losses).await;
            }
        };
        let _ = tokio::time::timeout(timeout, closing).await;
    }
}

/// What a load command set in motion.
enum Begun {
    Load,
    SameDocument,
    Aborted,
}

/// Waits for the load that follows `before`.
async fn follow(load: &mut watch::Receiver<Load>, before: &Load) -> Result<(), LoadError> {
    let mut parsed_at: Option<Instant> = None;
    loop {
        match load.borrow_and_update().outcome(before) {
            Some(Err(error)) => return Err(error),
            Some(Ok(Stage::Loaded)) => return Ok(()),
            Some(Ok(Stage::Parsed)) => _ = parsed_at.get_or_insert_with(Instant::now),
            Some(Ok(Stage::Shown)) | None => parsed_at = None,
        }
        let grace = async {
            match parsed_at {
                Some(at) => tokio::time::sleep_until(at + LOAD_GRACE).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = load.changed() => if changed.is_err() {
                return Err(CallError::Closed { method: "Page.navigate".into() }.into());
            },
            () = grace => return Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct Evaluated {
    #[serde(default)]
    result: EvaluatedValue,
    #[serde(rename = "exceptionDetails")]
    exception: Option<Exception>,
}

#[derive(Deserialize, Default)]
struct EvaluatedValue {
    /// Absent for `undefined`.
    #[serde(default)]
    value: Value,
}
