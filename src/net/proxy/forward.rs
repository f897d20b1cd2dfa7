//! What one connection of the browser asks for: tunnels (`CONNECT`, RFC 9110
//! section 9.3.6) for TLS and WebSockets, and single requests of plain HTTP
//! (absolute form, RFC 9112 section 3.2.2).

use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE, TRAILER, UPGRADE,
};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, client::conn::http1 as client};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{DialError, Shared};

type Body = BoxBody<Bytes, hyper::Error>;

/// Bytes read at a time in each direction: a few TLS records.
const BUFFER: usize = 32 << 10;

/// Headers that belong to one connection and not to the message (RFC 9110
/// section 7.6.1).
const HOP: [HeaderName; 6] = [
    CONNECTION,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    UPGRADE,
    HeaderName::from_static("proxy-connection"),
];

/// Ends the browser's connection without an answer: a page must not take a word
/// of ours for one of the server's.
#[derive(Debug, thiserror::Error)]
enum Hangup {
    #[error("not connected: {0}")]
    Dial(#[from] DialError),
    #[error("the exchange failed: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request names no host")]
    NoHost,
}

/// Serves one connection of the browser to its end.
pub(super) async fn serve(shared: Arc<Shared>, stream: TcpStream, stop: &CancellationToken) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        async move {
            if request.method() == Method::CONNECT {
                Ok(tunnel(&shared, request, stop).await)
            } else {
                exchange(&shared, request).await
            }
        }
    });
    let served = server::Builder::new()
        .timer(TokioTimer::new())
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the page ended");
    }
}

/// Host without brackets, and port.
fn target(uri: &Uri, default_port: Option<u16>) -> Option<(&str, u16)> {
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().or(default_port)?;
    (!host.is_empty()).then_some((host, port))
}

fn answer(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}

/// Connects first, so that the browser learns at once what will not work.
async fn tunnel(
    shared: &Shared,
    request: Request<Incoming>,
    stop: CancellationToken,
) -> Response<Body> {
    let Some((host, port)) = target(request.uri(), None) else {
        return answer(StatusCode::BAD_REQUEST);
    };
    let mut there = match shared.dial(host, port).await {
        Ok(there) => there,
        Err(DialError::Connect { .. }) => return answer(StatusCode::BAD_GATEWAY),
        Err(DialError::Refused(_) | DialError::Own(_)) => return answer(StatusCode::FORBIDDEN),
    };
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        // The plain socket again, without the layers of HTTP around it.
        let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
        let mut here = parts.io.into_inner();
        if there.write_all(&parts.read_buf).await.is_ok() {
            // Either end may break off at any time; the other one learns it.
            let _ = copy_bidirectional_with_sizes(&mut here, &mut there, BUFFER, BUFFER).await;
        }
    }));
    answer(StatusCode::OK)
}

/// One request on a connection of its own to the server that it names.
async fn exchange(
    shared: &Shared,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Hangup> {
    let (host, port) = match request.uri().scheme_str() {
        Some("http") => target(request.uri(), Some(80)).ok_or(Hangup::NoHost)?,
        _ => return Err(Hangup::NoHost),
    };
    let stream = shared.dial(host, port).await?;
    // The server sees what it would see without us: a path, and the host that
    // the URL names.
    let authority = request.uri().authority().map(|a| HeaderValue::from_str(a.as_str()));
    if let Some(Ok(authority)) = authority {
        request.headers_mut().insert(hyper::header::HOST, authority);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Hangup::NoHost)?;
    strip(request.headers_mut());
    let (mut sender, connection) =
        client::Builder::new().preserve_header_case(true).handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut response = sender.send_request(request).await?;
    strip(response.headers_mut());
    Ok(response.map(BodyExt::boxed))
}

/// Takes away what belongs to one connection, and what `Connection` says does.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_a_host_and_a_port() {
        let found = |text: &str, default| {
            let uri: Uri = text.parse().unwrap();
            target(&uri, default).map(|(host, port)| format!("{host} {port}"))
        };
        assert_eq!(found("room.test:443", None).as_deref(), Some("room.test 443"));
        assert_eq!(found("[::1]:80", None).as_deref(), Some("::1 80"));
        assert_eq!(found("http://room.test/a", Some(80)).as_deref(), Some("room.test 80"));
        assert_eq!(found("room.test", None), None);
        assert_eq!(found("/path", Some(80)), None);
    }

    #[test]
    fn headers_of_one_connection_go_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Hop"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("x-hop", "1"),
            ("accept", "*/*"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
