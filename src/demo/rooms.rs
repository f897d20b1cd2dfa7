//! Who is in which room: joining, leaving, ending, and what the others are told.
//!
//! Pure: no sockets, no clock. `hub` carries what comes out of here to the
//! peers; the signalling itself (session descriptions, ICE candidates) passes
//! through unread.

use std::collections::{BTreeMap, HashMap};

use super::wire::{Join, Listed, MediaState, PeerId, PeerView, Refusal, ToPage};

/// Visible peers per room: a full mesh does not carry more.
const MAX_PEERS: usize = 16;
/// Hidden peers per room; each costs every publisher another encoder.
const MAX_HIDDEN: usize = 4;
/// Rooms at once, so that a loop of joins cannot eat the memory.
const MAX_ROOMS: usize = 256;
/// Characters of a display name; what is beyond is cut off.
const MAX_NAME: usize = 60;
/// Bytes of a room id, role, user id or stream id.
const MAX_ID: usize = 64;

/// A message and the peer it goes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Delivery {
    pub(super) to: PeerId,
    pub(super) message: ToPage,
}

/// A recorder's role: never shown, named or counted to the others, publishes
/// nothing, receives everything.
pub(super) fn is_hidden(role: &str) -> bool {
    role.starts_with("__internal") || role == "recorder" || role == "beam"
}

/// Room ids, roles and user ids: what fits unescaped into a path segment.
pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !text.bytes().all(|b| b == b'.')
}

#[derive(Debug)]
struct Peer {
    name: String,
    role: String,
    /// What the embedding product calls this user; only the API tells it.
    user_id: Option<String>,
    hidden: bool,
    subscribe: bool,
    state: MediaState,
}

impl Peer {
    fn view(&self, id: PeerId) -> PeerView {
        // The others need a hidden peer's id to send it their media; its name
        // and role never leave the server.
        let told = |text: &str| (!self.hidden).then(|| text.to_string());
        PeerView {
            id,
            hidden: self.hidden,
            name: told(&self.name),
            role: told(&self.role),
            publish: !self.hidden,
            subscribe: self.subscribe,
            state: self.state.clone(),
        }
    }
}

/// All rooms of one server. A room exists while somebody is in it.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: HashMap<String, BTreeMap<PeerId, Peer>>,
    last: u64,
}

impl Rooms {
    /// Seats a newcomer; `join` has been checked against its token already.
    pub(super) fn join(&mut self, join: &Join) -> Result<(PeerId, Vec<Delivery>), Refusal> {
        if !is_id(&join.room) || !is_id(&join.role) {
            return Err(Refusal::BadLink);
        }
        let hidden = is_hidden(&join.role);
        if !self.rooms.contains_key(&join.room) && self.rooms.len() >= MAX_ROOMS {
            return Err(Refusal::Full);
        }
        let room = self.rooms.entry(join.room.clone()).or_default();
        let limit = if hidden { MAX_HIDDEN } else { MAX_PEERS };
        if room.values().filter(|p| p.hidden == hidden).count() >= limit {
            return Err(Refusal::Full);
        }
        self.last += 1;
        let id = PeerId(self.last);
        let peer = Peer {
            name: clean_name(&join.name),
            role: join.role.clone(),
            user_id: join.user_id.clone().filter(|id| is_id(id)),
            hidden,
            subscribe: join.subscribe,
            state: MediaState::default(),
        };
        let view = peer.view(id);
        let welcome = ToPage::Welcome {
            id,
            room: join.room.clone(),
            role: peer.role.clone(),
            name: peer.name.clone(),
            hidden,
            host: is_host(&peer.role),
            peers: room.iter().map(|(id, peer)| peer.view(*id)).collect(),
        };
        let mut out = tell_all(room, &ToPage::Joined { peer: view });
        out.insert(0, Delivery { to: id, message: welcome });
        room.insert(id, peer);
        Ok((id, out))
    }

    /// Takes a peer out, for example because its socket closed. No-op when it
    /// is not there any more.
    pub(super) fn leave(&mut self, room: &str, id: PeerId) -> Vec<Delivery> {
        let Some(peers) = self.rooms.get_mut(room) else { return Vec::new() };
        if peers.remove(&id).is_none() {
            return Vec::new();
        }
        let out = tell_all(peers, &ToPage::Left { id });
        if peers.is_empty() {
            self.rooms.remove(room);
        }
        out
    }

    /// Passes signalling data on, to a peer of the same room only.
    pub(super) fn signal(
        &self,
        room: &str,
        from: PeerId,
        to: PeerId,
        data: serde_json::Value,
    ) -> Vec<Delivery> {
        match self.rooms.get(room) {
            Some(peers) if from != to && peers.contains_key(&from) && peers.contains_key(&to) => {
                vec![Delivery { to, message: ToPage::Signal { from, data } }]
            }
            _ => Vec::new(),
        }
    }

    /// Notes what a peer sends now and tells the others; a hidden peer has
    /// nothing to tell.
    pub(super) fn set_state(&mut self, room: &str, id: PeerId, state: MediaState) -> Vec<Delivery> {
        let Some(peers) = self.rooms.get_mut(room) else { return Vec::new() };
        if state.screen_id.len() > MAX_ID {
            return Vec::new();
        }
        match peers.get_mut(&id) {
            Some(peer) if !peer.hidden => peer.state = state.clone(),
            _ => return Vec::new(),
        }
        let mut out = tell_all(peers, &ToPage::State { id, state });
        out.retain(|d| d.to != id);
        out
    }

    /// Ends a room for everybody in it; `None` when there is no such room.
    pub(super) fn end(&mut self, room: &str) -> Option<Vec<Delivery>> {
        let peers = self.rooms.remove(room)?;
        Some(tell_all(&peers, &ToPage::Ended))
    }

    /// Ends the room if `by` may: only a host can.
    pub(super) fn end_as(&mut self, room: &str, by: PeerId) -> Vec<Delivery> {
        let host = self.rooms.get(room).and_then(|p| p.get(&by)).is_some_and(|p| is_host(&p.role));
        if host { self.end(room).unwrap_or_default() } else { Vec::new() }
    }

    /// Puts a visible peer out; `None` when there is none of that id.
    pub(super) fn remove(&mut self, room: &str, id: PeerId) -> Option<Vec<Delivery>> {
        self.rooms.get(room)?.get(&id).filter(|p| !p.hidden)?;
        let mut out = vec![Delivery { to: id, message: ToPage::Removed }];
        out.extend(self.leave(room, id));
        Some(out)
    }

    /// The visible peers in the order of their joining; empty for an unknown
    /// room.
    pub(super) fn roster(&self, room: &str) -> Vec<Listed> {
        let peers = self.rooms.get(room).into_iter().flatten();
        let listed = |(id, peer): (&PeerId, &Peer)| Listed {
            id: *id,
            name: peer.name.clone(),
            role: peer.role.clone(),
            user_id: peer.user_id.clone(),
        };
        peers.filter(|(_, p)| !p.hidden).map(listed).collect()
    }
}

fn is_host(role: &str) -> bool {
    role == "host"
}

fn tell_all(peers: &BTreeMap<PeerId, Peer>, message: &ToPage) -> Vec<Delivery> {
    peers.keys().map(|&to| Delivery { to, message: message.clone() }).collect()
}

/// One line, trimmed, of bounded length, never empty.
fn clean_name(name: &str) -> String {
    let line: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let short: String = line.trim().chars().take(MAX_NAME).collect();
    if short.is_empty() { "Guest".into() } else { short }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn join(room: &str, role: &str, name: &str) -> Join {
        Join {
            room: room.into(),
            role: role.into(),
            name: name.into(),
            user_id: Some("u-1".into()),
            auth_token: None,
            subscribe: true,
        }
    }

    fn seat(rooms: &mut Rooms, role: &str, name: &str) -> (PeerId, Vec<Delivery>) {
        rooms.join(&join("r", role, name)).unwrap()
    }

    #[test]
    fn hidden_roles() {
        for role in ["__internal_recorder", "__internal", "recorder", "beam"] {
            assert!(is_hidden(role), "{role}");
        }
        for role in ["host", "guest", "internal", "recorders", "Beam", "_internal"] {
            assert!(!is_hidden(role), "{role}");
        }
    }

    #[test]
    fn ids() {
        for good in ["demo", "a.b_c-D9", "__internal_recorder", &"x".repeat(64)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "é", ".", "..", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_one_short_line() {
        for (given, kept) in [("  Ada ", "Ada"), ("a\nb\u{0}", "a b"), (" \t", "Guest")] {
            assert_eq!(clean_name(given), kept);
        }
        assert_eq!(clean_name(&"é".repeat(100)).chars().count(), MAX_NAME);
    }

    #[test]
    fn newcomer_gets_the_roster_and_the_others_get_the_newcomer() {
        let mut rooms = Rooms::default();
        let (ada, _) = seat(&mut rooms, "host", "Ada");
        let (bob, out) = seat(&mut rooms, "guest", "Bob");
        let ToPage::Welcome { id, host, peers, .. } = &out[0].message else { panic!("{out:?}") };
        assert_eq!((out[0].to, *id, *host), (bob, bob, false));
        assert_eq!(peers.iter().map(|p| p.id).collect::<Vec<_>>(), [ada]);
        let ToPage::Joined { peer } = &out[1].message else { panic!("{out:?}") };
        assert_eq!((out[1].to, peer.id, peer.name.as_deref()), (ada, bob, Some("Bob")));
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn a_hidden_peer_is_announced_without_name_and_never_listed() {
        let mut rooms = Rooms::default();
        let (ada, _) = seat(&mut rooms, "guest", "Ada");
        let (rec, out) = seat(&mut rooms, "__internal_recorder", "Secret");
        let told = serde_json::to_string(&out[1].message).unwrap();
        assert_eq!(out[1].to, ada);
        assert!(!told.contains("Secret") && !told.contains("__internal"), "{told}");
        assert!(told.contains("\"hidden\":true") && told.contains("\"publish\":false"), "{told}");
        let roster = serde_json::to_value(rooms.roster("r")).unwrap();
        let listed = serde_json::json!([
            {"id": ada, "name": "Ada", "role": "guest", "user_id": "u-1"}
        ]);
        assert_eq!(roster, listed);
        assert_eq!(rooms.remove("r", rec), None);
        assert_eq!(rooms.set_state("r", rec, MediaState::default()), []);
    }

    #[test]
    fn signals_stay_in_the_room() {
        let mut rooms = Rooms::default();
        let (ada, _) = seat(&mut rooms, "guest", "Ada");
        let (bob, _) = seat(&mut rooms, "guest", "Bob");
        let (eve, _) = rooms.join(&join("other", "guest", "Eve")).unwrap();
        let data = serde_json::json!({"candidate": "x"});
        let sent = rooms.signal("r", ada, bob, data.clone());
        assert_eq!(sent, [Delivery { to: bob, message: ToPage::Signal { from: ada, data } }]);
        for (room, from, to) in [("r", ada, eve), ("other", eve, ada), ("r", ada, ada)] {
            assert_eq!(rooms.signal(room, from, to, serde_json::Value::Null), []);
        }
    }

    #[test]
    fn a_state_is_told_to_the_others_and_to_newcomers() {
        let mut rooms = Rooms::default();
        let (ada, _) = seat(&mut rooms, "guest", "Ada");
        let (bob, _) = seat(&mut rooms, "guest", "Bob");
        let state = MediaState { cam: true, screen_id: "s".into(), ..MediaState::default() };
        let told = ToPage::State { id: ada, state: state.clone() };
        let out = rooms.set_state("r", ada, state.clone());
        assert_eq!(out, [Delivery { to: bob, message: told }]);
        let endless = MediaState { screen_id: "s".repeat(MAX_ID + 1), ..MediaState::default() };
        assert_eq!(rooms.set_state("r", ada, endless), []);
        let (_, out) = seat(&mut rooms, "beam", "Beam");
        let ToPage::Welcome { peers, .. } = &out[0].message else { panic!("{out:?}") };
        assert_eq!((&peers[0].state, &peers[1].state), (&state, &MediaState::default()));
    }

    #[test]
    fn only_a_host_ends_and_everybody_hears_it() {
        let mut rooms = Rooms::default();
        let (host, _) = seat(&mut rooms, "host", "H");
        let (guest, _) = seat(&mut rooms, "guest", "G");
        let (rec, _) = seat(&mut rooms, "beam", "B");
        assert_eq!(rooms.end_as("r", guest), []);
        assert_eq!(rooms.end_as("r", rec), []);
        let out = rooms.end_as("r", host);
        assert_eq!(out.iter().map(|d| d.to).collect::<Vec<_>>(), [host, guest, rec]);
        assert!(out.iter().all(|d| d.message == ToPage::Ended));
        assert_eq!(rooms.end("r"), None);
        assert_eq!(rooms.leave("r", guest), []);
    }

    #[test]
    fn the_removed_hears_it_and_the_others_see_it_leave() {
        let mut rooms = Rooms::default();
        let (ada, _) = seat(&mut rooms, "guest", "Ada");
        let (bob, _) = seat(&mut rooms, "guest", "Bob");
        let out = rooms.remove("r", ada).unwrap();
        assert_eq!(out[0], Delivery { to: ada, message: ToPage::Removed });
        assert_eq!(out[1], Delivery { to: bob, message: ToPage::Left { id: ada } });
        assert_eq!(rooms.remove("r", ada), None);
        assert_eq!(rooms.leave("r", bob), []);
        assert!(rooms.rooms.is_empty());
    }

    #[test]
    fn limits_refuse_and_leave_no_trace() {
        let mut rooms = Rooms::default();
        for _ in 0..MAX_PEERS {
            seat(&mut rooms, "guest", "x");
        }
        assert_eq!(rooms.join(&join("r", "guest", "x")).unwrap_err(), Refusal::Full);
        seat(&mut rooms, "recorder", "x");
        assert_eq!(rooms.join(&join("a/b", "guest", "x")).unwrap_err(), Refusal::BadLink);
        for n in 1..MAX_ROOMS {
            rooms.join(&join(&format!("r{n}"), "guest", "x")).unwrap();
        }
        assert_eq!(rooms.join(&join("new", "guest", "x")).unwrap_err(), Refusal::Full);
        assert_eq!(rooms.rooms.len(), MAX_ROOMS);
    }

    proptest! {
        /// Whatever happens, each visible peer's picture of the room, built
        /// from its messages alone, is the server's roster without itself.
        #[test]
        fn every_page_sees_the_same_room(steps in prop::collection::vec((0..4_u8, 0..8_usize), 1..60)) {
            let mut rooms = Rooms::default();
            let mut seen: BTreeMap<PeerId, BTreeMap<PeerId, bool>> = BTreeMap::new();
            for (what, which) in steps {
                let someone = seen.keys().nth(which).copied();
                let out = match (what, someone) {
                    (0, _) => rooms.join(&join("r", "guest", "x")).map(|o| o.1).unwrap_or_default(),
                    (1, _) => rooms.join(&join("r", "beam", "x")).map(|o| o.1).unwrap_or_default(),
                    (2, Some(id)) => rooms.leave("r", id),
                    (3, Some(id)) => rooms.remove("r", id).unwrap_or_default(),
                    _ => Vec::new(),
                };
                if let (2 | 3, Some(id)) = (what, someone) {
                    let left = out.iter().any(|d| d.message == ToPage::Left { id });
                    if left || seen.len() == 1 && rooms.rooms.is_empty() { seen.remove(&id); }
                }
                for Delivery { to, message } in out {
                    match message {
                        ToPage::Welcome { peers, .. } => {
                            seen.insert(to, peers.iter().map(|p| (p.id, p.hidden)).collect());
                        }
                        ToPage::Joined { peer } => { seen.get_mut(&to).unwrap().insert(peer.id, peer.hidden); }
                        ToPage::Left { id } => { seen.get_mut(&to).unwrap().remove(&id); }
                        _ => {}
                    }
                }
                let roster: Vec<_> = rooms.roster("r").iter().map(|p| p.id).collect();
                for (me, others) in &seen {
                    let visible: Vec<_> = others.iter().filter(|o| !o.1).map(|o| *o.0).collect();
                    let expected: Vec<_> = roster.iter().copied().filter(|id| id != me).collect();
                    prop_assert_eq!(visible, expected);
                }
            }
        }
    }
}
