//! Signing in, with a management token or the dashboard's password, and out.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use askama::Template;
use aws_lc_rs::{constant_time, digest};
use axum::Extension;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::Response;

use super::Desk;
use super::gate::{Sent, Who, see_other};
use super::page::{self, Frame, Menu};
use crate::http::query;

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/http/dashboard/askama.toml")]
struct Page {
    frame: Frame,
    /// What can be shown.
    label: &'static str,
    takes_tokens: bool,
    /// Where to go on to.
    next: String,
    /// Why the last try was none.
    problem: Option<String>,
}

/// Why somebody did not get in.
enum Shut {
    Wrong(String),
    Wait(u64),
}

pub(super) async fn ask(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    RawQuery(query): RawQuery,
) -> Response {
    if visitor.is_in {
        return see_other(&visitor.root);
    }
    let next = query::pairs(query.as_deref()).find(|(name, _)| name == "next");
    let next = next.map(|(_, value)| value).unwrap_or_default();
    let frame = Frame::new(&visitor, "Sign in", Menu::None);
    let page = desk.sign_in_page(frame, next, None);
    page::show(StatusCode::OK, &page.frame, &page)
}

pub(super) async fn enter(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    Extension(form): Sent,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
) -> Response {
    let next = form.get("next").unwrap_or_default();
    if desk.door.is_open() {
        return see_other(&visitor.root);
    }
    let (status, problem, wait) =
        match desk.admit(form.get("secret").unwrap_or_default(), from.ip()) {
            Ok(life) => {
                if let Some(old) = visitor.session {
                    desk.sessions.end(old);
                }
                tracing::info!(address = %from.ip(), "signed in to the dashboard");
                let next = if is_plain(next) { next } else { "" };
                let mut response = see_other(&format!("{}{next}", visitor.root));
                let cookie = desk.sessions.begin(life, Instant::now());
                response.headers_mut().insert(header::SET_COOKIE, cookie);
                return response;
            }
            Err(Shut::Wrong(why)) => (StatusCode::UNAUTHORIZED, why, None),
            Err(Shut::Wait(seconds)) => {
                let why = format!("Too many tries: wait {seconds} seconds before the next one.");
                (StatusCode::TOO_MANY_REQUESTS, why, Some(seconds))
            }
        };
    let frame = Frame::new(&visitor, "Sign in", Menu::None);
    let page = desk.sign_in_page(frame, next.to_owned(), Some(problem));
    let mut response = page::show(status, &page.frame, &page);
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

pub(super) async fn leave(State(desk): State<Desk>, Extension(visitor): Who) -> Response {
    let mut response = see_other(&format!("{}sign-in", visitor.root));
    if let Some(session) = visitor.session {
        response.headers_mut().insert(header::SET_COOKIE, desk.sessions.end(session));
    }
    response
}

impl Desk {
    fn sign_in_page(&self, frame: Frame, next: String, problem: Option<String>) -> Page {
        let takes_tokens = !self.door.keys.is_empty();
        let label = match (takes_tokens, self.door.password.is_some()) {
            (true, true) => "Password or management token",
            (true, false) => "Management token",
            _ => "Password",
        };
        Page { frame, label, takes_tokens, next, problem }
    }

    /// For how long who shows `secret` may come in.
    fn admit(&self, secret: &str, from: IpAddr) -> Result<Duration, Shut> {
        let token = self.door.keys.management_life(secret);
        if let Ok(life) = token {
            // No longer than the token, but for a moment at least.
            return Ok(life.clamp(Duration::from_secs(1), self.sessions.life()));
        }
        // A password can be guessed, so it is not even looked at after too many tries.
        if let Err(wait) = self.door.attempts.failed(from, Instant::now()) {
            if wait.first {
                tracing::warn!(address = %from, "too many tries to sign in: answering 429");
            }
            return Err(Shut::Wait(wait.seconds));
        }
        let given = digest::digest(&digest::SHA256, secret.as_bytes());
        let is_right = |password: &digest::Digest| {
            constant_time::verify_slices_are_equal(given.as_ref(), password.as_ref()).is_ok()
        };
        if self.door.password.as_ref().is_some_and(is_right) {
            self.door.attempts.forgive(from);
            return Ok(self.sessions.life());
        }
        tracing::info!(address = %from, "refused to sign in to the dashboard");
        Err(Shut::Wrong(match token {
            Err(refused) if secret.matches('.').count() == 2 && !self.door.keys.is_empty() => {
                format!("This token is refused: {refused}.")
            }
            _ => "That is not right. Try again.".to_owned(),
        }))
    }
}

/// True for what can be the rest of an address of ours.
fn is_plain(next: &str) -> bool {
    next.len() <= 512
        && next.bytes().all(|c| c.is_ascii_alphanumeric() || b"/-_.?=&%+".contains(&c))
}
