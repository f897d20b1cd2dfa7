//! roomreel records browser meetings: one MP4 of what a participant saw and heard.
//!
//! # Layout
//!
//! - [`job`]: spec, states, stop reasons, events. Pure.
//! - [`clock`], [`media`]: the one clock, and what screen and speaker hand over.
//! - [`display`]: the screen, a Wayland server with one output.
//! - [`speaker`]: the sound card, a PulseAudio-protocol server with one sink.
//! - [`timeline`]: ticks and samples become constant-rate frames. Pure.
//! - [`encode`]: H.264, AAC and the MP4 on disk.
//! - [`browser`]: Chromium, and the only door to its DevTools protocol.
//! - [`room`]: joined? who is here? ended?
//! - [`recorder`]: one recording from spec to finished file. Start reading here.
//! - [`session`]: sessions of rooms and their peers, by the rooms' webhooks. Pure.
//! - [`node`], [`store`], [`storage`], [`http`], [`config`]: the service around it.
//! - [`automation`]: recordings that start and stop by what rooms tell.
//! - [`token`]: who may call, and what the bot joins rooms with.
//! - [`webhook`], [`net`]: what it tells others, and where a request may lead it.
//! - [`metrics`]: what it measures, as Prometheus reads it.
//! - [`doctor`]: what of a machine and a configuration works. Asks all of the above.
//! - [`demo`]: a small WebRTC room to meet in and to record.

pub mod automation;
pub mod browser;
pub mod clock;
pub mod config;
pub mod demo;
pub mod display;
pub mod doctor;
pub mod encode;
pub mod http;
pub mod job;
pub mod media;
pub mod metrics;
pub mod net;
pub mod node;
pub mod recorder;
pub mod room;
pub mod session;
pub mod speaker;
pub mod storage;
pub mod store;
pub mod timeline;
pub mod token;
pub mod webhook;
