//! Each rule where it is meant, and everything that speaks against it.

use super::*;
use crate::job::{JoinRule, PresenceRule, Quality};
use crate::store::{StopAsked, Terms};

fn at(seconds: f64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_000 + (seconds * 1000.0) as i64).unwrap()
}

fn peer(role: &str) -> Peer {
    Peer {
        joined_at: at(10.0),
        id: format!("{role}-1"),
        name: String::new(),
        user_id: String::new(),
        metadata: String::new(),
        role: role.into(),
    }
}

/// A scene of a session that opened at 0, at whose 10th second something
/// happens, which came 1 s and is judged 2 s later.
struct Stage {
    rules: config::Automation,
    received: Received,
    newest: Option<Attended>,
    holder: Option<Recording>,
    recent: Vec<Recording>,
    others: Option<u32>,
    now: DateTime<Utc>,
}

fn stage(happening: Happening) -> Stage {
    let event = RoomEvent {
        id: "e".into(),
        room_id: "r".into(),
        room_name: String::new(),
        session_id: "s".parse().unwrap(),
        opened_at: at(0.0),
        at: at(10.0),
        happening,
    };
    let session = Session { opening_told: true, closed_at: None, ..Session::of(&event) };
    let newest = Attended { session, hands_off: false, peers: vec![peer("host"), peer("guest")] };
    Stage {
        rules: config::Automation {
            start_on_open: true,
            start_on_join: true,
            stop_when_alone: true,
            stop_on_close: true,
            ..config::Automation::default()
        },
        received: Received { event, at: at(11.0) },
        newest: Some(newest),
        holder: None,
        recent: Vec::new(),
        others: None,
        now: at(12.0),
    }
}

fn joined(role: &str) -> Stage {
    stage(Happening::Joined { peer: peer(role) })
}

/// The host left a recorded room in which the page shows `others`.
fn left(others: Option<u32>) -> Stage {
    let mut stage = stage(Happening::Left { peer: peer("host") });
    stage.holder = Some(recording(State::Running, 5.0));
    stage.others = others;
    stage.newest_mut().peers = vec![peer("__internal_recorder")];
    stage
}

fn recording(state: State, created: f64) -> Recording {
    let terms = Terms {
        quality: Quality::default(),
        join: JoinRule::Auto,
        max_duration_s: 60.0,
        audio_only: false,
        presence: PresenceRule::default(),
    };
    let url = "https://meet.example/".into();
    let mut recording = Recording::new("r".into(), url, terms, at(created));
    recording.state = state;
    recording.session_id = "s".parse().unwrap();
    recording.session_is_made_up = false;
    recording
}

/// One that let go of its room at that time.
fn over(state: State, released: f64) -> Recording {
    Recording { updated_at: at(released), ..recording(state, 5.0) }
}

impl Stage {
    fn judge(&self) -> Verdict {
        let config = Config { automation: self.rules.clone(), ..Config::default() };
        Rules::new(&config).judge(&Scene {
            received: &self.received,
            newest: self.newest.as_ref(),
            holder: self.holder.as_ref(),
            recent: &self.recent,
            others: self.others,
            now: self.now,
        })
    }

    fn newest_mut(&mut self) -> &mut Attended {
        self.newest.as_mut().unwrap()
    }

    /// The verdict after a change.
    #[track_caller]
    fn given(mut self, change: impl FnOnce(&mut Self)) -> Verdict {
        change(&mut self);
        self.judge()
    }
}

fn refrains(verdict: Verdict) -> bool {
    matches!(verdict, Refrain(_))
}

#[test]
fn without_rules_nothing_happens() {
    for happening in [Happening::Opened, Happening::Closed, Happening::Ended] {
        let verdict = stage(happening).given(|stage| stage.rules = config::Automation::default());
        assert_eq!(verdict, Nothing);
    }
    assert_eq!(joined("host").given(|s| s.rules = config::Automation::default()), Nothing);
    assert_eq!(left(Some(0)).given(|s| s.rules = config::Automation::default()), Nothing);
}

#[test]
fn an_opening_and_a_join_start() {
    assert_eq!(stage(Happening::Opened).judge(), Start);
    assert_eq!(joined("host").judge(), Start);
    assert_eq!(joined("guest").given(|s| s.rules.join_roles = vec!["host".into()]), Nothing);
    assert_eq!(joined("host").given(|s| s.rules.join_roles = vec!["ho*".into()]), Start);
    assert_eq!(joined("__internal_recorder").judge(), Nothing);
    assert!(refrains(joined("host").given(|s| s.newest_mut().peers.clear())));
}

#[test]
fn a_session_that_is_over_replaced_old_or_left_alone_is_not_started() {
    for change in [
        (|s: &mut Stage| s.newest_mut().session.closed_at = Some(at(9.0))) as fn(&mut Stage),
        |s| s.newest_mut().session.id = "t".parse().unwrap(),
        |s| s.newest_mut().hands_off = true,
        |s| s.now = at(10.0 + 301.0),
        |s| s.newest_mut().session.opened_at = at(12.0 - 12.0 * 3600.0),
        |s| s.recent = (0..3).map(|_| over(State::Failed, 8.0)).collect(),
    ] {
        assert!(refrains(joined("host").given(change)));
        assert!(refrains(stage(Happening::Opened).given(change)));
    }
    let two = |s: &mut Stage| s.recent = (0..2).map(|_| over(State::Failed, 8.0)).collect();
    assert_eq!(joined("host").given(two), Start);
    let others = |s: &mut Stage| {
        let other = Recording { session_id: "t".parse().unwrap(), ..over(State::Failed, 8.0) };
        s.recent = vec![other; 9];
    };
    assert_eq!(joined("host").given(others), Start);
}

#[test]
fn what_is_recorded_is_not_started_again() {
    for state in [State::Starting, State::Running] {
        assert_eq!(joined("host").given(|s| s.holder = Some(recording(state, 5.0))), Nothing);
    }
    // It was there when the event came, or began after that, whatever came of it.
    for verdict in [
        joined("host").given(|s| s.recent = vec![over(State::Failed, 11.5)]),
        joined("host").given(|s| s.recent = vec![over(State::Completed, 11.5)]),
        joined("host")
            .given(|s| s.recent = vec![over(State::Completed, 8.0), over(State::Failed, 11.0)]),
    ] {
        assert_eq!(verdict, Nothing);
    }
}

#[test]
fn who_comes_while_a_recording_ends_is_recorded_by_the_next() {
    let asked = |seconds| StopAsked { reason: StopReason::LastPeerLeft, at: at(seconds) };
    let ending = Recording { stop_asked: Some(asked(10.9)), ..recording(State::Stopping, 5.0) };
    assert_eq!(joined("host").given(|s| s.holder = Some(ending.clone())), Wait(LEAVING));
    // Its last frame came after the event, but it was on its way out before.
    let ended = Recording {
        state: State::Completed,
        stopped_at: Some(at(11.1)),
        updated_at: at(11.9),
        ..ending
    };
    assert_eq!(joined("host").given(|s| s.recent = vec![ended.clone()]), Start);
    let later = Recording { stop_asked: Some(asked(11.1)), ..ended };
    assert_eq!(joined("host").given(|s| s.recent = vec![later]), Nothing);
}

#[test]
fn the_last_one_who_leaves_stops_it() {
    let alone = Stop(StopReason::LastPeerLeft);
    assert_eq!(left(Some(0)).judge(), alone);
    assert_eq!(left(Some(0)).given(|s| s.newest_mut().peers.clear()), alone);
    assert_eq!(left(Some(0)).given(|s| s.newest_mut().peers.push(peer("guest"))), Nothing);
    assert_eq!(left(Some(0)).given(|s| s.holder = None), Nothing);
    let stopping = |s: &mut Stage| s.holder = Some(recording(State::Stopping, 5.0));
    assert_eq!(left(Some(0)).given(stopping), Nothing);
    // The page cannot tell, but everybody was told from the beginning on.
    assert_eq!(left(None).judge(), alone);
    assert!(refrains(left(None).given(|s| s.newest_mut().session.opening_told = false)));
    assert_eq!(left(Some(0)).given(|s| s.newest_mut().session.opening_told = false), alone);
}

#[test]
fn a_page_that_still_shows_somebody_is_given_time_and_believed_in_the_end() {
    assert_eq!(left(Some(1)).judge(), Wait(LOOK));
    assert_eq!(left(Some(1)).given(|s| s.now = at(20.9)), Wait(LOOK));
    assert!(refrains(left(Some(1)).given(|s| s.now = at(21.1))));
}

#[test]
fn alone_means_alone_for_the_grace() {
    let patient = |others, now: f64| {
        left(others).given(|s| {
            s.rules.alone_grace = Duration::from_secs(30);
            s.now = at(now);
        })
    };
    assert_eq!(patient(Some(0), 12.0), Wait(Duration::from_secs(29)));
    assert_eq!(patient(Some(0), 41.0), Stop(StopReason::LastPeerLeft));
    assert_eq!(patient(Some(1), 45.0), Wait(LOOK));
    assert!(refrains(patient(Some(1), 52.0)));
}

#[test]
fn another_session_s_leave_stops_nothing() {
    let started_later = |s: &mut Stage| s.holder = Some(recording(State::Running, 10.5));
    assert!(refrains(left(Some(0)).given(started_later)));
    assert!(refrains(left(Some(0)).given(|s| s.newest_mut().session.id = "t".parse().unwrap())));
    let other = |s: &mut Stage| {
        s.holder.as_mut().unwrap().session_id = "t".parse().unwrap();
    };
    assert!(refrains(left(Some(0)).given(other)));
    let unknown = |s: &mut Stage| s.holder.as_mut().unwrap().session_is_made_up = true;
    assert_eq!(left(Some(0)).given(unknown), Stop(StopReason::LastPeerLeft));
}

#[test]
fn a_recording_ends_with_its_session() {
    for happening in [Happening::Closed, Happening::Ended] {
        let recorded =
            |held: Recording| stage(happening.clone()).given(|stage| stage.holder = Some(held));
        let running = recording(State::Running, 5.0);
        assert_eq!(recorded(running.clone()), Stop(StopReason::RoomEnded));
        assert_eq!(recorded(recording(State::Stopping, 5.0)), Nothing);
        let other = Recording { session_id: "t".parse().unwrap(), ..running.clone() };
        assert!(refrains(recorded(other.clone())));
        // It knows no session, and was there when this one ended.
        let unknown = Recording { session_is_made_up: true, ..other };
        assert_eq!(recorded(unknown.clone()), Stop(StopReason::RoomEnded));
        assert!(refrains(recorded(Recording { created_at: at(10.5), ..unknown })));
        assert_eq!(stage(happening.clone()).judge(), Nothing);
    }
}
