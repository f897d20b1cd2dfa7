//! `roomreel record`: one recording in this process, watched by whoever typed it.

use std::path::Path;

use anyhow::anyhow;
use roomreel::config::parse_page_options;
use roomreel::job::{
    BrowserOptions, Egress, PageOptions, PresenceRule, Quality, QualityWish, RecordingSpec,
    StopReason,
};
use roomreel::recorder::control::Control;
use roomreel::recorder::journal::Journal;
use roomreel::recorder::place::{self, Output};
use roomreel::recorder::{Order, Outcome, record};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use url::Url;

use super::args::Record;
use super::{Exit, progress, runtime};

pub(crate) fn run(args: Record) -> Result<(), Exit> {
    let output = Output::File(args.output.clone());
    let journal_path = args.journal.clone();
    let spec = spec(args)?;
    output.check().map_err(|error| Exit::disk(anyhow!("cannot write {error}")))?;
    let aside = output.make_room().map_err(|error| Exit::disk(anyhow!("cannot write {error}")))?;
    if let Some(aside) = aside {
        tracing::warn!("what was there is {} now", aside.display());
    }
    let journal = |events| {
        Journal::open(journal_path.as_deref(), Some(events))
            .map_err(|error| Exit::disk(anyhow!("cannot write the journal: {error}")))
    };

    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let (events, watched) = mpsc::unbounded_channel();
        let journal = journal(events)?;
        let (control, controls) = mpsc::channel(4);
        let (stats, _) = watch::channel(Default::default());
        let signals = Signals::listen().map_err(Exit::failure)?;
        let signals = tokio::spawn(signals.obey(control));
        let showing = tokio::spawn(progress::show(watched));
        let runtime = runtime_dir()?;
        let outcome = record(Order { spec, output, journal, runtime, controls, stats }).await;
        signals.abort();
        let _ = showing.await;
        report(outcome)
    });
    // A file that is being finished is not waited for after all.
    runtime.shutdown_background();
    result
}

fn runtime_dir() -> Result<tempfile::TempDir, Exit> {
    place::runtime_dir()
        .map_err(|error| Exit::disk(anyhow!("cannot make a directory for sockets: {error}")))
}

fn spec(args: Record) -> Result<RecordingSpec, Exit> {
    let mut meeting_url =
        RecordingSpec::parse_meeting_url(&args.meeting_url).map_err(Exit::usage)?;
    if let Some(name) = &args.name {
        set_name(&mut meeting_url, name);
    }
    let mut presence = PresenceRule::from(args.presence);
    // The bot itself, should the room list it.
    presence.ignore_names.extend(args.name);
    presence.check().map_err(Exit::usage)?;
    Ok(RecordingSpec {
        id: String::new(),
        room_id: String::new(),
        meeting_url,
        quality: quality(args.quality)?,
        audio_only: args.audio_only,
        join: args.join,
        join_timeout_s: args.join_timeout.as_secs_f64(),
        join_reloads: args.join_reloads,
        max_duration_s: args.duration.as_secs_f64(),
        copy_max: None,
        keep_free: 0,
        egress: Egress::Open,
        browser: browser_options(args.browser)?,
        page: page_options(args.page.as_deref())?,
        presence,
    })
}

/// All that is wrong with it is told at once.
fn quality(args: super::args::Quality) -> Result<Quality, Exit> {
    QualityWish::from(args).over(Quality::default()).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Exit::usage(anyhow!("{}", faults.join("; ")))
    })
}

fn browser_options(args: super::args::Browser) -> Result<BrowserOptions, Exit> {
    let options = BrowserOptions::from(args);
    options.check().map_err(Exit::usage)?;
    Ok(options)
}

/// Reads a file rather than arguments, which everybody on the machine can see.
fn page_options(file: Option<&Path>) -> Result<PageOptions, Exit> {
    let Some(file) = file else { return Ok(PageOptions::default()) };
    let text = std::fs::read_to_string(file)
        .map_err(|e| Exit::usage(anyhow!("cannot read {}: {e}", file.display())))?;
    parse_page_options(&text).map_err(|e| Exit::usage(anyhow!("{}: {e}", file.display())))
}

/// Puts `name` where rooms in the style of the contract read it.
fn set_name(url: &mut Url, name: &str) {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != "name")
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("name", name);
}

/// Ctrl-C and SIGTERM, caught from before the browser starts.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The first signal stops the recording, the second aborts it.
    async fn obey(mut self, control: mpsc::Sender<Control>) {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            let what =
                if asked { Control::Abort } else { Control::Stop(StopReason::ClientRequest) };
            if !asked {
                tracing::info!("finishing the file; press Ctrl-C again to leave it as it is");
            }
            asked = true;
            if control.send(what).await.is_err() {
                return;
            }
        }
    }
}

fn report(outcome: Outcome) -> Result<(), Exit> {
    if let Some((path, summary)) = &outcome.file {
        println!("{}", path.display());
        let (seconds, bytes) = (summary.duration_s, summary.bytes);
        if summary.width == 0 {
            eprintln!("sound alone, {seconds:.2} s, {bytes} bytes");
            return outcome.end.map(|_| ()).map_err(Exit::from);
        }
        eprintln!(
            "{}x{}, {seconds:.2} s, {bytes} bytes; {} frames: {} painted, {} repeated ({} late), {} superseded",
            summary.width,
            summary.height,
            summary.stats.recorded,
            summary.stats.painted,
            summary.stats.repeated,
            summary.stats.late,
            summary.stats.superseded,
        );
    } else if let Some(part) = &outcome.part {
        let part = part.display();
        eprintln!("what was recorded is in {part}; `roomreel salvage {part}` makes an MP4 of it");
    }
    outcome.end.map(|_| ()).map_err(Exit::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_replaces_the_one_in_the_url() {
        let mut url = Url::parse("https://x.test/a?name=Old&auth_token=t%20t#f").unwrap();
        set_name(&mut url, "New & Co");
        assert_eq!(url.as_str(), "https://x.test/a?auth_token=t+t&name=New+%26+Co#f");
    }
}
