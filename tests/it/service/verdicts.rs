//! Recordings that went well and are worth nothing, or little: what real pages
//! come out as.

use super::*;
use crate::support::judge::sound;

impl Service {
    /// Starts a room with one of the tests' pages; its id.
    fn watch(&self, pages: &Pages, room: &str, page: &str, join: &str) -> String {
        let body = json!({ "meeting_url": pages.url(page), "join": join });
        let recording = self.post(&format!("/v2/recordings/room/{room}/start"), &body);
        assert_eq!(recording["status"], "starting", "{recording}");
        recording["id"].as_str().unwrap().to_owned()
    }

    /// Waits for its end, whatever that is.
    fn end(&self, id: &str) -> Value {
        until("the end", Duration::from_secs(120), || {
            let recording = self.get(&format!("/v2/recordings/{id}"));
            ["completed", "failed"].iter().any(|s| recording["status"] == *s).then_some(recording)
        })
    }
}

#[test]
fn what_is_blank_fails_and_what_is_still_is_warned_of() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let service = Service::start();
    let blank = service.watch(&pages, "blank", "blank.html", "load");
    let still = service.watch(&pages, "still", "silent.html", "load");
    for id in [&blank, &still] {
        service.until(id, "running");
    }
    std::thread::sleep(Duration::from_secs(4));
    for room in ["blank", "still"] {
        service.post(&format!("/v2/recordings/room/{room}/stop"), &json!({}));
    }
    let blank = service.end(&blank);
    assert_eq!(blank["status"], "failed", "{blank}");
    assert_eq!(blank["error"]["type"], "BLANK_RECORDING_ERROR", "{blank}");
    // It is kept all the same, and called what it is.
    assert_eq!(blank["recording_assets"][0]["status"], "failed", "{blank}");
    let file = service.file(&blank);
    assert_eq!(decodes_silently(&file), Ok(()));
    assert!(sound::dbfs(&sound::pcm(&file)) < -60.0);

    let still = service.end(&still);
    assert_eq!(still["status"], "completed", "{still}");
    assert_eq!(still.get("error"), None, "{still}");
    let warnings = still["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|w| w.as_str().unwrap().contains("did not change")), "{still}");
    assert_eq!(decodes_silently(&service.file(&still)), Ok(()));
}

#[test]
fn less_than_a_second_is_no_recording() {
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let service = Service::start();
    // On a busy machine a page may be heard so late that a second has passed.
    for attempt in 0..5 {
        let id = service.watch(&pages, &format!("short-{attempt}"), "short.html", "signal");
        let recording = service.end(&id);
        let short = recording["error"]["type"] == "SHORT_RECORDING_ERROR";
        let asset = &recording["recording_assets"][0];
        if asset["path"].is_string() {
            let seconds = probe(&service.file(&recording)).duration;
            assert_eq!(short, seconds < 1.0, "{seconds} s: {recording}");
        }
        if short {
            assert_eq!(recording["status"], "failed", "{recording}");
            let message = recording["error"]["message"].as_str().unwrap();
            assert!(!message.is_empty(), "{recording}");
            return;
        }
        assert_eq!(recording["status"], "completed", "{recording}");
    }
    panic!("it was never shorter than a second");
}
