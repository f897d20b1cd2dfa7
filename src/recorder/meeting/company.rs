//! Who else is in the meeting: told in the journal, and what follows from it for
//! the file and for the end.

use std::time::Duration;

use super::super::error::RecordError;
use super::{Attendance, End};
use crate::clock::Mono;
use crate::job::{Event, Peer, PresenceRule, StopReason, TrimEmpty};
use crate::room::{
    Crowd, How, Limits, Presence, QUIET_PAGE, Reading, Seen, Token, Vacancy, Vacant,
    read_expression,
};

/// What is known of the others, over all browsers and loads of a recording.
pub(super) struct Company {
    /// Asked of the page at each look.
    pub(super) question: String,
    /// Said on the console and not yet taken in.
    pub(super) tokens: Vec<Token>,
    crowd: Crowd,
    vacancy: Vacancy,
    /// The newest that the journal has.
    told: (Option<u32>, Vec<Peer>),
    /// The journal has the meeting's session.
    session_told: bool,
    /// Where the file would end, as the encoder knows it.
    trim: Option<Mono>,
    /// When the meeting was first joined.
    joined: Option<Mono>,
}

impl Company {
    pub(super) fn new(rule: &PresenceRule) -> Self {
        Self {
            question: read_expression(rule.expression.as_deref()),
            tokens: Vec::new(),
            crowd: Crowd::new(rule.ignore_roles.clone(), rule.ignore_names.clone()),
            vacancy: Vacancy::new(Limits {
                empty: rule.empty_timeout(),
                nobody: rule.nobody_timeout(),
                no_media: rule.no_media_timeout(),
            }),
            told: (None, Vec::new()),
            session_told: false,
            trim: None,
            joined: None,
        }
    }

    /// True once the meeting was joined, by whichever browser.
    pub(super) fn has_joined(&self) -> bool {
        self.joined.is_some()
    }
}

impl Attendance<'_> {
    /// The meeting is joined. The file begins, unless it waits for somebody.
    pub(super) fn joined(&mut self, how: How, reloads: u32) {
        let at = Mono::now();
        self.journal.tell(Event::Joined { how: how.text().to_owned(), at, reloads });
        self.company.joined.get_or_insert(at);
        // Of a page that shows nothing but itself nobody can be waited for.
        if !self.spec.presence.trim_start || how == How::Load {
            self.begin(at);
        }
    }

    fn begin(&mut self, at: Mono) {
        if self.begun.is_none() {
            self.begun = Some(at);
            self.studio.begin(at);
        }
    }

    /// Takes a look at the room in; `None`: the page gave no answer. Says whether
    /// the recording ends by it.
    pub(super) fn look(&mut self, reading: Option<&Reading>) -> Option<End> {
        let now = Mono::now();
        let seen = self.company.crowd.look(reading);
        let media = reading.and_then(Reading::media);
        let verdict = self.company.vacancy.look(now, seen.presence, media);
        if self.begun.is_none() && self.begins_with(now, &seen, reading) {
            self.begin(now);
        }
        self.tell_session(reading);
        self.tell_peers(seen);
        self.offer_trim();
        match verdict {
            Vacant::No => None,
            Vacant::LastLeft => Some(End::stopped(StopReason::LastPeerLeft)),
            Vacant::NobodyCame => Some(End::failed(self.nobody())),
            Vacant::NoMedia => {
                self.journal.notice("no media came from anybody for too long");
                Some(End::stopped(StopReason::LastPeerLeft))
            }
        }
    }

    /// Nothing is known of the room until the page is in it again.
    pub(super) fn lose_sight(&mut self) {
        let _ = self.look(None);
    }

    /// A file that waits for somebody begins with this look: somebody is there or
    /// sends, or the page shows no more than that it has joined.
    fn begins_with(&self, now: Mono, seen: &Seen, reading: Option<&Reading>) -> bool {
        let (Some(joined), Some(reading)) = (self.company.joined, reading) else { return false };
        let mute = seen.presence == Presence::Unknown
            && reading.webrtc.is_some_and(|webrtc| webrtc.connections == 0)
            && reading.sight.as_ref().is_none_or(|sight| sight.joined);
        matches!(seen.presence, Presence::Occupied { .. })
            || reading.has_remote_media()
            || (mute && now.since(joined) >= QUIET_PAGE)
    }

    /// Which session it is, once the page knows it.
    pub(super) fn tell_session(&mut self, reading: Option<&Reading>) {
        let sight = reading.and_then(|reading| reading.sight.as_ref());
        let Some(id) = sight.and_then(|sight| sight.session.clone()) else { return };
        if !std::mem::replace(&mut self.company.session_told, true) {
            self.journal.tell(Event::Session { id });
        }
    }

    /// The meeting was ended for everybody: nobody is there.
    pub(super) fn tell_nobody(&mut self) {
        self.tell_peers(Seen { presence: Presence::Empty, peers: Vec::new() });
    }

    fn tell_peers(&mut self, seen: Seen) {
        let news = (seen.presence.count(), seen.peers);
        if news != self.company.told {
            self.company.told = news.clone();
            let (count, peers) = news;
            self.journal.tell(Event::Peers { count, peers });
        }
    }

    /// Keeps the encoder informed of where the file would end now: it may come to
    /// its maximum by itself.
    fn offer_trim(&mut self) {
        let rule = &self.spec.presence;
        let empty = self.company.vacancy.empty_since();
        let trim = empty.filter(|_| rule.trim_empty != TrimEmpty::Never);
        self.set_trim(trim.map(|since| since + rule.keep_empty()));
    }

    fn set_trim(&mut self, trim: Option<Mono>) {
        if trim != self.company.trim {
            self.company.trim = trim;
            self.studio.trim(trim);
        }
    }

    /// Says whether the empty end stays in the file of a recording that ends so, and
    /// whether there is anything to keep. To be asked before the encoder is stopped.
    pub(super) fn settle(&mut self, end: End) -> End {
        let trims = match &end.reason {
            Ok(StopReason::ClientRequest) => self.spec.presence.trim_empty.applies(true),
            Ok(_) => self.spec.presence.trim_empty.applies(false),
            Err(_) => false,
        };
        if !trims {
            self.set_trim(None);
            return end;
        }
        let vacancy = &self.company.vacancy;
        if vacancy.empty_since().is_some() && !vacancy.was_occupied() {
            return End { reason: Err(self.nobody()), at: end.at };
        }
        end
    }

    fn nobody(&self) -> RecordError {
        let since = self.company.joined.map(|joined| Mono::now().since(joined));
        RecordError::NobodyJoined { seconds: since.unwrap_or(Duration::ZERO).as_secs_f64() }
    }
}
