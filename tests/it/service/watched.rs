//! A recording that is looked at while it goes on, and its pictures afterwards.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use super::*;
use crate::support::judge::{keyframe_gaps, packet_times};

impl Service {
    /// Downloads `path` of the recording; its status.
    fn fetch(&self, id: &str, path: &str, to: &Path) -> String {
        let url = format!("{}/v2/recordings/{id}/{path}", self.api);
        curl(&["-s", "-o", &to.display().to_string(), "-w", "%{http_code}", &url]).unwrap()
    }
}

fn follow(url: &str, to: &Path) -> Child {
    let mut curl = Command::new("curl");
    curl.args(["-sfN", "--max-time", "120", url, "-o"]).arg(to);
    curl.stdin(Stdio::null()).spawn().unwrap()
}

/// Width and height, as `640,360`.
fn size(jpeg: &Path) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0"])
        .arg(jpeg)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Spread of the luma of a picture: 0 for one colour.
fn spread(jpeg: &Path, width: u32, height: u32) -> u8 {
    assert_eq!(size(jpeg), format!("{width},{height}"), "{}", jpeg.display());
    let luma = &pictures::seen(jpeg, "iw:ih:0:0", 64, 36)[0].luma;
    luma.iter().max().unwrap() - luma.iter().min().unwrap()
}

#[test]
fn a_recording_is_watched_while_it_goes_on_and_has_a_poster_in_the_end() {
    let _quiet = quiet();
    let service = Service::start();
    let (runtime, bots) = bots(&service, "demo", 2);
    let id = service.start_recording("demo", 1280, 720);
    service.until(&id, "running");
    let dir = scratch();
    let (jpeg, live) = (dir.path().join("now.jpg"), dir.path().join("live.mp4"));
    // The first one may be of a room whose pictures are still on their way.
    until("a picture of the room", Duration::from_secs(30), || {
        let there = service.fetch(&id, "thumbnail.jpg", &jpeg) == "200";
        (there && spread(&jpeg, 640, 360) > 50).then_some(())
    });
    assert_eq!(service.fetch(&id, "poster.jpg", &jpeg), "404");
    // In the middle of a group of pictures.
    std::thread::sleep(Duration::from_secs(5));
    let url = format!("{}/v2/recordings/{id}/live.mp4", service.api);
    let mut watching = follow(&url, &live);
    std::thread::sleep(Duration::from_secs(6));
    assert!(watching.try_wait().unwrap().is_none(), "the stream ended early");
    service.post("/v2/recordings/room/demo/stop", &json!({}));
    // Nobody hangs up on it: it ends with the recording.
    assert!(watching.wait().unwrap().success());
    let recording = service.until(&id, "completed");
    runtime.block_on(bots.close());

    let file = service.file(&recording);
    assert_shows_and_sounds(&file, 1280, 720);
    assert_eq!(decodes_silently(&live), Ok(()));
    let whole = packet_times(&file, "v");
    let watched = packet_times(&live, "v");
    assert_eq!(watched[0], 0.0);
    assert!(watched.len() >= 120 && watched.len() < whole.len(), "{}", watched.len());
    // From a keyframe on to the end, without a hole.
    let keys = keyframe_gaps(&file);
    let began = whole[whole.len() - watched.len()];
    let mut at = 0.0;
    let on_key = std::iter::once(0.0).chain(keys.iter().map(|gap| {
        at += gap;
        at
    }));
    assert!(on_key.into_iter().any(|key| (key - began).abs() < 0.001), "{began} of {keys:?}");
    let frame = 1.0 / 30.0;
    let even = watched.windows(2).all(|pair| (pair[1] - pair[0] - frame).abs() < 0.001);
    assert!(even, "{watched:?}");
    let sounds = packet_times(&live, "a");
    let ends = sounds.last().unwrap() - watched.last().unwrap();
    assert!(sounds[0] <= 0.03 && ends.abs() < 0.2, "{} {ends}", sounds[0]);

    // Over: nothing to watch, and pictures to keep.
    assert_eq!(service.fetch(&id, "live.mp4", &jpeg), "404");
    until("a poster", Duration::from_secs(60), || {
        (service.fetch(&id, "poster.jpg", &jpeg) == "200").then_some(())
    });
    assert!(spread(&jpeg, 1280, 720) > 50);
    let cues = dir.path().join("sprite.vtt");
    until("an index of the sprites", Duration::from_secs(30), || {
        (service.fetch(&id, "sprite.vtt", &cues) == "200").then_some(())
    });
    assert_eq!(service.fetch(&id, "sprite.jpg", &jpeg), "200");
    let count = keys.len() as u32 + 1;
    assert!(spread(&jpeg, 160 * count, 90) > 50);
    let cues = std::fs::read_to_string(cues).unwrap();
    assert_eq!(cues.matches("sprite.jpg#xywh=").count(), count as usize, "{cues}");
    assert_eq!(service.fetch(&id, "thumbnail.jpg", &jpeg), "200");
    assert_eq!(size(&jpeg), "1280,720");
    let beside = ["poster.jpg", "sprite.jpg", "sprite.vtt"];
    let beside: Vec<PathBuf> = beside.iter().map(|name| file.with_extension(name)).collect();
    until("the pictures beside the file", Duration::from_secs(30), || {
        beside.iter().all(|path| path.exists()).then_some(())
    });

    // They go with it.
    curl(&["-sf", "-X", "DELETE", &format!("{}/v2/recordings/{id}", service.api)]).unwrap();
    assert!(!file.exists() && !beside.iter().any(|path| path.exists()));
    assert_eq!(service.fetch(&id, "poster.jpg", &jpeg), "404");
}
