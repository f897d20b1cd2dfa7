//! The contract's envelope and what is made of it.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::body::{self, Object};
use crate::http::error::ApiError;
use crate::http::query::is_room_id;
use crate::session::{Happening, Peer, RoomEvent, SessionId};

/// Characters of an event's or a peer's id, at most.
const LONGEST_ID: usize = 128;
/// Characters of a type that are logged.
const LONGEST_TYPE: usize = 64;

/// What a post tells.
pub(super) enum Told {
    /// An event that something can be made of.
    Event(Box<RoomEvent>),
    /// Another type, by its name.
    Other(String),
}

/// An event of a room. What is not listed here is ignored.
#[derive(Deserialize, ToSchema)]
pub(super) struct Hook {
    /// The event's id, the same on every try.
    #[schema(example = "0d3ddd2a-5fc0-4cf1-8f35-4f3c5a2e7f0b", min_length = 1, max_length = 128)]
    id: String,
    /// What happened.
    #[schema(example = "peer.join.success")]
    r#type: String,
    /// When it was told.
    #[schema(value_type = Option<DateTime<Utc>>)]
    timestamp: Option<String>,
    /// Where, and to whom.
    #[schema(value_type = Facts)]
    data: Object<Facts>,
}

/// What the events have to say; each needs `room_id` and `session_id`, those of
/// peers `peer_id`.
#[derive(Default, Deserialize, ToSchema)]
struct Facts {
    #[schema(example = "6110ba7a4b9e1ba5dd3dc85a", pattern = "^[A-Za-z0-9._-]{1,128}$")]
    room_id: Option<String>,
    room_name: Option<String>,
    #[schema(example = "6110bb814b9e1ba5dd3dc85b", pattern = "^[A-Za-z0-9._-]{1,128}$")]
    session_id: Option<String>,
    #[schema(value_type = Option<DateTime<Utc>>)]
    session_started_at: Option<String>,
    #[schema(value_type = Option<DateTime<Utc>>)]
    session_stopped_at: Option<String>,
    #[schema(min_length = 1, max_length = 128)]
    peer_id: Option<String>,
    user_id: Option<String>,
    user_name: Option<String>,
    /// What the caller's system attached to the peer, as text.
    user_data: Option<String>,
    role: Option<String>,
    #[schema(value_type = Option<DateTime<Utc>>)]
    joined_at: Option<String>,
    #[schema(value_type = Option<DateTime<Utc>>)]
    left_at: Option<String>,
}

/// What has to be there to tell what the rest is.
#[derive(Deserialize)]
struct Kind {
    r#type: String,
}

/// Reads a body that came at `now`. Of types that nothing is made of, only the
/// type is looked at.
pub(super) fn read(bytes: &[u8], now: DateTime<Utc>) -> Result<Told, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Err(ApiError::empty_body());
    }
    let Kind { r#type: name } = body::parse(bytes)?;
    if Kinds::of(&name).is_none() {
        return Ok(Told::Other(name.chars().take(LONGEST_TYPE).collect()));
    }
    let hook: Hook = body::parse(bytes)?;
    let mut wrong = Vec::new();
    let event = hook.check(now, &mut wrong);
    event
        .filter(|_| wrong.is_empty())
        .map(|event| Told::Event(Box::new(event)))
        .ok_or_else(|| ApiError::invalid(wrong))
}

/// The types that something is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    Opened,
    Closed,
    Joined,
    Left,
    Ended,
}

impl Kinds {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "session.open.success" => Self::Opened,
            "session.close.success" => Self::Closed,
            "peer.join.success" => Self::Joined,
            "peer.leave.success" => Self::Left,
            "room.end.success" => Self::Ended,
            _ => return None,
        })
    }
}

impl Hook {
    /// Everything that is wrong with it at once, or the event.
    fn check(self, now: DateTime<Utc>, wrong: &mut Vec<String>) -> Option<RoomEvent> {
        let kind = Kinds::of(&self.r#type)?;
        let Object(facts) = self.data;
        let id = short("id", Some(self.id), wrong);
        let room_id = required("data.room_id", facts.room_id, wrong).filter(|id| {
            if !is_room_id(id) {
                wrong.push(
                    "data.room_id: must be 1 to 128 letters, digits, dots, underscores or hyphens"
                        .to_owned(),
                );
            }
            is_room_id(id)
        });
        let session_id = required("data.session_id", facts.session_id, wrong).and_then(|id| {
            let parsed = id.parse::<SessionId>();
            parsed.map_err(|bad| wrong.push(format!("data.session_id: {bad}"))).ok()
        });
        let mut time = |name: &str, text: Option<String>| time(name, text, now, wrong);
        let told_at = time("timestamp", self.timestamp);
        let opened_at = time("data.session_started_at", facts.session_started_at);
        let stopped_at = time("data.session_stopped_at", facts.session_stopped_at);
        let joined_at = time("data.joined_at", facts.joined_at);
        let left_at = time("data.left_at", facts.left_at);
        let own = match kind {
            Kinds::Opened => opened_at,
            Kinds::Closed => stopped_at,
            Kinds::Joined => joined_at,
            Kinds::Left => left_at,
            Kinds::Ended => None,
        };
        let at = own.or(told_at).unwrap_or(now);
        let peer = || {
            let id = short("data.peer_id", facts.peer_id, wrong)?;
            Some(Peer {
                joined_at: joined_at.unwrap_or(at),
                id,
                name: facts.user_name.unwrap_or_default(),
                user_id: facts.user_id.unwrap_or_default(),
                metadata: facts.user_data.unwrap_or_default(),
                role: facts.role.unwrap_or_default(),
            })
        };
        let happening = match kind {
            Kinds::Opened => Happening::Opened,
            Kinds::Closed => Happening::Closed,
            Kinds::Ended => Happening::Ended,
            Kinds::Joined => Happening::Joined { peer: peer()? },
            Kinds::Left => Happening::Left { peer: peer()? },
        };
        Some(RoomEvent {
            id: id?,
            room_id: room_id?,
            room_name: facts.room_name.unwrap_or_default(),
            session_id: session_id?,
            // Nobody is in a session before it began.
            opened_at: opened_at.or(joined_at).unwrap_or(at).min(at),
            at,
            happening,
        })
    }
}

fn required(name: &str, value: Option<String>, wrong: &mut Vec<String>) -> Option<String> {
    if value.is_none() {
        wrong.push(format!("{name}: is required"));
    }
    value
}

/// An id of the sender's own making.
fn short(name: &str, value: Option<String>, wrong: &mut Vec<String>) -> Option<String> {
    let value = required(name, value, wrong)?;
    let good = (1..=LONGEST_ID).contains(&value.len()) && !value.chars().any(char::is_control);
    if !good {
        wrong.push(format!("{name}: must be 1 to {LONGEST_ID} characters"));
    }
    good.then_some(value)
}

/// A time by the sender's clock, which may be ahead of ours; `0001-01-01` is the
/// contract's way to say that there is none.
fn time(
    name: &str,
    text: Option<String>,
    now: DateTime<Utc>,
    wrong: &mut Vec<String>,
) -> Option<DateTime<Utc>> {
    let text = text.filter(|text| !text.is_empty())?;
    match DateTime::parse_from_rfc3339(&text) {
        Ok(time) => Some(time.to_utc().min(now)).filter(|time| *time > DateTime::UNIX_EPOCH),
        Err(_) => {
            let right = "must be an RFC 3339 time, like \"2026-01-31T09:30:00Z\"";
            wrong.push(format!("{name}: {right}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn told(body: &Value) -> Result<Told, ApiError> {
        read(body.to_string().as_bytes(), now())
    }

    fn event(body: &Value) -> RoomEvent {
        match told(body) {
            Ok(Told::Event(event)) => *event,
            Ok(Told::Other(kind)) => panic!("{kind} is ignored"),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn join() -> Value {
        json!({
            "version": "2.0", "id": "e-1", "account_id": "a", "timestamp": "2026-03-01T11:00:05Z",
            "type": "peer.join.success",
            "data": {
                "room_id": "r", "room_name": "Standup", "session_id": "s", "template_id": "t",
                "session_started_at": "2026-03-01T10:59:00.5Z", "peer_id": "p", "user_id": "u",
                "user_name": "Ann", "user_data": "{\"a\":1}", "role": "host",
                "joined_at": "2026-03-01T11:00:04.123456789Z", "type": "regular",
            },
        })
    }

    #[test]
    fn a_join_is_read_whole() {
        let event = event(&join());
        let at: DateTime<Utc> = "2026-03-01T11:00:04.123456789Z".parse().unwrap();
        let peer = Peer {
            joined_at: at,
            id: "p".into(),
            name: "Ann".into(),
            user_id: "u".into(),
            metadata: "{\"a\":1}".into(),
            role: "host".into(),
        };
        let wanted = RoomEvent {
            id: "e-1".into(),
            room_id: "r".into(),
            room_name: "Standup".into(),
            session_id: "s".parse().unwrap(),
            opened_at: "2026-03-01T10:59:00.5Z".parse().unwrap(),
            at,
            happening: Happening::Joined { peer },
        };
        assert_eq!(event, wanted);
    }

    #[test]
    fn times_that_are_absent_zero_or_ahead() {
        let mut bare = join();
        for name in ["session_started_at", "joined_at"] {
            bare["data"][name] = Value::Null;
        }
        let told_at: DateTime<Utc> = "2026-03-01T11:00:05Z".parse().unwrap();
        assert_eq!((event(&bare).at, event(&bare).opened_at), (told_at, told_at));
        bare["data"]["joined_at"] = json!("0001-01-01T00:00:00Z");
        assert_eq!(event(&bare).at, told_at);
        bare["timestamp"] = json!("2026-03-01T12:05:00Z");
        assert_eq!(event(&bare).at, now());
        bare["timestamp"] = Value::Null;
        assert_eq!(event(&bare).at, now());
    }

    #[test]
    fn everything_wrong_is_named() {
        let mut odd = join();
        odd["id"] = json!("");
        odd["timestamp"] = json!("yesterday");
        odd["data"] = json!({ "room_id": "a/b", "joined_at": "12:00", "left_at": "" });
        let Err(error) = told(&odd) else { panic!("taken") };
        let text = format!("{error:?}");
        for name in ["id: ", "timestamp: ", "data.room_id: ", "data.session_id: is required"] {
            assert!(text.contains(name), "{name} {text}");
        }
        for name in ["data.joined_at: ", "data.peer_id: is required"] {
            assert!(text.contains(name), "{name} {text}");
        }
        assert!(!text.contains("data.left_at"), "{text}");
        for (body, name) in [
            (json!({ "type": 7 }), "type: "),
            (json!({ "id": "e" }), "missing field `type`"),
            (json!({ "type": "peer.join.success", "id": "e" }), "missing field `data`"),
            (json!({ "type": "room.end.success", "id": "e", "data": [] }), "data: "),
            (
                json!({ "type": "room.end.success", "id": "e", "data": {"room_id": 7} }),
                "data.room_id: ",
            ),
        ] {
            let Err(error) = told(&body) else { panic!("{body} was taken") };
            assert!(format!("{error:?}").contains(name), "{error:?}");
        }
    }

    #[test]
    fn other_types_are_not_looked_at() {
        for body in [json!({ "type": "beam.started.success" }), json!({ "type": "", "data": 7 })] {
            assert!(matches!(told(&body), Ok(Told::Other(_))), "{body}");
        }
    }
}
