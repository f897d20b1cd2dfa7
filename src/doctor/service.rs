//! What the service is configured to listen on, to tell, and to store in.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, lookup_host};
use url::Url;

use super::Finding;
use crate::config::{Config, parse_endpoint_url};
use crate::storage::Destination;

/// For one name to be resolved, and for one destination to be tried.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who may call.
pub(super) fn keys(config: &Config) -> Finding {
    let listen = config.server.listen;
    match config.auth.keys.len() {
        0 if listen.ip().to_canonical().is_loopback() => {
            Finding::ok("keys", "none: whoever is on this machine may call, and nobody else can")
        }
        0 => Finding::fail(
            "keys",
            format!("none, and {listen} can be reached from other machines"),
            "set auth.keys, or listen on a loopback address",
        ),
        1 => Finding::ok("keys", "1 key: callers need a token"),
        several => Finding::ok("keys", format!("{several} keys: callers need a token")),
    }
}

/// Is the address free?
pub(super) async fn port(config: &Config) -> Finding {
    let listen = config.server.listen;
    match TcpListener::bind(listen).await {
        Ok(_) => Finding::ok("port", format!("{listen} is free")),
        Err(error) => judge_port(listen, &error),
    }
}

fn judge_port(listen: SocketAddr, error: &std::io::Error) -> Finding {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "if that is not this very service, stop what has it, or set server.listen"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 are root's: take a higher one, behind a proxy if need be"
        }
        _ => "set server.listen to an address of this machine",
    };
    Finding::fail("port", format!("cannot listen on {listen}: {error}"), advice)
}

/// Do the hosts of webhook endpoints have addresses? That they are URLs with secrets
/// that sign, the configuration itself has shown.
pub(super) async fn endpoints(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for endpoint in &config.webhooks.endpoints {
        let check = format!("webhook {}", endpoint.name);
        findings.push(match parse_endpoint_url(endpoint.url.expose()) {
            // The proxy asks for their addresses.
            Ok(url) if !config.webhooks.proxy.is_empty() => {
                Finding::ok(&check, format!("{} by webhooks.proxy", host(&url)))
            }
            Ok(url) => resolve(&check, &url).await,
            Err(problem) => Finding::fail(&check, problem, "give its url in full"),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok("webhooks", "none: nobody is told of recordings"));
    }
    findings
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

async fn resolve(check: &str, url: &Url) -> Finding {
    let (host, port) = (host(url), url.port_or_known_default().unwrap_or(443));
    let bare = host.trim_matches(['[', ']']).to_owned();
    let advice = "look at its url and at this machine's name server; deliveries are tried again \
                  for days";
    match tokio::time::timeout(PATIENCE, lookup_host((bare, port))).await {
        Ok(Ok(mut found)) => match found.next() {
            Some(address) => Finding::ok(check, format!("{host} is {}", address.ip())),
            None => Finding::warn(check, format!("{host} has no address"), advice),
        },
        Ok(Err(error)) => Finding::warn(check, format!("{host}: {error}"), advice),
        Err(_) => Finding::warn(check, format!("{host}: no answer"), advice),
    }
}

/// Do destinations take, give, sign and delete a small object?
pub(super) async fn destinations(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for configured in &config.storage.destinations {
        let check = format!("storage {}", configured.name);
        let opened = Destination::configured(&configured.name, &config.data.dir, &config.storage);
        findings.push(match opened {
            Ok(destination) => try_destination(&check, &destination).await,
            Err(error) => Finding::fail(&check, error.to_string(), "see docs/storage.md"),
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok("storage", "none: files stay in the data directory"));
    }
    findings
}

async fn try_destination(check: &str, destination: &Destination) -> Finding {
    let uri = destination.uri("");
    let advice = format!("`roomreel storage check {}` shows each step", destination.name());
    let Ok(steps) = tokio::time::timeout(PATIENCE, destination.check()).await else {
        let found = format!("{uri} gives no answer within {} s", PATIENCE.as_secs());
        return Finding::fail(check, found, advice);
    };
    let wrong = steps.iter().find_map(|step| Some((step.step, step.outcome.as_ref().err()?)));
    match wrong {
        None => Finding::ok(check, format!("{uri} takes, gives, signs and deletes")),
        Some((step, error)) => Finding::fail(check, format!("{uri}: {step}: {error}"), advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoint;
    use crate::doctor::Level;

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = Config::default();
        config.server.listen = taken.local_addr().unwrap();
        let finding = port(&config).await;
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.found.contains(&config.server.listen.to_string()), "{finding}");
        drop(taken);
        assert_eq!(port(&config).await.level, Level::Ok);
        // TEST-NET-1 of RFC 5737 is nobody's.
        config.server.listen = ([192, 0, 2, 1], 8080).into();
        assert!(port(&config).await.advice.unwrap().contains("of this machine"));
    }

    #[test]
    fn an_open_service_is_a_failure() {
        let mut config = Config::default();
        assert_eq!(keys(&config).level, Level::Ok);
        config.server.listen = ([0, 0, 0, 0], 8080).into();
        assert_eq!(keys(&config).level, Level::Fail);
    }

    #[tokio::test]
    async fn an_endpoint_whose_name_nobody_knows_is_told_of() {
        let mut config = Config::default();
        let endpoint = |name: &str, url: &str| Endpoint {
            name: name.into(),
            url: url.into(),
            headers: Default::default(),
            events: Vec::new(),
            secrets: Vec::new(),
        };
        config.webhooks.endpoints = vec![
            endpoint("here", "http://127.0.0.1:9/hooks"),
            // RFC 6761: no such name exists.
            endpoint("gone", "https://hooks.invalid/"),
        ];
        let levels: Vec<Level> =
            endpoints(&config).await.iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Ok, Level::Warn]);
    }
}
