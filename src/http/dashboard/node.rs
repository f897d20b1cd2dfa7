//! `/node`: how busy this machine is.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Desk;
use super::gate::Who;
use super::page::{self, Frame, Menu};
use super::words::{bytes, clock, count};
use crate::node::{Capacity, Machine, Space, Working};

/// How soon it is looked at again.
const REFRESH: u32 = 5;
/// From here on a bar warns, in per cent.
const HIGH: u32 = 85;

#[derive(Template)]
#[template(path = "node.html", config = "src/http/dashboard/askama.toml")]
struct Page {
    frame: Frame,
    version: &'static str,
    bars: Vec<Bar>,
    rows: Vec<Row>,
}

/// How much of something is in use.
struct Bar {
    id: &'static str,
    name: &'static str,
    percent: u32,
    text: String,
    high: u32,
}

struct Row {
    id: String,
    room: String,
    elapsed: String,
    cpu: String,
    memory: String,
    fps: String,
    late: String,
    backlog: String,
}

pub(super) async fn show(State(desk): State<Desk>, Extension(visitor): Who) -> Response {
    let load = desk.app.node.load().await;
    let mut frame = Frame::new(&visitor, "Node", Menu::Node);
    frame.refresh = REFRESH;
    let rows = load.recordings.into_iter().map(Row::of).collect();
    let bars = bars(load.capacity, &load.machine);
    let page = Page { frame, version: env!("CARGO_PKG_VERSION"), bars, rows };
    page::show(StatusCode::OK, &page.frame, &page)
}

/// A share of one as whole per cent.
fn percent(share: f64) -> u32 {
    (share * 100.0).round().clamp(0.0, 100.0) as u32
}

fn bars(capacity: Capacity, machine: &Machine) -> Vec<Bar> {
    let running = capacity.slots.saturating_sub(capacity.free);
    let mut bars = vec![Bar {
        id: "recordings",
        name: "Recordings at once",
        percent: percent(running as f64 / capacity.slots.max(1) as f64),
        text: format!("{running} of {}", capacity.slots),
        high: 100,
    }];
    if let Some(share) = machine.cpu {
        let percent = percent(share);
        let text = format!("{percent} % of {}", count(machine.cores, "core"));
        bars.push(Bar { id: "cpu", name: "CPU", percent, text, high: HIGH });
    }
    let mut space = |id, name, space: Option<Space>, more: String| {
        let Some(space) = space else { return };
        let text = format!("{} of {} left{more}", bytes(space.free), bytes(space.total));
        bars.push(Bar { id, name, percent: percent(space.used()), text, high: HIGH });
    };
    space("memory", "Memory", machine.memory, String::new());
    let least = match machine.min_free {
        0 => String::new(),
        least => format!("; nothing is started below {}", bytes(least)),
    };
    space("disk", "Disk of the data directory", machine.disk, least);
    bars
}

impl Row {
    fn of(working: Working) -> Self {
        let Working { vitals, cpu } = working;
        let stats = vitals.stats;
        Self {
            id: vitals.id.to_string(),
            room: vitals.room_id,
            elapsed: stats.map(|stats| clock(stats.elapsed_s)).unwrap_or_default(),
            cpu: cpu.map(|cores| format!("{:.0} %", cores * 100.0)).unwrap_or_default(),
            memory: vitals.usage.map(|usage| bytes(usage.memory)).unwrap_or_default(),
            fps: vitals.fps.map(|fps| format!("{fps:.0}")).unwrap_or_default(),
            late: stats.map(|stats| stats.late.to_string()).unwrap_or_default(),
            backlog: stats.map(|stats| stats.backlog.to_string()).unwrap_or_default(),
        }
    }
}
