//! A store that has seen many recordings, without having made them.

use std::path::Path;

use chrono::{TimeDelta, Utc};
use roomreel::job::{JoinRule, Resolution, State, StopReason};
use roomreel::store::{Asset, Id, Recording, SqliteStore, Store, Terms};

/// Puts `count` completed recordings of `room` into the store of the data
/// directory `data`, one a minute and the newest a minute ago.
pub fn fill(data: &Path, room: &str, count: i32) {
    std::fs::create_dir_all(data).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(&data.join("roomreel.db")).await.unwrap();
        for age in (1..=count).rev() {
            store.insert(completed(room, age)).await.unwrap();
        }
        store.close().await;
    });
}

fn completed(room: &str, minutes_ago: i32) -> Recording {
    let began = Utc::now() - TimeDelta::minutes(minutes_ago.into());
    let ended = began + TimeDelta::seconds(30);
    let terms = Terms {
        resolution: Resolution::HD,
        fps: 30,
        join: JoinRule::Auto,
        max_duration_s: 60.0,
        audio_only: false,
    };
    let url = format!("https://meet.example/{room}?auth_token=kept-to-itself");
    let mut recording = Recording::new(room.into(), url.into(), terms, began);
    recording.state = State::Completed;
    recording.updated_at = ended;
    recording.started_at = Some(began);
    recording.stopped_at = Some(ended);
    recording.stop_reason = Some(StopReason::RoomEnded);
    recording.assets.push(Asset {
        id: Id::new(ended),
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
