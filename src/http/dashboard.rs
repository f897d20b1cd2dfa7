//! The dashboard: pages for people, over the same functions that the API calls.
//!
//! Whatever a page shows was rendered here and escaped by its template; the one
//! script only refreshes and copies. A page changes nothing by being read: what acts
//! is a form, and passes `gate`, which asks who sends it from where.
//!
//! Every address in a page is relative, as a proxy may serve us under a path of its
//! own. Pages know nothing of processes, files and deliveries but what `App` tells.

mod advice;
mod deliveries;
mod gate;
mod node;
mod page;
mod recording;
mod recordings;
mod session;
mod sign_in;
mod statics;
mod storage;
mod words;

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, middleware};
use url::Url;

use super::App;
use super::attempts::Attempts;
use super::error::ApiError;
use crate::config;
use crate::token::Keys;

pub(super) use session::Sessions;

/// A path and the methods that it takes.
type Route = (&'static str, fn() -> MethodRouter<Desk>);

/// Every page and form.
const ROUTES: [Route; 14] = [
    ("/", || get(recordings::list)),
    ("/start", || post(recordings::start)),
    ("/recordings/{recording_id}", || get(recording::show)),
    ("/recordings/{recording_id}/stop", || post(recording::stop)),
    ("/recordings/{recording_id}/pause", || post(recording::pause)),
    ("/recordings/{recording_id}/resume", || post(recording::resume)),
    ("/recordings/{recording_id}/upload", || post(recording::upload)),
    ("/deliveries", || get(deliveries::list)),
    ("/deliveries/replay", || post(deliveries::replay)),
    ("/storage", || get(storage::show).post(storage::check)),
    ("/node", || get(node::show)),
    (SIGN_IN, || get(sign_in::ask).post(sign_in::enter)),
    ("/sign-out", || post(sign_in::leave)),
    (STATICS, || get(statics::get)),
];

/// Where people sign in, and what its page is made of: open to everybody.
const SIGN_IN: &str = "/sign-in";
const STATICS: &str = "/static/{name}";

/// True for the path of a page or form.
pub(super) fn has(path: &str) -> bool {
    ROUTES.iter().any(|(known, _)| *known == path)
}

/// The pages, with what a request for one passes before.
pub(super) fn router(desk: Desk) -> Router {
    let routes =
        ROUTES.iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods()));
    routes
        .method_not_allowed_fallback(async || ApiError::wrong_method())
        .layer(middleware::from_fn_with_state(desk.clone(), gate::check))
        .with_state(desk)
}

/// What pages share.
#[derive(Clone)]
pub(super) struct Desk {
    app: App,
    sessions: Arc<Sessions>,
    door: Arc<Door>,
}

/// What opens the dashboard.
struct Door {
    keys: Keys,
    /// Its digest, as that is compared.
    password: Option<digest::Digest>,
    attempts: Arc<Attempts>,
    /// How this service is called from outside, if that is known.
    public: Option<Url>,
}

impl Desk {
    pub(super) fn new(
        app: App,
        settings: &config::Dashboard,
        public: Option<Url>,
        keys: Keys,
        attempts: Arc<Attempts>,
    ) -> Self {
        let secure = public.as_ref().is_some_and(|url| url.scheme() == "https");
        let password = Some(settings.password.expose()).filter(|text| !text.is_empty());
        let password = password.map(|text| digest::digest(&digest::SHA256, text.as_bytes()));
        Self {
            app,
            sessions: Arc::new(Sessions::new(settings.session, secure)),
            door: Arc::new(Door { keys, password, attempts, public }),
        }
    }

    /// Who is signed in.
    pub(super) fn sessions(&self) -> Arc<Sessions> {
        Arc::clone(&self.sessions)
    }
}

impl Door {
    /// Nothing is asked for: the service is for this machine alone.
    fn is_open(&self) -> bool {
        self.keys.is_empty() && self.password.is_none()
    }
}
