//! The operator's own proxy, behind the guarding one: connections are asked of it
//! by `CONNECT` (RFC 9110, section 9.3.6), plain HTTP's too.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::join;

/// Bytes of an answer's head; proxies say little.
const LONGEST_HEAD: usize = 8 * 1024;

/// Host and port of an HTTP proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Upstream {
    /// A connection to `host` by way of the proxy, ready for its first byte.
    pub(super) async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let authority = join(host, port);
        let ask = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await?;
        let mut head = Vec::with_capacity(256);
        // Byte by byte: what follows the head is the server's.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == LONGEST_HEAD {
                return Err(io::Error::other("the proxy's answer has no end"));
            }
            head.push(stream.read_u8().await?);
        }
        let status = head.split(|&b| b == b' ').nth(1).unwrap_or_default();
        match status {
            [b'2', _, _] => Ok(stream),
            _ => {
                let status = String::from_utf8_lossy(status.get(..3).unwrap_or_default());
                Err(io::Error::other(format!("the proxy answered {status}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn asked(answer: &'static str) -> (String, io::Result<[u8; 2]>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut ask = [0; 256];
            let n = stream.read(&mut ask).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&ask[..n]).into_owned()
        });
        let upstream = Upstream { host: "127.0.0.1".into(), port };
        let connected = upstream.connect("::1", 443).await;
        let first = match connected {
            Ok(mut stream) => {
                let mut first = [0; 2];
                stream.read_exact(&mut first).await.map(|_| first)
            }
            Err(error) => Err(error),
        };
        (proxy.await.unwrap(), first)
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_the_servers() {
        let (ask, first) = asked("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhi").await;
        assert_eq!(ask, "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n");
        assert_eq!(&first.unwrap(), b"hi");
    }

    #[tokio::test]
    async fn a_refusal_is_told() {
        let (_, refused) = asked("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
        assert!(refused.unwrap_err().to_string().contains("407"));
        assert!(asked("HTTP/1.1 20").await.1.is_err());
    }
}
