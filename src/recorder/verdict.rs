//! Whether a finished file is worth having, and what its viewer should know.
//!
//! Decided once, by the final counters, for the command line and the service
//! alike. Pure.

use super::error::RecordError;
use crate::job::Summary;

/// Seconds that a recording has at least.
pub(super) const SHORTEST_S: f64 = 1.0;

/// Sound that never exceeds this is silence: a recorder hears nothing from a
/// page that plays nothing, and less than this from a muted microphone's dither.
const SILENT_DBFS: f64 = -60.0;

/// Seconds that a page has to paint itself, if all that follows is a still picture.
const SETTLED_S: f64 = 1.0;

/// Fails a file that is too short, or holds one colour and silence. Of sound
/// alone, silence is enough.
pub(super) fn judge(summary: &Summary, audio_only: bool) -> Result<(), RecordError> {
    if summary.duration_s < SHORTEST_S {
        return Err(RecordError::Short { seconds: summary.duration_s });
    }
    let seen = !audio_only && !summary.stats.uniform;
    if !seen && summary.stats.loudest_dbfs <= SILENT_DBFS {
        return Err(RecordError::Blank { audio_only });
    }
    Ok(())
}

/// What may be right and often is not, a sentence each.
pub(super) fn warnings(summary: &Summary, audio_only: bool) -> Vec<String> {
    let stats = &summary.stats;
    if audio_only || judge(summary, audio_only).is_err() {
        return Vec::new();
    }
    if stats.uniform {
        return vec!["the picture was one colour from beginning to end".into()];
    }
    if stats.changed_s < SETTLED_S {
        return vec!["the picture did not change after the first second".into()];
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{FailureKind, Stats};

    fn summary(duration_s: f64, uniform: bool, loudest_dbfs: f64, changed_s: f64) -> Summary {
        let stats = Stats { uniform, loudest_dbfs, changed_s, ..Stats::default() };
        Summary { duration_s, stats, ..Summary::default() }
    }

    fn verdict(summary: &Summary, audio_only: bool) -> Result<usize, FailureKind> {
        let warnings = warnings(summary, audio_only).len();
        judge(summary, audio_only).map(|()| warnings).map_err(|error| error.kind())
    }

    #[test]
    fn short_and_blank_fail_and_a_slide_is_warned_of() {
        let (short, blank) =
            (Err(FailureKind::ShortRecordingError), Err(FailureKind::BlankRecordingError));
        for (summary, with_picture, sound_alone) in [
            (summary(60.0, false, -12.0, 59.0), Ok(0), Ok(0)),
            (summary(60.0, false, -120.0, 59.0), Ok(0), blank),
            (summary(60.0, true, -60.0, 0.0), blank, blank),
            (summary(60.0, true, -59.9, 0.0), Ok(1), Ok(0)),
            (summary(60.0, true, -120.0, 59.0), blank, blank),
            (summary(60.0, false, -12.0, 0.3), Ok(1), Ok(0)),
            (summary(60.0, false, -120.0, 0.0), Ok(1), blank),
            (summary(2.0, false, -12.0, 1.5), Ok(0), Ok(0)),
            (summary(0.97, false, -12.0, 0.9), short, short),
            (summary(0.5, true, -120.0, 0.0), short, short),
        ] {
            assert_eq!(verdict(&summary, false), with_picture, "{summary:?}");
            assert_eq!(verdict(&summary, true), sound_alone, "{summary:?}");
        }
    }
}
