//! Active rooms and peers in the contract's shapes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::time::Rfc3339;
use crate::automation::{Bots, attends};
use crate::config;
use crate::session::Peer;
use crate::store::{Attended, Recording};

/// A room that is active, put together from what there is to know.
pub(in crate::http) struct ActiveRoom {
    name: String,
    session_id: String,
    opened_at: DateTime<Utc>,
    /// Everybody who has to be counted, with what is known of them.
    pub(in crate::http) peers: Vec<Known>,
    /// How many people are there, if that is known.
    others: Option<u32>,
}

/// Somebody in a room; what is not known is empty.
pub(in crate::http) struct Known {
    pub(in crate::http) id: String,
    name: String,
    user_id: String,
    metadata: String,
    role: String,
    joined_at: Option<DateTime<Utc>>,
}

impl From<Peer> for Known {
    fn from(peer: Peer) -> Self {
        let Peer { joined_at, id, name, user_id, metadata, role } = peer;
        Self { id, name, user_id, metadata, role, joined_at: Some(joined_at) }
    }
}

impl ActiveRoom {
    /// From the active session that webhooks told, the recording that holds the room
    /// and how many others its page shows. `None` without a session and with no
    /// bot of ours in the room.
    pub(in crate::http) fn of(
        told: Option<Attended>,
        holder: Option<&Recording>,
        shown: Option<u32>,
        bots: &Bots,
        meeting: &config::Meeting,
    ) -> Option<Self> {
        let attending = holder.filter(|recording| attends(recording));
        let (name, session_id, opened_at, peers, all_told) = match (told, attending) {
            (Some(Attended { session, peers, .. }), _) => {
                let id = session.id.to_string();
                (session.room_name, id, session.opened_at, peers, session.opening_told)
            }
            (None, Some(recording)) => {
                let since = recording.started_at.unwrap_or(recording.created_at);
                (String::new(), recording.session_id.to_string(), since, Vec::new(), false)
            }
            (None, None) => return None,
        };
        let people = peers.iter().filter(|peer| !bots.has(peer)).count();
        let bot_told = people < peers.len();
        let mut peers: Vec<Known> = peers.into_iter().map(Known::from).collect();
        let people = u32::try_from(people).unwrap_or(u32::MAX);
        // Whom the page shows beyond those that were told. Where nothing is known,
        // somebody is there: unknown is not empty.
        let (others, nameless) = match shown {
            _ if all_told => (Some(people), 0),
            Some(shown) => (Some(people.max(shown)), shown.saturating_sub(people)),
            None => (None, u32::from(people == 0)),
        };
        peers.extend((1..=nameless).map(nobody));
        if let Some(recording) = attending
            && !bot_told
        {
            peers.push(Known {
                id: recording.beam_id.to_string(),
                name: meeting.name.clone(),
                user_id: String::new(),
                metadata: String::new(),
                role: meeting.role.clone(),
                joined_at: recording.started_at,
            });
        }
        Some(Self { name, session_id, opened_at, peers, others })
    }
}

/// Somebody of whom nothing is known but that they are there.
fn nobody(number: u32) -> Known {
    Known {
        id: format!("unknown-{number}"),
        name: String::new(),
        user_id: String::new(),
        metadata: String::new(),
        role: String::new(),
        joined_at: None,
    }
}

/// An active room.
#[derive(Serialize, ToSchema)]
#[schema(as = ActiveRoom)]
pub(in crate::http) struct ActiveRoomView {
    #[schema(example = "6110ba7a4b9e1ba5dd3dc85a")]
    id: String,
    /// Empty where it is not known.
    name: String,
    /// `webhooks.account_id` of the configuration.
    customer_id: String,
    session: SessionView,
}

/// The session that is going on.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionView {
    /// The meeting software's own where webhooks told it, else made up.
    #[schema(example = "6110bb814b9e1ba5dd3dc85b")]
    id: String,
    /// When it began, or the recording of it.
    created_at: Rfc3339,
    /// Ids of the peers, recorders among them.
    #[schema(example = json!(["4c6bd3bb-79a3-4b3f-b0ac-2b5cd1d8e7e4"]))]
    peers: Vec<String>,
    /// How many of them are no recorders; null if that is not known. Beyond the
    /// contract.
    people: Option<u32>,
}

impl ActiveRoomView {
    pub(in crate::http) fn of(room: &ActiveRoom, room_id: &str, customer_id: &str) -> Self {
        Self {
            id: room_id.to_owned(),
            name: room.name.clone(),
            customer_id: customer_id.to_owned(),
            session: SessionView {
                id: room.session_id.clone(),
                created_at: Rfc3339(room.opened_at),
                peers: room.peers.iter().map(|peer| peer.id.clone()).collect(),
                people: room.others,
            },
        }
    }
}

/// Who is in a room.
#[derive(Serialize, ToSchema)]
#[schema(as = Peers)]
pub(in crate::http) struct PeersView {
    /// By their ids.
    peers: BTreeMap<String, PeerView>,
}

impl PeersView {
    pub(in crate::http) fn of(
        room: &ActiveRoom,
        user_id: Option<&str>,
        role: Option<&str>,
    ) -> Self {
        let wanted = |peer: &&Known| {
            user_id.is_none_or(|wanted| wanted == peer.user_id)
                && role.is_none_or(|wanted| wanted == peer.role)
        };
        let peers = room.peers.iter().filter(wanted);
        Self { peers: peers.map(|peer| (peer.id.clone(), PeerView::of(peer))).collect() }
    }
}

/// A peer; what is not known is empty.
#[derive(Serialize, ToSchema)]
#[schema(as = Peer)]
struct PeerView {
    #[schema(example = "4c6bd3bb-79a3-4b3f-b0ac-2b5cd1d8e7e4")]
    id: String,
    #[schema(example = "Ann")]
    name: String,
    user_id: String,
    metadata: String,
    #[schema(example = "host")]
    role: String,
    /// Absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    joined_at: Option<Rfc3339>,
}

impl PeerView {
    fn of(peer: &Known) -> Self {
        Self {
            id: peer.id.clone(),
            name: peer.name.clone(),
            user_id: peer.user_id.clone(),
            metadata: peer.metadata.clone(),
            role: peer.role.clone(),
            joined_at: peer.joined_at.map(Rfc3339),
        }
    }
}

/// A peer with its tracks.
#[derive(Serialize, ToSchema)]
#[schema(as = PeerWithTracks)]
pub(in crate::http) struct PeerWithTracksView {
    #[serde(flatten)]
    peer: PeerView,
    /// Always empty: neither webhooks nor pages tell of tracks.
    #[schema(value_type = Object)]
    tracks: BTreeMap<String, ()>,
}

impl PeerWithTracksView {
    pub(in crate::http) fn of(peer: &Known) -> Self {
        Self { peer: PeerView::of(peer), tracks: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::job::{JoinRule, PresenceRule, Quality, State};
    use crate::session::Session;
    use crate::store::Terms;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn peer(id: &str, role: &str) -> Peer {
        let (name, user_id, metadata) = Default::default();
        Peer { joined_at: at(1), id: id.into(), name, user_id, metadata, role: role.into() }
    }

    fn told(opening_told: bool, peers: Vec<Peer>) -> Option<Attended> {
        let session = Session {
            room_id: "r".into(),
            id: "told".parse().unwrap(),
            room_name: "Standup".into(),
            opened_at: at(0),
            opening_told,
            closed_at: None,
        };
        Some(Attended { session, hands_off: false, peers })
    }

    fn recording(state: State) -> Recording {
        let terms = Terms {
            quality: Quality::default(),
            join: JoinRule::Auto,
            max_duration_s: 60.0,
            audio_only: false,
            presence: PresenceRule::default(),
        };
        let mut made = Recording::new("r".into(), "https://meet.example/".into(), terms, at(2));
        made.state = state;
        made.started_at = (state != State::Starting).then(|| at(5));
        made
    }

    /// The ids of the peers, ours as `bot`, and how many are people.
    fn seen(
        told: Option<Attended>,
        holder: Option<&Recording>,
        shown: Option<u32>,
    ) -> Option<(Vec<String>, Option<u32>)> {
        let config = Config::default();
        let room = ActiveRoom::of(told, holder, shown, &Bots::new(&config), &config.meeting)?;
        let ours = holder.map(|recording| recording.beam_id.to_string());
        let id = |peer: &Known| {
            if Some(&peer.id) == ours.as_ref() { "bot".to_owned() } else { peer.id.clone() }
        };
        Some((room.peers.iter().map(id).collect(), room.others))
    }

    fn are(ids: &[&str], people: Option<u32>) -> Option<(Vec<String>, Option<u32>)> {
        Some((ids.iter().map(ToString::to_string).collect(), people))
    }

    #[test]
    fn a_room_that_nobody_told_of_is_what_its_page_shows() {
        let running = recording(State::Running);
        assert_eq!(seen(None, None, None), None);
        assert_eq!(seen(None, Some(&recording(State::Starting)), Some(1)), None);
        assert_eq!(seen(None, Some(&running), Some(0)), are(&["bot"], Some(0)));
        let two = are(&["unknown-1", "unknown-2", "bot"], Some(2));
        assert_eq!(seen(None, Some(&running), Some(2)), two);
        // Unknown is not empty.
        assert_eq!(seen(None, Some(&running), None), are(&["unknown-1", "bot"], None));
    }

    #[test]
    fn a_session_that_was_told_from_its_beginning_is_known_whole() {
        let running = recording(State::Running);
        let ann = || vec![peer("ann", "host")];
        assert_eq!(seen(told(true, ann()), None, None), are(&["ann"], Some(1)));
        assert_eq!(seen(told(true, ann()), Some(&running), Some(3)), are(&["ann", "bot"], Some(1)));
        assert_eq!(seen(told(true, vec![]), Some(&running), Some(1)), are(&["bot"], Some(0)));
        // A bot that the room tells of itself is not there twice.
        let both = vec![peer("ann", "host"), peer("b", "__internal_recorder")];
        assert_eq!(seen(told(true, both), Some(&running), None), are(&["ann", "b"], Some(1)));
    }

    #[test]
    fn a_session_that_was_told_in_part_is_completed_by_the_page() {
        let running = recording(State::Running);
        let ann = || vec![peer("ann", "host")];
        let three = are(&["ann", "unknown-1", "unknown-2", "bot"], Some(3));
        assert_eq!(seen(told(false, ann()), Some(&running), Some(3)), three);
        assert_eq!(seen(told(false, ann()), Some(&running), None), are(&["ann", "bot"], None));
        let one = are(&["unknown-1", "bot"], None);
        assert_eq!(seen(told(false, vec![]), Some(&running), None), one);
        assert_eq!(seen(told(false, vec![]), Some(&running), Some(0)), are(&["bot"], Some(0)));
    }
}
