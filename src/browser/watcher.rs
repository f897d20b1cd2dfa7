//! What the browser tells by itself, and what is answered at once.
//!
//! [`Watcher::on_event`] is a pure step: an event in, orders out. It answers
//! dialogs, closes foreign pages, prepares cross-site frames and keeps what the
//! page's load and frames look like for whoever asks through [`Shared`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chromiumoxide::cdp::browser_protocol::page::{
    AddScriptToEvaluateOnNewDocumentParams, EnableParams as EnablePage,
    HandleJavaScriptDialogParams,
};
use chromiumoxide::cdp::browser_protocol::target::{
    CloseTargetParams, FilterEntry, SetAutoAttachParams, TargetFilter, TargetId,
};
use chromiumoxide::cdp::js_protocol::runtime::{
    EnableParams as EnableRuntime, RunIfWaitingForDebuggerParams,
};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use super::cdp::{Event, Order, Session};
use super::load::{Load, Stage};
use super::redact::origin_only;
use super::site::Site;
use super::wire::{
    Attached, AuthRequired, ConsoleCall, ContextCreated, ContextGone, Detached, Dialog, Failed,
    Life, RemoteValue, Request, RequestPaused, Response, TargetEvent, TargetGone, Thrown,
};

/// Events kept for a receiver that is slow to read.
pub(super) const EVENT_QUEUE: usize = 256;

/// Room in the queue that a page's chatter never takes from a crash.
const RESERVE: usize = 64;

/// Characters of console or dialog text that are handed on.
const TEXT_LIMIT: usize = 4096;

/// Something the page did by itself. Texts are the page's own and may hold
/// secrets: they are for rules to match, not for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageEvent {
    /// The page's renderer died; the screen shows Chromium's crash page until a reload.
    Crashed,
    /// The page is gone: it closed itself or somebody closed it.
    Closed,
    /// A dialog that our script does not keep from opening was answered with OK at once.
    Dialog {
        /// `beforeunload`; in a page that got around it `alert`, `confirm` or `prompt`.
        kind: String,
        /// Its text, shortened.
        message: String,
    },
    /// Another page opened (a pop-up, a `_blank` link) and was closed at once.
    ForeignTarget {
        /// Scheme and host of its address, as far as known then.
        url: String,
    },
    /// A console call, or an exception that nobody caught.
    Console {
        /// `log`, `warning`, `error`, …; `exception` for an uncaught one.
        level: String,
        /// The arguments separated by blanks, shortened.
        text: String,
    },
}

/// A script context of a frame, as `Runtime.evaluate` addresses it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Context {
    /// The session that it lives in.
    pub(super) session: Session,
    /// Chromium's `uniqueId`, never used twice.
    pub(super) id: String,
}

/// The page that is driven.
#[derive(Debug, Clone)]
pub(super) struct Main {
    /// Target id; Chromium gives the main frame the same id.
    pub(super) target: String,
    /// The session attached to it.
    pub(super) session: Session,
}

#[derive(Debug, Default)]
struct State {
    main: Option<Main>,
    /// Scripts to run before any other in every frame.
    scripts: Vec<String>,
    /// Sessions of cross-site frames.
    children: BTreeSet<Session>,
    /// Main-world contexts, with the frame that each belongs to.
    contexts: BTreeMap<Context, String>,
    /// The site that is given more than others.
    site: Option<Site>,
}

/// What the watcher and the page both know.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here panics while holding it; and a poisoned map is still a map.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `main` is the page; every other one is foreign.
    pub(super) fn adopt(&self, main: Main) {
        self.state().main = Some(main);
    }

    /// Adds a script and names the sessions of the frames that exist already.
    pub(super) fn add_script(&self, script: &str) -> Vec<Session> {
        let mut state = self.state();
        state.scripts.push(script.to_string());
        state.children.iter().cloned().collect()
    }

    /// From now on `site` is given what it is to have; the orders prepare the
    /// sessions that exist already.
    pub(super) fn serve_site(&self, site: Site) -> Vec<Order> {
        let mut state = self.state();
        let main = state.main.iter().map(|main| &main.session);
        let sessions = main.chain(&state.children);
        let orders = sessions.flat_map(|session| site.preparations(session)).collect();
        state.site = Some(site);
        orders
    }

    /// The contexts of all frames but the main one.
    pub(super) fn frames(&self) -> Vec<Context> {
        let state = self.state();
        let main = state.main.as_ref().map(|main| main.target.as_str());
        let others = state.contexts.iter().filter(|(_, frame)| Some(frame.as_str()) != main);
        others.map(|(context, _)| context.clone()).collect()
    }
}

/// Turns events into orders, page events and load progress.
#[derive(Debug)]
pub(super) struct Watcher {
    shared: Shared,
    events: mpsc::Sender<PageEvent>,
    load: watch::Sender<Load>,
}

impl Watcher {
    pub(super) fn new(
        shared: Shared,
        events: mpsc::Sender<PageEvent>,
        load: watch::Sender<Load>,
    ) -> Self {
        Self { shared, events, load }
    }

    /// Takes one event in; what it returns is sent at once.
    pub(super) fn on_event(&mut self, event: &Event) -> Vec<Order> {
        let session = event.session.as_deref();
        match event.method.as_ref() {
            "Target.targetCreated" => self.on_target_created(event),
            "Target.targetDestroyed" => self.on_main_lost(event, PageEvent::Closed),
            "Target.targetCrashed" => self.on_main_lost(event, PageEvent::Crashed),
            "Target.attachedToTarget" => self.on_attached(event),
            "Target.detachedFromTarget" => self.on_detached(event),
            "Page.javascriptDialogOpening" => self.on_dialog(event),
            "Fetch.requestPaused" => {
                let state = self.shared.state();
                let site = state.site.as_ref().zip(read::<RequestPaused>(event));
                site.map(|(site, paused)| site.on_request(session, paused)).into_iter().collect()
            }
            "Fetch.authRequired" => {
                let mut state = self.shared.state();
                let site = state.site.as_mut().zip(read::<AuthRequired>(event));
                site.map(|(site, asked)| site.on_challenge(session, asked)).into_iter().collect()
            }
            "Runtime.executionContextCreated" => self.on_context(event),
            "Runtime.executionContextDestroyed" => {
                if let (Some(gone), Some(session)) = (read::<ContextGone>(event), session) {
                    let context = Context { session: session.into(), id: gone.unique_id };
                    self.shared.state().contexts.remove(&context);
                }
                Vec::new()
            }
            "Runtime.executionContextsCleared" => {
                self.shared.state().contexts.retain(|c, _| Some(c.session.as_str()) != session);
                Vec::new()
            }
            "Runtime.consoleAPICalled" => {
                if let Some(call) = read::<ConsoleCall>(event) {
                    let texts: Vec<String> = call.args.iter().map(RemoteValue::text).collect();
                    self.tell_console(call.level, &texts.join(" "));
                }
                Vec::new()
            }
            "Runtime.exceptionThrown" => {
                if let Some(thrown) = read::<Thrown>(event) {
                    self.tell_console("exception".into(), &thrown.details.to_string());
                }
                Vec::new()
            }
            _ => {
                self.on_load_event(event);
                Vec::new()
            }
        }
    }

    fn main(&self) -> Option<Main> {
        self.shared.state().main.clone()
    }

    /// Crashes always find room in the queue; a page cannot talk them away.
    fn tell(&self, event: PageEvent) {
        let vital = matches!(event, PageEvent::Crashed | PageEvent::Closed);
        if vital || self.events.capacity() > RESERVE {
            let _ = self.events.try_send(event);
        }
    }

    fn tell_console(&self, level: String, text: &str) {
        self.tell(PageEvent::Console { level, text: shorten(text) });
    }

    fn on_target_created(&self, event: &Event) -> Vec<Order> {
        let (Some(created), Some(main)) = (read::<TargetEvent>(event), self.main()) else {
            return Vec::new();
        };
        let info = created.target_info;
        if info.kind != "page" || info.target_id == main.target {
            return Vec::new();
        }
        self.tell(PageEvent::ForeignTarget { url: origin_only(&info.url) });
        vec![Order::new(None, &CloseTargetParams::new(TargetId::from(info.target_id)))]
    }

    fn on_main_lost(&self, event: &Event, what: PageEvent) -> Vec<Order> {
        let lost = read::<TargetGone>(event).map(|gone| gone.target_id);
        if lost.is_some() && lost == self.main().map(|main| main.target) {
            self.shared.state().contexts.clear();
            self.load.send_modify(|load| load.losses += 1);
            self.tell(what);
        }
        Vec::new()
    }

    /// A cross-site frame waits, before its first script, for what goes here.
    fn on_attached(&self, event: &Event) -> Vec<Order> {
        let Some(attached) = read::<Attached>(event) else { return Vec::new() };
        let session = Some(attached.session_id.as_str());
        match attached.target_info.kind.as_str() {
            "iframe" => {}
            // The page itself, which we attached to.
            "page" => return Vec::new(),
            // Nothing is wanted of a worker or a worklet, but it waits as well.
            _ => return vec![Order::new(session, &RunIfWaitingForDebuggerParams::default())],
        }
        let mut state = self.shared.state();
        let mut orders = vec![Order::new(session, &EnablePage::default())];
        orders.extend(state.scripts.iter().map(|script| Order::new(session, &at_start(script))));
        orders.push(Order::new(session, &EnableRuntime::default()));
        orders.push(Order::new(session, &attach_frames()));
        orders.extend(state.site.iter().flat_map(|site| site.preparations(&attached.session_id)));
        orders.push(Order::new(session, &RunIfWaitingForDebuggerParams::default()));
        state.children.insert(attached.session_id.clone());
        orders
    }

    fn on_detached(&self, event: &Event) -> Vec<Order> {
        if let Some(detached) = read::<Detached>(event) {
            let mut state = self.shared.state();
            state.children.remove(&detached.session_id);
            state.contexts.retain(|context, _| context.session != detached.session_id);
        }
        Vec::new()
    }

    /// A dialog freezes the page and shows on the screen until it is answered.
    fn on_dialog(&self, event: &Event) -> Vec<Order> {
        if let Some(dialog) = read::<Dialog>(event) {
            let message = shorten(&dialog.message);
            self.tell(PageEvent::Dialog { kind: dialog.kind, message });
        }
        vec![Order::new(event.session.as_deref(), &HandleJavaScriptDialogParams::new(true))]
    }

    fn on_context(&self, event: &Event) -> Vec<Order> {
        if let (Some(created), Some(session)) = (read::<ContextCreated>(event), &event.session) {
            let context = created.context;
            if context.aux.is_default && context.aux.kind == "default" {
                let key = Context { session: session.clone(), id: context.unique_id };
                self.shared.state().contexts.insert(key, context.aux.frame_id);
            }
        }
        Vec::new()
    }

    /// Progress of the main frame: Network tells status and failure, Page the stages.
    fn on_load_event(&self, event: &Event) {
        let Some(main) = self.main().filter(|main| event.session.as_ref() == Some(&main.session))
        else {
            return;
        };
        match event.method.as_ref() {
            "Page.lifecycleEvent" => {
                let Some(life) = read::<Life>(event).filter(|l| l.frame_id == main.target) else {
                    return;
                };
                match life.name.as_str() {
                    "init" => self.load.send_modify(|load| load.show(&life.loader_id)),
                    "DOMContentLoaded" => self.reach(&life.loader_id, Stage::Parsed),
                    "load" => self.reach(&life.loader_id, Stage::Loaded),
                    _ => {}
                }
            }
            "Network.requestWillBeSent" => {
                let document = read::<Request>(event).filter(|request| {
                    request.kind == "Document" && request.frame_id == main.target
                });
                if let Some(request) = document {
                    self.load.send_modify(|load| {
                        load.request(&request.request_id, authority(&request.request.url))
                    });
                }
            }
            "Network.responseReceived" => {
                if let Some(answer) = read::<Response>(event) {
                    self.load.send_modify(|load| {
                        load.answer(&answer.request_id, answer.response.status);
                    });
                }
            }
            "Network.loadingFailed" => {
                if let Some(failed) = read::<Failed>(event) {
                    self.load.send_modify(|load| load.fail(&failed.request_id, &failed.error_text));
                }
            }
            _ => {}
        }
    }

    fn reach(&self, loader: &str, stage: Stage) {
        self.load.send_modify(|load| load.reach(loader, stage));
    }
}

/// Auto-attach to cross-site frames, paused until they are prepared.
///
/// Workers and worklets are paused whether or not they are attached to, and only
/// who is attached can let them run: a filter that leaves them out stops them for
/// ever. Only other pages, which are closed anyway, are left out.
pub(super) fn attach_frames() -> SetAutoAttachParams {
    let without = |kind: &str| FilterEntry { r#type: Some(kind.into()), exclude: Some(true) };
    let everything_else = FilterEntry { r#type: None, exclude: None };
    let filter = vec![without("page"), without("tab"), without("browser"), everything_else];
    let mut params = SetAutoAttachParams::new(true, true);
    params.flatten = Some(true);
    params.filter = Some(TargetFilter::new(filter));
    params
}

/// Runs `script` in every document of a session's frames before its own scripts.
pub(super) fn at_start(script: &str) -> AddScriptToEvaluateOnNewDocumentParams {
    AddScriptToEvaluateOnNewDocumentParams::new(script)
}

fn read<T: DeserializeOwned>(event: &Event) -> Option<T> {
    match T::deserialize(&event.params) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::debug!(method = %event.method, %error, "event of unknown form");
            None
        }
    }
}

/// Host and port of an address, as a proxy is asked for them.
fn authority(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

fn shorten(text: &str) -> String {
    text.chars().take(TEXT_LIMIT).collect()
}

#[cfg(test)]
#[path = "watcher_tests.rs"]
mod tests;
