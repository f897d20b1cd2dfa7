//! What is measured of recordings that run: what their journals tell once a
//! second, and what the kernel says of their processes.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use crate::job::{EncoderKind, Peer, Stats};
use crate::storage::Sent;
use crate::store::Id;

/// One recording, now.
#[derive(Debug, Clone)]
pub struct Vitals {
    /// Which.
    pub id: Id,
    /// Of which room.
    pub room_id: String,
    /// Its newest counters; `None` before the first frame.
    pub stats: Option<Stats>,
    /// New pictures in each second of the file, of late; `None` while there are no
    /// two readings, and in a pause.
    pub fps: Option<f64>,
    /// How many others its page shows; `None`: it cannot tell.
    pub others: Option<u32>,
    /// Those of them whom it names.
    pub peers: Vec<Peer>,
    /// What makes its picture, once that is known.
    pub encoder: Option<EncoderKind>,
    /// Bytes of its file that its bucket has not got yet: of the growing one those
    /// that may be sent, of the finished one all. `None` while nothing is uploaded.
    pub to_upload: Option<u64>,
    /// What its processes take; `None` if there are none.
    pub usage: Option<Usage>,
}

/// What processes take of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time so far, children that ended included.
    pub cpu: Duration,
    /// Bytes of anonymous memory (`RssAnon`), which nobody shares.
    pub memory: u64,
}

/// How much a node takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Recordings at once.
    pub slots: usize,
    /// Of those, how many more.
    pub free: usize,
}

/// What a supervisor has seen of its recording.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Whose it is.
    pub(super) room_id: String,
    /// See [`Vitals::others`].
    pub(super) others: Option<u32>,
    /// See [`Vitals::peers`].
    pub(super) peers: Vec<Peer>,
    /// See [`Vitals::stats`].
    pub(super) stats: Option<Stats>,
    /// See [`Vitals::fps`].
    pub(super) fps: Option<f64>,
    /// See [`Vitals::encoder`].
    pub(super) encoder: Option<EncoderKind>,
    /// Bytes that are to go up, and those that have.
    pub(super) upload: Option<(u64, Sent)>,
    /// Process groups: the recorder's and those of its browsers.
    pub(super) groups: Vec<u32>,
}

impl Seen {
    pub(super) fn of(room_id: &str) -> Self {
        Self { room_id: room_id.to_owned(), ..Self::default() }
    }

    /// Takes in counters, which come once a second.
    pub(super) fn count(&mut self, new: Stats) {
        self.fps = self.stats.and_then(|old| {
            let pictures = |stats: Stats| stats.recorded.saturating_sub(stats.repeated);
            let time = new.elapsed_s - old.elapsed_s;
            // Repeats may be told before the frames that they are of.
            let drawn = pictures(new).saturating_sub(pictures(old));
            (time > 0.1).then(|| drawn as f64 / time)
        });
        self.stats = Some(new);
    }

    /// Puts it together with what the processes take, by their groups.
    pub(super) fn vitals(self, id: Id, usage: &HashMap<u32, Usage>) -> Vitals {
        let Self { room_id, others, peers, stats, fps, encoder, upload, groups } = self;
        let to_upload = upload.map(|(all, sent)| all.saturating_sub(sent.bytes()));
        let found = groups.iter().filter_map(|group| usage.get(group));
        let usage = found.copied().reduce(|a, b| Usage {
            cpu: a.cpu.saturating_add(b.cpu),
            memory: a.memory.saturating_add(b.memory),
        });
        Vitals { id, room_id, stats, fps, others, peers, encoder, to_upload, usage }
    }
}

/// What each process group of this machine takes. A process that ends meanwhile
/// is left out.
pub(super) fn usage() -> HashMap<u32, Usage> {
    let mut groups = HashMap::<u32, Usage>::new();
    let Ok(entries) = fs::read_dir("/proc") else { return groups };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for pid in names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let Some((group, cpu)) = read("stat").as_deref().and_then(group_and_cpu) else { continue };
        let memory = read("status").as_deref().and_then(anonymous).unwrap_or(0);
        let sum = groups.entry(group).or_default();
        sum.cpu += cpu;
        sum.memory += memory;
    }
    groups
}

/// From `/proc/PID/stat`, proc(5): `pgrp` is field 5; `utime`, `stime`, `cutime`
/// and `cstime` are 14 to 17. A name may hold anything, and ends at the last `)`.
fn group_and_cpu(stat: &str) -> Option<(u32, Duration)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let group = fields.get(2)?.parse().ok()?;
    let ticks: Option<Vec<u64>> =
        fields.get(11..15)?.iter().map(|field| field.parse().ok()).collect();
    let ticks: u64 = ticks?.iter().sum();
    let millis = ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1);
    Some((group, Duration::from_millis(millis)))
}

/// From `/proc/PID/status`: bytes.
fn anonymous(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "7 (a) b (c)) S 1 42 7 0 -1 4194304 100 0 0 0 150 50 30 20 20 0 1 0 900";
        let (group, cpu) = group_and_cpu(stat).unwrap();
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!((group, cpu), (42, Duration::from_millis(250_000 / ticks)));
        assert_eq!(group_and_cpu("7 (a) S 1 42"), None);
        assert_eq!(anonymous("Name:\ta\nRssAnon:\t    12 kB\nRssFile:\t 5 kB\n"), Some(12_288));
        assert_eq!(anonymous("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn pictures_are_counted_by_the_second() {
        let stats = |elapsed_s, recorded, repeated| Stats {
            elapsed_s,
            recorded,
            repeated,
            ..Stats::default()
        };
        let mut seen = Seen::default();
        let mut fps = |stats| {
            seen.count(stats);
            seen.fps
        };
        assert_eq!(fps(stats(1.0, 30, 0)), None);
        assert_eq!(fps(stats(2.0, 60, 10)), Some(20.0));
        assert_eq!(fps(stats(2.0, 60, 10)), None, "a pause");
        assert_eq!(fps(stats(4.0, 120, 70)), Some(0.0));
    }

    #[test]
    fn this_process_takes_something() {
        let own = rustix::process::getpgrp().as_raw_nonzero().get().cast_unsigned();
        let waste: Vec<u8> = vec![1; 16 << 20];
        let usage = usage()[&own];
        assert!(usage.memory >= waste.len() as u64, "{usage:?}");
    }
}
