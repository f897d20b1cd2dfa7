//! `roomreel recorder`: one recording of the service, in a process of its own.
//!
//! The spec comes on standard input, because it carries the meeting's token and
//! arguments can be read by anybody on the machine.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use roomreel::job::{RecordingSpec, StopReason};
use roomreel::recorder::confine::{Confinement, confine};
use roomreel::recorder::control::{self, Control};
use roomreel::recorder::journal::{JOURNAL, Journal};
use roomreel::recorder::place::{self, Lock, Output};
use roomreel::recorder::{Order, record, recover};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::args::Recorder;
use super::{Exit, runtime};

/// Longest spec in bytes.
const LONGEST_SPEC: u64 = 1 << 20;

pub(crate) fn run(args: Recorder) -> Result<(), Exit> {
    let spec = read_spec().map_err(Exit::usage)?;
    let dir = args.dir;
    place::create_private(&dir)
        .with_context(|| format!("cannot make {}", dir.display()))
        .map_err(Exit::disk)?;
    let _lock = Lock::take(&dir).map_err(Exit::disk)?;
    let journal = Journal::open(Some(&dir.join(JOURNAL)), None)
        .context("cannot write the journal")
        .map_err(Exit::disk)?;

    let sockets =
        place::runtime_dir().context("cannot make a directory for sockets").map_err(Exit::disk)?;
    // While there is no other thread: what follows meets a hostile page.
    let cards = spec.quality.encoder.wants_hardware() && !spec.audio_only;
    match confine(&[&dir, sockets.path()], &spec.browser, cards) {
        held @ (Confinement::Full | Confinement::Partial) => {
            tracing::info!("the recorder is {held}")
        }
        not => tracing::warn!("the recorder is {not}"),
    }

    if args.salvage {
        return salvage(&dir, &spec, journal);
    }
    runtime()?.block_on(async {
        outlive_the_service().context("cannot handle signals").map_err(Exit::failure)?;
        let (control, controls) = mpsc::channel(4);
        let (stats, newest) = watch::channel(Default::default());
        let listener =
            control::bind(&dir).context("cannot make the control socket").map_err(Exit::disk)?;
        tokio::spawn(control::serve(listener, control.clone(), newest));
        tokio::spawn(obey_sigterm(control));
        let output = Output::InDirectory { dir, room_id: spec.room_id.clone() };
        let outcome =
            record(Order { spec, output, journal, runtime: sockets, controls, stats }).await;
        outcome.end.map(|_| ()).map_err(Exit::from)
    })
}

/// Succeeds if there is a finished file in the end.
fn salvage(dir: &Path, spec: &RecordingSpec, mut journal: Journal) -> Result<(), Exit> {
    match recover(dir, spec, &mut journal)? {
        Some(_) => Ok(()),
        None => Err(Exit::failure(anyhow!("there is nothing to salvage in {}", dir.display()))),
    }
}

fn read_spec() -> anyhow::Result<RecordingSpec> {
    let mut text = String::new();
    std::io::stdin()
        .take(LONGEST_SPEC)
        .read_to_string(&mut text)
        .context("cannot read the spec")?;
    // serde's message may quote the value it stumbled over; only its place is told.
    serde_json::from_str(&text)
        .map_err(|e| anyhow!("the spec on standard input is wrong at column {}", e.column()))
}

/// Takes SIGHUP and does nothing. The kernel sends it to a stopped process whose
/// parent ends, and a terminal that is closed to all that was started in it.
fn outlive_the_service() -> std::io::Result<()> {
    // The handler stays when the stream goes.
    signal(SignalKind::hangup()).map(drop)
}

async fn obey_sigterm(control: mpsc::Sender<Control>) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    while terminate.recv().await.is_some() {
        if control.send(Control::Stop(StopReason::ClientRequest)).await.is_err() {
            return;
        }
    }
}
