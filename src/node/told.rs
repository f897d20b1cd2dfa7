//! What the journal of a recording has told so far. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::Mono;
use crate::job::{Event, FailureKind, Stats, StopReason, Summary};
use crate::store::Step;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Process id of the recorder.
    pub(super) recorder: Option<u32>,
    /// The newest browser's process id and start.
    pub(super) browser: Option<(u32, u64)>,
    /// T0 on both clocks.
    first_frame: Option<(Mono, DateTime<Utc>)>,
    /// The last frame was taken.
    pub(super) stopped: bool,
    /// How the recorder says it ended. The first word counts.
    pub(super) end: Option<End>,
    /// Bytes of the growing file that are on disk.
    bytes: u64,
    /// Nobody else is in the room, for sure.
    empty: bool,
    /// How often it was told who is there.
    pub(super) looks: u64,
    /// Bytes of the growing file that will not be cut off as recorded in an empty
    /// room: all of them, while somebody may be there.
    pub(super) safe_bytes: u64,
    /// The file that was made of what a cut recording left.
    pub(super) salvaged: Option<Summary>,
}

/// A final event.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    /// The file is complete.
    Finished(Summary),
    /// The job failed.
    Failed {
        /// The contract's error type.
        kind: FailureKind,
        /// A sentence, which may hold secrets.
        message: String,
        /// The finished file of what had been recorded by then.
        file: Option<Summary>,
    },
}

impl Told {
    /// When the first frame was taken.
    pub(super) fn started_at(&self) -> Option<DateTime<Utc>> {
        self.first_frame.map(|(_, at)| at)
    }

    /// Takes one event in; returns the step that follows from it at once.
    pub(super) fn take(&mut self, event: &Event) -> Option<Step> {
        match event {
            Event::Started { pid, .. } => self.recorder = Some(*pid),
            Event::Browser { pid, start_ticks, .. } => self.browser = Some((*pid, *start_ticks)),
            Event::FirstFrame { t0, epoch_ms } => {
                let started_at =
                    DateTime::from_timestamp_millis(*epoch_ms).unwrap_or_else(Utc::now);
                self.first_frame = Some((*t0, started_at));
                return Some(Step::Run { started_at });
            }
            Event::Stopped { reason, at, recorded_s, .. } => {
                return Some(self.stop(*reason, Some(*at), *recorded_s));
            }
            Event::Finished(summary) if self.end.is_none() => {
                self.end = Some(End::Finished(summary.clone()));
            }
            Event::Failed { kind, message, file } if self.end.is_none() => {
                let (kind, message, file) = (*kind, message.clone(), file.clone());
                self.end = Some(End::Failed { kind, message, file });
            }
            Event::Stats(stats) => {
                self.bytes = stats.bytes;
                if !self.empty {
                    self.safe_bytes = self.bytes;
                }
            }
            // What was on disk when this was told, was recorded before.
            Event::Peers { count, .. } => {
                self.empty = *count == Some(0);
                self.looks += 1;
            }
            Event::Salvaged(summary) => self.salvaged = Some(summary.clone()),
            _ => {}
        }
        None
    }

    /// The last frame was taken, `at` if that is known.
    pub(super) fn stop(&mut self, reason: StopReason, at: Option<Mono>, recorded_s: f64) -> Step {
        self.stopped = true;
        // File time is monotonic time; a wall clock that stepped is left out.
        let stopped_at = self.first_frame.zip(at).and_then(|((t0, epoch), at)| {
            epoch.checked_add_signed(TimeDelta::from_std(at.since(t0)).ok()?)
        });
        let stopped_at = stopped_at.unwrap_or_else(Utc::now);
        Step::PostProcess { started_at: self.started_at(), stopped_at, recorded_s, reason }
    }

    /// True once the recorder has nothing more to do.
    pub(super) fn ended(&self) -> bool {
        self.end.is_some()
    }
}

/// Shorter than this is no recording.
const SHORTEST_S: f64 = 1.0;
/// Quieter than this is silence.
const SILENCE_DBFS: f64 = -60.0;

/// True unless the file is too short, or blank and silent all along.
pub(super) fn is_recording(summary: &Summary) -> bool {
    let Stats { uniform, loudest_dbfs, .. } = summary.stats;
    summary.duration_s >= SHORTEST_S && !(uniform && loudest_dbfs < SILENCE_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(duration_s: f64) -> Summary {
        Summary { duration_s, bytes: 1, width: 1280, height: 720, ..Default::default() }
    }

    #[test]
    fn a_life_is_told_step_by_step() {
        let mut told = Told::default();
        assert!(told.take(&Event::Started { pid: 7, what: None }).is_none());
        let first = Event::FirstFrame { t0: Mono(1_000_000_000), epoch_ms: 1_700_000_000_000 };
        let Some(Step::Run { started_at }) = told.take(&first) else { panic!("no run") };
        let at = Mono(3_500_000_000);
        let reason = StopReason::RoomEnded;
        let stopped = Event::Stopped { reason, at, recorded_s: 2.0, trimmed_s: 0.0 };
        let Some(Step::PostProcess { stopped_at, recorded_s, .. }) = told.take(&stopped) else {
            panic!("no end")
        };
        assert_eq!(stopped_at - started_at, TimeDelta::milliseconds(2500));
        assert_eq!((recorded_s, told.stopped, told.recorder), (2.0, true, Some(7)));
        assert!(told.take(&Event::Finished(summary(2.0))).is_none());
        assert!(told.ended());
    }

    #[test]
    fn what_is_recorded_in_an_empty_room_is_not_safe() {
        let mut told = Told::default();
        let grows = |told: &mut Told, bytes| {
            told.take(&Event::Stats(Stats { bytes, ..Stats::default() }));
            told.safe_bytes
        };
        assert_eq!(grows(&mut told, 10), 10);
        told.take(&Event::Peers { count: Some(2), peers: Vec::new() });
        assert_eq!(grows(&mut told, 20), 20);
        told.take(&Event::Peers { count: Some(0), peers: Vec::new() });
        assert_eq!(grows(&mut told, 30), 20);
        told.take(&Event::Peers { count: None, peers: Vec::new() });
        assert_eq!(grows(&mut told, 40), 40);
        told.take(&Event::Peers { count: Some(0), peers: Vec::new() });
        assert_eq!((grows(&mut told, 50), grows(&mut told, 60)), (40, 40));
        told.take(&Event::Peers { count: Some(1), peers: Vec::new() });
        assert_eq!(grows(&mut told, 70), 70);
    }

    #[test]
    fn only_the_first_end_counts() {
        let mut told = Told::default();
        told.take(&Event::Finished(summary(1.0)));
        let (kind, file) = (FailureKind::InternalError, None);
        told.take(&Event::Failed { kind, message: "late".into(), file });
        assert_eq!(told.end, Some(End::Finished(summary(1.0))));
    }
}
