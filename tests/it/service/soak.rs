//! A long meeting in the demo room, recorded by the service: nothing grows, nothing
//! drifts. An hour, or as many seconds as `ROOMREEL_SOAK_SECONDS` says.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use roomreel::job::Event;

use super::*;
use crate::browser::group;
use crate::support::judge::{quantile, sync};
use crate::support::relay::Relay;
use crate::support::{long, media};

const EVERY: Duration = Duration::from_secs(5);
/// Readings that are left out.
const BEGINNING: usize = 40;
const MIB: f64 = (1 << 20) as f64;

/// What some processes have together.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    /// Bytes that they share with nobody.
    memory: f64,
    descriptors: f64,
    processes: f64,
}

impl Usage {
    fn of(pids: &[u32]) -> Self {
        let mut sum = Self::default();
        for pid in pids {
            let proc = PathBuf::from(format!("/proc/{pid}"));
            let Ok(status) = std::fs::read_to_string(proc.join("status")) else { continue };
            let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
            let own = own.and_then(|kib| kib.trim().strip_suffix(" kB")?.parse::<f64>().ok());
            sum.memory += own.unwrap_or(0.0) * 1024.0;
            sum.descriptors += std::fs::read_dir(proc.join("fd")).map_or(0, Iterator::count) as f64;
            sum.processes += 1.0;
        }
        sum
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, descriptors, processes } = self;
        write!(f, "{:.1} MiB, {descriptors} descriptors, {processes} processes", memory / MIB)
    }
}

/// What Chromium calls its processes, in order.
fn kinds(pids: &[u32]) -> Vec<String> {
    let lines = pids.iter().filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
    let mut kinds: Vec<String> = lines
        .map(|line| {
            let line = String::from_utf8_lossy(&line).into_owned();
            let named = |name: &str| {
                let found = line.split('\0').flat_map(|part| part.split(' '));
                found.filter_map(|part| part.strip_prefix(name)).next().map(str::to_owned)
            };
            named("--utility-sub-type=").or_else(|| named("--type=")).unwrap_or_default()
        })
        .collect();
    kinds.sort();
    kinds
}

/// The middle of each figure over a part of the time.
fn middle(readings: &[Usage]) -> Usage {
    let of =
        |figure: fn(&Usage) -> f64| quantile(&readings.iter().map(figure).collect::<Vec<_>>(), 0.5);
    Usage {
        memory: of(|u| u.memory),
        descriptors: of(|u| u.descriptors),
        processes: of(|u| u.processes),
    }
}

/// Compares the time after the beginning with the last.
fn assert_steady(who: &str, readings: &[Usage], slack: f64) {
    // Chromium starts a last process of its own after three minutes.
    let beginning = (readings.len() / 10).max(BEGINNING.min(readings.len() / 2));
    let share = (readings.len() - beginning) / 4;
    let early = middle(&readings[beginning..][..share]);
    let late = middle(&readings[readings.len() - share..]);
    println!("{who}: {early} early; {late} late");
    assert!(late.memory <= early.memory * 1.1 + slack * MIB, "{who}: memory grows");
    assert!(late.descriptors <= early.descriptors * 1.05 + 4.0, "{who}: descriptors grow");
    assert!(late.processes <= early.processes, "{who}: processes grow");
}

/// The film of `soak.html`: as `sync_film`, small, and with beeps far above what bots say.
fn film(to: &Path, seconds: u64) {
    let beeps = media::BEEPS.replace("1000*t", "8000*t");
    media::ffmpeg(&format!(
        "-f lavfi -i color=black:s=32x18:r=30:d={seconds},format=yuv420p,{} \
         -f lavfi -i aevalsrc={beeps}|{beeps}:s=48000:d={seconds} \
         -c:v libx264 -preset veryfast -g 30 -bf 0 -crf 18 -c:a flac -strict -2 {}",
        media::FLASHES,
        to.display()
    ));
}

/// How flashes and beeps of `file` go together from second `from` on.
fn offset(file: &Path, from: u64, length: u64, dir: &Path) -> sync::Sync {
    let part = dir.join(format!("from-{from}.mp4"));
    media::ffmpeg(&format!(
        "-ss {from} -t {length} -i {} -af highpass=f=6000,highpass=f=6000 \
         -c:v libx264 -preset ultrafast -crf 18 -c:a flac -strict -2 {}",
        file.display(),
        part.display()
    ));
    sync::sync(&part)
}

#[test]
fn a_long_meeting_neither_grows_nor_drifts() {
    if !long() {
        return;
    }
    let _quiet = quiet();
    let seconds = std::env::var("ROOMREEL_SOAK_SECONDS");
    let seconds: u64 = seconds.map_or(3600, |text| text.parse().unwrap());
    let dir = scratch();
    film(&dir.path().join("sync.mp4"), seconds + 120);
    let pages = Pages::with(dir.path());
    let service = Service::start();
    let (runtime, bots) = bots(&service, "demo", 2);
    // The room's own page must not be framed by others.
    let framed = ("frame-ancestors 'none'".into(), "frame-ancestors *     ".into());
    let relay = Relay::to(service.demo.parse().unwrap(), vec![framed]);
    let room = service.recorder_link("demo").replace(&service.demo, &relay.address.to_string());
    let page = pages.url(&format!("soak.html#{room}"));
    let body = json!({ "meeting_url": page, "join": "load" });
    let started = service.post("/v2/recordings/room/soak/start", &body);
    let id = started["id"].as_str().unwrap_or_else(|| panic!("{started}")).to_owned();
    service.until(&id, "running");
    let log = service.data.path().join("recordings").join(&id).join("journal.jsonl");
    until("the recorder in the room", Duration::from_secs(60), || {
        // The demo counts nobody who is hidden: the bots send to one more.
        (service.demo_room("demo")["peers"].as_array()?.len() == 2).then_some(())
    });
    let events = journal::read(&log);
    let recorder = events.iter().find_map(|event| match event {
        Event::Started { pid, .. } => Some(*pid),
        _ => None,
    });
    let (recorder, browser) = (recorder.unwrap(), journal::browser(&events).unwrap());
    let serve = service.process.pid().as_raw_nonzero().get().cast_unsigned();

    let mut usage: [Vec<Usage>; 3] = Default::default();
    let mut known = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(EVERY);
        usage[0].push(Usage::of(&[serve]));
        usage[1].push(Usage::of(&[recorder]));
        let processes = group(browser);
        usage[2].push(Usage::of(&processes));
        let kinds = kinds(&processes);
        if kinds != known {
            println!("{:.0} s: {kinds:?}", begun.elapsed().as_secs_f64());
            known = kinds;
        }
    }
    service.post("/v2/recordings/room/soak/stop", &json!({}));
    let done = service.until(&id, "completed");
    let file = service.file(&done);
    let events = journal::read(&log);
    let summary = journal::finished(&events);
    println!("{summary:#?}");
    // More than the film alone, which changes twice a second: the room is seen, too.
    assert!(summary.stats.painted > 5 * seconds, "{} pictures", summary.stats.painted);
    assert_eq!(journal::browser(&events), Some(browser), "{events:#?}");

    let clock = (journal::stop(&events).unwrap() - journal::t0(&events).unwrap()) as f64 / 1e9;
    let length = probe(&file).duration;
    println!("{length:.3} s of file in {clock:.3} s");
    assert!((length - clock).abs() <= 0.05, "{length} s of file in {clock} s");
    assert_eq!(decodes_silently(&file), Ok(()));

    let window = (seconds / 4).min(120);
    let first = offset(&file, 10, window, dir.path());
    let last = offset(&file, clock as u64 - window - 5, window, dir.path());
    println!("sound against picture: {first:?} at the start, {last:?} at the end");
    let drift = last.median_ms - first.median_ms;
    // What the index of the file takes grows with it: some 40 bytes for each sample.
    for ((who, slack), readings) in
        [("serve", 16.0), ("recorder", 32.0), ("browser", 64.0)].into_iter().zip(&usage)
    {
        assert_steady(who, readings, slack);
    }
    assert!(drift.abs() <= 5.0, "{drift} ms of drift");
    runtime.block_on(bots.close());
}
