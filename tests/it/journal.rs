//! Reads the journal that `roomreel record --journal` writes.

use std::path::Path;

use roomreel::job::{Event, Summary};
use roomreel::recorder::journal::Line;

/// Every event so far, oldest first; a torn last line is left out.
pub fn read(path: &Path) -> Vec<Event> {
    lines(path).into_iter().map(|line| line.event).collect()
}

/// The same with the time of each.
pub fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// T0 on the monotonic clock in nanoseconds, once there is one.
pub fn t0(events: &[Event]) -> Option<u64> {
    events.iter().find_map(|event| match event {
        Event::FirstFrame { t0, .. } => Some(t0.0),
        _ => None,
    })
}

/// The instant that the file ends at, likewise.
pub fn stop(events: &[Event]) -> Option<u64> {
    events.iter().find_map(|event| match event {
        Event::Stopped { at, .. } => Some(at.0),
        _ => None,
    })
}

/// Process id of the newest browser.
pub fn browser(events: &[Event]) -> Option<u32> {
    events.iter().rev().find_map(|event| match event {
        Event::Browser { pid, .. } => Some(*pid),
        _ => None,
    })
}

/// The finished file.
pub fn finished(events: &[Event]) -> Summary {
    let found = events.iter().find_map(|event| match event {
        Event::Finished(summary) => Some(summary.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("the journal has no finished file: {events:#?}"))
}
