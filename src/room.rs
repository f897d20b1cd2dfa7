//! Is the meeting joined, who is there, is it over?
//!
//! The scripts of [`install_script`] run in every document before its own; the
//! recorder evaluates [`read_expression`] now and then. What comes back is a
//! [`Reading`]. [`JoinWatch`] says of it whether the meeting is joined or over,
//! [`Crowd`] who is there, and [`Vacancy`] whether the room has been empty for too
//! long. Nothing here knows the browser: scripts go out as text, readings come in
//! as values.

mod console;
mod crowd;
mod join;
mod probes;
mod vacancy;

use serde::{Deserialize, Serialize};

pub use console::Token;
pub use crowd::{Crowd, Presence, Seen};
pub use join::{How, JoinWatch, LEFT_GRACE, QUIET_PAGE, Verdict};
pub use probes::read_expression;
pub use vacancy::{Limits, UNSEEN_GAP, Vacancy, Vacant};

use crate::job::Peer;

/// What a probe reads of its software, or the page says by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sight {
    /// Name of the probe; `signal` for `window.roomreel`.
    pub probe: String,
    /// The page takes part in the meeting now.
    pub joined: bool,
    /// The others in the room, hidden ones and recorders too; `None` when the
    /// page does not list them.
    pub peers: Option<Vec<Peer>>,
    /// How many others there are, at least as many as are listed; `None` when the
    /// page does not say.
    pub count: Option<u32>,
    /// The software's own id of the meeting's session, as it says it.
    pub session: Option<String>,
    /// The meeting is over for this page.
    pub over: Option<Over>,
    /// Why it could not get in or was lost: a code and a name of the software's.
    pub error: Option<String>,
}

/// How a meeting is over for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// It was ended for all.
    Ended,
    /// The page was put out of it.
    Removed,
    /// The page is no longer in it, it does not say why.
    Left,
    /// The software gave up.
    Failed,
}

/// What the wrapped `RTCPeerConnection` knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webrtc {
    /// Connections made since the document began, gone ones counted.
    pub connections: u32,
    /// Connections that are connected now.
    pub connected: u32,
    /// Tracks that others send and that have not ended.
    pub live_remote_tracks: u32,
    /// Bytes of media received by the connections that are connected now.
    pub inbound_bytes: u64,
}

/// One look at a frame, or at all frames of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// `None` when no probe knows the page.
    pub sight: Option<Sight>,
    /// `None` when the scripts are not in the document: nothing is known then.
    pub webrtc: Option<Webrtc>,
}

impl Reading {
    /// One reading for the whole page. What the main frame shows counts before
    /// what embedded frames do; media counts wherever it is. A frame that did not
    /// answer is not among `frames`: what only it knows is then unknown.
    pub fn with_frames(self, frames: Vec<Self>) -> Self {
        let sum = |a: Webrtc, b: Webrtc| Webrtc {
            connections: a.connections.saturating_add(b.connections),
            connected: a.connected.saturating_add(b.connected),
            live_remote_tracks: a.live_remote_tracks.saturating_add(b.live_remote_tracks),
            inbound_bytes: a.inbound_bytes.saturating_add(b.inbound_bytes),
        };
        let webrtc = frames.iter().filter_map(|frame| frame.webrtc);
        Self {
            // Without the main frame's own answer the sum would claim to be whole.
            webrtc: self.webrtc.map(|own| webrtc.fold(own, sum)),
            sight: self.sight.or_else(|| frames.into_iter().find_map(|frame| frame.sight)),
        }
    }

    /// Bytes of media so far; `None` on a page that has no peer connection.
    pub fn media(&self) -> Option<u64> {
        self.webrtc.filter(|webrtc| webrtc.connections > 0).map(|webrtc| webrtc.inbound_bytes)
    }

    /// True while somebody's track is there and something comes in.
    pub fn has_remote_media(&self) -> bool {
        self.webrtc.is_some_and(|webrtc| webrtc.live_remote_tracks > 0 && webrtc.inbound_bytes > 0)
    }
}

/// Runs before a document's own scripts, in every frame; harmless if run twice.
pub fn install_script() -> &'static str {
    include_str!("room/webrtc.js")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(connections: u32, connected: u32) -> Option<Webrtc> {
        Some(Webrtc { connections, connected, live_remote_tracks: connected, inbound_bytes: 10 })
    }

    #[test]
    fn readings_are_read_as_the_scripts_write_them() {
        let text = r#"{"sight":{"probe":"signal","joined":true,"peers":null,"count":2,"session":"s-1",
            "over":"removed","error":null},
            "webrtc":{"connections":2,"connected":1,"liveRemoteTracks":3,"inboundBytes":9}}"#;
        let reading: Reading = serde_json::from_str(text).unwrap();
        let sight = Sight {
            probe: "signal".into(),
            joined: true,
            count: Some(2),
            session: Some("s-1".into()),
            over: Some(Over::Removed),
            ..Sight::default()
        };
        assert_eq!(reading.sight, Some(sight));
        let webrtc =
            Webrtc { connections: 2, connected: 1, live_remote_tracks: 3, inbound_bytes: 9 };
        assert_eq!(reading.webrtc, Some(webrtc));
        let nothing: Reading = serde_json::from_str(r#"{"sight":null,"webrtc":null}"#).unwrap();
        assert_eq!(nothing, Reading::default());
        assert_eq!((nothing.media(), reading.media()), (None, Some(9)));
    }

    #[test]
    fn frames_add_their_media_and_lend_their_sight() {
        let own = Sight { count: Some(1), ..Sight::default() };
        let inner = Sight { joined: true, count: Some(7), ..Sight::default() };
        let main = Reading { sight: None, webrtc: heard(0, 0) };
        let frame = Reading { sight: Some(inner.clone()), webrtc: heard(2, 1) };
        let whole = main.clone().with_frames(vec![Reading::default(), frame.clone()]);
        assert_eq!(whole.sight, Some(inner));
        assert_eq!(whole.webrtc.unwrap().connections, 2);
        assert_eq!(whole.webrtc.unwrap().inbound_bytes, 20);
        let judged = Reading { sight: Some(own.clone()), ..main }.with_frames(vec![frame.clone()]);
        assert_eq!(judged.sight, Some(own));
        assert_eq!(Reading::default().with_frames(vec![frame]).webrtc, None);
    }
}
