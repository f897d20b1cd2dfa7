//! A recording is generated, played to the timeline in the order a machine
//! would deliver it, and the file is compared with a second, simpler reading
//! of the rules.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::media::{Pool, SAMPLE_RATE};

const SECOND: u64 = 1_000_000_000;

/// A picture that carries `number`.
fn picture(number: u64) -> Arc<Picture> {
    let mut picture = Pool::new(4, 2).take();
    picture.y.copy_from_slice(&number.to_le_bytes());
    Arc::new(picture)
}

fn number_of(picture: &Picture) -> u64 {
    u64::from_le_bytes(picture.y[..8].try_into().unwrap())
}

fn tick(at: Mono, index: u64, painted: bool) -> Tick {
    Tick { at, index, picture: painted.then(|| picture(index)), superseded: 0 }
}

/// `count` sample frames from `position` on; each says its own position.
fn block(epoch: Mono, position: u64, count: u64) -> Block {
    let samples = (position..position + count).flat_map(|p| [1.0 + p as f32, 0.5]).collect();
    Block { epoch, position, samples }
}

/// The file as the actions make it.
#[derive(Debug, Default)]
struct File {
    t0: Option<Mono>,
    /// Picture number and repeat flag of each frame.
    frames: Vec<(u64, bool)>,
    /// Left channel; 0 is filled silence.
    left: Vec<f32>,
    end: Option<Mono>,
}

impl File {
    fn take(&mut self, timeline: &mut Timeline) {
        while let Some(action) = timeline.next_action() {
            assert!(self.end.is_none(), "{action:?} after the end");
            match action {
                Action::Begun { t0 } => {
                    assert!(self.t0.is_none() && self.frames.is_empty());
                    self.t0 = Some(t0);
                }
                Action::Frame { index, picture, repeat } => {
                    assert_eq!(index, self.frames.len() as u64);
                    self.frames.push((number_of(&picture), repeat));
                }
                Action::Samples(samples) => {
                    assert!(!samples.is_empty() && samples.len() % 2 == 0);
                    assert!(samples.iter().skip(1).step_by(2).all(|&right| right == 0.5));
                    self.left.extend(samples.iter().step_by(2));
                }
                Action::Silence(count) => {
                    assert!(count > 0);
                    self.left.extend(vec![0.0; count as usize]);
                }
                Action::Done { end } => self.end = Some(end),
            }
        }
    }
}

/// One thing that reaches the timeline, and when.
#[derive(Debug, Clone)]
enum Delivery {
    Tick(Tick),
    Block(Block),
    Begin(Mono),
    Pause(Mono),
    Resume(Mono),
    Stop(Mono),
}

#[derive(Debug, Clone)]
struct Plan {
    fps: u32,
    /// Of tick 0, nanoseconds.
    origin: u64,
    /// The speaker's epoch relative to the origin, nanoseconds.
    epoch: i64,
    /// Each tick: delivered at all, painted, jitter in thousandths of a period (too
    /// little for two ticks to meet).
    ticks: Vec<(bool, bool, i64)>,
    /// Sizes of blocks, in sample frames.
    blocks: Vec<u64>,
    /// How much later than it sounds a block is delivered, milliseconds.
    latency: u64,
    /// Where recording begins, pauses, resumes ... in thousandths of all ticks.
    marks: Vec<u64>,
    /// The stop arrives so many milliseconds after the time it names.
    stop_delay: u64,
}

fn plans() -> impl Strategy<Value = Plan> {
    let ticks = prop::collection::vec(
        (prop::bool::weighted(0.85), prop::bool::weighted(0.6), -200..200_i64),
        5..200,
    );
    let marks = prop::collection::btree_set(0..1000_u64, 2..8);
    (
        10..=60_u32,
        3 * SECOND..100 * SECOND,
        -2_000_000_000..2_000_000_000_i64,
        ticks,
        prop::collection::vec(1..3000_u64, 1..40),
        0..600_u64,
        marks,
        0..200_u64,
    )
        .prop_map(|(fps, origin, epoch, ticks, blocks, latency, marks, stop_delay)| Plan {
            fps,
            origin,
            epoch,
            ticks,
            blocks,
            latency,
            marks: marks.into_iter().collect(),
            stop_delay,
        })
}

impl Plan {
    /// The ideal time of tick `number`.
    fn time(&self, number: u64) -> u64 {
        self.origin + number * SECOND / u64::from(self.fps)
    }

    fn span(&self) -> u64 {
        self.time(self.ticks.len() as u64) - self.origin
    }

    fn mark(&self, index: usize) -> Mono {
        Mono(self.origin + self.span() * self.marks[index] / 1000)
    }

    fn speaker_epoch(&self) -> Mono {
        Mono(self.origin.checked_add_signed(self.epoch).unwrap())
    }

    /// Everything in the order of delivery.
    fn deliveries(&self) -> Vec<Delivery> {
        let mut all: Vec<(u64, Delivery)> = Vec::new();
        let period = SECOND as i64 / i64::from(self.fps);
        for (number, &(delivered, painted, jitter)) in self.ticks.iter().enumerate() {
            if delivered {
                let ideal = self.time(number as u64);
                let at = ideal.checked_add_signed(period * jitter / 1000).unwrap();
                // Delivered when it is certainly over, like every wish.
                let arrives = ideal + period.unsigned_abs() * 3 / 10;
                all.push((arrives, Delivery::Tick(tick(Mono(at), number as u64, painted))));
            }
        }
        let (mut position, mut sizes) = (0, self.blocks.iter().cycle());
        let epoch = self.speaker_epoch();
        while position < (self.span() * 2 / SECOND + 4) * u64::from(SAMPLE_RATE) {
            let count = *sizes.next().unwrap();
            let sounds = epoch.0 + (position + count) * SECOND / u64::from(SAMPLE_RATE);
            let arrives = sounds + self.latency * 1_000_000;
            all.push((arrives, Delivery::Block(block(epoch, position, count))));
            position += count;
        }
        let last = self.marks.len() - 1;
        for index in 0..self.marks.len() {
            let at = self.mark(index);
            let (arrives, what) = match index {
                0 => (at.0, Delivery::Begin(at)),
                _ if index == last => (at.0 + self.stop_delay * 1_000_000, Delivery::Stop(at)),
                _ if index % 2 == 1 => (at.0, Delivery::Pause(at)),
                _ => (at.0, Delivery::Resume(at)),
            };
            all.push((arrives, what));
        }
        all.sort_by_key(|(arrives, _)| *arrives);
        all.into_iter().map(|(_, delivery)| delivery).collect()
    }

    fn play(&self) -> (File, Timeline) {
        let mut timeline = Timeline::new(self.fps, None);
        let mut file = File::default();
        for delivery in self.deliveries() {
            match delivery {
                Delivery::Tick(tick) => timeline.tick(tick),
                Delivery::Block(block) => timeline.block(block),
                Delivery::Begin(at) => timeline.begin(at),
                Delivery::Pause(at) => timeline.pause(at),
                Delivery::Resume(at) => timeline.resume(at),
                Delivery::Stop(at) => timeline.stop(at),
            }
            file.take(&mut timeline);
        }
        timeline.fill_silence();
        file.take(&mut timeline);
        (file, timeline)
    }

    /// The grid ticks (relative to T0) that belong in the file, by the rules
    /// alone: from T0 to the stop, less the pauses.
    fn expected(&self, t0: Mono, frames: usize) -> Vec<u64> {
        // With the same slack for rounding that the grid has.
        let first_from = |at: Mono| {
            let distance = at.0.saturating_sub(t0.0).saturating_sub(1000);
            (u128::from(distance) * u128::from(self.fps)).div_ceil(u128::from(SECOND)) as u64
        };
        let inner = 1..self.marks.len() - 1;
        let edges: Vec<u64> = inner.map(|index| first_from(self.mark(index))).collect();
        let paused = |n: u64| edges.chunks(2).any(|c| n >= c[0] && c.get(1).is_none_or(|&r| n < r));
        let may_be_endless = edges.len().is_multiple_of(2) || frames == 0;
        let last = if may_be_endless { u64::MAX } else { *edges.last().unwrap() };
        (0..last).filter(|&n| !paused(n)).take(frames).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_file_is_what_the_rules_say(plan in plans()) {
        let (file, timeline) = plan.play();
        let counters = timeline.counters();
        let end = file.end.expect("done after stop and give-up");
        prop_assert_eq!(counters.recorded, file.frames.len() as u64);
        prop_assert_eq!(
            counters.painted - counters.superseded,
            counters.recorded - counters.repeated
        );
        prop_assert_eq!(counters.repeated, file.frames.iter().filter(|f| f.1).count() as u64);
        prop_assert!(counters.late <= counters.repeated);
        // Sound and picture are equally long, to the sample.
        let count = file.frames.len() as u64;
        prop_assert_eq!(file.left.len() as u64, grid::samples(count, plan.fps));
        let Some(first) = file.t0 else {
            prop_assert_eq!(count, 0);
            return Ok(());
        };

        // T0 of the grid: the first delivered tick from `begin` on with a picture known.
        let mut known = false;
        let (mut t0, mut began) = (None, false);
        for delivery in plan.deliveries() {
            match delivery {
                Delivery::Begin(_) => began = true,
                Delivery::Tick(tick) if t0.is_none() => {
                    known |= tick.picture.is_some();
                    if began && known && tick.at >= plan.mark(0) {
                        t0 = Some(tick.at);
                    }
                }
                _ => {}
            }
        }
        let t0 = t0.expect("frames need a T0");
        let grid = Grid::new(t0, plan.fps);
        let shown = plan.expected(t0, file.frames.len());
        prop_assert_eq!(shown.len(), file.frames.len());
        prop_assert_eq!(first, grid.time(shown[0]));

        // The end is the tick of the stop, unless frames were there already.
        let stop = plan.mark(plan.marks.len() - 1);
        let last = shown[shown.len() - 1];
        prop_assert!(grid.nearest(end) >= grid.first_from(stop));
        prop_assert!(grid.nearest(end) > last);
        if plan.stop_delay == 0 {
            prop_assert!(grid.nearest(end) <= grid.first_from(stop).max(1));
        }

        // Each frame shows the newest picture painted by its tick.
        let mut newest = 0;
        let mut ticks = plan
            .deliveries()
            .into_iter()
            .filter_map(|d| match d {
                Delivery::Tick(tick) if tick.picture.is_some() => Some(tick),
                _ => None,
            })
            .peekable();
        for (n, (picture, _)) in shown.iter().zip(&file.frames) {
            while let Some(tick) = ticks.next_if(|t| t.at <= t0 || grid.nearest(t.at) <= *n) {
                newest = tick.index;
            }
            prop_assert_eq!(*picture, newest, "frame at tick {}", n);
        }

        // Each sample sounded when its frame showed, to a sample and a half.
        let (rate, fps) = (u64::from(SAMPLE_RATE), u64::from(plan.fps));
        for (s, &value) in file.left.iter().enumerate() {
            let frame = s as u64 * fps / rate;
            let into = s as u64 - grid::samples(frame, plan.fps).min(s as u64);
            let near_edge = into < 1 || s as u64 + 1 >= grid::samples(frame + 1, plan.fps);
            if near_edge {
                continue;
            }
            let on_clock = grid.time(shown[frame as usize]).0 as i64
                + (s as i64 * fps as i64 - (frame * rate) as i64) * SECOND as i64
                    / (rate * fps) as i64;
            let position =
                (on_clock - plan.speaker_epoch().0 as i64) as f64 * 48_000.0 / SECOND as f64;
            if value == 0.0 {
                prop_assert!(position < 1.5, "silence where the speaker had sound");
            } else {
                let said = f64::from(value) - 1.0;
                prop_assert!((said - position).abs() < 1.5, "sample {}: {} {}", s, said, position);
            }
        }
    }
}

/// Milliseconds after the origin used by the examples.
fn ms(millis: u64) -> Mono {
    Mono(10 * SECOND) + Duration::from_millis(millis)
}

fn run(timeline: &mut Timeline) -> File {
    let mut file = File::default();
    file.take(timeline);
    file
}

#[test]
fn a_still_page_shows_the_picture_it_painted_before_the_beginning() {
    let mut timeline = Timeline::new(10, None);
    timeline.tick(tick(ms(0), 7, true));
    timeline.tick(tick(ms(100), 8, false));
    timeline.begin(ms(150));
    timeline.tick(tick(ms(200), 9, false));
    timeline.tick(tick(ms(300), 10, false));
    let file = run(&mut timeline);
    assert_eq!(file.t0, Some(ms(200)));
    assert_eq!(file.frames, [(7, false), (7, true)]);
}

#[test]
fn a_jump_repeats_and_counts_late_but_a_still_page_only_repeats() {
    let mut timeline = Timeline::new(10, None);
    timeline.begin(ms(0));
    timeline.tick(tick(ms(0), 0, true));
    timeline.tick(tick(ms(100), 1, false));
    timeline.tick(tick(ms(500), 5, true));
    let file = run(&mut timeline);
    let shown: Vec<u64> = file.frames.iter().map(|f| f.0).collect();
    assert_eq!(shown, [0, 0, 0, 0, 0, 5]);
    let counters = timeline.counters();
    assert_eq!((counters.repeated, counters.late, counters.painted), (4, 3, 2));
}

#[test]
fn a_tick_that_is_not_later_makes_no_frame_but_its_picture_is_not_lost() {
    let mut timeline = Timeline::new(10, None);
    timeline.begin(ms(0));
    timeline.tick(tick(ms(0), 0, true));
    timeline.tick(tick(ms(10), 1, true));
    timeline.tick(tick(ms(100), 2, false));
    let file = run(&mut timeline);
    assert_eq!(file.frames, [(0, false), (1, false)]);
}

#[test]
fn sound_never_runs_ahead_of_the_picture_and_picture_never_waits() {
    let mut timeline = Timeline::new(10, None);
    timeline.begin(ms(0));
    timeline.block(block(ms(0), 0, 48_000));
    timeline.tick(tick(ms(0), 0, true));
    assert_eq!(run(&mut timeline).left.len(), 4_800);
    for n in 1..20 {
        timeline.tick(tick(ms(100 * n), n, true));
    }
    let file = run_more(&mut timeline, 1);
    assert_eq!((file.frames.len(), file.left.len()), (19, 48_000 - 4_800));
}

/// Takes more actions of a file that has `frames` frames already.
fn run_more(timeline: &mut Timeline, frames: usize) -> File {
    let mut file = File { frames: vec![(0, false); frames], ..File::default() };
    file.take(timeline);
    file.frames.drain(..frames);
    file
}

#[test]
fn the_limit_ends_the_file_to_the_frame_and_waits_for_its_sound() {
    let mut timeline = Timeline::new(10, Some(3));
    timeline.begin(ms(0));
    for n in 0..9 {
        timeline.tick(tick(ms(100 * n), n, true));
    }
    let file = run(&mut timeline);
    assert_eq!((file.frames.len(), file.end), (3, None));
    timeline.block(block(ms(0), 0, 48_000));
    let file = run_more(&mut timeline, 3);
    assert_eq!((file.left.len(), file.end), (14_400, Some(ms(300))));
}

#[test]
fn stopped_before_it_began_it_is_done_and_empty() {
    let mut timeline = Timeline::new(30, None);
    timeline.begin(ms(50));
    timeline.stop(ms(60));
    timeline.tick(tick(ms(70), 0, true));
    let file = run(&mut timeline);
    assert_eq!((file.frames.len(), file.end), (0, Some(ms(60))));
}

#[test]
fn paused_before_it_began_it_begins_when_it_is_resumed() {
    let mut timeline = Timeline::new(10, Some(3));
    timeline.pause(ms(50));
    timeline.begin(ms(100));
    for n in 1..6 {
        timeline.tick(tick(ms(100 * n), n, n == 1));
    }
    assert!(timeline.rests());
    assert!(run(&mut timeline).frames.is_empty());
    timeline.resume(ms(610));
    for n in 6..12 {
        timeline.tick(tick(ms(100 * n), n, true));
    }
    timeline.block(block(ms(0), 0, 96_000));
    let file = run(&mut timeline);
    assert_eq!(file.t0, Some(ms(700)));
    assert_eq!(file.frames, [(7, false), (8, false), (9, false)]);
    assert_eq!((file.left[0], file.left.len()), (1.0 + 0.7 * 48_000.0, 14_400));
    assert_eq!(file.end, Some(ms(1000)));
    // Paused and resumed before the beginning, it is as if nothing had been.
    let mut timeline = Timeline::new(10, None);
    timeline.pause(ms(10));
    timeline.resume(ms(20));
    timeline.begin(ms(100));
    timeline.tick(tick(ms(100), 1, true));
    assert_eq!(run(&mut timeline).t0, Some(ms(100)));
}

#[test]
fn what_was_paused_at_the_stop_is_left_out() {
    let mut timeline = Timeline::new(10, None);
    timeline.begin(ms(0));
    timeline.pause(ms(200));
    for n in 0..5 {
        timeline.tick(tick(ms(100 * n), n, true));
    }
    timeline.block(block(ms(0), 0, 48_000));
    assert_eq!(timeline.end(), None);
    timeline.stop(ms(450));
    timeline.tick(tick(ms(500), 5, true));
    let file = run(&mut timeline);
    assert_eq!((file.frames.len(), file.left.len()), (2, 9_600));
    assert_eq!((file.end, timeline.end()), (Some(ms(500)), Some(ms(500))));
}

#[test]
fn giving_up_without_a_stop_changes_nothing() {
    let mut timeline = Timeline::new(30, None);
    timeline.begin(ms(0));
    timeline.tick(tick(ms(0), 0, true));
    timeline.fill_silence();
    assert_eq!(run(&mut timeline).left.len(), 0);
}

#[test]
fn a_screen_that_died_is_filled_up_to_the_stop() {
    let mut timeline = Timeline::new(10, None);
    timeline.begin(ms(0));
    timeline.tick(tick(ms(0), 0, true));
    timeline.stop(ms(1000));
    assert_eq!(run(&mut timeline).end, None);
    timeline.fill_silence();
    let file = run_more(&mut timeline, 1);
    assert_eq!((file.frames.len(), file.left.len()), (9, 48_000));
    assert_eq!((file.end, timeline.counters().late), (Some(ms(1000)), 9));
}

#[test]
fn a_cut_lies_where_the_clock_was() {
    let origin = Mono(9 * SECOND);
    let at = |number: u64| origin + Duration::from_millis(100 * number);
    let mut timeline = Timeline::new(10, None);
    assert_eq!(timeline.cut(at(5)), None);
    timeline.begin(origin);
    for number in 0..60 {
        match number {
            // Frames 0 to 19, then 20 to 39 for the ticks from 40 on.
            20 => timeline.pause(at(20)),
            40 => timeline.resume(at(40)),
            _ => {}
        }
        timeline.tick(tick(at(number), number, true));
    }
    let cut = |at: Mono| timeline.cut(at).map(|cut| (cut.frames, cut.samples, cut.at));
    for (number, frames, clock) in [
        (0, 1, 1),
        (1, 1, 1),
        (19, 19, 19),
        (20, 20, 20),
        // In the pause, and where it ends.
        (33, 20, 20),
        (40, 20, 20),
        (41, 21, 41),
        (59, 39, 59),
    ] {
        assert_eq!(cut(at(number)), Some((frames, frames * 4800, at(clock))), "tick {number}");
    }
    assert_eq!(cut(at(40) + Duration::from_millis(1)).map(|cut| cut.0), Some(21));
    assert_eq!((cut(at(60)), cut(at(600))), (None, None));
}
