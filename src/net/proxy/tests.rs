use std::collections::HashMap;
use std::net::IpAddr;

use futures::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A server that answers every connection with what it was sent, and `tag`.
async fn echo(ip: &str) -> SocketAddr {
    let listener = TcpListener::bind((ip.parse::<IpAddr>().unwrap(), 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                while let Ok(count) = stream.read(&mut bytes).await {
                    if count == 0 || stream.write_all(&bytes[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn open_loopback() -> Guard {
    Guard::new(["127.0.0.1/32".parse().unwrap()])
}

async fn admitted(guard: Guard, closed: Vec<u16>) -> (Proxy, mpsc::Receiver<Refusal>) {
    let (proxy, refusals) = Proxy::start(guard, closed).await.unwrap();
    proxy.admit(rustix::process::geteuid().as_raw());
    (proxy, refusals)
}

/// Asks for a tunnel; the status and the stream behind the answer.
async fn connect(proxy: &Proxy, target: &str) -> (u16, TcpStream) {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return (0, stream) };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), stream)
}

/// Sends a request as it is and reads to the end of the connection.
async fn raw(proxy: &Proxy, request: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_to_what_is_open() {
    let server = echo("127.0.0.1").await;
    let (proxy, _) = admitted(open_loopback(), Vec::new()).await;
    let (status, mut stream) = connect(&proxy, &server.to_string()).await;
    assert_eq!(status, 200);
    let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    let (mut reader, mut writer) = stream.split();
    let mut got = vec![0; sent.len()];
    let (wrote, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut got));
    wrote.unwrap();
    read.unwrap();
    assert!(got == sent);
    drop(proxy);
    // The connection ends with the proxy.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn the_inside_is_refused_and_told_once() {
    let server = echo("127.0.0.2").await;
    let (proxy, mut refusals) = admitted(open_loopback(), Vec::new()).await;
    for target in [server.to_string(), "169.254.169.254:80".into(), "[::1]:80".into()] {
        for _ in 0..2 {
            assert_eq!(connect(&proxy, &target).await.0, 403, "{target}");
        }
        let told = refusals.recv().await.unwrap();
        assert_eq!(told.authority, target);
        assert!(told.why.contains("not a public address"), "{told:?}");
        assert!(refusals.try_recv().is_err());
        assert_eq!(proxy.why(&target), Some(told.why));
    }
    assert_eq!(proxy.why("room.test:443"), None);
    // A plain request gets no answer that a page could read.
    let request = format!("GET http://{server}/ HTTP/1.1\r\nHost: {server}\r\n\r\n");
    assert_eq!(raw(&proxy, &request).await, "");
}

#[tokio::test]
async fn a_port_of_ours_is_closed_whatever_is_allowed() {
    let server = echo("127.0.0.1").await;
    let (proxy, _refusals) = admitted(open_loopback(), vec![server.port()]).await;
    let own = proxy.address();
    for target in [server, own] {
        assert_eq!(connect(&proxy, &target.to_string()).await.0, 403);
        assert!(proxy.why(&target.to_string()).unwrap().contains("closed to pages"));
    }
}

#[tokio::test]
async fn a_name_is_checked_each_time_it_is_connected_to() {
    let server = echo("127.0.0.1").await;
    let inside = echo("127.0.0.2").await;
    // The first answer is open, those that follow are not.
    let answers = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let guard = open_loopback().with_lookup(Arc::new(move |name: &str| {
        let mut answers = answers.lock().unwrap();
        let count = answers.entry(name.to_owned()).or_default();
        *count += 1;
        let found = match (name, *count) {
            ("rebind.test", 1) => vec!["127.0.0.1"],
            ("rebind.test", _) => vec!["127.0.0.2"],
            ("mixed.test", _) => vec!["127.0.0.1", "10.0.0.1"],
            _ => vec![],
        };
        let found = found.into_iter().map(|ip| ip.parse().unwrap()).collect();
        std::future::ready(Ok(found)).boxed()
    }));
    let (proxy, mut refusals) = admitted(guard, Vec::new()).await;
    let target = format!("rebind.test:{}", server.port());
    assert_eq!(connect(&proxy, &target).await.0, 200);
    let target = format!("rebind.test:{}", inside.port());
    assert_eq!(connect(&proxy, &target).await.0, 403);
    assert!(refusals.recv().await.unwrap().why.contains("leads to 127.0.0.2"));
    assert_eq!(connect(&proxy, &format!("mixed.test:{}", server.port())).await.0, 403);
    assert_eq!(connect(&proxy, "nowhere.test:80").await.0, 403);
    assert!(proxy.why("nowhere.test:80").unwrap().contains("cannot be resolved"));
}

#[tokio::test]
async fn what_does_not_answer_is_said_so() {
    let gone = echo("127.0.0.1").await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (proxy, mut refusals) = admitted(open_loopback(), Vec::new()).await;
    assert_eq!(connect(&proxy, &free.to_string()).await.0, 502);
    assert!(proxy.why(&free.to_string()).unwrap().contains("refused"));
    assert!(refusals.try_recv().is_err(), "a broken server is no refusal");
    for request in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET ftp://x/ HTTP/1.1\r\n\r\n"] {
        assert_eq!(raw(&proxy, request).await, "", "{request}");
    }
    let bad = raw(&proxy, "CONNECT nohost HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(bad.starts_with("HTTP/1.1 400"), "{bad}");
    assert_eq!(connect(&proxy, &gone.to_string()).await.0, 200);
}

#[tokio::test]
async fn plain_requests_reach_the_server_they_name() {
    let server = echo("127.0.0.1").await;
    let (proxy, _) = admitted(open_loopback(), Vec::new()).await;
    // The echo's answer is the request itself: no response, but its text shows
    // in the failure of a client; a real server is asked in the browser's tests.
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let ask = format!("GET http://{server}/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "what is no HTTP is not passed on");
}

#[tokio::test]
async fn nobody_but_the_browsers_user_gets_through() {
    let server = echo("127.0.0.1").await;
    let (proxy, _refusals) = Proxy::start(open_loopback(), Vec::new()).await.unwrap();
    proxy.admit(rustix::process::geteuid().as_raw() + 1);
    assert_eq!(connect(&proxy, &server.to_string()).await.0, 0);
    // One that comes before the user is known waits for it.
    let (proxy, _refusals) = Proxy::start(open_loopback(), Vec::new()).await.unwrap();
    let target = server.to_string();
    let early = connect(&proxy, &target);
    let late = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        proxy.admit(rustix::process::geteuid().as_raw());
    };
    assert_eq!(tokio::join!(early, late).0.0, 200);
}
