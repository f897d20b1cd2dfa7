//! A store that has seen many recordings, without having made them. Tests and the
//! benchmark of the store fill one with it.

use std::path::Path;

use chrono::{TimeDelta, Utc};
use roomreel::job::{FailureKind, JoinRule, PresenceRule, Quality, Resolution, State, StopReason};
use roomreel::store::{Asset, Failure, Id, Recording, SqliteStore, Store, Terms};

/// A recording of half a minute that is over.
pub struct Past {
    room: String,
    minutes_ago: i64,
    failed: bool,
}

impl Past {
    /// One of `room` that began so many minutes ago and was completed.
    pub fn completed(room: &str, minutes_ago: i64) -> Self {
        Self { room: room.to_owned(), minutes_ago, failed: false }
    }

    /// The same as a failure, without a file, if `failed`.
    pub fn or_failed(self, failed: bool) -> Self {
        Self { failed, ..self }
    }

    fn recording(self) -> Recording {
        let Self { room, minutes_ago, failed } = self;
        let began = Utc::now() - TimeDelta::minutes(minutes_ago);
        let ended = began + TimeDelta::seconds(30);
        let terms = Terms {
            quality: Quality::default(),
            join: JoinRule::Auto,
            max_duration_s: 60.0,
            audio_only: false,
            presence: PresenceRule::default(),
        };
        let url = format!("https://meet.example/{room}?auth_token=kept-to-itself");
        let mut recording = Recording::new(room.clone(), url.into(), terms, began);
        recording.updated_at = ended;
        recording.started_at = Some(began);
        recording.stopped_at = Some(ended);
        if failed {
            let message = "the browser ended by itself (signal: 9)".into();
            recording.state = State::Failed;
            recording.failure = Some(Failure { kind: FailureKind::InternalError, message });
            return recording;
        }
        recording.state = State::Completed;
        recording.stop_reason = Some(StopReason::RoomEnded);
        recording.assets.push(Asset {
            id: Id::new(ended),
            destination: "default".into(),
            path: format!("beam/{room}/20240102/Rec-{room}-{}.mp4", began.timestamp_millis()),
            size: 10_000_000,
            duration_s: 30.0,
            created_at: ended,
            resolution: Resolution::HD,
            audio_only: false,
            failed: false,
        });
        recording
    }
}

/// Puts them into the store of the data directory `data`, in their order: the
/// oldest comes first in a true store.
pub fn fill(data: &Path, past: impl IntoIterator<Item = Past>) {
    std::fs::create_dir_all(data).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&data.join("roomreel.db")).await.unwrap();
        for past in past {
            store.insert(past.recording()).await.unwrap();
        }
        store.close().await;
    });
}
