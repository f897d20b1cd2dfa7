//! Is the meeting joined, who is there, is it over?
//!
//! The scripts of [`install_script`] run in every document before its own; the
//! recorder evaluates [`read_expression`] now and then and feeds the
//! [`Reading`]s to a [`JoinWatch`]. Nothing here knows the browser: scripts go
//! out as text, readings come in as values.

mod join;

use serde::{Deserialize, Serialize};

pub use join::{How, JoinWatch, QUIET_PAGE, Verdict};

/// What a page says through `window.roomreel`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// The page takes part in the meeting.
    pub joined: bool,
    /// Others in the room; `None` when the page does not say.
    pub peers: Option<u32>,
    /// The meeting is over.
    pub ended: bool,
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// `None` when there is no `window.roomreel`.
    pub signal: Option<Signal>,
    /// `None` when the scripts are not in the document: nothing is known then.
    pub webrtc: Option<Webrtc>,
}

impl Reading {
    /// One reading for the whole page. The main frame's signal counts before
    /// those of embedded frames; media counts wherever it is.
    pub fn with_frames(self, frames: &[Self]) -> Self {
        let sum = |a: Webrtc, b: Webrtc| Webrtc {
            connections: a.connections.saturating_add(b.connections),
            connected: a.connected.saturating_add(b.connected),
            live_remote_tracks: a.live_remote_tracks.saturating_add(b.live_remote_tracks),
            inbound_bytes: a.inbound_bytes.saturating_add(b.inbound_bytes),
        };
        let webrtc = frames.iter().filter_map(|frame| frame.webrtc);
        Self {
            signal: self.signal.or_else(|| frames.iter().find_map(|frame| frame.signal)),
            // Without the main frame's own answer the sum would claim to be whole.
            webrtc: self.webrtc.map(|own| webrtc.fold(own, sum)),
        }
    }
}

/// Runs before a document's own scripts, in every frame; harmless if run twice.
pub fn install_script() -> &'static str {
    include_str!("room/webrtc.js")
}

/// An expression whose promise gives a [`Reading`] as JSON.
pub fn read_expression() -> &'static str {
    include_str!("room/signal.js")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(connections: u32, connected: u32) -> Option<Webrtc> {
        Some(Webrtc { connections, connected, live_remote_tracks: connected, inbound_bytes: 10 })
    }

    #[test]
    fn readings_are_read_as_the_scripts_write_them() {
        let text = r#"{"signal":{"joined":true,"peers":null,"ended":false},
            "webrtc":{"connections":2,"connected":1,"liveRemoteTracks":3,"inboundBytes":9}}"#;
        let reading: Reading = serde_json::from_str(text).unwrap();
        assert_eq!(reading.signal, Some(Signal { joined: true, peers: None, ended: false }));
        let webrtc =
            Webrtc { connections: 2, connected: 1, live_remote_tracks: 3, inbound_bytes: 9 };
        assert_eq!(reading.webrtc, Some(webrtc));
        let nothing: Reading = serde_json::from_str(r#"{"signal":null,"webrtc":null}"#).unwrap();
        assert_eq!(nothing, Reading::default());
    }

    #[test]
    fn frames_add_their_media_and_lend_their_signal() {
        let own = Signal { joined: false, peers: Some(1), ended: false };
        let inner = Signal { joined: true, peers: Some(7), ended: false };
        let main = Reading { signal: None, webrtc: heard(0, 0) };
        let frame = Reading { signal: Some(inner), webrtc: heard(2, 1) };
        let whole = main.with_frames(&[Reading::default(), frame]);
        assert_eq!(whole.signal, Some(inner));
        assert_eq!(whole.webrtc.unwrap().connections, 2);
        assert_eq!(whole.webrtc.unwrap().inbound_bytes, 20);
        let judged = Reading { signal: Some(own), ..main }.with_frames(&[frame]);
        assert_eq!(judged.signal, Some(own));
        assert_eq!(Reading::default().with_frames(&[frame]).webrtc, None);
    }
}
