//! What the kernel, or whoever started this, allows: memory, descriptors, processes,
//! namespaces, confinement, clocks.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, geteuid, getrlimit};

use super::{Finding, disk};
use crate::browser::FEWEST_FILES;
use crate::config::Config;
use crate::recorder::confine::{Confinement, confine, namespaces_off};

/// Below this, Chromium is told not to use `/dev/shm`, and paints through files.
const ENOUGH_SHM: u64 = 512 << 20;
/// Descriptors of one process: Chromium's own has a few hundred for a large meeting.
const ENOUGH_FILES: u64 = 1024;
/// Processes and threads of one recording, Chromium's with it (about 150 for a large
/// meeting), with room to spare.
const TASKS: u64 = 300;
/// Memory of one recording, in bytes (README, "Benchmark").
const MEMORY: u64 = 500 << 20;
/// No clock that is right shows an earlier time: 2026-01-01.
const EARLIEST: u64 = 1_767_225_600;

/// May ordinary users make the namespaces that Chromium's sandbox consists of?
pub(super) fn namespaces(config: &Config) -> Finding {
    let helper = || {
        let program = crate::browser::find_program(config.browser.options().program.as_deref());
        program.is_ok_and(|program| program.with_file_name("chrome-sandbox").exists())
    };
    judge_namespaces(namespaces_off(), config.browser.no_sandbox, helper())
}

fn judge_namespaces(
    off: Option<(&'static str, &'static str)>,
    no_sandbox: bool,
    helper: bool,
) -> Finding {
    const CHECK: &str = "namespaces";
    if no_sandbox {
        let found = "browser.no_sandbox is set: a page has the rights of Chromium's user";
        return Finding::warn(CHECK, found, "take it out of the configuration");
    }
    let Some((switch, value)) = off else {
        return Finding::ok(CHECK, "ordinary users may make them");
    };
    let found = format!("{switch} is {value}, so ordinary users may make none");
    let name = switch.trim_start_matches("/proc/sys/").replace('/', ".");
    let right = if value == "1" { "0" } else { "a positive number (1 for a switch)" };
    let advice = format!("set {name} to {right} with sysctl: Chromium's sandbox is made of them");
    match helper {
        true => Finding::warn(CHECK, format!("{found}; Chromium has its own helper"), advice),
        false => Finding::fail(CHECK, found, advice),
    }
}

/// Sockets and profiles are made in the directory for temporary files.
pub(super) fn temporary() -> Finding {
    judge_temporary(&std::env::temp_dir())
}

fn judge_temporary(dir: &Path) -> Finding {
    match disk::usable(dir) {
        Ok(()) => Finding::ok("temporary", format!("{} can be written", dir.display())),
        Err(error) => Finding::fail(
            "temporary",
            format!("{} cannot be written: {error}", dir.display()),
            "mount a tmpfs there (--tmpfs /tmp:mode=1777), or set TMPDIR",
        ),
    }
}

/// Chromium's pictures.
pub(super) fn shared_memory() -> Finding {
    let free = rustix::fs::statvfs("/dev/shm").ok().map(|fs| fs.f_bavail * fs.f_frsize);
    judge_shared_memory(free)
}

fn judge_shared_memory(free: Option<u64>) -> Finding {
    let advice = "give it a gigabyte (--shm-size=1g): Chromium paints through files without";
    match free {
        None => Finding::warn("/dev/shm", "is not there", advice),
        Some(free) if free < ENOUGH_SHM => {
            Finding::warn("/dev/shm", format!("{} MB free", free / 1_000_000), advice)
        }
        Some(free) => Finding::ok("/dev/shm", format!("{} MB free", free / 1_000_000)),
    }
}

/// Open files of each process.
pub(super) fn descriptors() -> Finding {
    judge_descriptors(getrlimit(Resource::Nofile).current)
}

fn judge_descriptors(limit: Option<u64>) -> Finding {
    let Some(limit) = limit else { return Finding::ok("open files", "no limit") };
    let found = format!("{limit} for each process");
    let advice = format!("raise it to {ENOUGH_FILES} at least (ulimit -n, LimitNOFILE=)");
    match limit {
        ..FEWEST_FILES => Finding::fail("open files", found, advice),
        FEWEST_FILES..ENOUGH_FILES => Finding::warn("open files", found, advice),
        _ => Finding::ok("open files", found),
    }
}

/// Processes and threads, of this user and of this control group.
pub(super) fn processes(config: &Config) -> Finding {
    let of_user = getrlimit(Resource::Nproc).current;
    let of_group = control_group("pids.max", "/sys/fs/cgroup/pids/pids.max");
    let limit = of_user.into_iter().chain(of_group).min();
    judge_processes(limit, config.recording.slots() as u64)
}

fn judge_processes(limit: Option<u64>, slots: u64) -> Finding {
    let Some(limit) = limit else { return Finding::ok("processes", "no limit") };
    let found = format!("{limit} with threads");
    if limit >= slots * TASKS {
        return Finding::ok("processes", found);
    }
    let advice = format!(
        "{slots} recordings at once take up to {}: raise it (ulimit -u, TasksMax=, --pids-limit)",
        slots * TASKS
    );
    match limit < TASKS {
        true => Finding::fail("processes", found, advice),
        false => Finding::warn("processes", found, advice),
    }
}

/// Memory that is free for recordings.
pub(super) fn memory(config: &Config) -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let of_group = control_group("memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes");
    let free = available(&text).into_iter().chain(of_group).min();
    judge_memory(free, config.recording.slots() as u64)
}

/// `MemAvailable` of `/proc/meminfo` (proc_meminfo(5)), in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn judge_memory(free: Option<u64>, slots: u64) -> Finding {
    let Some(free) = free else {
        return Finding::warn("memory", "is unknown", "look at it yourself");
    };
    let found = format!("{:.1} GB for {slots} recordings at once", free as f64 / 1e9);
    match free {
        ..MEMORY => {
            Finding::fail("memory", found, "one recording takes about half a gigabyte: make room")
        }
        _ if free < slots * MEMORY => Finding::warn(
            "memory",
            found,
            "each takes about half a gigabyte: set recording.max_concurrent lower",
        ),
        _ => Finding::ok("memory", found),
    }
}

/// A limit of the control group that this process is in, as a container has it; none
/// where it is unlimited or not to be seen.
fn control_group(unified: &str, legacy: &str) -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let places = [
        format!("/sys/fs/cgroup{}/{unified}", own.trim_end_matches('/')),
        format!("/sys/fs/cgroup/{unified}"),
        legacy.to_owned(),
    ];
    // "max" is no number, and the legacy hierarchy spells it as one near 2^63.
    let limit: u64 = places
        .iter()
        .find_map(|place| std::fs::read_to_string(place).ok())
        .and_then(|text| text.trim().parse().ok())?;
    (limit < 1 << 60).then_some(limit)
}

/// Can recorders be confined?
pub(super) fn landlock(config: &Config) -> Finding {
    let options = config.browser.options();
    let confined = std::thread::Builder::new().spawn(move || {
        // The rules end with this thread.
        let own = tempfile::tempdir()?;
        std::io::Result::Ok(confine(&[own.path()], &options, false))
    });
    match confined.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(confinement))) => judge_landlock(&confinement),
        _ => Finding::warn("landlock", "could not be tried", "see `temporary`"),
    }
}

fn judge_landlock(confinement: &Confinement) -> Finding {
    let found = format!("recorders are {confinement}");
    match confinement {
        Confinement::Full | Confinement::Partial => Finding::ok("landlock", found),
        Confinement::None(_) => Finding::warn(
            "landlock",
            found,
            "a kernel with Landlock (5.13 or newer, in `lsm=`) keeps a recorder that was taken \
             over from other recordings",
        ),
    }
}

/// Does the clock run that recordings go by, and is the time of day plausible?
pub(super) async fn clock() -> Finding {
    let (begun, before) = (Instant::now(), crate::clock::Mono::now());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (slept, after) = (begun.elapsed(), crate::clock::Mono::now());
    let runs = after > before && slept >= Duration::from_millis(20);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    judge_clock(runs, now, synchronised())
}

/// What timesyncd or chrony leave on a machine whose time they keep; nothing is known
/// of it in a container.
fn synchronised() -> bool {
    ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/chronyd.pid"]
        .iter()
        .any(|path| Path::new(path).exists())
}

fn judge_clock(runs: bool, now: u64, kept: bool) -> Finding {
    if !runs {
        return Finding::fail("clock", "CLOCK_MONOTONIC stands still", "no recording can be timed");
    }
    if now < EARLIEST {
        return Finding::fail(
            "clock",
            "the time of day lies in the past",
            "set it: tokens and links would be refused, and files misnamed",
        );
    }
    match kept {
        true => Finding::ok("clock", "runs, and is kept by NTP"),
        false => Finding::ok("clock", "runs; whether NTP keeps it is not known here"),
    }
}

/// True if this process is root, who gives Chromium to another user.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn namespaces_that_are_off_stop_chromium_unless_it_has_a_helper() {
        let off = Some(("/proc/sys/kernel/unprivileged_userns_clone", "0"));
        let failed = judge_namespaces(off, false, false);
        assert_eq!(failed.level, Level::Fail);
        assert!(failed.advice.unwrap().contains("kernel.unprivileged_userns_clone to a positive"));
        assert_eq!(judge_namespaces(off, false, true).level, Level::Warn);
        assert_eq!(judge_namespaces(None, false, false).level, Level::Ok);
        assert_eq!(judge_namespaces(None, true, false).level, Level::Warn);
        let apparmor = Some(("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"));
        assert!(judge_namespaces(apparmor, false, false).advice.unwrap().contains("userns to 0"));
    }

    #[test]
    fn limits_that_are_too_low_are_told_of() {
        assert_eq!(judge_descriptors(Some(64)).level, Level::Fail);
        assert_eq!(judge_descriptors(Some(512)).level, Level::Warn);
        assert_eq!(judge_descriptors(Some(1024)).level, Level::Ok);
        assert_eq!(judge_descriptors(None).level, Level::Ok);
        assert_eq!(judge_processes(Some(100), 2).level, Level::Fail);
        assert_eq!(judge_processes(Some(400), 2).level, Level::Warn);
        assert_eq!(judge_processes(Some(4096), 2).level, Level::Ok);
        assert_eq!(judge_processes(None, 2).level, Level::Ok);
        assert_eq!(judge_shared_memory(None).level, Level::Warn);
        assert_eq!(judge_shared_memory(Some(64 << 20)).level, Level::Warn);
        assert_eq!(judge_shared_memory(Some(1 << 30)).level, Level::Ok);
        assert_eq!(judge_memory(Some(100 << 20), 2).level, Level::Fail);
        assert_eq!(judge_memory(Some(600 << 20), 2).level, Level::Warn);
        assert_eq!(judge_memory(Some(2 << 30), 2).level, Level::Ok);
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
    }

    #[test]
    fn a_directory_for_sockets_is_needed() {
        assert_eq!(judge_temporary(Path::new("/nowhere/at/all")).level, Level::Fail);
        assert_eq!(judge_temporary(Path::new("/proc")).level, Level::Fail);
        assert_eq!(judge_temporary(&std::env::temp_dir()).level, Level::Ok);
    }

    #[test]
    fn a_clock_that_was_never_set_is_found_out() {
        assert_eq!(judge_clock(true, 0, false).level, Level::Fail);
        assert_eq!(judge_clock(false, EARLIEST, true).level, Level::Fail);
        assert_eq!(judge_clock(true, EARLIEST, true).level, Level::Ok);
    }

    #[test]
    fn a_kernel_without_landlock_is_worth_a_warning() {
        let none = Confinement::None("this kernel has no Landlock".into());
        assert_eq!(judge_landlock(&none).level, Level::Warn);
        assert_eq!(judge_landlock(&Confinement::Partial).level, Level::Ok);
    }
}
