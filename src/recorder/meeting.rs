//! The attendance: a browser enters the meeting, stays, and leaves.
//!
//! Browsers may die and pages may crash; the recording goes on and the next
//! browser enters again. What ends it is decided here and nowhere else.

mod company;
mod descriptors;
mod entry;
mod hearing;
mod memory;
mod visit;
mod voices;

use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use self::company::Company;
use self::hearing::Hearing;
use super::End;
use super::control::Control;
use super::error::RecordError;
use super::gate::Gate;
use super::journal::Journal;
use super::studio::Studio;
use crate::browser::{Browser, Gone, PageEvent};
use crate::clock::Mono;
use crate::job::{RecordingSpec, Stats, StopReason};

/// How often a page that is on its way into the meeting is asked how it stands.
const READ_EVERY: Duration = Duration::from_millis(250);

/// How often one that is in is asked who is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A page that does not answer for this long gives no reading.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Browsers a recording may lose in a row before it gives up.
const MOST_BROWSERS: u32 = 10;

/// A browser that was there for so long does not count as one of them.
const STEADY: Duration = Duration::from_secs(60);

/// The longest pause before another browser is started; the first comes at once.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Crashes of the page that one browser is given.
const MOST_CRASHES: u32 = 5;

/// Between two attempts, so that a page that fails at once is not hammered.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Enters the meeting and stays until it ends.
pub(super) async fn attend(
    spec: &RecordingSpec,
    studio: &mut Studio,
    controls: &mut mpsc::Receiver<Control>,
    stats: &watch::Sender<Stats>,
    journal: &mut Journal,
) -> End {
    let mut every_second = interval(Duration::from_secs(1));
    every_second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut attendance = Attendance {
        spec,
        studio,
        controls,
        stats,
        journal,
        every_second,
        begun: None,
        paused: false,
        resumed: Mono(0),
        grown: None,
        company: Company::new(&spec.presence),
        crashes: 0,
        group: None,
        page_events: None,
        gate: Gate::Open,
        hearing: Hearing::default(),
    };
    let (mut number, mut lost) = (1_u32, 0);
    loop {
        number += 1;
        let began = Mono::now();
        let why = match attendance.visit().await {
            Left::End(end) => return end,
            // One that found no speaker is no broken installation.
            Left::Lost(why)
                if !attendance.company.has_joined() && !attendance.hearing.was_deaf() =>
            {
                return End::failed(RecordError::Browser(why));
            }
            Left::Lost(why) => why,
        };
        attendance.lose_sight();
        lost = if Mono::now().since(began) < STEADY { lost + 1 } else { 1 };
        if lost == MOST_BROWSERS {
            return attendance.settle(End::failed(RecordError::Browser(format!(
                "{why}; {MOST_BROWSERS} browsers were used up"
            ))));
        }
        attendance.journal.notice(format!("{why}; starting browser {number}"));
        let pause = tokio::time::sleep(pause_before(lost));
        if let Err(Interruption::End(end)) = attendance.or_interrupted(None, pause).await {
            return attendance.settle(end);
        }
    }
}

/// How long to wait with the next browser after `lost` were lost in a row: what ails them
/// may pass.
fn pause_before(lost: u32) -> Duration {
    match lost.checked_sub(2) {
        None => Duration::ZERO,
        Some(more) => RETRY_PAUSE.saturating_mul(1 << more.min(10)).min(LONGEST_PAUSE),
    }
}

impl End {
    fn failed(error: RecordError) -> Self {
        Self { reason: Err(error), at: Mono::now() }
    }

    fn stopped(reason: StopReason) -> Self {
        Self { reason: Ok(reason), at: Mono::now() }
    }
}

/// How one browser's visit ended.
enum Left {
    /// The recording is over.
    End(End),
    /// The browser is gone or useless; another may go on.
    Lost(String),
}

/// What can come between while something else is awaited.
enum Interruption {
    /// The recording is over.
    End(End),
    /// The page is lost, the browser lives.
    Crashed(String),
    /// The browser is lost.
    Gone(String),
}

impl From<Interruption> for Left {
    fn from(interruption: Interruption) -> Self {
        match interruption {
            Interruption::End(end) => Self::End(end),
            Interruption::Crashed(why) | Interruption::Gone(why) => Self::Lost(why),
        }
    }
}

struct Attendance<'a> {
    spec: &'a RecordingSpec,
    studio: &'a mut Studio,
    controls: &'a mut mpsc::Receiver<Control>,
    stats: &'a watch::Sender<Stats>,
    journal: &'a mut Journal,
    every_second: Interval,
    /// When recording was told to begin; it begins once.
    begun: Option<Mono>,
    paused: bool,
    /// When a pause last ended.
    resumed: Mono,
    /// Frames in the file when it last grew, and when that was.
    grown: Option<(u64, Mono)>,
    /// Who else is there.
    company: Company,
    /// Of the page, in the browser that is visiting.
    crashes: u32,
    /// Process group of the browser that is visiting.
    group: Option<u32>,
    /// Of the browser that is visiting.
    page_events: Option<mpsc::Receiver<PageEvent>>,
    /// What the browser that is visiting connects through.
    gate: Gate,
    /// Whether the browser that is visiting has its speaker.
    hearing: Hearing,
}

async fn gone(browser: Option<&Browser>) -> Gone {
    match browser {
        Some(browser) => browser.gone().await,
        None => pending().await,
    }
}

/// The loss of a browser in words.
fn lost(gone: &Gone) -> String {
    match gone {
        Gone::Exited { status, .. } => format!("the browser ended by itself ({status})"),
        Gone::Disconnected => "the connection to the browser ended".into(),
        Gone::Hung => "the browser hangs".into(),
    }
}

async fn next(events: &mut Option<mpsc::Receiver<PageEvent>>) -> Option<PageEvent> {
    match events {
        Some(events) => events.recv().await,
        None => pending().await,
    }
}

impl Attendance<'_> {
    /// Awaits `work` unless something more important happens first.
    async fn or_interrupted<T>(
        &mut self,
        browser: Option<&Browser>,
        work: impl Future<Output = T>,
    ) -> Result<T, Interruption> {
        tokio::select! {
            biased;
            interruption = self.interruption(browser) => Err(interruption),
            done = work => Ok(done),
        }
    }

    /// The next thing that cannot wait; everything else is dealt with here.
    async fn interruption(&mut self, browser: Option<&Browser>) -> Interruption {
        loop {
            tokio::select! {
                Some(control) = self.controls.recv() => match control {
                    Control::Stop(reason) => return Interruption::End(End::stopped(reason)),
                    Control::Abort => {
                        return Interruption::End(End::failed(RecordError::Aborted));
                    }
                    Control::Pause => self.pause(),
                    Control::Resume => self.resume(),
                },
                event = self.studio.encode_events.recv() => {
                    if let Some(end) = self.encoder_says(event) {
                        return Interruption::End(end);
                    }
                }
                event = self.studio.screen_events.recv() => {
                    if let Some(interruption) = self.screen_says(event) {
                        return interruption;
                    }
                }
                event = self.studio.speaker_events.recv() => {
                    if let Some(interruption) = self.speaker_says(event) {
                        return interruption;
                    }
                }
                gone = gone(browser) => {
                    return Interruption::Gone(lost(&gone));
                }
                Some(event) = next(&mut self.page_events) => {
                    if let Some(interruption) = self.page_says(event) {
                        return interruption;
                    }
                }
                refusal = self.gate.refusal() => self.journal.notice(refusal),
                _ = self.every_second.tick() => {
                    if let Some(interruption) = self.each_second() {
                        return interruption;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_replaced_at_once_and_those_that_fail_again_ever_later() {
        let pauses: Vec<u64> =
            (1..=MOST_BROWSERS).map(|lost| pause_before(lost).as_secs()).collect();
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 30, 30, 30, 30]);
    }
}
