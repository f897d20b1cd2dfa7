//! What a reading shows of joining. Pure.

use std::time::Duration;

use super::QUIET_PAGE;
use crate::job::JoinRule;
use crate::room::probes::name_of;
use crate::room::{Reading, Sight};

/// What showed that the meeting was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The page's own word or a probe, by its name.
    Said(&'static str),
    /// A connected peer connection, or media from one.
    Media,
    /// Nothing but the load of the page.
    Load,
}

impl How {
    /// As the journal says it: `signal` (`window.roomreel`), the name of a probe,
    /// `media` or `load`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Said(probe) => probe,
            Self::Media => "media",
            Self::Load => "load",
        }
    }
}

/// What is known of a page that has not joined, beside its newest reading.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Past {
    /// A probe has known the page: nothing else is believed any more.
    pub(super) has_sight: bool,
    /// The page has made a peer connection: it has to connect.
    pub(super) has_webrtc: bool,
    /// The page said on the console that it has joined.
    pub(super) announced: bool,
}

impl Past {
    /// Takes a reading in.
    pub(super) fn take(&mut self, reading: Option<&Reading>) {
        let Some(reading) = reading else { return };
        self.has_sight |= reading.sight.is_some();
        self.has_webrtc |= reading.webrtc.is_some_and(|webrtc| webrtc.connections > 0);
    }

    /// What shows, by `rule`, that a page has joined which may take `timeout` for it
    /// and has taken `waited`.
    pub(super) fn shown(
        self,
        rule: JoinRule,
        reading: Option<&Reading>,
        waited: Duration,
        timeout: Duration,
    ) -> Option<How> {
        let said = match reading.and_then(|reading| reading.sight.as_ref()) {
            Some(Sight { joined: true, probe, .. }) => Some(How::Said(name_of(probe))),
            // Only LiveKit's templates speak on the console.
            _ => self.announced.then_some(How::Said("livekit")),
        };
        let answered = reading.and_then(|reading| reading.webrtc);
        let webrtc = answered.unwrap_or_default();
        match rule {
            JoinRule::Load => Some(How::Load),
            JoinRule::Signal => said,
            JoinRule::Media => {
                (webrtc.connected > 0 && webrtc.inbound_bytes > 0).then_some(How::Media)
            }
            JoinRule::Auto if said.is_some() => said,
            JoinRule::Auto if self.has_sight => None,
            JoinRule::Auto if self.has_webrtc => (webrtc.connected > 0).then_some(How::Media),
            JoinRule::Auto => {
                // A page that does not answer has not shown that it is quiet.
                let quiet = answered.is_some() && waited >= QUIET_PAGE.min(timeout);
                quiet.then_some(How::Load)
            }
        }
    }
}
