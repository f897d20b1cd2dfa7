//! The page of a visit: loaded until it has joined, read while it is in the meeting.

use tokio::time::sleep;

use super::super::error::RecordError;
use super::{Attendance, End, Interruption, LOOK_EVERY, READ_EVERY, READ_TIMEOUT, RETRY_PAUSE};
use crate::browser::{Browser, EvaluateError};
use crate::clock::Mono;
use crate::job::StopReason;
use crate::room::{JoinWatch, Over, Reading, Verdict};

impl Attendance<'_> {
    /// Loads the page until the meeting is joined, at most `join_reloads` times
    /// more than once; a meeting that was joined before and lost is worth trying for
    /// `join_timeout`, too.
    pub(super) async fn enter(&mut self, browser: &Browser) -> Result<JoinWatch, Interruption> {
        let mut why = String::new();
        let (mut reloads, began) = (0, Mono::now());
        let joined = self.company.has_joined();
        while reloads <= self.spec.join_reloads
            || joined && Mono::now().since(began) < self.spec.join_timeout()
        {
            if reloads > 0 {
                self.journal.notice(format!("{why}; trying again ({reloads})"));
                self.or_interrupted(Some(browser), sleep(RETRY_PAUSE)).await?;
            }
            match self.load_and_join(browser, reloads).await? {
                Ok(watch) => return Ok(watch),
                Err(reason) => why = reason,
            }
            reloads += 1;
        }
        let tries = reloads;
        if joined {
            why = format!("the recorder lost the meeting and did not get back in: {why}");
        }
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
            // Before anybody is told that it has begun.
            self.tell_session(reading.as_ref());
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
        let wanted = (self.spec.quality.resolution.width(), self.spec.quality.resolution.height());
        let ask = browser.page().inner_size(READ_TIMEOUT);
        if let Ok(found) = self.or_interrupted(Some(browser), ask).await?
            && found != wanted
        {
            self.journal.notice(format!(
                "the page is laid out for {}x{}, not for {}",
                found.0, found.1, self.spec.quality.resolution
            ));
        }
        Ok(())
    }

    /// In the meeting: reads who is there until something ends the visit.
    pub(super) async fn stay(&mut self, browser: &Browser, mut watch: JoinWatch) -> Interruption {
        loop {
            let reading = match self.read(browser).await {
                Ok(reading) => reading,
                Err(interruption) => return interruption,
            };
            self.pass_tokens(&mut watch);
            match watch.feed(Mono::now(), reading.as_ref()) {
                Verdict::Ended { over } => {
                    match over {
                        Over::Removed => {
                            self.journal.notice("the recorder was put out of the meeting");
                        }
                        Over::Ended => self.tell_nobody(),
                        Over::Left | Over::Failed => {}
                    }
                    return Interruption::End(End::stopped(StopReason::RoomEnded));
                }
                Verdict::Lost { why } => return Interruption::Crashed(why),
                _ => {}
            }
            if let Some(end) = self.look(reading.as_ref()) {
                return Interruption::End(end);
            }
            if let Err(interruption) = self.or_interrupted(Some(browser), sleep(LOOK_EVERY)).await {
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
}
