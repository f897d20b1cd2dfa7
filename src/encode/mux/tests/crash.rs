//! Wherever the work stops, nothing that was complete is lost.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use proptest::prelude::*;

use super::super::{Index, MuxError, QUEUE_BYTES, finalise, in_place, salvage};
use super::media::{FRAMES, Recording, media};
use super::tools::{decodes, hear, in_sync, number, probe};

fn recording() -> Recording {
    let media = media();
    Recording::new(media, &media.settings())
}

/// The video frames in the first `count` fragments.
fn frames_in(index: &Index, count: usize) -> u64 {
    index.fragments[..count].iter().map(|fragment| u64::from(fragment.counts[0])).sum()
}

/// Where each fragment ends.
fn ends(recording: &Recording) -> Vec<u64> {
    let mut at = recording.head.media_at;
    let end = |fragment: &Vec<u8>| {
        at += fragment.len() as u64;
        at
    };
    recording.fragments.iter().map(end).collect()
}

/// Salvages a copy of `part`; the frames it saved. The copy must go or stay as
/// promised.
fn rescue(part: &Path, out: &Path) -> Result<u64, MuxError> {
    let result = salvage(part, out);
    assert_eq!(part.exists(), result.is_err());
    assert_eq!(out.exists(), result.is_ok());
    let finished = result?;
    fs::remove_file(out).unwrap();
    Ok(finished.frames)
}

#[test]
fn a_cut_anywhere_keeps_every_complete_fragment() {
    let recording = recording();
    let whole = fs::read(recording.whole("whole")).unwrap();
    let (part, out) = (recording.path("a.part"), recording.path("a.mp4"));
    let ends = ends(&recording);
    let media_at = recording.head.media_at;
    // The head, around the edges of every fragment, and anywhere else.
    let near = [-1, 0, 1, 7, 8, 9, 16, 100_i64];
    let edges = ends.iter().chain([&media_at]);
    let edges = edges.flat_map(|&end| near.map(|by| end.saturating_add_signed(by)));
    let head = (0..recording.head.bytes.len() as u64 + 4).step_by(5);
    let any = (media_at..whole.len() as u64).step_by(4099);
    for cut in head.chain(edges).chain(any).filter(|&cut| cut <= whole.len() as u64) {
        fs::write(&part, &whole[..cut as usize]).unwrap();
        let complete = ends.iter().filter(|&&end| end <= cut).count();
        match rescue(&part, &out) {
            Ok(frames) => assert_eq!(frames, frames_in(&recording.index, complete), "cut at {cut}"),
            Err(MuxError::Empty | MuxError::NotPart(_)) => assert_eq!(complete, 0, "cut at {cut}"),
            Err(error) => panic!("cut at {cut}: {error}"),
        }
    }
}

#[test]
fn salvaged_ends_play_in_sync() {
    let media = media();
    let recording = recording();
    let whole = fs::read(recording.whole("whole")).unwrap();
    let (part, out) = (recording.path("a.part"), recording.path("a.mp4"));
    for count in [1, 4, recording.fragments.len() - 1] {
        // The next fragment is torn in its middle.
        let cut = ends(&recording)[count - 1] as usize + recording.fragments[count].len() / 2;
        fs::write(&part, &whole[..cut]).unwrap();
        salvage(&part, &out).unwrap();
        decodes(&out);
        let frames = frames_in(&recording.index, count);
        let (video, audio) = (probe(&out, "v:0"), probe(&out, "a:0"));
        assert_eq!(number(&video, "nb_read_frames"), frames as f64);
        assert!((number(&video, "duration") - frames as f64 / 30.0).abs() < 0.001);
        // Sound lacks the 300 ms it runs behind, the frame at hand and a packet or two.
        let lag = number(&video, "duration") - number(&audio, "duration");
        assert!((0.0..0.4).contains(&lag), "{lag}");
        assert_eq!(number(&audio, "start_time"), 0.0);
        in_sync(&media.sound, &hear(&out));
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn lost_pages_at_the_end_are_noticed() {
    let recording = recording();
    let whole = fs::read(recording.whole("whole")).unwrap();
    let (part, out) = (recording.path("a.part"), recording.path("a.mp4"));
    let last = recording.fragments.len() - 1;
    let start = ends(&recording)[last - 1] as usize;
    let pages = (start / 4096 + 1..whole.len() / 4096).map(|page| page * 4096);
    let mut lost = 0;
    for page in pages {
        let mut torn = whole.clone();
        torn[page..page + 4096].fill(0);
        fs::write(&part, &torn).unwrap();
        assert_eq!(rescue(&part, &out).unwrap(), frames_in(&recording.index, last));
        lost += 1;
    }
    assert!(lost > 0);
}

#[test]
fn a_tail_of_zeros_is_dropped_but_half_a_file_is_not() {
    let recording = recording();
    let (part, out) = (recording.path("a.part"), recording.path("a.mp4"));
    let frames = frames_in(&recording.index, 3);
    for (zeros, saved) in [(1, true), (70_000, true), (QUEUE_BYTES as u64 + 1, false)] {
        recording.part("a.part", 3);
        let file = File::options().write(true).open(&part).unwrap();
        file.set_len(ends(&recording)[2] + zeros).unwrap();
        match rescue(&part, &out) {
            Ok(found) => assert!(saved && found == frames),
            Err(MuxError::Damaged { at }) => assert!(!saved && at == ends(&recording)[2]),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_finished_file_is_never_taken_for_a_part() {
    let recording = recording();
    let (part, out) = (recording.whole("a.part"), recording.path("a.mp4"));
    finalise(&part, &out, &recording.index).unwrap();
    let bytes = fs::read(&out).unwrap();
    let other = recording.path("b.mp4");
    assert!(matches!(salvage(&out, &other), Err(MuxError::NotPart(_))));
    assert!(bytes == fs::read(&out).unwrap() && !other.exists());
}

#[test]
fn missing_bytes_are_not_finalised() {
    let recording = recording();
    let part = recording.part("a.part", recording.fragments.len() - 1);
    let out = recording.path("a.mp4");
    assert!(matches!(finalise(&part, &out, &recording.index), Err(MuxError::Short { .. })));
    assert!(part.exists() && !out.exists());
}

/// Finishing in place stops after each of its writes, and in the middle of each.
#[test]
fn every_state_of_finishing_in_place_plays() {
    let media = media();
    let recording = recording();
    let plan = in_place::plan(&recording.index).unwrap().unwrap();
    let whole = recording.whole("whole");
    let garbage = [0xA5_u8; 5000];
    for step in 0..=6 {
        let part = recording.path("a.part");
        fs::copy(&whole, &part).unwrap();
        let mut file = File::options().read(true).write(true).open(&part).unwrap();
        let [moov, mdat] = &plan.prepare;
        match step {
            0 => {}
            1 => {
                moov.apply(&file).unwrap();
                file.seek(SeekFrom::Start(plan.moov_at + 300)).unwrap();
                file.write_all(&garbage).unwrap();
            }
            2 => moov.apply(&file).unwrap(),
            3 => mdat.apply(&file).unwrap(),
            4 => plan.prepare.iter().for_each(|write| write.apply(&file).unwrap()),
            5 => {
                plan.prepare.iter().for_each(|write| write.apply(&file).unwrap());
                plan.flip.apply(&file).unwrap();
            }
            _ => {
                in_place::finish(&part, &recording.index).unwrap().unwrap();
            }
        }
        decodes(&part);
        assert_eq!(number(&probe(&part, "v:0"), "nb_read_frames"), FRAMES as f64, "step {step}");
        assert!(in_sync(&media.sound, &hear(&part)) >= 3);
        let out = recording.path("a.mp4");
        assert_eq!(rescue(&part, &out).unwrap(), FRAMES, "step {step}");
    }
}

/// The write that turns the file over fits into one sector of any disk.
#[test]
fn the_flip_is_one_sector() {
    let recording = recording();
    let index = &recording.index;
    let flip = in_place::plan(index).unwrap().unwrap().flip;
    assert_eq!((flip.at, flip.bytes.len()), (index.moov_at, 8));
    assert!(flip.at + 8 <= 512);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_behind_the_fragments_is_dropped(
        count in 0_usize..14,
        garbage in proptest::collection::vec(any::<u8>(), 0..3000),
        moof in any::<bool>(),
    ) {
        let recording = recording();
        let count = count.min(recording.fragments.len());
        let part = recording.part("a.part", count);
        let mut file = File::options().append(true).open(&part).unwrap();
        if moof {
            // Garbage that begins like a fragment.
            file.write_all(&(garbage.len() as u32 + 8).to_be_bytes()).unwrap();
            file.write_all(b"moof").unwrap();
        }
        file.write_all(&garbage).unwrap();
        match rescue(&part, &recording.path("a.mp4")) {
            Ok(frames) => prop_assert_eq!(frames, frames_in(&recording.index, count)),
            Err(error) => prop_assert!(matches!(error, MuxError::Empty) && count == 0, "{}", error),
        }
    }

    /// Flipped bits may cost fragments from there on, never a panic and never
    /// the part file.
    #[test]
    fn a_damaged_file_never_panics(
        hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        head_only in any::<bool>(),
    ) {
        let recording = recording();
        let part = recording.whole("a.part");
        let mut bytes = fs::read(&part).unwrap();
        // Most of the file is reserve and media; boxes are where it hurts.
        let moof = recording.head.media_at as usize;
        let places: Vec<usize> = if head_only {
            (0..recording.head.bytes.len()).collect()
        } else {
            (moof..moof + 400).collect()
        };
        for (place, byte) in hits {
            bytes[places[place.index(places.len())]] = byte;
        }
        fs::write(&part, &bytes).unwrap();
        let _ = rescue(&part, &recording.path("a.mp4"));
    }
}
