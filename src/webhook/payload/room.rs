//! Bodies of events of a room, as the room's own webhooks would have them. What a page
//! does not show is empty.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::exact;
use crate::config::Webhooks;
use crate::job::{Peer, RoomNews};
use crate::store::Recording;

#[derive(Serialize)]
pub(super) struct Room<'a> {
    room_id: &'a str,
    room_name: &'static str,
    session_id: String,
    template_id: &'a str,
    session_started_at: String,
    #[serde(flatten)]
    own: Own<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Own<'a> {
    Opened {},
    Closed {
        session_duration: u64,
        session_stopped_at: String,
    },
    Joined {
        #[serde(flatten)]
        peer: Participant<'a>,
    },
    Left {
        #[serde(flatten)]
        peer: Participant<'a>,
        left_at: String,
        duration: u64,
        reason: &'static str,
        message: &'static str,
    },
}

#[derive(Serialize)]
struct Participant<'a> {
    peer_id: &'a str,
    user_id: &'static str,
    user_name: &'a str,
    user_data: &'static str,
    role: &'a str,
    joined_at: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> Participant<'a> {
    fn new(peer: &'a Peer, joined_at: DateTime<Utc>) -> Self {
        Self {
            peer_id: &peer.id,
            user_id: "",
            user_name: &peer.name,
            user_data: "",
            role: &peer.role,
            joined_at: exact(joined_at),
            kind: "regular",
        }
    }
}

impl<'a> Room<'a> {
    pub(super) fn new(
        settings: &'a Webhooks,
        recording: &'a Recording,
        news: &'a RoomNews,
    ) -> Self {
        let (opened_at, own) = match news {
            RoomNews::Opened { opened_at } => (opened_at, Own::Opened {}),
            RoomNews::Closed { opened_at, closed_at } => {
                let session_duration = seconds(*opened_at, *closed_at);
                let session_stopped_at = exact(*closed_at);
                (opened_at, Own::Closed { session_duration, session_stopped_at })
            }
            RoomNews::Joined { opened_at, peer, joined_at } => {
                (opened_at, Own::Joined { peer: Participant::new(peer, *joined_at) })
            }
            RoomNews::Left { opened_at, peer, joined_at, left_at } => {
                let own = Own::Left {
                    peer: Participant::new(peer, *joined_at),
                    left_at: exact(*left_at),
                    duration: seconds(*joined_at, *left_at),
                    reason: "",
                    message: "",
                };
                (opened_at, own)
            }
        };
        Self {
            room_id: &recording.room_id,
            room_name: "",
            session_id: recording.session_id.to_string(),
            template_id: &settings.template_id,
            session_started_at: exact(*opened_at),
            own,
        }
    }
}

/// Whole seconds; none if the clock was set back.
fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> u64 {
    u64::try_from((to - from).num_seconds()).unwrap_or(0)
}
