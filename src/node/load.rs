//! How busy this machine is: what the kernel says of it, and what each recording
//! takes of it, over a quarter of a second.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::vitals::{Usage, Vitals};
use super::{Capacity, Node};

/// How long it is looked: 25 of the kernel's ticks.
const LOOK: Duration = Duration::from_millis(250);

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Load {
    /// How many recordings it takes on.
    pub capacity: Capacity,
    /// The machine, with everything else that runs on it.
    pub machine: Machine,
    /// What runs here.
    pub recordings: Vec<Working>,
}

/// A recording, and what it takes.
#[derive(Debug, Clone)]
pub struct Working {
    /// How it is.
    pub vitals: Vitals,
    /// Of one core, 1.0 being all of it; `None` if it has no processes.
    pub cpu: Option<f64>,
}

/// A machine; what cannot be read is absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// How much of all cores is in use, 0.0 to 1.0.
    pub cpu: Option<f64>,
    /// Bytes of memory.
    pub memory: Option<Space>,
    /// Bytes of the data directory's disk.
    pub disk: Option<Space>,
    /// Bytes of the disk without which nothing is started.
    pub min_free: u64,
}

/// How much there is, and how much of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What can still be had.
    pub free: u64,
}

impl Space {
    /// How much of it is in use, 0.0 to 1.0.
    pub fn used(&self) -> f64 {
        self.total.saturating_sub(self.free) as f64 / self.total.max(1) as f64
    }
}

impl Node {
    /// How busy it is; takes a quarter of a second.
    pub async fn load(&self) -> Load {
        let (before, busy, begun) = (self.vitals().await, ticks(), Instant::now());
        tokio::time::sleep(LOOK).await;
        let (recordings, busy_now) = (self.vitals().await, ticks());
        let time = begun.elapsed().as_secs_f64();
        let cpu = busy.zip(busy_now).and_then(|(old, new)| new.share_since(old));
        let recordings = recordings.into_iter().map(|vitals| {
            let old = before.iter().find(|old| old.id == vitals.id).and_then(|old| old.usage);
            let cpu = old.zip(vitals.usage).map(|(old, new): (Usage, Usage)| {
                new.cpu.saturating_sub(old.cpu).as_secs_f64() / time
            });
            Working { vitals, cpu }
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(memory);
        let (disk, min_free) = (disk(&self.0.dir), self.0.min_free);
        Load {
            capacity: self.capacity(),
            machine: Machine { cores, cpu, memory, disk, min_free },
            recordings: recordings.collect(),
        }
    }
}

/// Time of all cores since the machine was started, in the kernel's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    all: u64,
    idle: u64,
}

impl Ticks {
    /// How much of the time in between was not idle; `None` if none has passed.
    fn share_since(self, old: Self) -> Option<f64> {
        let all = self.all.checked_sub(old.all).filter(|all| *all > 0)?;
        let idle = self.idle.saturating_sub(old.idle).min(all);
        Some((all - idle) as f64 / all as f64)
    }
}

fn ticks() -> Option<Ticks> {
    parse_ticks(&fs::read_to_string("/proc/stat").ok()?)
}

/// From `/proc/stat`, proc(5): user, nice, system, idle, iowait, irq, softirq and
/// steal; guests are counted in user already.
fn parse_ticks(stat: &str) -> Option<Ticks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Option<Vec<u64>> =
        line.split_whitespace().take(8).map(|field| field.parse().ok()).collect();
    let fields = fields?;
    let idle = fields.get(3)? + fields.get(4)?;
    Some(Ticks { all: fields.iter().sum(), idle })
}

/// From `/proc/meminfo`.
fn memory(text: &str) -> Option<Space> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
    };
    Some(Space { total: bytes("MemTotal:")?, free: bytes("MemAvailable:")? })
}

/// Of the disk that `dir` is on, what an ordinary user may have.
fn disk(dir: &Path) -> Option<Space> {
    let of = rustix::fs::statvfs(dir).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(of.f_frsize);
    Some(Space { total: bytes(of.f_blocks), free: bytes(of.f_bavail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        let old = parse_ticks("cpu  100 0 50 800 50 0 0 0 7 0\ncpu0 1 2 3 4\n").unwrap();
        assert_eq!(old, Ticks { all: 1000, idle: 850 });
        let new = Ticks { all: 1200, idle: 900 };
        assert_eq!((new.share_since(old), new.share_since(new)), (Some(0.75), None));
        assert_eq!(parse_ticks("cpu  1 x\n"), None);
        let text = "MemTotal:       4 kB\nMemFree: 1 kB\nMemAvailable:    3 kB\n";
        let found = memory(text).unwrap();
        assert_eq!(found, Space { total: 4096, free: 3072 });
        assert_eq!(found.used(), 0.25);
        assert_eq!(memory("MemTotal: 4 kB\n"), None);
    }

    #[test]
    fn this_machine_has_all_of_it() {
        assert!(ticks().unwrap().all > 0);
        let dir = tempfile::tempdir().unwrap();
        assert!(disk(dir.path()).unwrap().total > 0);
    }
}
