//! The one integration-test binary; a module a behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod api;
mod automation;
mod backup;
mod behind_a_proxy;
mod browser;
mod container;
mod crash;
mod demo;
mod dependencies;
mod doctor;
mod egress;
mod faults;
mod fences;
mod journal;
mod killed;
mod meeting;
mod official_sdk;
mod page_options;
mod presence;
mod record_alone;
mod record_ends;
mod record_picture;
mod record_refusals;
mod record_secrets;
mod record_sound;
mod record_users;
mod recorder_pause;
mod recorder_salvage;
mod reference;
mod service;
mod storage;
mod support;
