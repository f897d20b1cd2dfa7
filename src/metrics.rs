//! What the service measures, in Prometheus' text format
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4).
//!
//! `http` takes a [`Reading`] of store and node whenever it is asked, and
//! [`render`] writes it. Nothing is counted beside what those know anyway, and a
//! recording that is over leaves no series behind. The only door to the exporter.

use std::time::Duration;

use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::job::{State, Stats};
use crate::node::{Capacity, Usage, Vitals};
use crate::store::{DeliveryState, Tally};

/// The media type of what [`render`] writes.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When.
    pub at: DateTime<Utc>,
    /// What is remembered.
    pub tally: Tally,
    /// What this node takes on.
    pub capacity: Capacity,
    /// Bytes free where recordings grow; `None` if the file system does not say.
    pub free_bytes: Option<u64>,
    /// Recordings that this node sees to.
    pub recordings: Vec<Vitals>,
}

/// The reading as text.
pub fn render(reading: &Reading) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    ::metrics::with_local_recorder(&recorder, || {
        service(reading);
        reading.recordings.iter().for_each(recording);
    });
    recorder.handle().render()
}

/// A gauge with its help text.
fn gauge(name: &'static str, help: &'static str, labels: Vec<(&'static str, String)>, value: f64) {
    ::metrics::describe_gauge!(name, help);
    ::metrics::gauge!(name, &labels).set(value);
}

/// A counter with its help text.
fn counter(name: &'static str, help: &'static str, labels: Vec<(&'static str, String)>, n: u64) {
    ::metrics::describe_counter!(name, help);
    ::metrics::counter!(name, &labels).absolute(n);
}

/// Exact up to 2^53, which neither recordings nor bytes come near.
fn float(count: u64) -> f64 {
    count as f64
}

fn service(reading: &Reading) {
    let Reading { at, tally, capacity, free_bytes, .. } = reading;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    gauge("roomreel_info", "1, with the version that runs", vec![("version", version)], 1.0);
    for (state, name) in STATES {
        let known = tally.recordings.iter().find(|(s, _)| s == state).map_or(0, |(_, n)| *n);
        let help = "Recordings that are remembered, by state; those in post_processing wait for \
                    their file to be put into its storage";
        gauge("roomreel_recordings", help, vec![("state", (*name).to_owned())], float(known));
    }
    for (state, name) in DELIVERIES {
        let known = tally.deliveries.iter().find(|(s, _)| s == state).map_or(0, |(_, n)| *n);
        let help = "Webhook deliveries that are remembered, by state";
        gauge(
            "roomreel_webhook_deliveries",
            help,
            vec![("state", (*name).to_owned())],
            float(known),
        );
    }
    let lag = tally.untold_since.map_or(Duration::ZERO, |since| {
        at.signed_duration_since(since).to_std().unwrap_or_default()
    });
    let help = "Age of the oldest event that an endpoint still has to be told, in seconds";
    gauge("roomreel_webhook_lag_seconds", help, vec![], lag.as_secs_f64());
    let backlog: u64 = reading.recordings.iter().filter_map(|of| of.to_upload).sum();
    let help = "Bytes of files that their buckets have not got yet: of recordings that are sent \
                while they grow those that may be sent, of finished ones all";
    gauge("roomreel_upload_backlog_bytes", help, vec![], float(backlog));
    let help = "Recordings that this node takes on at once (recording.max_concurrent)";
    gauge("roomreel_capacity_recordings", help, vec![], float(capacity.slots as u64));
    let help = "Of those, how many it would take on now";
    gauge("roomreel_capacity_left_recordings", help, vec![], float(capacity.free as u64));
    if let Some(bytes) = free_bytes {
        let help = "Bytes free in the file system of the data directory";
        gauge("roomreel_data_free_bytes", help, vec![], float(*bytes));
    }
}

fn recording(vitals: &Vitals) {
    let Vitals { id, room_id, stats, others, encoder, usage, .. } = vitals;
    let labels = || vec![("recording_id", id.to_string()), ("room_id", room_id.clone())];
    if let Some(others) = others {
        let help = "Others whom the page of the recording shows; absent while it cannot tell";
        gauge("roomreel_recording_peers", help, labels(), f64::from(*others));
    }
    if let Some(encoder) = encoder {
        let help = "1, with what makes the picture: x264, nvenc, qsv or vaapi";
        let labels = [labels(), vec![("encoder", encoder.name().to_owned())]].concat();
        gauge("roomreel_recording_encoder_info", help, labels, 1.0);
    }
    if let Some(Usage { cpu, memory }) = usage {
        let help = "CPU time of the recorder and its browser, in milliseconds";
        let ms = u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX);
        counter("roomreel_recording_cpu_milliseconds_total", help, labels(), ms);
        let help = "Anonymous memory of the recorder and its browser; what they share with \
                    others is not in it";
        gauge("roomreel_recording_memory_bytes", help, labels(), float(*memory));
    }
    if let Some(stats) = stats {
        frames(stats, &labels);
    }
}

fn frames(stats: &Stats, labels: &dyn Fn() -> Vec<(&'static str, String)>) {
    for (kind, count) in [
        ("painted", stats.painted),
        ("recorded", stats.recorded),
        ("repeated", stats.repeated),
        ("late", stats.late),
        ("superseded", stats.superseded),
    ] {
        let mut labels = labels();
        labels.push(("kind", kind.to_owned()));
        let help = "Frames: painted by the page, recorded in the file; of the recorded, repeated \
                    ones, and of those, late ones (encoder or machine); of the painted, those \
                    superseded before their tick";
        counter("roomreel_recording_frames_total", help, labels, count);
    }
    let help = "Frames that wait because the encoder is behind";
    gauge("roomreel_recording_encoder_backlog_frames", help, labels(), stats.backlog.into());
    let help = "Time that coding the picture took, in milliseconds; at as much as the file's \
                own time the encoder is at its limit";
    let ms = (stats.coding_s * 1000.0).max(0.0) as u64;
    counter("roomreel_recording_coding_milliseconds_total", help, labels(), ms);
    let help = "Seconds of file time by which the sound that has come ends before the picture. \
                Both stand on one clock: sound always comes a little later, and much later means \
                that it is missing, not that it is off";
    gauge("roomreel_recording_sound_lag_seconds", help, labels(), stats.sound_lag_s);
    let help = "Seconds of file written so far";
    gauge("roomreel_recording_seconds", help, labels(), stats.elapsed_s);
    let help = "Bytes of the file on disk";
    gauge("roomreel_recording_file_bytes", help, labels(), float(stats.bytes));
    let help = "Loudness of the last second, dBFS RMS; -120 is silence";
    gauge("roomreel_recording_audio_dbfs", help, labels(), stats.audio_dbfs);
}

/// All of them, so that a state without recordings is a zero and not a gap.
const STATES: &[(State, &str)] = &[
    (State::Starting, "starting"),
    (State::Running, "running"),
    (State::Stopping, "stopping"),
    (State::PostProcessing, "post_processing"),
    (State::Completed, "completed"),
    (State::Failed, "failed"),
];

const DELIVERIES: &[(DeliveryState, &str)] = &[
    (DeliveryState::Pending, "pending"),
    (DeliveryState::Delivered, "delivered"),
    (DeliveryState::Failed, "failed"),
];
