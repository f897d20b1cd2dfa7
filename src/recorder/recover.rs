//! What a recorder that died left in its directory becomes a finished file.
//!
//! Called by `roomreel recorder --salvage`, in a process of its own that holds
//! the directory's lock; it meets no network data. Doing it twice, or being
//! killed in between and doing it again, ends with the same file.

use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;

use super::error::RecordError;
use super::journal::{self, JOURNAL, Journal, Line};
use super::place::Output;
use crate::clock::Mono;
use crate::encode::mux::{self, MuxError};
use crate::job::{EncoderKind, Event, RecordingSpec, Stats, Summary};

/// Salvages the part file in `dir` to the contract's name, `Rec-<room_id>-<epoch_ms>.mp4`,
/// and tells [`Event::Salvaged`] in the journal; a file that is finished already is
/// told of again. `None`, and a notice, if there is nothing to save.
///
/// # Errors
/// [`RecordError::Disk`] if the journal cannot be read or there is footage that
/// cannot be finished; a notice has told why, and the part file is kept.
pub fn recover(
    dir: &Path,
    spec: &RecordingSpec,
    journal: &mut Journal,
) -> Result<Option<(PathBuf, Summary)>, RecordError> {
    let lines = match journal::read_lines(&dir.join(JOURNAL)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        lines => lines.map_err(|e| RecordError::Disk(format!("cannot read the journal: {e}")))?,
    };
    let output = Output::InDirectory { dir: dir.to_path_buf(), room_id: spec.room_id.clone() };
    let part = output.part();
    let epoch_ms = match epoch(&lines) {
        Some(epoch_ms) => epoch_ms,
        None if part.exists() => tell_lost_epoch(&lines, journal),
        None => return nothing(journal),
    };
    let path = output.path(epoch_ms);
    if !part.exists() && !path.exists() {
        return nothing(journal);
    }
    let (length_s, trimmed_s) = trimmed(&lines);
    let copy_max = spec.copy_max.unwrap_or(mux::COMPACT_MAX);
    let file = match mux::salvage_by(&part, &path, length_s, copy_max) {
        Ok(file) => file,
        Err(MuxError::Empty) => return nothing(journal),
        Err(error) => {
            let message = format!("what was recorded could not be salvaged: {error}");
            journal.notice(message.clone());
            return Err(RecordError::Disk(message));
        }
    };
    let (width, height) = match spec.audio_only {
        true => (0, 0),
        false => (spec.quality.resolution.width(), spec.quality.resolution.height()),
    };
    let (stats, warnings) = last_words(&lines);
    let summary = Summary {
        duration_s: file.duration.as_secs_f64(),
        bytes: file.bytes,
        width,
        height,
        stats: Stats { bytes: file.bytes, ..stats },
        trimmed_s,
        encoders: lines.iter().filter_map(|line| encoder(&line.event)).collect(),
        warnings,
    };
    journal.tell(Event::Salvaged(summary.clone()));
    Ok(Some((path, summary)))
}

fn nothing(journal: &mut Journal) -> Result<Option<(PathBuf, Summary)>, RecordError> {
    journal.notice("nothing was recorded: there is nothing to salvage");
    Ok(None)
}

/// How long the file was to be and what was to be left out of it, in seconds: of a
/// recording that had come to its end and was being trimmed. One that had not
/// keeps everything.
fn trimmed(lines: &[Line]) -> (Option<f64>, f64) {
    let stopped = lines.iter().rev().find_map(|line| match line.event {
        Event::Stopped { recorded_s, trimmed_s, .. } => Some((recorded_s, trimmed_s)),
        _ => None,
    });
    match stopped {
        Some((recorded_s, trimmed_s)) if trimmed_s > 0.0 => (Some(recorded_s), trimmed_s),
        _ => (None, 0.0),
    }
}

/// Wall clock of T0, if the journal knows it.
fn epoch(lines: &[Line]) -> Option<i64> {
    lines.iter().find_map(|line| match line.event {
        Event::FirstFrame { epoch_ms, .. } => Some(epoch_ms),
        _ => None,
    })
}

/// A recorder that died within its first second may have written frames and not
/// their time. What it wrote last is the nearest there is; it is told, so that
/// the file's name can be found again.
fn tell_lost_epoch(lines: &[Line], journal: &mut Journal) -> i64 {
    let epoch_ms = lines.last().map_or_else(Utc::now, |line| line.time).timestamp_millis();
    let joined = lines.iter().find_map(|line| match line.event {
        Event::Joined { at, .. } => Some(at),
        _ => None,
    });
    journal.tell(Event::FirstFrame { t0: joined.unwrap_or(Mono(0)), epoch_ms });
    epoch_ms
}

/// The newest counters and the warnings that go with them.
fn last_words(lines: &[Line]) -> (Stats, Vec<String>) {
    let told = lines.iter().rev().find_map(|line| match &line.event {
        Event::Stats(stats) => Some((*stats, Vec::new())),
        Event::Finished(summary)
        | Event::Salvaged(summary)
        | Event::Failed { file: Some(summary), .. } => {
            Some((summary.stats, summary.warnings.clone()))
        }
        _ => None,
    });
    // Of a recording that ended before its first counters nothing is known.
    told.unwrap_or_default()
}

fn encoder(event: &Event) -> Option<EncoderKind> {
    match event {
        Event::Encoder { encoder } => Some(*encoder),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RecordingSpec {
        serde_json::from_value(serde_json::json!({
            "id": "", "room_id": "room", "meeting_url": "https://x.test/",
            "quality": {},
            "join": "load", "join_timeout_s": 30.0, "join_reloads": 0,
            "max_duration_s": 60.0, "browser": {},
        }))
        .unwrap()
    }

    fn run(dir: &Path) -> Result<Option<(PathBuf, Summary)>, RecordError> {
        let mut journal = Journal::open(Some(&dir.join(JOURNAL)), None).unwrap();
        recover(dir, &spec(), &mut journal)
    }

    fn events(dir: &Path) -> Vec<Event> {
        journal::read(&dir.join(JOURNAL)).unwrap()
    }

    #[test]
    fn an_empty_directory_has_nothing_to_salvage() {
        let dir = tempfile::tempdir().unwrap();
        assert!(run(dir.path()).unwrap().is_none());
        assert!(matches!(events(dir.path())[..], [Event::Notice { .. }]));
    }

    #[test]
    fn what_is_no_part_file_is_kept_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("media.part.mp4");
        std::fs::write(&part, vec![b'x'; 5000]).unwrap();
        // A journal whose last line was torn by the crash.
        std::fs::write(dir.path().join(JOURNAL), "{\"time\":\"2026-01-01T00:0").unwrap();
        assert!(run(dir.path()).is_err());
        assert!(part.exists());
        let told = events(dir.path());
        assert!(matches!(told[..], [Event::FirstFrame { .. }, Event::Notice { .. }]), "{told:?}");
        let again = epoch(&journal::read_lines(&dir.path().join(JOURNAL)).unwrap());
        assert!(run(dir.path()).is_err());
        assert_eq!(epoch(&journal::read_lines(&dir.path().join(JOURNAL)).unwrap()), again);
    }
}
