//! The attendance: a browser enters the meeting, stays, and leaves.
//!
//! Browsers may die and pages may crash; the recording goes on and the next
//! browser enters again. What ends it is decided here and nowhere else.

mod company;
mod descriptors;
mod hearing;
mod memory;
mod voices;

use std::future::pending;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use self::company::Company;
use self::hearing::Hearing;
use super::control::Control;
use super::error::RecordError;
use super::gate::Gate;
use super::journal::Journal;
use super::studio::Studio;
use super::{End, LEAVE_GRACE};
use crate::browser::{Browser, EvaluateError, Gone, Launch, PageEvent, Surface};
use crate::clock::Mono;
use crate::job::{Event, RecordingSpec, Stats, StopReason};
use crate::room::{self, JoinWatch, Over, Reading, Verdict};

/// How often the page is asked who is there.
const READ_EVERY: Duration = Duration::from_millis(250);

/// A page that does not answer for this long gives no reading.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Browsers a recording may use up before it gives up.
const MOST_BROWSERS: u32 = 10;

/// Crashes of the page that one browser is given.
const MOST_CRASHES: u32 = 5;

/// Between two attempts, so that a page that fails at once is not hammered.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Enters the meeting and stays until it ends.
pub(super) async fn attend(
    spec: &RecordingSpec,
    studio: &mut Studio,
    controls: mpsc::Receiver<Control>,
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
    let mut last_words = String::new();
    for number in 1..=MOST_BROWSERS {
        match attendance.visit().await {
            Left::End(end) => return end,
            // One that found no speaker is no broken installation.
            Left::Lost(why)
                if !attendance.company.has_joined() && !attendance.hearing.was_deaf() =>
            {
                return End::failed(RecordError::Browser(why));
            }
            Left::Lost(why) => {
                attendance.lose_sight();
                attendance.journal.notice(format!("{why}; starting browser {}", number + 1));
                last_words = why;
            }
        }
    }
    attendance.settle(End::failed(RecordError::Browser(format!(
        "{last_words}; {MOST_BROWSERS} browsers were used up"
    ))))
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
    controls: mpsc::Receiver<Control>,
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
    /// One browser's visit: started, into the meeting, until something ends it,
    /// out of the meeting again.
    async fn visit(&mut self) -> Left {
        self.gate = match Gate::open(self.spec).await {
            Ok(gate) => gate,
            Err(error) => return Left::End(End::failed(error)),
        };
        let launch = Launch {
            options: self.spec.browser.clone(),
            page: self.spec.page.clone(),
            surface: Surface::Screen {
                wayland_socket: self.studio.wayland_socket().to_path_buf(),
                pulse_socket: self.studio.pulse_socket().to_path_buf(),
                width: self.spec.resolution.width(),
                height: self.spec.resolution.height(),
            },
            runtime_dir: self.studio.runtime_dir().to_path_buf(),
            capture_files: None,
            proxy: self.gate.address(),
        };
        let browser = match self.or_interrupted(None, Browser::launch(launch)).await {
            Ok(Ok(browser)) => browser,
            Ok(Err(error)) => return Left::Lost(error.to_string()),
            Err(interruption) => return interruption.into(),
        };
        self.gate.admit(&browser);
        self.journal.tell(Event::Browser {
            pid: browser.pid(),
            start_ticks: browser.start_ticks(),
            version: browser.version().to_owned(),
        });
        self.group = Some(browser.pid());
        self.page_events = browser.page().events();
        self.crashes = 0;
        self.hearing.begin(Mono::now());
        // One that cannot do even this is noticed when it does not come.
        let _ = browser.page().evaluate::<bool>(hearing::WAKE, READ_TIMEOUT).await;
        let mut left = self.attend_with(&browser).await;
        self.group = None;
        self.page_events = None;
        self.hearing.end();
        if let Left::End(end) = left {
            let end = self.settle(end);
            // Before the page leaves the room: its farewell is not in the file.
            self.studio.stop(end.at);
            left = Left::End(end);
        }
        browser.close(LEAVE_GRACE).await;
        left
    }

    /// Enters and stays; enters again when only the page was lost.
    async fn attend_with(&mut self, browser: &Browser) -> Left {
        let page = browser.page();
        let prepared = match page.install(room::install_script()).await {
            Ok(()) => page.prepare(&self.spec.meeting_url, &self.spec.page).await,
            failed => failed,
        };
        if let Err(error) = prepared {
            return Left::Lost(format!("the page could not be prepared: {error}"));
        }
        loop {
            let left = match self.enter(browser).await {
                Ok(watch) => self.stay(browser, watch).await,
                Err(interruption) => interruption,
            };
            match left {
                Interruption::End(end) => return Left::End(end),
                Interruption::Gone(why) => return Left::Lost(why),
                Interruption::Crashed(why) => {
                    self.lose_sight();
                    self.journal.notice(format!("{why}; loading it again"));
                    self.crashes += 1;
                    if self.crashes > MOST_CRASHES {
                        return Left::Lost(format!("{why} {MOST_CRASHES} times"));
                    }
                }
            }
        }
    }

    /// Loads the page until the meeting is joined, at most `join_reloads` times
    /// more than once.
    async fn enter(&mut self, browser: &Browser) -> Result<JoinWatch, Interruption> {
        let mut why = String::new();
        for reloads in 0..=self.spec.join_reloads {
            if reloads > 0 {
                self.journal.notice(format!("{why}; trying again ({reloads})"));
                self.or_interrupted(Some(browser), sleep(RETRY_PAUSE)).await?;
            }
            match self.load_and_join(browser, reloads).await? {
                Ok(watch) => return Ok(watch),
                Err(reason) => why = reason,
            }
        }
        let tries = self.spec.join_reloads + 1;
        Err(Interruption::End(End::failed(RecordError::NotJoined { tries, why })))
    }

    /// One load of the page; the inner error says why it did not join.
    async fn load_and_join(
        &mut self,
        browser: &Browser,
        reloads: u32,
    ) -> Result<Result<JoinWatch, String>, Interruption> {
        let limit = self.spec.join_timeout();
        let opened = Mono::now();
        self.company.tokens.clear();
        let goto = browser.page().goto(&self.spec.meeting_url, limit);
        if let Err(error) = self.or_interrupted(Some(browser), goto).await? {
            return Ok(Err(self.gate.explain(browser, &error)));
        }
        // One time-out covers the load and the joining.
        let mut watch = JoinWatch::new(self.spec.join, opened, limit);
        loop {
            let reading = self.read(browser).await?;
            self.pass_tokens(&mut watch);
            match watch.feed(Mono::now(), reading.as_ref()) {
                Verdict::Joined { how } => {
                    self.joined(how, reloads);
                    self.check_size(browser).await?;
                    return Ok(Ok(watch));
                }
                // Not reached before `Joined`, and no reason to wait either.
                Verdict::Present | Verdict::Away | Verdict::Lost { .. } => return Ok(Ok(watch)),
                // It ended while the page was away.
                Verdict::Ended { .. } if self.company.has_joined() => {
                    return Err(Interruption::End(End::stopped(StopReason::RoomEnded)));
                }
                Verdict::Ended { .. } => {
                    return Ok(Err("the page says the meeting is over".into()));
                }
                Verdict::Refused { why } => {
                    return Ok(Err(format!("the page says that it cannot join{why}")));
                }
                Verdict::Expired => {
                    return Ok(Err(format!(
                        "the page loaded but did not join the meeting within {} s",
                        limit.as_secs_f64()
                    )));
                }
                Verdict::Waiting => {}
            }
            self.or_interrupted(Some(browser), sleep(READ_EVERY)).await?;
        }
    }

    /// A page that is not laid out for the picture's size would be cut off.
    async fn check_size(&mut self, browser: &Browser) -> Result<(), Interruption> {
        let wanted = (self.spec.resolution.width(), self.spec.resolution.height());
        let ask = browser.page().inner_size(READ_TIMEOUT);
        if let Ok(found) = self.or_interrupted(Some(browser), ask).await?
            && found != wanted
        {
            self.journal.notice(format!(
                "the page is laid out for {}x{}, not for {}",
                found.0, found.1, self.spec.resolution
            ));
        }
        Ok(())
    }

    /// In the meeting: reads who is there until something ends the visit.
    async fn stay(&mut self, browser: &Browser, mut watch: JoinWatch) -> Interruption {
        loop {
            let reading = match self.read(browser).await {
                Ok(reading) => reading,
                Err(interruption) => return interruption,
            };
            self.pass_tokens(&mut watch);
            match watch.feed(Mono::now(), reading.as_ref()) {
                Verdict::Ended { over } => {
                    if over == Over::Removed {
                        self.journal.notice("the recorder was put out of the meeting");
                    }
                    return Interruption::End(End::stopped(StopReason::RoomEnded));
                }
                Verdict::Lost { why } => return Interruption::Crashed(why),
                _ => {}
            }
            if let Some(end) = self.look(reading.as_ref()) {
                return Interruption::End(end);
            }
            if let Err(interruption) = self.or_interrupted(Some(browser), sleep(READ_EVERY)).await {
                return interruption;
            }
        }
    }

    fn pass_tokens(&mut self, watch: &mut JoinWatch) {
        for token in self.company.tokens.drain(..) {
            watch.hear(token);
        }
    }

    /// Asks all frames of the page; a page that does not answer gives no reading.
    async fn read(&mut self, browser: &Browser) -> Result<Option<Reading>, Interruption> {
        let page = browser.page();
        let question = self.company.question.clone();
        let ask = async {
            let main = page.evaluate::<Reading>(&question, READ_TIMEOUT).await?;
            let frames = page.evaluate_frames::<Reading>(&question, READ_TIMEOUT).await;
            Ok::<_, EvaluateError>(main.with_frames(frames))
        };
        match self.or_interrupted(Some(browser), ask).await? {
            Ok(reading) => Ok(Some(reading)),
            Err(error) => {
                tracing::debug!(%error, "no reading of the room");
                Ok(None)
            }
        }
    }

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
