//! What rooms tell, who is in them, and the recordings that start and stop by it.

mod active;
mod hooks;
mod page;
mod rules;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use roomreel::config::Sender;

use super::*;

/// What the meeting software and the service share.
const PASSCODE: &str = "correct horse battery staple";
/// A recorder whose page shows what is written into `others` beside its journal.
const SHOWS: &str = r#"
[ "$4" = --salvage ] && exit 1
echo '{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}' > "$3/journal.jsonl"
while [ -d "$3" ]; do
    [ -e "$3/others" ] && { printf '{"event":"peers","count":%s}\n' "$(cat "$3/others")" >> "$3/journal.jsonl"; rm "$3/others"; }
    sleep 0.05
done
"#;

/// A room's meeting software, which tells what happens in one session of it.
#[derive(Clone)]
struct Software {
    room: &'static str,
    session: &'static str,
    opened: DateTime<Utc>,
}

impl Software {
    /// A session that opened a minute ago.
    fn new(room: &'static str, session: &'static str) -> Self {
        let opened = Utc::now() - TimeDelta::seconds(60);
        Self { room, session, opened }
    }

    fn time(&self, after: f64) -> String {
        let at = self.opened + TimeDelta::milliseconds((after * 1000.0) as i64);
        at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    /// The contract's envelope of what happened `after` so many seconds.
    fn event(&self, kind: &str, after: f64, own: Value) -> Value {
        let mut data = json!({
            "room_id": self.room,
            "room_name": "Daily standup",
            "session_id": self.session,
            "template_id": "6110b8b44b9e1ba5dd3dc859",
            "session_started_at": self.time(0.0),
        });
        data.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        json!({
            "version": "2.0",
            "id": uuid::Uuid::new_v4(),
            "account_id": "6109d9e84b9e1ba5dd3dc850",
            "app_id": "6109d9e84b9e1ba5dd3dc851",
            "timestamp": self.time(after.floor()),
            "type": kind,
            "data": data,
        })
    }

    fn opens(&self) -> Value {
        self.event("session.open.success", 0.0, json!({}))
    }

    fn closes(&self, after: f64) -> Value {
        let own = json!({ "session_duration": 50, "session_stopped_at": self.time(after) });
        self.event("session.close.success", after, own)
    }

    fn ends(&self, after: f64) -> Value {
        let own = json!({
            "peer_id": "peer-ann", "user_id": "user-ann", "user_name": "ann", "role": "host",
            "lock_room": false, "reason": "over", "source": "peer",
        });
        self.event("room.end.success", after, own)
    }

    fn peer(&self, name: &str, role: &str, joined: f64) -> Value {
        json!({
            "peer_id": format!("peer-{name}"), "user_id": format!("user-{name}"), "user_name": name,
            "user_data": "{\"avatar\":7}", "role": role, "joined_at": self.time(joined),
            "type": "regular",
        })
    }

    fn joins(&self, name: &str, role: &str, after: f64) -> Value {
        self.event("peer.join.success", after, self.peer(name, role, after))
    }

    fn leaves(&self, name: &str, role: &str, joined: f64, after: f64) -> Value {
        let mut own = self.peer(name, role, joined);
        own["left_at"] = json!(self.time(after));
        own["duration"] = json!(after - joined);
        own["reason"] = json!("client request");
        own["message"] = json!("");
        self.event("peer.leave.success", after, own)
    }
}

/// Believes the passcode, and knows an address for every room.
fn believes(config: &mut Config) {
    config.hooks.senders = vec![Sender {
        name: "100ms".into(),
        headers: [("X-Passcode".to_owned(), PASSCODE.into())].into(),
        secrets: Vec::new(),
    }];
    config.meeting.url_template =
        "https://meet.example/preview/{room_id}/{role}?name={name}&skip_preview=true".into();
    // What is told to stop is not to be forced.
    config.recording.stop_grace = Duration::from_secs(600);
}

impl Api {
    fn hook(&self, event: &Value) -> RequestBuilder {
        self.post("/v2/hooks/room", event.to_string()).header("x-passcode", PASSCODE)
    }

    /// Posts an event that is to be taken as `result`.
    async fn tell(&self, event: &Value, result: &str) {
        let (status, answer) = told(self.hook(event)).await;
        assert_eq!((status, &answer["result"]), (200, &json!(result)), "{event} -> {answer}");
    }

    async fn tell_all(&self, events: &[Value]) {
        for event in events {
            self.tell(event, "taken").await;
        }
    }

    /// The room's recordings, newest first.
    async fn recordings(&self, room: &str) -> Vec<Value> {
        let page = self.get(&format!("/v2/recordings?room_id={room}&limit=100")).await;
        page["data"].as_array().unwrap().clone()
    }

    /// Waits for a recording of the room; the limit ends a broken test.
    async fn recorded(&self, room: &str) -> Value {
        for _ in 0..1200 {
            if let Some(recording) = self.recordings(room).await.pop() {
                return recording;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{room} is never recorded");
    }

    /// Waits until all that was told so far has had its consequences: events are
    /// judged one after another, and one of another room is told here.
    async fn settled(&self) {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static ROOMS: AtomicUsize = AtomicUsize::new(0);
        let room = format!("settled-{}", ROOMS.fetch_add(1, Ordering::Relaxed));
        let mut event = Software::new("settled", "settled").joins("zoe", "host", 59.0);
        event["data"]["room_id"] = json!(room);
        self.tell(&event, "taken").await;
        self.recorded(&room).await;
    }

    /// Says what the page of a recording shows.
    fn show(&self, recording: &Value, others: &str) {
        let dir = self.root.path().join("data/recordings").join(id(recording));
        std::fs::write(dir.join("others.new"), others).unwrap();
        std::fs::rename(dir.join("others.new"), dir.join("others")).unwrap();
    }

    /// Waits until the service has seen how many others the page of a recording shows.
    async fn seen(&self, recording: &Value, others: f64) {
        let id = format!("recording_id=\"{}\"", id(recording));
        for _ in 0..400 {
            let text = metrics::metrics(self).await;
            if metrics::sample(&text, "roomreel_recording_peers", &[&id]) == Some(others) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{others} others are never seen");
    }
}
