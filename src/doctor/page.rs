//! The page that the trial recording shows: it moves and sounds, and needs no network.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>roomreel looks at itself</title>
<style>html,body{margin:0;height:100%;overflow:hidden;background:#123}canvas{display:block}</style>
<canvas></canvas>
<script>
const canvas = document.querySelector('canvas');
canvas.width = innerWidth;
canvas.height = innerHeight;
const pen = canvas.getContext('2d');
let n = 0;
(function paint() {
  pen.fillStyle = '#123';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (let bar = 0; bar < 8; bar++) {
    pen.fillStyle = `hsl(${bar * 45}, 80%, 50%)`;
    pen.fillRect((n * 8 + bar * 160) % (canvas.width + 160) - 160, 40 + bar * 80, 160, 60);
  }
  n++;
  requestAnimationFrame(paint);
})();
const sound = new AudioContext();
const tone = new OscillatorNode(sound, { frequency: 440 });
tone.connect(new GainNode(sound, { gain: 0.25 })).connect(sound.destination);
tone.start();
</script>
"#;

/// Serves the page until it is dropped.
pub(super) struct Server {
    /// Where.
    pub(super) url: Url,
    task: JoinHandle<()>,
}

impl Server {
    /// On a free port of the loopback.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = Url::parse(&format!("http://{}/", listener.local_addr()?));
        let url = url.map_err(io::Error::other)?;
        let task = tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // Whatever is asked, the answer is the page; nobody asks for much.
                    let mut request = [0; 4096];
                    let _ = connection.read(&mut request).await;
                    let _ = connection.write_all(answer().as_bytes()).await;
                    let _ = connection.shutdown().await;
                });
            }
        });
        Ok(Self { url, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer() -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{PAGE}",
        PAGE.len()
    )
}
