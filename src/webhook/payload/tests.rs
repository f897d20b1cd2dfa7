use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::*;
use crate::job::{
    Ended, FailureKind, JoinRule, Peer, PresenceRule, Quality, Resolution, RoomNews, StopReason,
};
use crate::store::{Id, Terms};

const COMMON: &[&str] = &[
    "beam_id",
    "room_id",
    "session_id",
    "peer_id",
    "template_id",
    "metadata_id",
    "metadata_timestamp",
    "max_width",
    "max_height",
    "meeting_url",
    "rtmp",
    "session_started_at",
];
const JOB: &[&str] = &["job_id", "recording_enabled", "state_name", "state_timestamp"];

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
}

fn recording() -> Recording {
    let terms = Terms {
        quality: Quality { resolution: Resolution::new(720, 1280).unwrap(), ..Quality::default() },
        join: JoinRule::Auto,
        max_duration_s: 60.0,
        audio_only: false,
        presence: PresenceRule::default(),
    };
    let url = "https://meet.example/preview/r/bot?auth_token=s3cret&skip_preview=true";
    let mut recording = Recording::new("standup".into(), url.into(), terms, at(0));
    recording.started_at = Some(at(3_120));
    recording.stopped_at = Some(at(102_620));
    recording
}

fn file() -> File {
    let asset = Asset {
        id: Id::new(at(0)),
        destination: "default".into(),
        path: "beam/standup/20231114/Rec-standup-1.mp4".into(),
        size: 34_412_077,
        duration_s: 99.6,
        created_at: at(103_000),
        resolution: Resolution::HD,
        audio_only: false,
        failed: false,
    };
    File::new(&asset, "file:///srv/Rec-standup-1.mp4".into(), "https://rec.example/f?s=1".into())
}

fn settings() -> Webhooks {
    Webhooks {
        account_id: "acc".into(),
        app_id: "app".into(),
        template_id: "tpl".into(),
        ..Webhooks::default()
    }
}

fn event(recording: &Recording, occurrence: Occurrence) -> OutboxEvent {
    OutboxEvent {
        id: Uuid::new_v4(),
        metadata_id: Uuid::new_v4(),
        recording_id: recording.id,
        occurrence,
        at: at(104_500),
    }
}

fn made(occurrence: Occurrence, file: Option<File>, is_replay: bool) -> (Recording, Value) {
    let recording = recording();
    let event = event(&recording, occurrence);
    let body = body(&settings(), &recording, &event, file, is_replay).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["id"], event.id.to_string());
    assert_eq!(body["data"]["metadata_id"], event.metadata_id.to_string());
    assert_eq!(body["type"], event.occurrence.name());
    assert!(!body.to_string().contains("s3cret"), "{body}");
    (recording, body)
}

fn failed(asset: Option<&str>) -> Occurrence {
    Occurrence::Failed {
        kind: FailureKind::MaxRetriesReached,
        message: "Beam couldn't connect to Meeting URL after 3 retries".into(),
        duration: 12,
        asset: asset.map(str::to_owned),
    }
}

#[test]
fn news_of_a_room_have_the_fields_of_the_room_s_own_webhooks() {
    const ROOM: [&str; 5] =
        ["room_id", "room_name", "session_id", "template_id", "session_started_at"];
    const PEER: [&str; 7] =
        ["peer_id", "user_id", "user_name", "user_data", "role", "joined_at", "type"];
    let opened_at = at(0);
    let peer = || Peer { id: "p1".into(), name: "Ada".into(), role: "host".into() };
    let joined_at = at(1_500);
    let leave = ["left_at", "duration", "reason", "message"];
    let leave = [&PEER[..], &leave].concat();
    for (news, own) in [
        (RoomNews::Opened { opened_at }, &[][..]),
        (RoomNews::Joined { opened_at, peer: peer(), joined_at }, &PEER),
        (RoomNews::Left { opened_at, peer: peer(), joined_at, left_at: at(61_600) }, &leave),
        (
            RoomNews::Closed { opened_at, closed_at: at(61_600) },
            &["session_duration", "session_stopped_at"],
        ),
    ] {
        let recording = recording();
        let event = event(&recording, Occurrence::Room { news });
        let body = body(&settings(), &recording, &event, None, false).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let data = &body["data"];
        let keys: BTreeSet<&str> = data.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ROOM.iter().chain(own).copied().collect(), "{body}");
        assert_eq!(
            (&body["type"], &data["template_id"]),
            (&json!(event.occurrence.name()), &json!("tpl"))
        );
        assert_eq!(data["session_started_at"], "2023-11-14T22:13:20.000000000Z");
        if own.len() > 2 {
            assert_eq!((&data["user_name"], &data["role"]), (&json!("Ada"), &json!("host")));
        }
        if own.len() > 7 {
            assert_eq!((&data["duration"], &data["reason"]), (&json!(60), &json!("")));
        }
        if own.len() == 2 {
            assert_eq!(data["session_duration"], 61);
        }
    }
}

#[test]
fn each_event_has_the_fields_of_the_contract_and_no_others() {
    let stopped =
        Occurrence::Stopped { duration: 100, ended: Ended::Reason(StopReason::LastPeerLeft) };
    let file_fields = [
        "recording_id",
        "created_at",
        "started_at",
        "stopped_at",
        "duration",
        "size",
        "recording_path",
        "recording_presigned_url",
        "chat_recording_path",
        "chat_recording_presigned_url",
        "location",
    ];
    let failure = ["error_type", "error_message", "error_code", "duration"];
    let kept = [&failure[..], &["recording_path", "recording_presigned_url"]].concat();
    let cases: [(Occurrence, &[&str], &[&str]); 5] = [
        (Occurrence::Started { start_delay: 3 }, JOB, &["start_delay"]),
        (stopped, JOB, &["duration", "reason"]),
        (Occurrence::Recorded { asset: "a1".into() }, &[], &file_fields),
        (failed(None), JOB, &failure),
        (failed(Some("a1")), JOB, &kept),
    ];
    for (occurrence, job, own) in cases {
        let name = occurrence.name();
        let (_, body) = made(occurrence, Some(file()), false);
        let keys = |value: &Value| -> BTreeSet<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        let wanted = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let envelope = ["version", "id", "account_id", "app_id", "timestamp", "type", "data"];
        let expected: BTreeSet<String> = wanted(&envelope);
        assert_eq!(keys(&body), expected, "{name}");
        let expected: BTreeSet<String> = wanted(&[COMMON, job, own].concat());
        assert_eq!(keys(&body["data"]), expected, "{name}");
    }
}

#[test]
fn envelope_and_common_fields() {
    let (recording, body) = made(Occurrence::Started { start_delay: 3 }, None, false);
    assert_eq!(body["version"], "2.0");
    assert_eq!(body["account_id"], "acc");
    assert_eq!(body["app_id"], "app");
    assert_eq!(body["timestamp"], "2023-11-14T22:15:04Z");
    let data = &body["data"];
    for (field, value) in [
        ("beam_id", json!(recording.beam_id.to_string())),
        ("job_id", json!(recording.id.to_string())),
        ("room_id", json!("standup")),
        ("session_id", json!(recording.session_id.to_string())),
        ("peer_id", json!("")),
        ("template_id", json!("tpl")),
        ("max_width", json!(720)),
        ("max_height", json!(1280)),
        (
            "meeting_url",
            json!("https://meet.example/preview/r/bot?auth_token=***&skip_preview=true"),
        ),
        ("rtmp", json!([])),
        ("session_started_at", json!("2023-11-14T22:13:20.000000000Z")),
        ("metadata_timestamp", json!("2023-11-14T22:13:23.120000000Z")),
        ("state_timestamp", json!("2023-11-14T22:13:23.120000000Z")),
        ("recording_enabled", json!(true)),
        ("start_delay", json!(3)),
        ("state_name", json!("Started")),
    ] {
        assert_eq!(data[field], value, "{field}");
    }
    assert_ne!(data["beam_id"], data["job_id"]);
}

#[test]
fn a_stop_tells_the_reason() {
    for (ended, reason) in [
        (Ended::Reason(StopReason::ClientRequest), "client request"),
        (Ended::Reason(StopReason::MaxDuration), "max duration reached"),
        (Ended::Reason(StopReason::RoomEnded), "room ended"),
        (Ended::Reason(StopReason::LastPeerLeft), "last peer left"),
        (Ended::Failure(FailureKind::InternalError), "failure: INTERNAL_ERROR"),
    ] {
        let (_, body) = made(Occurrence::Stopped { duration: 100, ended }, None, false);
        let data = &body["data"];
        assert_eq!((&data["reason"], &data["duration"]), (&json!(reason), &json!(100)));
        assert_eq!(data["state_name"], "Stopped");
        assert_eq!(data["metadata_timestamp"], "2023-11-14T22:15:02.620000000Z");
    }
}

#[test]
fn a_file_is_told_with_its_link() {
    let (recording, body) = made(Occurrence::Recorded { asset: "a1".into() }, Some(file()), false);
    let data = &body["data"];
    for (field, value) in [
        ("recording_id", json!("a1")),
        ("created_at", json!("2023-11-14T22:13:20.000000000Z")),
        ("started_at", json!("2023-11-14T22:13:23.120000000Z")),
        ("stopped_at", json!("2023-11-14T22:15:02.620000000Z")),
        ("duration", json!(100)),
        ("size", json!(34_412_077)),
        ("recording_path", json!("file:///srv/Rec-standup-1.mp4")),
        ("recording_presigned_url", json!("https://rec.example/f?s=1")),
        ("chat_recording_path", json!("")),
        ("chat_recording_presigned_url", json!("")),
        ("location", json!("file:///srv/Rec-standup-1.mp4")),
        ("beam_id", json!(recording.beam_id.to_string())),
    ] {
        assert_eq!(data[field], value, "{field}");
    }
}

#[test]
fn a_removed_file_leaves_its_link_empty() {
    let (_, body) = made(Occurrence::Recorded { asset: "a1".into() }, None, false);
    assert_eq!(body["data"]["recording_id"], "a1");
    assert_eq!(body["data"]["recording_presigned_url"], "");
    let (_, body) = made(failed(Some("a1")), None, false);
    assert_eq!(body["data"]["recording_presigned_url"], "");
}

#[test]
fn a_failure_tells_its_kind_and_the_file_it_kept() {
    let (_, body) = made(failed(None), None, false);
    let data = &body["data"];
    assert_eq!(data["error_type"], "MAX_RETRIES_REACHED");
    assert_eq!(data["error_message"], "Beam couldn't connect to Meeting URL after 3 retries");
    assert_eq!((&data["error_code"], &data["duration"]), (&json!(2), &json!(12)));
    assert_eq!(data["metadata_timestamp"], "2023-11-14T22:15:04.500000000Z");
    assert_eq!(data["recording_path"], Value::Null);
    let (_, body) = made(failed(Some("a1")), Some(file()), false);
    assert_eq!(body["data"]["recording_path"], "file:///srv/Rec-standup-1.mp4");
    assert_eq!(body["data"]["recording_presigned_url"], "https://rec.example/f?s=1");
}

#[test]
fn only_a_replay_says_so() {
    let started = || Occurrence::Started { start_delay: 3 };
    assert_eq!(made(started(), None, false).1["is_replay"], Value::Null);
    assert_eq!(made(started(), None, true).1["is_replay"], true);
}

#[test]
fn a_start_of_which_nothing_is_known_is_told_at_its_report() {
    let mut recording = recording();
    recording.started_at = None;
    let event = event(&recording, Occurrence::Started { start_delay: 0 });
    let at = event.at + TimeDelta::zero();
    assert_eq!(moment(&recording, &event), at);
}
