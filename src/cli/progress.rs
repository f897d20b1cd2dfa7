//! How a recording is going: one line that redraws itself on a terminal, a log
//! line every ten seconds elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use roomreel::job::{Event, Stats};
use tokio::sync::mpsc;

/// Between log lines where there is no terminal, in stats (one a second).
const LOG_EVERY: u32 = 10;

/// Shows events until the recorder hangs up.
pub(crate) async fn show(mut events: mpsc::UnboundedReceiver<Event>) {
    let bar = std::io::stderr().is_terminal().then(bar);
    let mut before = Stats::default();
    let mut since_log = 0;
    while let Some(event) = events.recv().await {
        match event {
            Event::Stats(stats) => {
                let line = describe(&before, &stats);
                before = stats;
                since_log += 1;
                if let Some(bar) = &bar {
                    bar.set_message(line);
                } else if since_log >= LOG_EVERY {
                    since_log = 0;
                    tracing::info!("{line}");
                }
            }
            other => {
                if let Some(text) = sentence(&other) {
                    match &bar {
                        Some(bar) => bar.suspend(|| tracing::info!("{text}")),
                        None => tracing::info!("{text}"),
                    }
                }
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.set_message("opening the page");
    bar
}

fn sentence(event: &Event) -> Option<String> {
    match event {
        Event::Browser { version, .. } => Some(format!("browser is up: {version}")),
        Event::Encoder { encoder } => Some(format!("the picture is made by {encoder}")),
        Event::Joined { how, .. } => Some(format!("joined the meeting (by {how})")),
        Event::FirstFrame { .. } => Some("recording".into()),
        Event::Paused { .. } => Some("paused".into()),
        Event::Resumed { .. } => Some("recording again".into()),
        Event::Stopped { reason, .. } => Some(format!("stopped: {}", reason.text())),
        _ => None,
    }
}

fn describe(before: &Stats, now: &Stats) -> String {
    let seconds = now.elapsed_s - before.elapsed_s;
    let rate =
        |a: u64, b: u64| if seconds > 0.0 { b.saturating_sub(a) as f64 / seconds } else { 0.0 };
    let level = if now.audio_dbfs <= -100.0 {
        "silent".to_string()
    } else {
        format!("{:.0} dBFS", now.audio_dbfs)
    };
    format!(
        "{} | painted {:.1} fps, recorded {:.1} fps | repeats {} ({} late) | {level} | {}",
        clock(now.elapsed_s),
        rate(before.painted, now.painted),
        rate(before.recorded, now.recorded),
        now.repeated,
        now.late,
        HumanBytes(now.bytes),
    )
}

fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_rates_of_the_last_second() {
        let before = Stats { elapsed_s: 3661.0, painted: 100, recorded: 200, ..Stats::default() };
        let now = Stats {
            elapsed_s: 3663.0,
            painted: 150,
            recorded: 260,
            repeated: 10,
            late: 1,
            audio_dbfs: -120.0,
            bytes: 2048,
            ..before
        };
        assert_eq!(
            describe(&before, &now),
            "1:01:03 | painted 25.0 fps, recorded 30.0 fps | repeats 10 (1 late) | silent | 2.00 KiB"
        );
    }
}
