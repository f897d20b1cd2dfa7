//! Three seconds recorded of a page that moves and sounds, and judged.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::Finding;
use super::page::Server;
use crate::browser::find_program;
use crate::config::Config;
use crate::job::{Egress, JoinRule, PageOptions, PresenceRule, RecordingSpec, Summary};
use crate::recorder::journal::Journal;
use crate::recorder::place::{self, Output};
use crate::recorder::{Order, record as record_meeting};

const CHECK: &str = "recording";
const SECONDS: f64 = 3.0;
/// Sound below this is none, in dBFS; the page plays at -12.
const SILENT_DBFS: f64 = -60.0;
/// Of ten frames, how many may come late before it is worth a word.
const LATE: u64 = 1;
/// All of it, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

/// Records the page as the service would, and judges the file.
pub(super) async fn record(config: &Config) -> Vec<Finding> {
    if find_program(config.browser.options().program.as_deref()).is_err() {
        let found = "not tried without a Chromium";
        return vec![Finding::fail(CHECK, found, "see `chromium`")];
    }
    let made = tokio::time::timeout(PATIENCE, try_to_record(config)).await;
    vec![match made {
        Ok(Ok(summary)) => judge(&summary),
        Ok(Err(problem)) => Finding::fail(CHECK, problem, "run this with --verbose to see more"),
        Err(_) => Finding::fail(CHECK, "did not end within two minutes", "is the machine busy?"),
    }]
}

async fn try_to_record(config: &Config) -> Result<Summary, String> {
    let told = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let page = Server::start().await.map_err(|e| told("no port of the loopback", e))?;
    let files = place::runtime_dir().map_err(|e| told("no directory for the file", e))?;
    let runtime = place::runtime_dir().map_err(|e| told("no directory for sockets", e))?;
    let journal = Journal::open(None, None).map_err(|e| told("no journal", e))?;
    let (_control, controls) = mpsc::channel(1);
    let (stats, _) = watch::channel(Default::default());
    let spec = RecordingSpec {
        id: String::new(),
        room_id: String::new(),
        meeting_url: page.url.clone(),
        quality: config.recording.quality(),
        audio_only: false,
        join: JoinRule::Load,
        join_timeout_s: 30.0,
        join_reloads: 1,
        max_duration_s: SECONDS,
        copy_max: None,
        keep_free: 0,
        // The page is this process's own.
        egress: Egress::Open,
        browser: config.browser.options(),
        page: PageOptions::default(),
        presence: PresenceRule::default(),
    };
    let output = Output::File(files.path().join("doctor.mp4"));
    let outcome = record_meeting(Order { spec, output, journal, runtime, controls, stats }).await;
    outcome.end.map_err(|error| error.to_string())?;
    outcome.file.map(|(_, summary)| summary).ok_or_else(|| "there is no file".into())
}

fn judge(summary: &Summary) -> Finding {
    let stats = &summary.stats;
    let found = format!(
        "{:.2} s, {} frames ({} late), loudest {:.0} dBFS",
        summary.duration_s, stats.recorded, stats.late, stats.loudest_dbfs
    );
    if (summary.duration_s - SECONDS).abs() > 0.2 {
        return Finding::fail(CHECK, format!("{found}: not {SECONDS} s long"), "see `clock`");
    }
    if stats.uniform || stats.painted == 0 {
        let advice = "Chromium paints nothing on the recorder's screen: see `browser`";
        return Finding::fail(CHECK, format!("{found}: the picture is blank"), advice);
    }
    if stats.loudest_dbfs <= SILENT_DBFS {
        let advice = "Chromium plays nothing to the recorder's speaker: see `browser`";
        return Finding::fail(CHECK, format!("{found}: there is no sound"), advice);
    }
    if stats.late * 10 > stats.recorded * LATE {
        let advice = "the machine is too busy or too slow: set recording.max_concurrent lower";
        return Finding::warn(CHECK, found, advice);
    }
    Finding::ok(CHECK, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use crate::job::Stats;

    #[test]
    fn a_file_is_judged_by_length_picture_sound_and_pace() {
        let good = Summary {
            duration_s: 3.0,
            stats: Stats { recorded: 90, painted: 90, loudest_dbfs: -12.0, ..Stats::default() },
            ..Summary::default()
        };
        let level = |change: fn(&mut Summary)| {
            let mut summary = good.clone();
            change(&mut summary);
            judge(&summary).level
        };
        assert_eq!(level(|_| ()), Level::Ok);
        assert_eq!(level(|s| s.duration_s = 2.5), Level::Fail);
        assert_eq!(level(|s| s.stats.uniform = true), Level::Fail);
        assert_eq!(level(|s| s.stats.painted = 0), Level::Fail);
        assert_eq!(level(|s| s.stats.loudest_dbfs = -120.0), Level::Fail);
        assert_eq!(level(|s| s.stats.late = 10), Level::Warn);
    }
}
