//! What comes of an event. Pure.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::bots::{Bots, matches};
use super::{longest, released_at};
use crate::config::{self, Config};
use crate::job::{State, StopReason};
use crate::session::{Happening, Peer, RoomEvent, Session};
use crate::store::{Attended, Received, Recording};

/// How long a page that still shows somebody may take to see that they went.
const SEES_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(200);
/// Between two looks at a recording that is on its way out.
const LEAVING: Duration = Duration::from_millis(500);
/// Recordings of one session that may fail before rules start no more.
const FAILURES: usize = 3;

/// The rules of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    settings: config::Automation,
    bots: Bots,
    /// A session is over after this time.
    pub(super) longest: TimeDelta,
}

/// What is known when an event is judged.
pub(super) struct Scene<'a> {
    /// The event.
    pub(super) received: &'a Received,
    /// The newest session of its room; there is one once an event was taken in.
    pub(super) newest: Option<&'a Attended>,
    /// The recording that holds the room.
    pub(super) holder: Option<&'a Recording>,
    /// The room's recordings, newest first.
    pub(super) recent: &'a [Recording],
    /// How many others the holder's page shows; `None`: it cannot tell.
    pub(super) others: Option<u32>,
    /// The time of the judgement.
    pub(super) now: DateTime<Utc>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No rule is meant, or it is so already.
    Nothing,
    /// A rule is meant, and something speaks against it.
    Refrain(&'static str),
    /// It is too early to say.
    Wait(Duration),
    /// A recording is to be started.
    Start,
    /// The holder is to be stopped.
    Stop(StopReason),
}

use Verdict::{Nothing, Refrain, Start, Stop, Wait};

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            settings: config.automation.clone(),
            bots: Bots::new(config),
            longest: longest(config),
        }
    }

    /// What comes of the event as things are.
    pub(super) fn judge(&self, scene: &Scene<'_>) -> Verdict {
        let rules = &self.settings;
        match &scene.received.event.happening {
            Happening::Opened if rules.start_on_open => self.start(scene),
            Happening::Joined { peer } if rules.start_on_join && self.starts(peer) => {
                if scene.shows(peer) { self.start(scene) } else { Refrain("they left again") }
            }
            Happening::Left { .. } if rules.stop_when_alone => self.stop_if_alone(scene),
            Happening::Closed | Happening::Ended if rules.stop_on_close => stop_with(scene),
            _ => Nothing,
        }
    }

    fn starts(&self, peer: &Peer) -> bool {
        let roles = &self.settings.join_roles;
        !self.bots.has(peer) && (roles.is_empty() || matches(roles, &peer.role))
    }

    fn start(&self, scene: &Scene<'_>) -> Verdict {
        let Received { event, at } = scene.received;
        let Some(Attended { session, hands_off, .. }) = scene.newest_of(event) else {
            return Refrain("a newer session has begun");
        };
        if !session.is_active(scene.now, self.longest) {
            return Refrain("the session is over");
        }
        if *hands_off {
            return Refrain("somebody stopped the recording of this session");
        }
        match scene.holder.map(|recording| recording.state) {
            // It may be too late for the one that just came.
            Some(State::Stopping) => return Wait(LEAVING),
            Some(_) => return Nothing,
            None => {}
        }
        // One that was there when the event came, or was made since, is what the
        // event asked for, whatever became of it.
        if scene.recent.iter().any(|recording| released_at(recording).is_none_or(|t| t >= *at)) {
            return Nothing;
        }
        let within = TimeDelta::from_std(self.settings.start_within).unwrap_or(TimeDelta::MAX);
        if scene.now.signed_duration_since(event.at) > within {
            return Refrain("the event is older than automation.start_within");
        }
        let failed = |recording: &&Recording| {
            recording.session_id == session.id && recording.state == State::Failed
        };
        if scene.recent.iter().filter(failed).count() >= FAILURES {
            return Refrain("recordings of this session keep failing");
        }
        Start
    }

    fn stop_if_alone(&self, scene: &Scene<'_>) -> Verdict {
        let Received { event, at } = scene.received;
        let Some(recording) = scene.stoppable() else { return Nothing };
        let Some(Attended { session, peers, .. }) = scene.newest_of(event) else {
            return Refrain("a newer session has begun");
        };
        if !is_of(recording, session) {
            return Refrain("the recording is of another session");
        }
        if event.at < recording.created_at {
            // It may wait for those who are to come.
            return Refrain("the recording was started after they left");
        }
        if peers.iter().any(|peer| !self.bots.has(peer)) {
            return Nothing;
        }
        let grace = TimeDelta::from_std(self.settings.alone_grace).unwrap_or(TimeDelta::MAX);
        let alone_for = scene.now.signed_duration_since(*at);
        if alone_for < grace {
            return Wait((grace - alone_for).to_std().unwrap_or(LOOK));
        }
        match scene.others {
            Some(0) => Stop(StopReason::LastPeerLeft),
            Some(_) if alone_for - grace < SEES_WITHIN => Wait(LOOK),
            Some(_) => Refrain("the page of the recording still shows somebody"),
            None if session.opening_told => Stop(StopReason::LastPeerLeft),
            None => Refrain("it is not known who was there before the first event"),
        }
    }
}

/// The recording ends with its session, by whoever's hand.
fn stop_with(scene: &Scene<'_>) -> Verdict {
    let event = &scene.received.event;
    let Some(recording) = scene.stoppable() else { return Nothing };
    let ends = if recording.session_is_made_up {
        recording.created_at <= event.at
    } else {
        recording.session_id == event.session_id
    };
    if ends { Stop(StopReason::RoomEnded) } else { Refrain("the recording is of another session") }
}

fn is_of(recording: &Recording, session: &Session) -> bool {
    recording.session_is_made_up || recording.session_id == session.id
}

impl<'a> Scene<'a> {
    /// The newest session, if the event is of it.
    fn newest_of(&self, event: &RoomEvent) -> Option<&'a Attended> {
        self.newest.filter(|newest| newest.session.id == event.session_id)
    }

    fn shows(&self, peer: &Peer) -> bool {
        self.newest.is_some_and(|newest| newest.peers.iter().any(|other| other.id == peer.id))
    }

    /// The holder, unless it is stopping already.
    fn stoppable(&self) -> Option<&'a Recording> {
        self.holder.filter(|recording| recording.state != State::Stopping)
    }
}

#[cfg(test)]
mod tests;
