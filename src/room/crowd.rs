//! Who is there, by one reading: the bot, other recorders and hidden roles are
//! nobody. Pure.

use super::Reading;
use crate::job::Peer;

/// Roles that no participant has (100ms names its own so).
const INTERNAL: &str = "__internal";

/// Whether anybody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Known to be nobody.
    Empty,
    /// Somebody is.
    Occupied {
        /// How many, where that is known.
        count: Option<u32>,
    },
    /// Nothing is known: not the same as nobody.
    Unknown,
}

impl Presence {
    /// Others in the room; `None` if somebody may be there and nobody was counted.
    pub fn count(self) -> Option<u32> {
        match self {
            Self::Empty => Some(0),
            Self::Occupied { count } => count,
            Self::Unknown => None,
        }
    }
}

/// One look at the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether anybody is there.
    pub presence: Presence,
    /// Those of them whose names are known.
    pub peers: Vec<Peer>,
}

impl Seen {
    /// A look that showed nothing.
    pub const UNKNOWN: Self = Self { presence: Presence::Unknown, peers: Vec::new() };
}

/// Tells participants from recorders.
#[derive(Debug, Clone)]
pub struct Crowd {
    roles: Vec<String>,
    names: Vec<String>,
    /// A probe has known the page: media alone is not believed any more, since a
    /// participant who was cut off leaves tracks behind.
    sighted: bool,
}

impl Crowd {
    /// `roles` and `names` are nobody, besides every `__internal…` role.
    pub fn new(roles: Vec<String>, names: Vec<String>) -> Self {
        Self { roles, names, sighted: false }
    }

    /// Who is there by this reading; `None`: the page gave no answer.
    pub fn look(&mut self, reading: Option<&Reading>) -> Seen {
        let Some(reading) = reading else { return Seen::UNKNOWN };
        self.sighted |= reading.sight.is_some();
        let Some(sight) = &reading.sight else {
            // Somebody sends: that much is certain. Nobody sending is no proof of
            // the opposite, cameras and microphones may be off.
            let sent = !self.sighted && reading.has_remote_media();
            let presence =
                if sent { Presence::Occupied { count: None } } else { Presence::Unknown };
            return Seen { presence, peers: Vec::new() };
        };
        if !sight.joined {
            return Seen::UNKNOWN;
        }
        let listed = sight.peers.as_deref().unwrap_or_default();
        let peers: Vec<Peer> =
            listed.iter().filter(|peer| !self.is_nobody(peer)).cloned().collect();
        let all = match (&sight.peers, sight.count) {
            (None, None) => return Seen::UNKNOWN,
            (_, count) => count.unwrap_or(0).max(to_u32(listed.len())),
        };
        // Those that are counted and not listed are taken for participants.
        let count = all - to_u32(listed.len()) + to_u32(peers.len());
        let presence = match count {
            0 => Presence::Empty,
            count => Presence::Occupied { count: Some(count) },
        };
        Seen { presence, peers }
    }

    fn is_nobody(&self, peer: &Peer) -> bool {
        peer.role.starts_with(INTERNAL)
            || self.roles.contains(&peer.role)
            || self.names.contains(&peer.name)
    }
}

fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{Sight, Webrtc};

    fn peer(name: &str, role: &str) -> Peer {
        Peer { id: name.to_lowercase(), name: name.into(), role: role.into() }
    }

    fn sight(joined: bool, peers: Option<Vec<Peer>>, count: Option<u32>) -> Reading {
        let sight = Sight { joined, peers, count, ..Sight::default() };
        Reading { sight: Some(sight), webrtc: None }
    }

    fn media(tracks: u32, bytes: u64) -> Reading {
        let webrtc = Webrtc {
            connections: 1,
            connected: 1,
            live_remote_tracks: tracks,
            inbound_bytes: bytes,
        };
        Reading { sight: None, webrtc: Some(webrtc) }
    }

    #[test]
    fn who_counts_and_who_does_not() {
        use Presence::{Empty, Occupied, Unknown};
        let some = |n| Occupied { count: Some(n) };
        let bot = || peer("Beam", "__internal_recorder");
        let other = || peer("Archive", "guest");
        let table: &[(&str, Reading, Presence)] = &[
            ("nobody is listed", sight(true, Some(vec![]), None), Empty),
            ("nobody is counted", sight(true, None, Some(0)), Empty),
            ("the page does not say", sight(true, None, None), Unknown),
            ("a page outside knows nothing", sight(false, Some(vec![]), Some(0)), Unknown),
            ("people", sight(true, Some(vec![peer("Ada", "host"), peer("Bo", "")]), None), some(2)),
            ("hidden roles", sight(true, Some(vec![bot()]), Some(1)), Empty),
            ("configured roles", sight(true, Some(vec![peer("R", "camera")]), None), Empty),
            ("configured names", sight(true, Some(vec![other(), bot()]), None), Empty),
            ("more are counted than listed", sight(true, Some(vec![bot()]), Some(5)), some(4)),
            (
                "fewer are counted than listed",
                sight(true, Some(vec![peer("A", "")]), Some(0)),
                some(1),
            ),
            ("media", media(1, 9), Occupied { count: None }),
            ("a track and nothing on it", media(1, 0), Unknown),
            ("no media", media(0, 9), Unknown),
        ];
        for (name, reading, expected) in table {
            let mut crowd = Crowd::new(vec!["camera".into()], vec!["Archive".into()]);
            assert_eq!(crowd.look(Some(reading)).presence, *expected, "{name}");
            assert_eq!(crowd.look(None), Seen::UNKNOWN);
        }
    }

    #[test]
    fn names_are_told_of_people_alone_and_a_ghost_s_tracks_are_not_believed() {
        let mut crowd = Crowd::new(vec![], vec![]);
        let list = vec![peer("Ada", "host"), peer("Beam", "__internal_x")];
        let seen = crowd.look(Some(&sight(true, Some(list), None)));
        assert_eq!(seen.peers, [peer("Ada", "host")]);
        assert_eq!(crowd.look(Some(&media(2, 99))), Seen::UNKNOWN);
    }
}
