//! A power cut: what a disk holds at some instant of a recording, mounted and
//! salvaged. The disk is an ext4 image; its backing file is what was written to
//! the disk, without what only the page cache of the file system holds.

use std::path::{Path, PathBuf};

use super::image::Disk;
use super::*;

/// What `image` holds at one instant: read again and again until two readings are
/// the same, so that nothing was written while the first was taken.
fn snapshot(image: &Path) -> Vec<u8> {
    let mut before = std::fs::read(image).unwrap();
    until("an instant without a write", PATIENCE, || {
        let now = std::fs::read(image).unwrap();
        let same = now == before;
        before = now;
        same.then_some(())
    });
    before
}

#[test]
fn a_power_cut_at_any_moment_leaves_a_file_to_salvage() {
    let dir = scratch();
    let image = dir.path().join("disk.img");
    let Some(disk) = Disk::make(&image, 48, &["mkfs.ext4", "-q", "-F"]) else { return };
    let _quiet = quiet();
    let pages = Pages::over(vec![own_pages()]);
    let url = pages.url("barcode.html");
    let place = |disk: &Disk| disk.path().join("recording");
    let recorder = Recorder::new(&url, &place(&disk));
    let running = recorder.start();
    let t0 = until("a first frame", PATIENCE, || journal::t0(&recorder.events()));
    let mut cuts = Vec::new();
    for round in 0..by_length(3_u64, 30) {
        std::thread::sleep(somewhere(round));
        let clock = (Mono::now().0 - t0) as f64 / 1e9;
        let copy = dir.path().join(format!("{round}.img"));
        std::fs::write(&copy, snapshot(&image)).unwrap();
        cuts.push((clock, copy));
    }
    running.signal(Signal::KILL);
    running.wait(PATIENCE);
    for (clock, copy) in cuts {
        let disk = Disk::mount(&copy).unwrap();
        let recorder = Recorder::new(&url, &place(&disk));
        recorder.salvage().wait(PATIENCE).expect_success("recorder --salvage");
        let file = salvaged_file(&place(&disk));
        assert_eq!(decodes_silently(&file), Ok(()), "cut at {clock:.3} s");
        let length = probe(&file).duration;
        println!("cut at {clock:.3} s: {length:.3} s of file");
        // A disk that others use may be slow to take a fragment.
        assert!(clock - length <= by_length(3.0, 1.5), "{length} s of {clock} s");
    }
}

/// By its ending: a journal that was not written out yet names no time.
fn salvaged_file(dir: &Path) -> PathBuf {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut films = names.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".mp4") && !name.ends_with(".part.mp4")
    });
    films.next().expect("no file was salvaged")
}
