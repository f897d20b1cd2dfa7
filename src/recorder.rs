//! One recording, from its spec to the finished file.
//!
//! Called by the `record` command in its own process and by the `recorder`
//! command, which the service starts once per recording. Knows no storage, no
//! database, no HTTP and no credential but the meeting URL's own.
//!
//! [`record`] reads as the story: open the studio (encoder, screen, speaker),
//! attend the meeting (browser, join, stay), finish the file.

pub mod confine;
pub mod control;
pub mod encoder;
mod error;
mod gate;
pub mod journal;
mod meeting;
pub mod place;
mod recover;
mod studio;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use self::control::{Control, aborted};
pub use self::error::RecordError;
use self::journal::Journal;
use self::place::Output;
pub use self::recover::recover;
use self::studio::Studio;
use crate::clock::Mono;
use crate::job::{
    EncoderKind, EncoderWish, Event, RecordingSpec, Stats, StopReason, Summary, TrimEmpty, What,
};

/// Everything [`record`] needs to be told.
pub struct Order {
    /// What to record, and how.
    pub spec: RecordingSpec,
    /// Where the file goes.
    pub output: Output,
    /// Where events go.
    pub journal: Journal,
    /// A private directory with a short path for sockets and the browser, see
    /// [`place::runtime_dir`].
    pub runtime: TempDir,
    /// Stop and abort, from the terminal or the control socket.
    pub controls: mpsc::Receiver<Control>,
    /// The newest counters, for whoever asks for them.
    pub stats: watch::Sender<Stats>,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// The finished file. A recording that failed half-way has one too.
    pub file: Option<(PathBuf, Summary)>,
    /// The part file, where there is footage that could not be finished.
    pub part: Option<PathBuf>,
    /// How it ended.
    pub end: Result<StopReason, RecordError>,
}

/// The end of the attendance: why, and the last instant that belongs in the file.
#[derive(Debug)]
struct End {
    reason: Result<StopReason, RecordError>,
    at: Mono,
}

/// Records one meeting.
///
/// Ends by a [`Control`], at the maximum duration, when the page says that the
/// meeting is over, when everybody else has left or nobody has come, or when
/// browser, encoder or disk fail for good. Whatever was recorded by then is
/// finalised, also after a failure; where encoder or disk failed it is in the part file,
/// to be salvaged. Only of a meeting that nobody came to nothing is kept, unless nothing is
/// to be trimmed. A file that is whole and not worth having (shorter than a second, or
/// blank) fails, too, and is kept.
pub async fn record(order: Order) -> Outcome {
    let Order { spec, output, mut journal, runtime, mut controls, stats } = order;
    let what = What {
        room_id: spec.room_id.clone(),
        resolution: spec.quality.resolution,
        audio_only: spec.audio_only,
    };
    // What viewers should know of how it was made.
    let mut told = Vec::new();
    journal.tell(Event::Started { pid: std::process::id(), what: Some(what) });

    let encoder = encoder_of(&spec, &mut journal, &mut told).await;
    let mut studio = match Studio::open(&spec, encoder, &output, runtime) {
        Ok(studio) => studio,
        Err(error) => return failed(error, None, None, &mut journal),
    };
    let end = meeting::attend(&spec, &mut studio, &mut controls, &stats, &mut journal).await;
    studio.stop(end.at);
    let part = output.part();
    let Some(t0) = studio.t0() else {
        // Nothing was recorded: the empty part file would only look like something.
        drop(studio);
        let _ = std::fs::remove_file(&part);
        let error = end.reason.err().unwrap_or(RecordError::StoppedBeforeJoin);
        return failed(error, None, None, &mut journal);
    };
    if matches!(end.reason, Err(RecordError::Aborted)) {
        drop(studio);
        return failed(RecordError::Aborted, None, Some(part), &mut journal);
    }
    if matches!(end.reason, Err(RecordError::NobodyJoined { .. }))
        && spec.presence.trim_empty != TrimEmpty::Never
    {
        // A picture of an empty room from beginning to end: trimmed, it is nothing.
        drop(studio);
        let _ = std::fs::remove_file(&part);
        let error = end.reason.err().unwrap_or(RecordError::StoppedBeforeJoin);
        return failed(error, None, None, &mut journal);
    }
    if let Ok(reason) = end.reason {
        let seconds = |frames: u64| frames as f64 / f64::from(spec.quality.fps);
        let last = tokio::select! {
            last = studio.end() => last,
            () = aborted(&mut controls) => {
                drop(studio);
                return failed(RecordError::Aborted, None, Some(part), &mut journal);
            }
        };
        let (at, recorded_s, trimmed_s) = match last {
            Some(last) => (last.at, seconds(last.frames), seconds(last.trimmed)),
            None => (end.at, studio.stats().elapsed_s, 0.0),
        };
        journal.tell(Event::Stopped { reason, at, recorded_s, trimmed_s });
    }
    told.extend(studio.fallback());
    let path = output.path(t0.epoch_ms);
    let finished = tokio::select! {
        finished = studio.finish(&path) => finished,
        // Whoever finishes the file goes on as long as the process does.
        () = aborted(&mut controls) => Err(RecordError::Aborted),
    };
    match finished {
        Ok(mut summary) => {
            let warnings = verdict::warnings(&summary, spec.audio_only);
            for warning in &warnings {
                journal.notice(warning);
            }
            summary.warnings = told.into_iter().chain(warnings).collect();
            let judged = end
                .reason
                .and_then(|reason| verdict::judge(&summary, spec.audio_only).map(|()| reason));
            match judged {
                Ok(reason) => {
                    journal.tell(Event::Finished(summary.clone()));
                    Outcome { file: Some((path, summary)), part: None, end: Ok(reason) }
                }
                Err(error) => failed(error, Some((path, summary)), None, &mut journal),
            }
        }
        Err(error) => {
            let part = part.exists().then_some(part);
            failed(end.reason.err().unwrap_or(error), None, part, &mut journal)
        }
    }
}

/// Chooses what makes the picture, and tells; `told` gets what a viewer should know.
async fn encoder_of(
    spec: &RecordingSpec,
    journal: &mut Journal,
    told: &mut Vec<String>,
) -> EncoderKind {
    if spec.audio_only {
        return EncoderKind::X264;
    }
    let choice = encoder::choose(spec.quality).await;
    if let Some(why) = choice.fallback() {
        journal.notice(&why);
        // Whoever leaves the choice to the machine has no wish that was not met.
        if spec.quality.encoder != EncoderWish::Auto {
            told.push(why);
        }
    }
    journal.tell(Event::Encoder { encoder: choice.encoder });
    choice.encoder
}

fn failed(
    error: RecordError,
    file: Option<(PathBuf, Summary)>,
    part: Option<PathBuf>,
    journal: &mut Journal,
) -> Outcome {
    journal.tell(Event::Failed {
        kind: error.kind(),
        message: error.to_string(),
        file: file.as_ref().map(|(_, summary)| summary.clone()),
    });
    Outcome { file, part, end: Err(error) }
}

/// How long a page may take to leave the room when it is closed.
const LEAVE_GRACE: Duration = Duration::from_secs(2);
