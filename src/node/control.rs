//! One command to a recorder process, one reply: JSON lines over the Unix
//! socket `control.sock` in the directory of the recording.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::job::{Command, Reply};

/// How long one exchange may take; a recorder answers at once or is stuck.
const PATIENCE: Duration = Duration::from_secs(5);
/// No reply is longer.
const MAX_REPLY: u64 = 64 * 1024;

/// Sends the command to the recorder of the recording in `dir`.
///
/// Fails while there is no recorder listening, and with
/// [`io::ErrorKind::TimedOut`] if it does not answer.
pub(super) async fn send(dir: &Path, command: Command) -> io::Result<Reply> {
    tokio::time::timeout(PATIENCE, exchange(dir, command)).await?
}

async fn exchange(dir: &Path, command: Command) -> io::Result<Reply> {
    // A socket's path has at most 107 bytes (unix(7)), a directory's any number:
    // go through the directory's descriptor.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let dir = rustix::fs::open(dir, flags, Mode::empty())?;
    let path = format!("/proc/self/fd/{}/control.sock", dir.as_raw_fd());
    let mut stream = UnixStream::connect(path).await?;
    let mut line = serde_json::to_vec(&command)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut reply = String::new();
    BufReader::new(stream.take(MAX_REPLY)).read_line(&mut reply).await?;
    Ok(serde_json::from_str(&reply)?)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;
    use crate::job::StopReason;

    async fn answer(dir: &Path, reply: &'static [u8]) -> (io::Result<Reply>, String) {
        // Bound under a short path, then moved to where only a descriptor reaches.
        let short = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(short.path().join("control.sock")).unwrap();
        std::fs::rename(short.path().join("control.sock"), dir.join("control.sock")).unwrap();
        let recorder = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut line = String::new();
            BufReader::new(&mut stream).read_line(&mut line).await.unwrap();
            stream.write_all(reply).await.unwrap();
            line
        };
        tokio::join!(send(dir, Command::Stop { reason: StopReason::MaxDuration }), recorder)
    }

    #[tokio::test]
    async fn one_line_there_and_one_back_however_long_the_path() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("d".repeat(200));
        std::fs::create_dir(&dir).unwrap();
        let (reply, line) = answer(&dir, b"{\"reply\":\"ok\"}\n").await;
        assert_eq!(reply.unwrap(), Reply::Ok);
        assert_eq!(line, "{\"command\":\"stop\",\"reason\":\"max_duration\"}\n");
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error() {
        for reply in [&b"sure\n"[..], b"", b"{\"reply\":\"ok\""] {
            let dir = tempfile::tempdir().unwrap();
            assert!(answer(dir.path(), reply).await.0.is_err(), "{reply:?}");
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let command = Command::Status;
        assert_eq!(send(dir.path(), command).await.unwrap_err().kind(), io::ErrorKind::NotFound);
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("control.sock")).unwrap());
        let refused = send(dir.path(), command).await.unwrap_err().kind();
        assert_eq!(refused, io::ErrorKind::ConnectionRefused);
    }
}
