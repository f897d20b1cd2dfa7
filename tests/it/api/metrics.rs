//! What Prometheus reads.

use super::*;

/// A recorder that has taken 30 frames and sees two others.
const MEASURES: &str = r#"
[ "$4" = --salvage ] && exit 1
echo '{"event":"started","pid":'$$'}
{"event":"encoder","encoder":"vaapi"}
{"event":"first_frame","t0":1000000000,"epoch_ms":1700000000120}
{"event":"peers","count":2}
{"event":"stats","elapsed_s":1.0,"painted":29,"recorded":30,"repeated":3,"late":1,"superseded":2,"audio_dbfs":-21.5,"bytes":4096,"backlog":4,"coding_s":0.125,"sound_lag_s":0.25}' > "$3/journal.jsonl"
while [ -d "$3" ]; do sleep 0.05; done
"#;

pub(super) async fn metrics(api: &Api) -> String {
    let answer = api.request(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    answer.text().await.unwrap()
}

/// The sample of this name and labels, in whatever order they are.
pub(super) fn sample(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let line = text.lines().find(|line| {
        let own = line.split(['{', ' ']).next() == Some(name);
        own && labels.iter().all(|label| line.contains(label))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test]
async fn a_recording_is_measured_while_it_runs_and_counted_afterwards() {
    let api = Api::with(MEASURES, |config| config.recording.max_concurrent = 3).await;
    let before = metrics(&api).await;
    assert_eq!(sample(&before, "roomreel_capacity_recordings", &[]), Some(3.0));
    assert_eq!(sample(&before, "roomreel_capacity_left_recordings", &[]), Some(3.0));
    assert_eq!(sample(&before, "roomreel_webhook_lag_seconds", &[]), Some(0.0));
    assert!(sample(&before, "roomreel_data_free_bytes", &[]).unwrap() > 0.0);
    assert!(!before.contains("recording_id"), "{before}");

    let (_, recording) = told(api.start("a")).await;
    let id = format!("recording_id=\"{}\"", recording["id"].as_str().unwrap());
    let of: &[&str] = &[&id, "room_id=\"a\""];
    let text = async {
        loop {
            let text = metrics(&api).await;
            let running = sample(&text, "roomreel_recordings", &["state=\"running\""]);
            if running == Some(1.0) && text.contains("roomreel_recording_seconds") {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let text = tokio::time::timeout(Duration::from_secs(20), text).await.unwrap();
    for (kind, count) in [
        ("painted", 29.0),
        ("recorded", 30.0),
        ("repeated", 3.0),
        ("late", 1.0),
        ("superseded", 2.0),
    ] {
        let kind = format!("kind=\"{kind}\"");
        let labels = [of, &[&kind]].concat();
        assert_eq!(
            sample(&text, "roomreel_recording_frames_total", &labels),
            Some(count),
            "{kind}"
        );
    }
    assert_eq!(sample(&text, "roomreel_recording_encoder_backlog_frames", of), Some(4.0));
    assert_eq!(sample(&text, "roomreel_recording_audio_dbfs", of), Some(-21.5));
    assert_eq!(sample(&text, "roomreel_recording_coding_milliseconds_total", of), Some(125.0));
    assert_eq!(sample(&text, "roomreel_recording_sound_lag_seconds", of), Some(0.25));
    let encoder = [of, &["encoder=\"vaapi\""]].concat();
    assert_eq!(sample(&text, "roomreel_recording_encoder_info", &encoder), Some(1.0));
    // Nothing goes to a bucket here.
    assert_eq!(sample(&text, "roomreel_upload_backlog_bytes", &[]), Some(0.0));
    assert_eq!(sample(&text, "roomreel_recording_file_bytes", of), Some(4096.0));
    assert_eq!(sample(&text, "roomreel_recording_peers", of), Some(2.0));
    assert!(sample(&text, "roomreel_recording_memory_bytes", of).unwrap() > 0.0, "{text}");
    assert!(sample(&text, "roomreel_recording_cpu_milliseconds_total", of).is_some(), "{text}");
    assert_eq!(sample(&text, "roomreel_capacity_left_recordings", &[]), Some(2.0));
    // Each name is typed and explained once.
    let types: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    let helps = text.lines().filter(|line| line.starts_with("# HELP")).count();
    assert_eq!(helps, types.len(), "{text}");

    // The dashboard in the docs asks for nothing that is not there.
    let dashboard = include_str!("../../../docs/grafana.json");
    let asked = dashboard.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let asked: std::collections::BTreeSet<_> =
        asked.filter(|word| word.starts_with("roomreel_")).collect();
    assert!(asked.len() > 10, "{asked:?}");
    for name in asked {
        assert!(types.iter().any(|line| line.split(' ').nth(2) == Some(name)), "{name}");
    }
}
