//! Routes: the pages, their parts, the socket, and the small API for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use super::hub::Hub;
use super::rooms::is_id;
use super::socket;
use super::wire::PeerId;

/// Everything comes from this server; nothing is inlined, framed or sent
/// elsewhere. The stylesheet positions tiles through the CSSOM, which needs no
/// `unsafe-inline`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     media-src 'self' blob: mediastream:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

/// One signalling message; a session description with a shared screen is about
/// 10 KiB.
const MAX_MESSAGE: usize = 128 * 1024;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// What the pages are made of, besides their HTML.
const ASSETS: &[(&str, &str, &str)] = &[
    ("demo.css", CSS, include_str!("page/demo.css")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("home.js", JS, include_str!("page/home.js")),
    ("room.js", JS, include_str!("page/room.js")),
    ("signal.js", JS, include_str!("page/signal.js")),
    ("mesh.js", JS, include_str!("page/mesh.js")),
    ("media.js", JS, include_str!("page/media.js")),
    ("stage.js", JS, include_str!("page/stage.js")),
    ("layout.js", JS, include_str!("page/layout.js")),
];

#[derive(Debug, Clone)]
struct Site {
    hub: Arc<Hub>,
    shutdown: CancellationToken,
}

/// The demo room as a router with rooms of its own. Sockets end when `shutdown`
/// is cancelled. The API answers only with connection addresses known, so serve
/// it with `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn router(shutdown: CancellationToken) -> Router {
    let api = Router::new()
        .route("/{room}", get(list))
        .route("/{room}/end", post(end))
        .route("/{room}/peers/{id}/remove", post(remove))
        .fallback(|| async { not_found("no such call") })
        .layer(middleware::from_fn(only_loopback));
    Router::new()
        .route("/", get(|| async { page(include_str!("page/home.html")) }))
        .route("/preview/{room}/{role}", get(room))
        .route("/meeting/{room}/{role}", get(room))
        .route("/assets/{name}", get(asset))
        .route("/ws", any(upgrade))
        .nest("/api/rooms", api)
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is no such page.") })
        .layer(DefaultBodyLimit::max(4096))
        .layer(middleware::from_fn(only_this_site))
        .with_state(Site { hub: Arc::default(), shutdown })
}

fn page(html: &'static str) -> Response {
    Html(html).into_response()
}

async fn room(Path((room, role)): Path<(String, String)>) -> Response {
    if is_id(&room) && is_id(&role) {
        return page(include_str!("page/room.html"));
    }
    let problem = "A room and a role are 1 to 64 letters, digits, dots, dashes or underscores.";
    (StatusCode::NOT_FOUND, problem).into_response()
}

async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|(known, ..)| *known == name) {
        Some((_, kind, text)) => ([(header::CONTENT_TYPE, *kind)], *text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn upgrade(State(site): State<Site>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_MESSAGE)
        .on_upgrade(move |socket| socket::serve(socket, site.hub, site.shutdown))
}

async fn list(State(site): State<Site>, Path(room): Path<String>) -> Json<Value> {
    Json(json!({ "peers": site.hub.roster(&room) }))
}

/// Cross-site pages can send forms but no JSON without asking first, and are
/// told no; so a body of that type is required although it says nothing.
type AnyJson = Result<Json<Value>, JsonRejection>;

async fn end(State(site): State<Site>, Path(room): Path<String>, body: AnyJson) -> Response {
    if let Err(rejection) = body {
        return problem(rejection.status(), &rejection.body_text());
    }
    if site.hub.end(&room) { Json(json!({})).into_response() } else { not_found("no such room") }
}

async fn remove(
    State(site): State<Site>,
    Path((room, id)): Path<(String, u64)>,
    body: AnyJson,
) -> Response {
    if let Err(rejection) = body {
        return problem(rejection.status(), &rejection.body_text());
    }
    if site.hub.remove(&room, PeerId(id)) {
        Json(json!({})).into_response()
    } else {
        not_found("no such peer in this room")
    }
}

fn not_found(what: &str) -> Response {
    problem(StatusCode::NOT_FOUND, what)
}

fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

/// The API is for tools on this machine.
async fn only_loopback(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let proxied = request.headers().contains_key("forwarded")
        || request.headers().contains_key("x-forwarded-for");
    if peer.is_some_and(|ip| ip.to_canonical().is_loopback()) && !proxied {
        next.run(request).await
    } else {
        problem(StatusCode::FORBIDDEN, "only for programs on this machine")
    }
}

/// Refuses names that are not ours, so that no other site's name can be pointed
/// here (DNS rebinding), and requests that another site's page makes; then adds
/// the headers that every answer carries.
async fn only_this_site(request: Request<Body>, next: Next) -> Response {
    let mut response = if is_this_site(request.headers()) {
        next.run(request).await
    } else {
        problem(StatusCode::FORBIDDEN, "open this by localhost or by the address of the machine")
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_this_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let Some(host) = text(header::HOST) else { return false };
    let Some(ours) = Url::parse(&format!("http://{host}")).ok() else { return false };
    let known = match ours.host() {
        // A page elsewhere cannot have an address for its name.
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    let same = match headers.get(header::ORIGIN) {
        None => true,
        Some(_) => text(header::ORIGIN)
            .and_then(|origin| Url::parse(origin).ok())
            .is_some_and(|origin| origin.authority() == ours.authority()),
    };
    known && same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_and_pages_of_this_site() {
        let table = [
            ("127.0.0.1:8090", None, true),
            ("localhost:8090", None, true),
            ("[::1]:8090", None, true),
            ("room.localhost", None, true),
            ("192.0.2.7:8090", None, true),
            ("evil.example:8090", None, false),
            ("localhost.evil.example", None, false),
            ("", None, false),
            ("localhost:8090", Some("http://localhost:8090"), true),
            ("localhost:8090", Some("http://localhost:1"), false),
            ("localhost:8090", Some("http://127.0.0.1:8090"), false),
            ("localhost:8090", Some("https://evil.example"), false),
            ("localhost:8090", Some("null"), false),
        ];
        for (host, origin, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_this_site(&headers), expected, "{host} {origin:?}");
        }
        assert!(!is_this_site(&HeaderMap::new()));
    }

    #[test]
    fn every_part_that_a_page_names_is_served() {
        let pages = [include_str!("page/home.html"), include_str!("page/room.html")];
        let parts = pages.iter().flat_map(|html| html.split("\"/assets/").skip(1));
        let imports = ASSETS.iter().flat_map(|(.., text)| text.split("from './").skip(1));
        let named: Vec<&str> =
            parts.chain(imports).filter_map(|rest| rest.split(['"', '\'']).next()).collect();
        assert!(named.len() > 8, "{named:?}");
        for name in named {
            assert!(ASSETS.iter().any(|(known, ..)| *known == name), "{name}");
        }
        for html in pages {
            // The policy would block them.
            assert!(!html.contains("<style") && !html.contains(" style="));
            assert!(html.matches("<script").count() == html.matches("src=\"/assets/").count());
        }
    }
}
