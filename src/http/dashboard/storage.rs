//! `/storage`: where files go, and whether that works, asked now.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::future::join_all;

use super::Desk;
use super::gate::{Sent, Visitor, Who};
use super::page::{self, Frame, Menu, Refusal};
use super::words::span;
use crate::http::error::ApiError;
use crate::storage::{Destination, Finding, Health};

/// How long the page waits for a destination's answers.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Template)]
#[template(path = "storage.html", config = "src/http/dashboard/askama.toml")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
    /// They were just looked at.
    checked: bool,
}

struct Row {
    name: String,
    uri: String,
    kept: String,
    backup: String,
    /// The local disk while it only stands in for others.
    stands_in: bool,
    health: &'static str,
    class: &'static str,
    /// Each step with what was wrong.
    findings: Vec<(&'static str, Option<String>)>,
}

impl Row {
    fn of(destination: &Destination, stands_in: bool) -> Self {
        let kept = match destination.retention() {
            Duration::ZERO => "for ever".to_owned(),
            time => span(time),
        };
        let (health, class) = match destination.health() {
            Health::Unknown => ("not looked at yet", "pending"),
            Health::Good => ("works", "completed"),
            Health::Bad(trouble) => (trouble.text(), "failed"),
        };
        Self {
            name: destination.name().to_owned(),
            uri: destination.uri(""),
            kept,
            backup: destination.backup().unwrap_or_default().to_owned(),
            stands_in,
            health,
            class,
            findings: Vec::new(),
        }
    }
}

pub(super) async fn show(State(desk): State<Desk>, Extension(visitor): Who) -> Response {
    let page = desk.storage_page(&visitor);
    page::show(StatusCode::OK, &page.frame, &page)
}

/// What `roomreel storage check` does, with the destination of that name or all.
pub(super) async fn check(
    State(desk): State<Desk>,
    Extension(visitor): Who,
    Extension(form): Sent,
) -> Response {
    let names: Vec<String> = match form.get("name") {
        Some(name) => vec![name.to_owned()],
        None => desk.app.storage.all().map(|destination| destination.name().to_owned()).collect(),
    };
    if let Some(error) = names.iter().find_map(|name| desk.app.storage.get(name).err()) {
        let error = ApiError::invalid(vec![format!("name: {error}")]);
        return Refusal::of(error, &visitor).into_response();
    }
    let findings = join_all(names.iter().map(|name| desk.look_at(name))).await;
    let mut page = desk.storage_page(&visitor);
    page.checked = true;
    for (name, findings) in names.iter().zip(findings) {
        for row in page.rows.iter_mut().filter(|row| row.name == *name) {
            row.findings.clone_from(&findings);
        }
    }
    page::show(StatusCode::OK, &page.frame, &page)
}

impl Desk {
    fn storage_page(&self, visitor: &Visitor) -> Page {
        let storage = &self.app.storage;
        let stands_in = !storage.configured().is_empty();
        let own = std::iter::once(Row::of(storage.built_in(), stands_in));
        let rows = storage.configured().iter().map(|other| Row::of(other, false));
        let frame = Frame::new(visitor, "Storage", Menu::Storage);
        Page { frame, rows: rows.chain(own).collect(), checked: false }
    }

    /// A look goes on to its end if nobody waits for it: it takes away what it wrote.
    async fn look_at(&self, name: &str) -> Vec<(&'static str, Option<String>)> {
        let (storage, name) = (self.app.storage.clone(), name.to_owned());
        let look = tokio::spawn(async move {
            match storage.get(&name) {
                Ok(destination) => destination.check().await,
                Err(_) => Vec::new(),
            }
        });
        match tokio::time::timeout(PATIENCE, look).await {
            Ok(Ok(findings)) => findings.into_iter().map(told).collect(),
            _ => vec![("answer", Some(format!("there was none within {}", span(PATIENCE))))],
        }
    }
}

fn told(finding: Finding) -> (&'static str, Option<String>) {
    (finding.step, finding.outcome.err().map(|error| error.to_string()))
}
