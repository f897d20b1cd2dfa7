//! What somebody who looks for a fault wants to read of one recording, free of
//! its secrets.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use secrecy::ExposeSecret;
use url::Url;

use super::process::LOG;
use super::redact::redact;
use crate::job::PageOptions;
use crate::recorder::journal::JOURNAL;
use crate::store::{Delivery, Recording};

/// How much of a log is quoted, in bytes from its end.
const LOG_BYTES: u64 = 256 * 1024;
/// How much of a journal is read, likewise.
const JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// Of the counters that a journal has for each second, those that are quoted.
const STATS: usize = 120;
const MASK: &str = "***";

/// The report on `recording`, whose directory is below `data`. Where something is
/// missing or cannot be read, it says so.
pub fn report(data: &Path, recording: &Recording, deliveries: &[Delivery]) -> String {
    let dir = data.join("recordings").join(recording.id.to_string());
    let mut text = format!(
        "roomreel {}, recording {}\n\n# Machine\n\n{}\n# Recording\n\n{recording:#?}\n\n# Webhooks\n\n",
        env!("CARGO_PKG_VERSION"),
        recording.id,
        machine(),
    );
    for delivery in deliveries {
        // What is told is in the recording; the endpoint's name is the operator's.
        let Delivery { endpoint, attempts, state, last_status, last_error, .. } = delivery;
        let (name, at) = (delivery.event.occurrence.name(), delivery.event.at);
        _ = writeln!(
            text,
            "{at} {name} to {endpoint}: {state:?}, {attempts} attempts, status {last_status:?}, \
             error {last_error:?}"
        );
    }
    let journal = tail(&dir.join(JOURNAL), JOURNAL_BYTES).map(|journal| thin(&journal));
    let log = tail(&dir.join(LOG), LOG_BYTES);
    for (title, content) in [("Journal", journal), ("Log of the recorder", log)] {
        let content = content.unwrap_or_else(|error| format!("cannot be read: {error}"));
        _ = write!(text, "\n# {title}\n\n{}\n", content.trim_end());
    }
    without_secrets(&text, recording)
}

/// The end of a file, without its first, torn line where it is longer.
fn tail(path: &Path, most: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(match text.split_once('\n') {
        Some((_, rest)) if length > most => rest.to_owned(),
        _ => text,
    })
}

/// A journal with the last of its counters only.
fn thin(journal: &str) -> String {
    let is_stats = |line: &&str| line.contains("\"event\":\"stats\"");
    let mut left_out = journal.lines().filter(is_stats).count().saturating_sub(STATS);
    let mut text = String::new();
    if left_out > 0 {
        _ = writeln!(text, "({left_out} of its lines of counters are left out)");
    }
    for line in journal.lines() {
        if left_out > 0 && is_stats(&line) {
            left_out -= 1;
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (system, memory) = (read("/etc/os-release"), read("/proc/meminfo"));
    let line = |text: &str, start: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(start));
        found.unwrap_or("unknown").trim().trim_matches('"').to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "system: {}\nkernel: {}\nprocessors: {cores}\nmemory: {}, available {}\n",
        line(&system, "PRETTY_NAME="),
        read("/proc/sys/kernel/osrelease").trim(),
        line(&memory, "MemTotal:"),
        line(&memory, "MemAvailable:"),
    )
}

/// Masks what the recording's request was given in confidence, wherever it stands.
fn without_secrets(text: &str, recording: &Recording) -> String {
    let mut text = text.to_owned();
    let PageOptions { headers, cookies, basic_auth, .. } = &recording.page;
    let mut secrets: Vec<&str> =
        headers.values().chain(cookies.values()).map(|v| v.expose()).collect();
    secrets.extend(basic_auth.iter().map(|account| account.password.expose()));
    if let Some(webhook) = &recording.webhook {
        secrets.extend(webhook.headers.values().map(ExposeSecret::expose_secret));
        secrets.push(webhook.url.expose_secret());
    }
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, MASK);
    }
    match Url::parse(recording.meeting_url.expose_secret()) {
        Ok(url) => redact(&text, &url),
        Err(_) => text.replace(recording.meeting_url.expose_secret(), MASK),
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::job::{BasicAuth, Hidden, JoinRule, PresenceRule, Quality};
    use crate::store::{Terms, WebhookTarget};

    #[test]
    fn it_quotes_everything_but_secrets() {
        let terms = Terms {
            quality: Quality::default(),
            join: JoinRule::Auto,
            presence: PresenceRule::default(),
            max_duration_s: 60.0,
            audio_only: false,
        };
        let url = "https://meet.example/r?auth_token=opaque-t0ken";
        let mut recording = Recording::new("standup".into(), url.into(), terms, Utc::now());
        recording.page.headers.insert("X-Key".into(), Hidden::from("head3r"));
        recording.page.cookies.insert("sid".into(), Hidden::from("cook1e"));
        let password = Hidden::from("passw0rd");
        recording.page.basic_auth = Some(BasicAuth { user: "ann".into(), password });
        let headers = [("X-Hook".to_owned(), "h00k".into())].into();
        recording.webhook = Some(WebhookTarget { url: "https://b.example/w3b".into(), headers });

        let data = tempfile::tempdir().unwrap();
        let dir = data.path().join("recordings").join(recording.id.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        let empty = report(data.path(), &recording, &[]);
        assert_eq!(empty.matches("cannot be read").count(), 2, "{empty}");
        let secrets = ["opaque-t0ken", "head3r", "cook1e", "passw0rd", "h00k", "w3b"];
        let said = format!("it said {} and {url} to https://b.example/w3b", secrets.join(", "));
        std::fs::write(dir.join("journal.jsonl"), format!("{{\"message\":\"{said}\"}}\n")).unwrap();
        std::fs::write(dir.join(LOG), format!("WARN {said}\n")).unwrap();
        let report = report(data.path(), &recording, &[]);
        assert_eq!(report.matches("it said ***").count(), 2, "{report}");
        assert!(report.contains("standup") && report.contains("kernel: "), "{report}");
        for secret in secrets.into_iter().filter(|secret| *secret != "w3b") {
            assert!(!report.contains(secret), "{secret}: {report}");
        }
        assert!(!report.contains("b.example"), "{report}");
    }

    #[test]
    fn a_long_journal_keeps_what_happened_and_its_last_counters() {
        let stats = |second: usize| format!("{{\"event\":\"stats\",\"elapsed_s\":{second}}}\n");
        let mut journal = String::from("{\"event\":\"started\",\"pid\":7}\n");
        journal.extend((0..STATS + 5).map(stats));
        journal.push_str("{\"event\":\"finished\"}\n");
        let thinned = thin(&journal);
        assert!(thinned.starts_with("(5 of its lines"), "{thinned}");
        assert!(thinned.contains("\"pid\":7") && thinned.contains("finished"));
        assert!(!thinned.contains(stats(4).trim()) && thinned.contains(stats(5).trim()));
        assert_eq!(thin("a\nb\n"), "a\nb\n");
    }
}
