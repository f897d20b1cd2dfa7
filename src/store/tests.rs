//! What a store promises, held against whatever implements it.
//!
//! A kind of store joins by one line, `promises!(name, how to open it)`. The
//! tests know nothing but the traits; what only one kind has to keep (its file,
//! its tables) is tested beside it.

mod outbox;
mod recordings;
mod rooms;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;

use super::*;
use crate::job::{FailureKind, JoinRule, PresenceRule, Quality, Resolution, StopReason};

/// Opens the store of a directory, a new one or what an earlier one left there.
type Open = fn(&Path) -> BoxFuture<'_, Arc<dyn Whole>>;

/// All that a store promises.
trait Whole: Store + Rooms {}

impl<T: Store + Rooms> Whole for T {}

/// Makes a module with every promise as a test of this kind of store.
macro_rules! promises {
    ($kind:ident, $open:expr) => {
        promises!($kind, $open,
            recordings: a_life_is_found_again, every_field_comes_back_as_it_went_in,
                a_room_is_held_once_however_many_want_it, a_room_is_free_from_post_processing_on,
                an_illegal_step_changes_and_tells_nothing, any_order_of_steps_keeps_the_rules,
                of_steps_that_race_one_is_taken, nobody_has_an_unknown_id,
                who_was_told_of_a_start_is_told_of_the_stop, pages_follow_each_other_newest_first,
                filters_hold_together, what_is_unfinished_comes_oldest_first,
                assets_are_found_by_what_they_are, what_is_removed_takes_everything_with_it, what_there_is_is_counted;
            outbox: events_are_there_with_their_step, an_event_is_fanned_out_once,
                deliveries_come_in_the_order_of_life, patience_ends,
                nobody_waits_for_another, a_delivery_remembers_its_newest_attempt,
                a_replay_tells_the_same_again, history_is_found_by_what_it_is,
                what_is_settled_is_forgotten_in_time, an_outbox_is_found_again;
            rooms: a_session_is_what_its_events_add_up_to,
                an_older_session_never_takes_the_place_of_a_newer_one,
                events_wait_in_their_order_until_they_are_settled,
                many_deliveries_of_one_event_are_taken_in_once,
                a_recording_takes_the_session_that_it_is_of_once,
                a_page_names_the_session_of_its_recording_once,
                who_comes_and_goes_is_told_with_the_look_that_shows_it,
                hands_stay_off_a_session_whatever_comes,
                what_is_old_is_forgotten_and_what_is_unsettled_is_not;
        );
    };
    ($kind:ident, $open:expr, $($part:ident: $($promise:ident),+;)+) => {
        mod $kind {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$part::$promise(super::Bench::new($open).await).await;
                }
            )+)+
        }
    };
}

promises!(sqlite, super::sqlite);

fn sqlite(dir: &Path) -> BoxFuture<'_, Arc<dyn Whole>> {
    Box::pin(async {
        let store = SqliteStore::open(&dir.join("test.db")).await.unwrap();
        Arc::new(store) as Arc<dyn Whole>
    })
}

/// A store in a directory of its own.
struct Bench {
    dir: tempfile::TempDir,
    open: Open,
    store: Arc<dyn Whole>,
}

impl Bench {
    async fn new(open: Open) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        Self { dir, open, store }
    }

    /// The same after the end of the process that had it open.
    async fn again(self) -> Self {
        let Self { dir, open, store } = self;
        drop(store);
        let store = open(dir.path()).await;
        Self { dir, open, store }
    }

    /// A recording that took all of these steps.
    async fn after(&self, room: &str, steps: Vec<Step>) -> Recording {
        let mut recording = recording(room);
        self.store.insert(recording.clone()).await.unwrap();
        for step in steps {
            recording = self.store.advance(recording.id, step, Utc::now()).await.unwrap();
        }
        recording
    }

    async fn found(&self, id: Id) -> Recording {
        self.store.get(id).await.unwrap().expect("the recording")
    }

    /// Names of the events that wait for their deliveries.
    async fn told(&self) -> Vec<&'static str> {
        let events = self.store.new_events(1000).await.unwrap();
        events.iter().map(|event| event.occurrence.name()).collect()
    }
}

fn recording(room: &str) -> Recording {
    let terms = Terms {
        quality: Quality::default(),
        join: JoinRule::Auto,
        max_duration_s: 60.0,
        audio_only: false,
        presence: PresenceRule::default(),
    };
    Recording::new(room.into(), "https://meet.example/?token=t".into(), terms, Utc::now())
}

fn asset(failed: bool) -> Asset {
    Asset {
        id: Id::new(Utc::now()),
        destination: "default".into(),
        path: "beam/a/20260101/Rec-a-1.mp4".into(),
        size: 7,
        duration_s: 2.5,
        created_at: Utc::now(),
        resolution: Resolution::HD,
        audio_only: false,
        failed,
    }
}

fn run() -> Step {
    Step::Run { started_at: Utc::now() }
}

const STOP: Step = Step::Stop { reason: StopReason::ClientRequest };

fn end() -> Step {
    let (started_at, stopped_at) = (None, Utc::now());
    let reason = StopReason::ClientRequest;
    Step::PostProcess { started_at, stopped_at, recorded_s: 2.5, reason }
}

fn complete() -> Step {
    Step::Complete { asset: asset(false), warnings: vec!["odd".into()] }
}

fn fail() -> Step {
    let failure = Failure { kind: FailureKind::InternalError, message: "broken".into() };
    Step::Fail { failure, file: Some(asset(true)) }
}

/// Every step of a recording that nothing happens to.
fn life() -> Vec<Step> {
    vec![run(), STOP, end(), complete()]
}

/// The names of the events of [`life`].
const LIFE: [&str; 3] = ["beam.started.success", "beam.stopped.success", "beam.recording.success"];

fn later(now: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    now + TimeDelta::seconds(seconds)
}
