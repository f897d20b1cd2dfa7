//! The journal: everything that happened to one recording, one JSON line each.
//!
//! Written by the recorder while it records, followed by the node, and read
//! after a crash. A torn last line is possible and means nothing happened.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::job::Event;

/// The file's name in a recording's directory.
pub const JOURNAL: &str = "journal.jsonl";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Wall clock when it was written. Not `at`, which events have for the
    /// monotonic clock.
    pub time: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// The events of the journal at `path`, oldest first; a torn last line is left out.
pub fn read(path: &Path) -> io::Result<Vec<Event>> {
    Ok(read_lines(path)?.into_iter().map(|line| line.event).collect())
}

/// The same with the time of each.
pub(super) fn read_lines(path: &Path) -> io::Result<Vec<Line>> {
    // A line may be torn within a character.
    let text = std::fs::read(path)?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect())
}

/// Takes the events of one recording to its file and to whoever watches.
#[derive(Debug)]
pub struct Journal {
    /// Absent when nobody asked for a file.
    file: Option<File>,
    /// A progress display, for example; it may go away at any time.
    watcher: Option<mpsc::UnboundedSender<Event>>,
    /// A journal that cannot be written is reported once, not at every line.
    broken: bool,
}

impl Journal {
    /// A journal that appends to `path` (made with mode 0600), if given, and
    /// sends a copy of each event to `watcher`, if given. A line that a crash has
    /// torn is ended, so that the next one stands alone.
    pub fn open(
        path: Option<&Path>,
        watcher: Option<mpsc::UnboundedSender<Event>>,
    ) -> io::Result<Self> {
        let file = path
            .map(|path| {
                let mut options = OpenOptions::new();
                let mut file =
                    options.create(true).read(true).append(true).mode(0o600).open(path)?;
                end_torn_line(&mut file)?;
                io::Result::Ok(file)
            })
            .transpose()?;
        Ok(Self { file, watcher, broken: false })
    }

    /// Appends one event. Events that change a job's life are on disk when this
    /// returns; the stats of every second are not worth a sync each.
    pub fn tell(&mut self, event: Event) {
        if let Err(error) = self.append(&event)
            && !self.broken
        {
            self.broken = true;
            tracing::error!(%error, "the journal cannot be written; the recording goes on");
        }
        if let Some(watcher) = &self.watcher {
            let _ = watcher.send(event);
        }
    }

    /// A notice: one sentence in the journal and in the log.
    pub fn notice(&mut self, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!("{message}");
        self.tell(Event::Notice { message });
    }

    fn append(&mut self, event: &Event) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(&Line { time: Utc::now(), event: event.clone() })?;
        line.push(b'\n');
        file.write_all(&line)?;
        if !matches!(event, Event::Stats(_)) {
            file.sync_data()?;
        }
        Ok(())
    }
}

fn end_torn_line(file: &mut File) -> io::Result<()> {
    // What is no plain file (a pipe, /dev/null) has no old lines.
    let length = if file.metadata()?.is_file() { file.metadata()?.len() } else { 0 };
    let mut last = [b'\n'];
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last == [b'\n'] { Ok(()) } else { file.write_all(b"\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Peer;

    #[test]
    fn lines_read_back_as_events() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut journal = Journal::open(Some(&path), None).unwrap();
        let events = [
            Event::Peers { count: Some(7), peers: vec![Peer::default()] },
            Event::Stats(crate::job::Stats { painted: 3, ..Default::default() }),
            Event::Joined { how: "media".into(), at: crate::clock::Mono(5), reloads: 1 },
            Event::Notice { message: "with \"quotes\"\nand a newline".into() },
        ];
        for event in &events {
            journal.tell(event.clone());
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let read: Vec<Event> =
            text.lines().map(|l| serde_json::from_str::<Line>(l).unwrap().event).collect();
        assert_eq!(read, events);
    }
}
