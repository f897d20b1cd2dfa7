//! Recordings that start and stop by themselves, by what rooms tell.
//!
//! `http` starts one [`Automaton`] beside the server and rings its bell when an
//! event was taken in. Events are judged one after another, by what is known
//! when they are (`rules`: pure), so that two of them never make two
//! recordings, and an event is settled only when its consequences are drawn: a
//! restart forgets none.

mod bots;
mod rules;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use self::bots::Bots;
use self::rules::{Rules, Scene, Verdict};
use crate::config::{self, Config};
use crate::job::{PageOptions, RecordingSpec, State, StopReason};
use crate::net;
use crate::node::{Node, StartError, StopError, Wanted};
use crate::session::RoomEvent;
use crate::store::{Query, Received, Recording, Rooms, Store, Unavailable};
use crate::token;

/// Events looked at in one go.
const EVENTS: usize = 500;
/// How long the inbox is left alone when nothing is known to come.
const POLL: Duration = Duration::from_secs(5);
/// After a store that did not answer.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// Between two attempts at a start that found no place.
const FULL_RETRY: Duration = Duration::from_secs(1);
/// Recordings of a room that are looked back at.
const RECENT: usize = 20;
/// Between two clearings of what is not needed any more.
const FORGET: Duration = Duration::from_secs(3600);
/// How long an event's id is remembered, so that it is known when it comes again
/// (contract: replayed for 30 days).
const REMEMBER: TimeDelta = TimeDelta::days(31);

/// Draws the consequences of what rooms tell, for as long as it runs.
pub struct Automaton {
    node: Node,
    store: Arc<dyn Store>,
    rooms: Arc<dyn Rooms>,
    rules: Rules,
    meeting: config::Meeting,
    auth: config::Auth,
    addresses: net::Guard,
    bell: Arc<Notify>,
    /// Events that have to be looked at again, by their ids.
    waiting: HashMap<String, Waiting>,
    forgot: Option<Instant>,
}

/// An event whose time has not come.
struct Waiting {
    /// When it is looked at next.
    until: Instant,
    /// It was said that it waits.
    said: bool,
}

impl Automaton {
    /// Goes by the rules of `config`; rooms may be where `addresses` allow. Whoever takes an event in rings the `bell`.
    pub fn new(
        config: &Config,
        node: Node,
        store: Arc<dyn Store>,
        rooms: Arc<dyn Rooms>,
        addresses: net::Guard,
        bell: Arc<Notify>,
    ) -> Self {
        Self {
            node,
            store,
            rooms,
            rules: Rules::new(config),
            meeting: config.meeting.clone(),
            auth: config.auth.clone(),
            addresses,
            bell,
            waiting: HashMap::new(),
            forgot: None,
        }
    }

    /// Draws consequences until `shutdown` is cancelled. What is left is drawn
    /// after the next start, unless it is too late then.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut store_is_down = false;
        loop {
            let pause = match self.round().await {
                Ok(pause) => {
                    store_is_down = false;
                    pause
                }
                Err(error) => {
                    if !store_is_down {
                        tracing::error!(%error, "the rooms' events wait for the store");
                    }
                    store_is_down = true;
                    STORE_RETRY
                }
            };
            tokio::select! {
                () = self.bell.notified() => {}
                () = sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Looks at every event that is due; says when to look again.
    async fn round(&mut self) -> Result<Duration, Unavailable> {
        self.forget().await?;
        let received = self.rooms.unsettled(EVENTS).await?;
        let all = received.len() < EVENTS;
        for received in received {
            let id = received.event.id.clone();
            if self.waiting.get(&id).is_some_and(|waiting| waiting.until > Instant::now()) {
                continue;
            }
            match self.draw(&received).await? {
                Some(wait) => {
                    let said = self.waiting.get(&id).is_some_and(|waiting| waiting.said);
                    let until = Instant::now() + wait;
                    self.waiting.entry(id).or_insert(Waiting { until, said }).until = until;
                }
                None => {
                    self.rooms.settle_event(&id).await?;
                    self.waiting.remove(&id);
                }
            }
        }
        if !all && self.waiting.len() < EVENTS {
            return Ok(Duration::ZERO);
        }
        let next = self.waiting.values().map(|waiting| waiting.until).min();
        Ok(next.map_or(POLL, |next| next.saturating_duration_since(Instant::now()).min(POLL)))
    }

    /// Draws the consequences of one event; how long to wait if it is too early.
    async fn draw(&mut self, received: &Received) -> Result<Option<Duration>, Unavailable> {
        let event = &received.event;
        let newest = self.rooms.newest_session(&event.room_id).await?;
        let mut holder = self.store.holder(&event.room_id).await?;
        let now = Utc::now();
        if let (Some(newest), Some(recording)) = (&newest, &holder)
            && (recording.session_is_made_up || recording.attendance.is_some())
            && newest.session.is_active(now, self.rules.longest)
        {
            holder = self.rooms.adopt_session(recording.id, &newest.session.id).await?;
        }
        let query =
            Query { room_id: Some(event.room_id.clone()), limit: RECENT, ..Query::default() };
        let recent = self.store.list(&query).await?;
        let others = holder.as_ref().and_then(|recording| self.node.others(recording.id));
        let scene = Scene {
            received,
            newest: newest.as_ref(),
            holder: holder.as_ref(),
            recent: &recent,
            others,
            now,
        };
        match self.rules.judge(&scene) {
            Verdict::Nothing => Ok(None),
            Verdict::Refrain(why) => {
                tracing::info!(room_id = %event.room_id, session_id = %event.session_id,
                    event = event.happening.name(), why, "a rule was not followed");
                Ok(None)
            }
            Verdict::Wait(time) => Ok(Some(time)),
            Verdict::Start => self.start(event).await,
            Verdict::Stop(reason) => match holder {
                Some(recording) => self.stop(event, &recording, reason).await,
                None => Ok(None),
            },
        }
    }

    async fn start(&mut self, event: &RoomEvent) -> Result<Option<Duration>, Unavailable> {
        let room_id = &event.room_id;
        let wanted = match self.wanted(event).await {
            Ok(wanted) => wanted,
            Err(why) => {
                tracing::error!(%room_id, why, "a rule cannot start a recording");
                return Ok(None);
            }
        };
        let rule = event.happening.name();
        let wait = match self.node.start(wanted).await {
            Ok(recording) => {
                tracing::info!(id = %recording.id, %room_id, session_id = %event.session_id, rule,
                    "a rule started a recording");
                return Ok(None);
            }
            // Somebody was quicker, and it is recorded.
            Err(StartError::RoomHeld) => return Ok(None),
            Err(StartError::Unavailable(error)) => return Err(error),
            Err(StartError::Full { slots }) => {
                self.say_once(event, || {
                    tracing::warn!(%room_id, rule, slots,
                        "a rule's start waits: every place of this node is taken \
                         (recording.max_concurrent)");
                });
                FULL_RETRY
            }
            Err(error @ StartError::NoSpace { .. }) => {
                self.say_once(event, || {
                    tracing::warn!(%room_id, rule, %error, "a rule's start waits (data.min_free)");
                });
                FULL_RETRY
            }
            // Several, and a rule names none.
            Err(error @ StartError::Destination(_)) => {
                tracing::error!(%room_id, rule, %error, "a rule cannot start a recording");
                return Ok(None);
            }
            Err(StartError::Closing) => POLL,
        };
        Ok(Some(wait))
    }

    fn say_once(&mut self, event: &RoomEvent, say: impl FnOnce()) {
        let waiting = Waiting { until: Instant::now(), said: false };
        let waiting = self.waiting.entry(event.id.clone()).or_insert(waiting);
        if !std::mem::replace(&mut waiting.said, true) {
            say();
        }
    }

    async fn stop(
        &self,
        event: &RoomEvent,
        recording: &Recording,
        reason: StopReason,
    ) -> Result<Option<Duration>, Unavailable> {
        let rule = event.happening.name();
        match self.node.stop_because(recording.id, reason).await {
            Ok(_) => {
                tracing::info!(id = %recording.id, room_id = %event.room_id, rule,
                    reason = reason.text(), "a rule stopped a recording");
                Ok(None)
            }
            Err(StopError::NotActive) => Ok(None),
            Err(StopError::Unavailable(error)) => Err(error),
        }
    }

    /// A recording as the configuration has it; the error is for the log.
    async fn wanted(&self, event: &RoomEvent) -> Result<Wanted, String> {
        let url = token::room_url(&event.room_id, &self.meeting, &self.auth)
            .ok_or("there is no meeting.url_template, or no key to sign its token with")?;
        let page =
            RecordingSpec::parse_meeting_url(url.expose_secret()).map_err(|bad| bad.to_string())?;
        match self.addresses.check_url(&page).await {
            Ok(()) | Err(net::Refused::Unresolved { .. }) => {}
            Err(refused) => return Err(format!("meeting.url_template: {refused}")),
        }
        Ok(Wanted {
            room_id: event.room_id.clone(),
            session: Some(event.session_id.clone()),
            meeting_url: url,
            page,
            quality: None,
            join: None,
            max_duration: None,
            presence: None,
            audio_only: false,
            destination: None,
            webhook: None,
            page_options: PageOptions::default(),
            warnings: Vec::new(),
        })
    }

    /// Once an hour: sessions that are long over, and ids of events that will not
    /// come again.
    async fn forget(&mut self) -> Result<(), Unavailable> {
        if self.forgot.is_some_and(|at| at.elapsed() < FORGET) {
            return Ok(());
        }
        let now = Utc::now();
        let sessions = now - self.rules.longest - TimeDelta::days(1);
        let forgotten = self.rooms.forget_rooms(sessions, now - REMEMBER).await?;
        if forgotten > 0 {
            tracing::info!(sessions = forgotten, "forgot who was in sessions that are over");
        }
        self.forgot = Some(Instant::now());
        Ok(())
    }
}

/// When a session that nobody closed counts as over.
pub fn longest(config: &Config) -> TimeDelta {
    TimeDelta::from_std(config.hooks.session_max).unwrap_or(TimeDelta::MAX)
}

/// When a recording let go of its room, as far as it has.
fn released_at(recording: &Recording) -> Option<DateTime<Utc>> {
    let asked = recording.stop_asked.map(|asked| asked.at);
    let over = recording.state.is_final().then_some(recording.updated_at);
    let done = recording.stopped_at.or(over);
    match (asked, done) {
        (Some(asked), Some(done)) => Some(asked.min(done)),
        (asked, done) => asked.or(done),
    }
}

/// True while the bot of the recording is in its room, or may be.
pub fn attends(recording: &Recording) -> bool {
    matches!(recording.state, State::Running | State::Stopping) && recording.started_at.is_some()
}
