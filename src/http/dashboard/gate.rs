//! What a request for a page passes: who is there, and, if it is a form, whether a
//! page of ours has sent it. Handlers find the [`Visitor`] and the [`Form`] in the
//! request and need not ask again.

use axum::Extension;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::page::{self, Refusal};
use super::session::Session;
use super::{Desk, SIGN_IN, STATICS};
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::guard;

/// Who asks for a page.
#[derive(Clone)]
pub(super) struct Visitor {
    /// If they have signed in.
    pub(super) session: Option<Session>,
    /// They may see more than the page to sign in.
    pub(super) is_in: bool,
    /// What their forms carry.
    pub(super) token: String,
    /// From their page to `/`: `./`, or as many `../` as it takes.
    pub(super) root: String,
}

/// The fields of a form that one of our pages has sent.
#[derive(Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The field's text, trimmed; an empty one is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }
}

/// The field of every form that shows which page it is from.
const TOKEN: &str = "token";

/// Lets a request through or answers it.
pub(super) async fn check(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if path == Some(STATICS) {
        return next.run(request).await;
    }
    let session = desk.sessions.find(request.headers());
    let visitor = Visitor {
        session,
        is_in: session.is_some() || desk.door.is_open(),
        token: desk.sessions.form_token(session),
        root: page::root(request.uri().path()),
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && let Err(refused) = guard::own_page(request.headers(), desk.door.public.as_ref()) {
        return Refusal::of(refused, &visitor).into_response();
    }
    if !visitor.is_in && path != Some(SIGN_IN) {
        let wanted = request.uri().path_and_query().map_or("", |wanted| wanted.as_str());
        return to_sign_in(&visitor, if reads { wanted } else { "" });
    }
    let (mut parts, sent) = request.into_parts();
    if !reads {
        match form(&desk, &visitor, sent).await {
            Ok(form) => parts.extensions.insert(form),
            Err(refused) => return Refusal::of(refused, &visitor).into_response(),
        };
    }
    parts.extensions.insert(visitor);
    next.run(Request::from_parts(parts, Body::empty())).await
}

async fn form(desk: &Desk, visitor: &Visitor, sent: Body) -> Result<Form, ApiError> {
    let bytes = body::collect(sent).await?.unwrap_or_default();
    let form = Form(form_urlencoded::parse(&bytes).into_owned().collect());
    if desk.sessions.check_form(visitor.session, form.get(TOKEN).unwrap_or_default()) {
        return Ok(form);
    }
    let why = "the form is of another session: go back, load the page again and try once more";
    Err(ApiError::refused(why.into()))
}

/// Where `wanted` is shown afterwards.
fn to_sign_in(visitor: &Visitor, wanted: &str) -> Response {
    let mut to = format!("{}{}", visitor.root, &SIGN_IN[1..]);
    let wanted = wanted.trim_start_matches('/');
    if !wanted.is_empty() {
        let query =
            form_urlencoded::Serializer::new(String::new()).append_pair("next", wanted).finish();
        to = format!("{to}?{query}");
    }
    see_other(&to)
}

/// Sends a browser on to another page of ours.
pub(super) fn see_other(to: &str) -> Response {
    // Nothing of a header's end is in what is encoded.
    let to = HeaderValue::try_from(to).unwrap_or_else(|_| HeaderValue::from_static("./"));
    let headers = [(header::LOCATION, to), (header::CACHE_CONTROL, page::NO_STORE)];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// Who is there, in a handler.
pub(super) type Who = Extension<Visitor>;
/// What they sent, in a handler.
pub(super) type Sent = Extension<Form>;
