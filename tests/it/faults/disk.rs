//! Disks that end: full, without inodes, read-only. Small file systems in memory,
//! which only root can mount.

use std::path::Path;
use std::process::Command as Program;

use super::image::Disk;
use super::*;

/// A tmpfs of its own, unmounted with the value.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None`, said aloud, where this process may not mount.
    fn new(options: &str) -> Option<Self> {
        let dir = scratch();
        let mounted = Program::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        eprintln!("not tested here: mounting needs root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn recorder_on(dir: &Path, pages: &Pages) -> (Recorder, Running) {
    let recorder = Recorder::new(&pages.url("barcode.html"), &dir.join("recording"));
    let running = recorder.start();
    until("a first frame", PATIENCE, || journal::t0(&recorder.events()));
    let counted = |e: &Event| matches!(e, Event::Stats(stats) if stats.elapsed_s >= 2.0);
    until("two seconds", PATIENCE, || recorder.events().iter().any(counted).then_some(()));
    (recorder, running)
}

/// A recording in `dir` whose disk takes nothing any more while it goes on: it ends,
/// says so in `word`, and keeps what it has.
#[track_caller]
fn assert_kept_when_full(dir: &Path, word: &str) {
    let pages = Pages::over(vec![own_pages()]);
    let (recorder, running) = recorder_on(dir, &pages);
    // Somebody else takes what is left.
    let filler = dir.join("filler");
    let _ = Program::new("dd")
        .args(["if=/dev/zero", "bs=64k", "status=none"])
        .arg(format!("of={}", filler.display()))
        .stderr(std::process::Stdio::null())
        .status();
    let browser = journal::browser(&recorder.events()).unwrap();
    let said = running.wait(PATIENCE);
    assert!(!said.status.success(), "{said:?}");
    assert!(said.stderr.to_lowercase().contains(word), "{}", said.stderr);
    assert!(group(browser).is_empty(), "the browser is still there");
    // Once there is room again, all of it is there.
    std::fs::remove_file(filler).unwrap();
    rustix::fs::sync();
    recorder.salvage().wait(PATIENCE).expect_success("recorder --salvage");
    let file = recorder.file();
    assert_eq!(decodes_silently(&file), Ok(()));
    assert!(probe(&file).duration >= 1.0);
}

#[test]
fn a_full_disk_ends_the_recording_and_not_what_it_has() {
    let Some(disk) = Mounted::new("size=32m,mode=0711") else { return };
    let _quiet = quiet();
    assert_kept_when_full(disk.path(), "space");
}

/// A quota that root is not above, as it is above those of users.
#[test]
fn a_quota_that_is_used_up_ends_the_recording_and_not_what_it_has() {
    let dir = scratch();
    let image = dir.path().join("disk.img");
    let Some(disk) = Disk::make(&image, 160, &["mkfs.btrfs", "-q"]) else { return };
    let _quiet = quiet();
    let own = disk.path().join("own");
    let own_path = own.to_str().unwrap();
    for step in [
        &["quota", "enable", disk.path().to_str().unwrap()][..],
        &["subvolume", "create", own_path],
        &["qgroup", "limit", "24M", own_path],
    ] {
        let done = Program::new("btrfs").args(step).stdout(std::process::Stdio::null()).status();
        assert!(done.unwrap().success(), "btrfs {step:?}");
    }
    assert_kept_when_full(&own, "quota");
}

#[test]
fn a_disk_that_becomes_nearly_full_ends_its_recording_and_no_other() {
    let Some(disk) = Mounted::new("size=32m,mode=0711") else { return };
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let elsewhere = scratch();
    let (other, other_running) = recorder_on(elsewhere.path(), &pages);
    let mut recorder = Recorder::new(&pages.url("barcode.html"), &disk.path().join("recording"));
    recorder.spec["keep_free"] = serde_json::json!(12 << 20);
    let running = recorder.start();
    let counted = |e: &Event| matches!(e, Event::Stats(stats) if stats.elapsed_s >= 2.0);
    until("two seconds", PATIENCE, || recorder.events().iter().any(counted).then_some(()));
    // Somebody else leaves 10 MiB, which is enough for the end of the file.
    let left = rustix::fs::statvfs(disk.path()).unwrap();
    let taken = left.f_bavail * left.f_frsize - (10 << 20);
    let filler = disk.path().join("filler");
    Program::new("fallocate").arg("-l").arg(taken.to_string()).arg(&filler).status().unwrap();
    let said = running.wait(PATIENCE);
    assert_eq!(said.status.code(), Some(5), "{said:?}");
    assert!(said.stderr.contains("data.min_free"), "{}", said.stderr);
    // It is finished: nobody has to salvage it.
    assert!(probe(&recorder.file()).duration >= 2.0);
    assert_eq!(decodes_silently(&recorder.file()), Ok(()));

    let before = other.events().len();
    until("the other goes on", PATIENCE, || {
        other.events()[before..].iter().any(|e| matches!(e, Event::Stats(_))).then_some(())
    });
    other.tell(Command::Stop { reason: StopReason::ClientRequest });
    other_running.wait(PATIENCE).expect_success("the other recorder");
    assert_eq!(decodes_silently(&other.file()), Ok(()));
}

#[test]
fn a_disk_without_inodes_refuses_and_says_so() {
    let Some(disk) = Mounted::new("size=32m,nr_inodes=2,mode=0711") else { return };
    let recorder = Recorder::new("http://127.0.0.1:1/", &disk.path().join("recording"));
    let said = recorder.start().wait(PATIENCE);
    assert_eq!(said.status.code(), Some(5), "{said:?}");
    assert!(said.stderr.to_lowercase().contains("space"), "{}", said.stderr);
}

#[test]
fn a_read_only_disk_refuses_and_says_so() {
    let Some(disk) = Mounted::new("size=32m,ro,mode=0711") else { return };
    let recorder = Recorder::new("http://127.0.0.1:1/", &disk.path().join("recording"));
    let said = recorder.start().wait(PATIENCE);
    assert_eq!(said.status.code(), Some(5), "{said:?}");
    assert!(said.stderr.to_lowercase().contains("read-only"), "{}", said.stderr);
}
