//! The door of the encoder: a queue that never makes screen or speaker wait.
//!
//! It gathers what belongs into one fragment before it wakes the encode thread:
//! a picture that is encoded while the caches still hold the tables and the
//! reference of the one before costs a sixth less, and nothing is on disk before
//! its fragment is whole anyway.
//!
//! When the encode thread falls behind, pictures are given up, newest first,
//! never their time: the timeline sees the missing tick and repeats the frame
//! before it. Sound is small and kept for a minute.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Mono;
use crate::media::{Block, SAMPLE_RATE, Tick};

/// Ticks that are gathered at most: 20 MB of pictures at 720p.
const GATHERED: usize = 15;

/// Pictures that may wait: beyond those gathered, half a second at 30 fps.
const PICTURES: usize = GATHERED + 15;

/// Sample frames after which sound does not wait for ticks any longer (0.6 s).
const GATHERED_SAMPLES: usize = SAMPLE_RATE as usize * 6 / 10;

/// Ticks without a picture that may wait: a minute at 60 fps.
const STILL_TICKS: usize = 3600;

/// Sample frames of sound that may wait (60 s); beyond that the newest blocks
/// are lost and the timeline fills in silence.
const SAMPLES: usize = 60 * SAMPLE_RATE as usize;

/// What the encode thread works through, in order.
#[derive(Debug)]
pub(super) enum Item {
    Tick(Tick),
    Block(Block),
    Begin(Mono),
    Pause(Mono),
    Resume(Mono),
    Stop(Mono),
    /// What was recorded from there on is left out of the finished file; `None`
    /// takes an earlier wish back.
    Trim(Option<Mono>),
    /// End the file with what is there, at the latest at this time.
    Finish,
}

/// What [`Intake::next`] found.
#[derive(Debug)]
pub(super) enum Next {
    Item(Item),
    /// Nothing came in time.
    Idle,
    /// Nobody wants the file any more.
    Abandoned,
}

/// Where `display` and `speaker` hand in their work. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when enough is gathered or the intake closes.
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Ticks with a picture in `items`.
    pictures: usize,
    /// Ticks without.
    still: usize,
    /// Sample frames in `items`.
    samples: usize,
    /// Ticks that the waiting encode thread wants to find.
    wanted: usize,
    /// Enough is gathered: all that waits is to be worked off.
    ripe: bool,
    /// The encode thread waits for the disk.
    held_up: bool,
    /// Nothing is taken any more.
    closed: bool,
    /// The encode thread is to leave at once.
    abandoned: bool,
}

impl Intake {
    /// Hands in the screen's next tick. Never blocks; with too many pictures
    /// waiting, the newest of them is given up for this one.
    pub fn tick(&self, mut tick: Tick) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        if tick.picture.is_some() && queue.pictures >= PICTURES {
            if let Some(given_up) = queue.take_newest(|tick| tick.picture.is_some()) {
                // It was painted, and a newer one replaced it.
                tick.superseded =
                    tick.superseded.saturating_add(given_up.superseded).saturating_add(1);
            }
        } else if tick.picture.is_none() && queue.still >= STILL_TICKS {
            queue.take_newest(|tick| tick.picture.is_none());
        }
        *queue.count(&tick) += 1;
        self.push(queue, Item::Tick(tick));
    }

    /// Hands in the next stretch of sound. Never blocks.
    pub fn block(&self, block: Block) {
        let mut queue = self.lock();
        let frames = block.samples.len() / 2;
        if !queue.closed && queue.samples + frames <= SAMPLES {
            queue.samples += frames;
            self.push(queue, Item::Block(block));
        }
    }

    /// Hands in a command; taken in turn with ticks and blocks, which wait no longer.
    pub(super) fn command(&self, item: Item) {
        let mut queue = self.lock();
        if !queue.closed {
            queue.ripe = true;
            self.push(queue, item);
        }
    }

    /// Says whether the encode thread can go on, or waits for the disk.
    pub(super) fn hold_up(&self, held_up: bool) {
        self.lock().held_up = held_up;
    }

    /// Whether it waits for the disk.
    pub(super) fn is_held_up(&self) -> bool {
        self.lock().held_up
    }

    /// Pictures that wait because the encoder is behind.
    pub(super) fn backlog(&self) -> usize {
        let queue = self.lock();
        queue.pictures.saturating_sub(queue.wanted)
    }

    /// Gives the next item once `wanted` ticks are gathered, or a command or half
    /// a second of sound. With a deadline it gathers nothing: it gives what comes
    /// until then.
    pub(super) fn next(&self, wanted: usize, deadline: Option<Instant>) -> Next {
        let mut queue = self.lock();
        queue.wanted = if deadline.is_some() { 0 } else { wanted.min(GATHERED) };
        loop {
            if queue.abandoned {
                return Next::Abandoned;
            }
            queue.ripe |= queue.has_enough();
            if queue.ripe {
                if let Some(item) = queue.pop() {
                    return Next::Item(item);
                }
                queue.ripe = false;
            }
            let Some(deadline) = deadline else {
                queue = self.shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return Next::Idle;
            }
            queue = self
                .shared
                .wake
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Takes nothing any more and forgets what waits.
    pub(super) fn close(&self) {
        *self.lock() = Queue { closed: true, ..Queue::default() };
    }

    /// Sends the encode thread home.
    pub(super) fn abandon(&self) {
        self.lock().abandoned = true;
        self.shared.wake.notify_one();
    }

    /// Whether [`abandon`](Self::abandon) was called.
    pub(super) fn abandoned(&self) -> bool {
        self.lock().abandoned
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, item: Item) {
        queue.items.push_back(item);
        let wakes = queue.ripe || queue.has_enough();
        drop(queue);
        if wakes {
            self.shared.wake.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The counter of ticks like this one.
    fn count(&mut self, tick: &Tick) -> &mut usize {
        if tick.picture.is_some() { &mut self.pictures } else { &mut self.still }
    }

    /// Whether what is gathered is worth waking the encode thread for.
    fn has_enough(&self) -> bool {
        self.pictures + self.still >= self.wanted || self.samples >= GATHERED_SAMPLES
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        match &item {
            Item::Tick(tick) => *self.count(tick) -= 1,
            Item::Block(block) => self.samples -= block.samples.len() / 2,
            _ => {}
        }
        Some(item)
    }

    /// Removes the newest waiting tick of the kind `like` tells.
    fn take_newest(&mut self, like: impl Fn(&Tick) -> bool) -> Option<Tick> {
        let position =
            self.items.iter().rposition(|item| matches!(item, Item::Tick(tick) if like(tick)))?;
        let Some(Item::Tick(tick)) = self.items.remove(position) else { return None };
        *self.count(&tick) -= 1;
        Some(tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Pool;

    fn tick(index: u64, painted: bool) -> Tick {
        let picture = painted.then(|| Arc::new(Pool::new(4, 2).take()));
        Tick { at: Mono(index), index, picture, superseded: 0 }
    }

    fn drain(intake: &Intake) -> Vec<Item> {
        std::iter::from_fn(|| match intake.next(1, Some(Instant::now())) {
            Next::Item(item) => Some(item),
            Next::Idle | Next::Abandoned => None,
        })
        .collect()
    }

    #[test]
    fn a_full_queue_gives_up_its_newest_picture_and_keeps_the_rest() {
        let intake = Intake::default();
        for index in 0..35 {
            intake.tick(tick(index, true));
            intake.tick(tick(100 + index, false));
        }
        assert_eq!(intake.backlog(), PICTURES);
        let ticks: Vec<Tick> = drain(&intake)
            .into_iter()
            .map(|item| match item {
                Item::Tick(tick) => tick,
                other => panic!("{other:?}"),
            })
            .collect();
        let painted: Vec<u64> =
            ticks.iter().filter(|t| t.picture.is_some()).map(|t| t.index).collect();
        assert_eq!(painted, (0..29).chain([34]).collect::<Vec<_>>());
        assert_eq!(ticks.iter().map(|t| t.superseded).sum::<u32>(), 5);
        assert_eq!(ticks.len(), PICTURES + 35);
        assert_eq!(intake.backlog(), 0);
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let intake = Intake::default();
        for index in 0..10_000 {
            intake.tick(tick(index, false));
            let samples = vec![0.0; 2 * 480];
            intake.block(Block { epoch: Mono(0), position: index * 480, samples });
        }
        let (mut ticks, mut blocks) = (0, 0);
        for item in drain(&intake) {
            match item {
                Item::Tick(_) => ticks += 1,
                Item::Block(_) => blocks += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((ticks, blocks), (STILL_TICKS, SAMPLES / 480));
    }

    #[test]
    fn what_is_gathered_is_given_out_together() {
        let intake = Intake::default();
        let worker = std::thread::spawn({
            let intake = intake.clone();
            move || {
                std::iter::from_fn(|| match intake.next(3, None) {
                    Next::Item(item) => Some(item),
                    Next::Idle | Next::Abandoned => None,
                })
                .collect::<Vec<_>>()
            }
        });
        until(|| intake.lock().wanted == 3);
        for (index, left) in [(0, 1), (1, 2), (2, 0), (3, 1), (4, 2)] {
            intake.tick(tick(index, index % 2 == 0));
            until(|| intake.lock().items.len() == left);
        }
        // A command does not wait, nor does what came before it.
        intake.command(Item::Begin(Mono(0)));
        until(|| intake.lock().items.is_empty());
        // Sound alone goes on without ticks.
        let samples = vec![0.0; 2 * GATHERED_SAMPLES];
        intake.block(Block { epoch: Mono(0), position: 0, samples });
        until(|| intake.lock().items.is_empty());
        intake.abandon();
        let met = worker.join().unwrap();
        assert_eq!(met.len(), 7, "{met:?}");
        assert!(matches!(met[5], Item::Begin(_)), "{met:?}");
    }

    /// Waits for what another thread does.
    fn until(so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !so() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it never happens");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn closed_it_takes_nothing_and_abandoned_it_wakes_the_waiter() {
        let intake = Intake::default();
        intake.tick(tick(0, true));
        intake.close();
        intake.tick(tick(1, true));
        intake.command(Item::Begin(Mono(0)));
        assert!(drain(&intake).is_empty());
        let waiter = std::thread::spawn({
            let intake = intake.clone();
            move || matches!(intake.next(1, None), Next::Abandoned)
        });
        intake.abandon();
        assert!(waiter.join().unwrap());
    }
}
