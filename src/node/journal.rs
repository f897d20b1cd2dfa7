//! Reads a recording's journal while its recorder goes on writing it.

use std::io;
use std::path::PathBuf;

use tokio::fs::File;
use tokio::io::AsyncReadExt;

use crate::job::Event;

/// A longer line is no event.
const MAX_LINE: usize = 64 * 1024;

/// The journal from where it was read to.
pub(super) struct Tail {
    path: PathBuf,
    /// Open once the recorder has created it.
    file: Option<File>,
    lines: Lines,
}

/// Turns bytes as they come into the events of complete lines.
#[derive(Default)]
struct Lines {
    /// The beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    /// The line being read is too long and dropped up to its end.
    skipping: bool,
}

impl Tail {
    /// The journal at `path`, which need not exist yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, lines: Lines::default() }
    }

    /// The events whose lines were completed since the last call. Lines that
    /// are none are logged and skipped.
    pub(super) async fn read(&mut self) -> io::Result<Vec<Event>> {
        let file = match &mut self.file {
            Some(file) => file,
            none => match File::options()
                .read(true)
                .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
                .open(&self.path)
                .await
            {
                Ok(file) => none.insert(file),
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                Err(e) => return Err(e),
            },
        };
        let mut chunk = vec![0; MAX_LINE];
        let mut events = Vec::new();
        loop {
            match file.read(&mut chunk).await? {
                0 => return Ok(events),
                n => events.extend(self.lines.push(&chunk[..n])),
            }
        }
    }
}

impl Lines {
    fn push(&mut self, fresh: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for piece in fresh.split_inclusive(|&b| b == b'\n') {
            let ends = piece.ends_with(b"\n");
            if !self.skipping {
                self.partial.extend_from_slice(piece);
            }
            if self.partial.len() > MAX_LINE {
                tracing::warn!("a journal line is too long, skipped");
                self.partial.clear();
                self.skipping = true;
            }
            if ends {
                let line = std::mem::take(&mut self.partial);
                let skipped = std::mem::take(&mut self.skipping);
                match serde_json::from_slice(&line) {
                    Ok(event) => events.push(event),
                    Err(_) if skipped || line.trim_ascii().is_empty() => {}
                    // The error names a place and a kind, not the line.
                    Err(error) => {
                        tracing::warn!(%error, "a journal line is no event, skipped");
                    }
                }
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn notices(n: usize) -> (Vec<Event>, Vec<u8>) {
        let events: Vec<_> =
            (0..n).map(|i| Event::Notice { message: format!("événement {i}") }).collect();
        let mut text = Vec::new();
        for event in &events {
            serde_json::to_writer(&mut text, event).unwrap();
            text.push(b'\n');
        }
        (events, text)
    }

    proptest! {
        #[test]
        fn the_same_events_however_the_bytes_arrive(sizes in prop::collection::vec(1..90_usize, 1..60)) {
            let (events, text) = notices(12);
            let (mut lines, mut rest, mut seen) = (Lines::default(), &text[..], Vec::new());
            for size in sizes.into_iter().chain([text.len()]) {
                let (piece, after) = rest.split_at(size.min(rest.len()));
                seen.extend(lines.push(piece));
                rest = after;
            }
            prop_assert_eq!(seen, events);
        }

        #[test]
        fn garbage_never_hides_the_event_after_it(garbage: Vec<u8>) {
            let (events, text) = notices(1);
            let mut lines = Lines::default();
            lines.push(&garbage);
            lines.push(b"\n");
            prop_assert_eq!(lines.push(&text), events);
        }
    }

    #[test]
    fn an_endless_line_is_dropped_and_takes_no_memory() {
        let (events, text) = notices(1);
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.push(&[b'x'; 10_000]).is_empty());
            assert!(lines.partial.len() <= MAX_LINE + 10_000);
        }
        assert!(lines.push(b"\n").is_empty());
        assert_eq!(lines.push(&text), events);
    }

    #[tokio::test]
    async fn follows_a_file_from_before_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut tail = Tail::new(path.clone());
        assert!(tail.read().await.unwrap().is_empty());
        let (events, text) = notices(2);
        let mut file = std::fs::File::create(path).unwrap();
        let half = text.len() / 2 + 5;
        file.write_all(&text[..half]).unwrap();
        assert_eq!(tail.read().await.unwrap(), events[..1]);
        assert!(tail.read().await.unwrap().is_empty());
        file.write_all(&text[half..]).unwrap();
        assert_eq!(tail.read().await.unwrap(), events[1..]);
    }

    #[tokio::test]
    async fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), &path).unwrap();
        assert!(Tail::new(path).read().await.is_err());
    }
}
