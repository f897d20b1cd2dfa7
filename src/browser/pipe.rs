//! The two pipes of `--remote-debugging-pipe`: the protocol without a port.
//!
//! Chromium reads commands at descriptor 3 and writes answers and events to
//! descriptor 4, each message ended by a NUL byte
//! (<https://chromium.googlesource.com/chromium/src/+/main/content/browser/devtools/devtools_pipe_handler.cc>).
//! Nobody else on the machine can reach them. When our ends close, as they do if
//! this process is killed, Chromium ends by itself.

use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::mpsc;

/// Where Chromium looks for its ends.
pub(super) const COMMANDS: i32 = 3;
pub(super) const MESSAGES: i32 = 4;

/// Bytes of the longest message that is read. Longer ones than what a page says
/// on its console and what it answers us do not come by themselves.
const LONGEST: u64 = 64 << 20;

/// What the browser process is given.
pub(super) struct Ends {
    /// Becomes its [`COMMANDS`].
    pub(super) commands: OwnedFd,
    /// Becomes its [`MESSAGES`].
    pub(super) messages: OwnedFd,
}

/// Our ends.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: Receiver,
    writer: Sender,
}

impl Pipe {
    /// A pair of pipes, all ends closed in processes that are not handed them.
    pub(super) fn open() -> io::Result<(Self, Ends)> {
        let (commands, writer) = pipe_with(PipeFlags::CLOEXEC)?;
        let (reader, messages) = pipe_with(PipeFlags::CLOEXEC)?;
        let pipe = Self {
            reader: Receiver::from_owned_fd(reader)?,
            writer: Sender::from_owned_fd(writer)?,
        };
        Ok((pipe, Ends { commands, messages }))
    }

    /// Two halves that do not wait for each other.
    pub(super) fn split(self) -> (Reader, Writer) {
        let (queue, queued) = mpsc::unbounded_channel();
        tokio::spawn(write(self.writer, queued));
        (Reader(BufReader::new(self.reader), Vec::new()), Writer(queue))
    }
}

/// Messages of the browser, and the one that has come in part.
pub(super) struct Reader(BufReader<Receiver>, Vec<u8>);

impl Reader {
    /// The next message, without its NUL; `None` when the browser has closed the
    /// pipe or says more than [`LONGEST`]. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        let Self(pipe, part) = self;
        let room = LONGEST.saturating_sub(part.len() as u64);
        // What was read stays in `part` if this is cancelled.
        pipe.take(room).read_until(0, part).await.ok()?;
        if part.pop() != Some(0) {
            return None;
        }
        Some(std::mem::take(part))
    }
}

/// Commands to the browser, in order.
pub(super) struct Writer(mpsc::UnboundedSender<Vec<u8>>);

impl Writer {
    /// Queues a message; it is lost if the browser is gone. What queues up is
    /// what we ask, which is little and limited by time-outs.
    pub(super) fn send(&self, mut message: Vec<u8>) {
        message.push(0);
        let _ = self.0.send(message);
    }
}

async fn write(mut pipe: Sender, mut queued: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(message) = queued.recv().await {
        if pipe.write_all(&message).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_end_at_the_nul_and_the_pipe_at_its_close() {
        let (pipe, Ends { commands, messages }) = Pipe::open().unwrap();
        let (mut reader, writer) = pipe.split();
        let mut told = Sender::from_owned_fd(messages).unwrap();
        told.write_all(b"{\"id\":1}\0{\"id\"").await.unwrap();
        assert_eq!(reader.next().await.unwrap(), b"{\"id\":1}");
        // A wait that is given up loses nothing of what has come.
        let soon = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, reader.next()).await.is_err());
        told.write_all(b":2}\0half").await.unwrap();
        assert_eq!(reader.next().await.unwrap(), b"{\"id\":2}");
        drop(told);
        assert_eq!(reader.next().await, None);

        writer.send(b"ask".to_vec());
        let mut asked = [0; 4];
        Receiver::from_owned_fd(commands).unwrap().read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"ask\0");
    }
}
