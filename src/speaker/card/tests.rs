use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::bus::BLOCK;
use super::*;

const GRACE: Duration = Duration::from_millis(300);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Chromium's buffers at 48 kHz, with the target this card gives it.
fn buffering() -> Buffering {
    Buffering::settle(None, Some(1440), None, Some(240))
}

/// A card, the time, and a client per stream that answers requests after a delay.
struct Room {
    card: Card,
    now: Mono,
    left: Vec<f32>,
    clients: BTreeMap<u32, Player>,
}

/// Writes frames of value 1, 2, 3 and so on, as asked.
#[derive(Default)]
struct Player {
    written: i64,
    /// When which number of frames arrives.
    due: VecDeque<(Mono, i64)>,
    delay: Duration,
    started: Option<i64>,
}

impl Room {
    fn new() -> Self {
        let epoch = Mono(1_000_000_007);
        let card = Card::new(epoch, GRACE);
        Self { card, now: epoch, left: Vec::new(), clients: BTreeMap::new() }
    }

    fn add(&mut self) -> u32 {
        let stream = self.card.open(buffering(), false, [1.0; 2], false).unwrap();
        let mut player = Player::default();
        player.due.push_back((self.now, buffering().target));
        self.clients.insert(stream, player);
        stream
    }

    /// Everything that has arrived is read; then, perhaps, a tick.
    fn wake(&mut self, tick: bool) {
        for (stream, player) in &mut self.clients {
            while let Some((_, count)) = player.due.pop_front_if(|(at, _)| *at <= self.now) {
                let data: Vec<_> = (1..=count).map(|i| [(player.written + i) as f32; 2]).collect();
                player.written += count;
                self.card.write(*stream, Seek::Relative, 0, &data, self.now);
            }
        }
        if tick {
            let (left, epoch) = (&mut self.left, self.card.epoch);
            self.card.tick(self.now, |block| {
                assert_eq!((block.epoch, block.position), (epoch, left.len() as u64));
                assert_eq!(block.samples.len() as i64, 2 * BLOCK);
                left.extend(block.samples.iter().step_by(2));
            });
        }
        for notice in self.card.notices() {
            let Some(player) = self.clients.get_mut(&notice.stream()) else { continue };
            match notice {
                Notice::Request { frames, .. } => {
                    // Answers never overtake each other.
                    let last = player.due.back().map_or(Mono(0), |(at, _)| *at);
                    player.due.push_back(((self.now + player.delay).max(last), frames));
                }
                Notice::Started { .. } => player.started = Some(self.card.clock(self.now)),
                _ => (),
            }
        }
    }

    /// Runs for `time`, awake every 5 ms, with a tick every other time.
    fn run(&mut self, time: Duration) {
        for i in 0..time.as_millis() / 5 {
            self.now = self.now + ms(5);
            self.wake(i % 2 == 1);
        }
    }

    fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
        self.wake(true);
    }
}

/// The ramp of one stream that began to play at `start`, without a fault.
fn is_whole(left: &[f32], start: i64) -> bool {
    let start = usize::try_from(start).unwrap();
    left[..start].iter().all(|s| *s == 0.0)
        && left[start..].iter().enumerate().all(|(i, s)| *s == (i + 1) as f32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_arrives_within_the_grace_sounds_at_its_position(
        steps in proptest::collection::vec((0..240_u64, 0..40_u64, 0..700_u64), 1..12),
        idle in 0..40_u64,
    ) {
        let mut room = Room::new();
        room.run(ms(10 * idle));
        let stream = room.add();
        for (delay, awake, stall) in steps {
            room.clients.get_mut(&stream).unwrap().delay = ms(delay);
            room.run(ms(10 * awake + 10));
            // Every other stall is shorter than one that would be noticed.
            room.sleep(ms(if stall % 2 == 0 { stall } else { stall % 20 }));
        }
        room.clients.get_mut(&stream).unwrap().delay = ms(0);
        room.run(ms(500));
        let counters = room.card.counters();
        prop_assert_eq!((counters.late_frames, counters.underrun_frames, counters.underruns), (0, 0, 0));
        prop_assert!(is_whole(&room.left, room.clients[&stream].started.unwrap()));
        prop_assert!(room.card.clock(room.now) - room.left.len() as i64 <= 2 * BLOCK);
    }

    #[test]
    fn no_client_holds_up_the_clock_or_fills_the_memory(
        acts in proptest::collection::vec(
            (0..14_u8, 0..4_u32, -100_000..100_000_i64, 0..20_000_usize), 1..120,
        ),
    ) {
        let mut room = Room::new();
        for (act, stream, offset, count) in acts {
            let (card, now) = (&mut room.card, room.now);
            let seek = [Seek::Relative, Seek::Absolute, Seek::RelativeToRead, Seek::RelativeToEnd];
            match act {
                0 | 1 => drop(card.open(buffering(), act == 0, [1.0; 2], false)),
                2 => card.close(stream, now),
                3 | 4 => drop(card.change(stream, now, |s| s.cork(act == 3))),
                5 => drop(card.change(stream, now, Stream::flush)),
                6 => drop(card.change(stream, now, Stream::trigger)),
                7 => drop(card.change(stream, now, |s| s.drain(1))),
                8 => drop(card.change(stream, now, Stream::refill)),
                _ => {
                    let data = vec![[1.0; 2]; count];
                    card.write(stream, seek[usize::from(act % 4)], offset, &data, now);
                }
            }
            room.run(ms(10 + offset.unsigned_abs() % 300));
            let card = &room.card;
            let lag = card.clock(room.now) - room.left.len() as i64;
            prop_assert!(lag <= frames(card.grace + PATIENCE) + 3 * BLOCK, "{} behind", lag);
            for (_, stream) in card.streams() {
                prop_assert!(stream.held() as i64 <= frames(MAX_GRACE + PATIENCE) + 4 * 48_000);
            }
        }
    }
}

#[test]
fn silence_is_handed_on_without_streams() {
    let mut room = Room::new();
    room.run(ms(1000));
    assert_eq!(room.left, vec![0.0; 48_000]);
}

#[test]
fn streams_are_summed() {
    let mut room = Room::new();
    let first = room.add();
    room.run(ms(100));
    let second = room.add();
    room.run(ms(400));
    let starts = [first, second].map(|s| room.clients[&s].started.unwrap());
    assert!(starts[0] < starts[1]);
    for (i, sample) in room.left.iter().enumerate() {
        let expected: i64 = starts.iter().map(|start| (i as i64 - start + 1).max(0)).sum();
        assert_eq!(*sample, expected as f32, "frame {i}");
    }
}

#[test]
fn what_comes_after_the_grace_is_counted_and_the_rest_stays_in_place() {
    let mut room = Room::new();
    let stream = room.add();
    room.run(ms(500));
    room.clients.get_mut(&stream).unwrap().delay = ms(600);
    room.run(ms(20));
    room.clients.get_mut(&stream).unwrap().delay = ms(0);
    room.run(ms(1500));
    let counters = room.card.counters();
    assert_eq!(counters.underruns, 0);
    assert!(counters.late_frames > 0);
    assert_eq!(counters.late_frames, counters.underrun_frames);
    let start = usize::try_from(room.clients[&stream].started.unwrap()).unwrap();
    let holes = room.left[start..].iter().filter(|s| **s == 0.0).count();
    assert_eq!(holes as u64, counters.late_frames);
    for (i, sample) in room.left[start..].iter().enumerate() {
        assert!(*sample == 0.0 || *sample == (i + 1) as f32, "frame {i}: {sample}");
    }
    assert!(room.card.grace() > ms(600), "the next time it waits longer");
}

#[test]
fn a_silent_client_is_given_up_and_plays_on_when_it_is_back() {
    let mut room = Room::new();
    let stream = room.add();
    room.run(ms(500));
    room.clients.get_mut(&stream).unwrap().delay = ms(4000);
    room.run(ms(6000));
    let counters = room.card.counters();
    assert_eq!((counters.underruns, counters.late_frames), (1, 0));
    let heard: Vec<f32> = room.left.iter().copied().filter(|s| *s != 0.0).collect();
    assert!(heard.len() > 48_000);
    assert!(heard.iter().enumerate().all(|(i, s)| *s == (i + 1) as f32), "nothing is lost");
}

#[test]
fn after_a_very_long_stall_nobody_is_asked_to_catch_up() {
    let mut room = Room::new();
    let stream = room.add();
    room.run(ms(500));
    room.sleep(Duration::from_secs(60));
    let owed = room.clients[&stream].due.iter().map(|(_, frames)| *frames).sum::<i64>();
    assert!(owed <= buffering().target, "{owed} frames asked for");
    room.run(ms(500));
    let heard: Vec<f32> = room.left.iter().copied().filter(|s| *s != 0.0).collect();
    assert!(heard.iter().enumerate().all(|(i, s)| *s == (i + 1) as f32));
    assert_eq!(room.card.counters().late_frames, 0);
    assert_eq!(room.left.len(), 48_000 * 61);
}

#[test]
fn gain_and_mute_act_from_their_moment_on() {
    let mut room = Room::new();
    let stream = room.add();
    room.run(ms(100));
    room.card.change(stream, room.now, |s| s.set_gain([0.5, 1.0]));
    room.run(ms(100));
    room.card.change(stream, room.now, |s| s.set_muted(true));
    room.run(ms(100));
    let start = usize::try_from(room.clients[&stream].started.unwrap()).unwrap();
    for (i, sample) in room.left.iter().enumerate().skip(start) {
        let whole = (i - start + 1) as f32;
        let expected = match i {
            0..4800 => whole,
            4800..9600 => whole / 2.0,
            _ => 0.0,
        };
        assert_eq!(*sample, expected, "frame {i}");
    }
}

#[test]
fn streams_are_limited_and_their_indices_never_reused() {
    let mut room = Room::new();
    let all: Vec<u32> = (0..MAX_STREAMS).map(|_| room.add()).collect();
    assert_eq!(room.card.open(buffering(), false, [1.0; 2], false), None);
    room.card.close(all[5], room.now);
    assert_eq!(room.add() as usize, MAX_STREAMS);
}
