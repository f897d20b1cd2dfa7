//! One browser's visit to the meeting: it starts, enters, stays as long as something
//! is to be recorded, and leaves.

use super::super::LEAVE_GRACE;
use super::super::control::aborted;
use super::super::error::RecordError;
use super::super::gate::Gate;
use super::{Attendance, End, Interruption, Left, MOST_CRASHES, READ_TIMEOUT, hearing};
use crate::browser::{Browser, Launch, Surface};
use crate::clock::Mono;
use crate::job::Event;
use crate::room;

impl Attendance<'_> {
    /// One browser's visit: started, into the meeting, until something ends it,
    /// out of the meeting again.
    pub(super) async fn visit(&mut self) -> Left {
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
                width: self.spec.quality.resolution.width(),
                height: self.spec.quality.resolution.height(),
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
        let left = self.attend_with(&browser).await;
        self.group = None;
        self.page_events = None;
        self.hearing.end();
        let Left::End(end) = left else {
            browser.close(LEAVE_GRACE).await;
            return left;
        };
        let end = self.settle(end);
        // Before the page leaves the room: its farewell is not in the file.
        self.studio.stop(end.at);
        tokio::select! {
            () = browser.close(LEAVE_GRACE) => Left::End(end),
            // The browser goes with its value.
            () = aborted(self.controls) => Left::End(End::failed(RecordError::Aborted)),
        }
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
}
