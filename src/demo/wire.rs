//! The signalling messages: JSON text frames on `/ws`, one object each,
//! told apart by `type`. The page's side is `page/signal.js`.

use serde::{Deserialize, Serialize};

/// A peer's id, unique in the life of the server and rising with each join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct PeerId(pub(super) u64);

/// What a page says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FromPage {
    /// The first message, and only the first.
    Join(Join),
    /// Session description or ICE candidate for one peer.
    Signal { to: PeerId, data: serde_json::Value },
    /// What this page sends now.
    State { state: MediaState },
    /// End the room for everybody; heeded from a host only.
    End,
}

/// A wish to join.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Join {
    pub(super) room: String,
    pub(super) role: String,
    #[serde(default)]
    pub(super) name: String,
    /// What the embedding product calls this user (`userId=`, or the token).
    #[serde(default)]
    pub(super) user_id: Option<String>,
    /// A JWT whose claims win over the link's role; see `token`.
    #[serde(default)]
    pub(super) auth_token: Option<String>,
    /// Whether this page wants the others' media; bots do not.
    #[serde(default = "yes")]
    pub(super) subscribe: bool,
}

fn yes() -> bool {
    true
}

/// What a peer sends at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MediaState {
    /// Its microphone is open.
    #[serde(default)]
    pub(super) mic: bool,
    /// Its camera is on.
    #[serde(default)]
    pub(super) cam: bool,
    /// It shares its screen.
    #[serde(default)]
    pub(super) screen: bool,
    /// Id of the media stream that carries its screen when shared; what comes
    /// under another id is its camera and microphone.
    #[serde(default)]
    pub(super) screen_id: String,
}

/// A peer as the others are told of it; hidden ones without name and role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PeerView {
    pub(super) id: PeerId,
    pub(super) hidden: bool,
    pub(super) name: Option<String>,
    pub(super) role: Option<String>,
    pub(super) publish: bool,
    pub(super) subscribe: bool,
    pub(super) state: MediaState,
}

/// A visible peer as `/api/rooms/{room}` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Listed {
    pub(super) id: PeerId,
    pub(super) name: String,
    pub(super) role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<String>,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ToPage {
    /// Joined: who you are now and who is there already.
    Welcome {
        id: PeerId,
        room: String,
        role: String,
        name: String,
        hidden: bool,
        host: bool,
        peers: Vec<PeerView>,
    },
    /// Not joined, and trying again will not help. The last message.
    Refused { reason: Refusal },
    /// Somebody came.
    Joined { peer: PeerView },
    /// Somebody went.
    Left { id: PeerId },
    /// Signalling data from one peer.
    Signal { from: PeerId, data: serde_json::Value },
    /// A peer's microphone, camera or screen changed.
    State { id: PeerId, state: MediaState },
    /// The room was ended for all. The last message.
    Ended,
    /// This peer was put out. The last message.
    Removed,
}

/// Why a page may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    /// Room or role is not a usable id.
    BadLink,
    /// The token is no JWT of this shape.
    BadToken,
    /// The token's `exp` has passed.
    TokenExpired,
    /// The token's `nbf` is still to come.
    TokenNotYetValid,
    /// The token is for another room.
    TokenForOtherRoom,
    /// No seat left.
    Full,
}
