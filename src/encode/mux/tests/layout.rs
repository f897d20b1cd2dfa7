//! The boxes by the numbers.

use std::fs;
use std::time::Duration;

use mp4_atom::{Decode, Moof, Moov};

use super::super::boxes::encode;
use super::super::index::{Fragment, Index};
use super::super::{MuxError, Muxer, Settings, in_place};
use super::media::{Media, Recording, media};

/// Size and kind of each top-level box.
fn boxes(bytes: &[u8]) -> Vec<(u64, String)> {
    let (mut at, mut found) = (0, Vec::new());
    while at < bytes.len() {
        let word = |at: usize, len| &bytes[at..at + len];
        let size = match u32::from_be_bytes(word(at, 4).try_into().unwrap()) {
            1 => u64::from_be_bytes(word(at + 8, 8).try_into().unwrap()),
            size => size.into(),
        };
        found.push((size, String::from_utf8(word(at + 4, 4).to_vec()).unwrap()));
        at += size as usize;
    }
    found
}

fn kinds(bytes: &[u8]) -> String {
    boxes(bytes).into_iter().map(|(_, kind)| kind).collect::<Vec<_>>().join(" ")
}

fn media_settings() -> (&'static Media, Settings) {
    (media(), media().settings())
}

#[test]
fn the_three_layouts() {
    let (media, settings) = media_settings();
    let recording = Recording::new(media, &settings);
    let part = recording.whole("a.part");
    let fragments = vec!["moof mdat"; recording.fragments.len()].join(" ");
    assert_eq!(kinds(&fs::read(&part).unwrap()), format!("ftyp moov free {fragments}"));
    let copy = recording.path("b.part");
    fs::copy(&part, &copy).unwrap();
    in_place::finish(&copy, &recording.index).unwrap();
    let finished = fs::read(&copy).unwrap();
    assert_eq!(kinds(&finished), "ftyp free moov free mdat");
    assert_eq!(
        boxes(&finished).last().unwrap().0,
        recording.index.end - recording.index.media_at + 16
    );
    let out = recording.path("a.mp4");
    super::super::finalise(&part, &out, &recording.index).unwrap();
    assert_eq!(kinds(&fs::read(&out).unwrap()), "ftyp moov mdat");
}

#[test]
fn fragments_are_half_a_second_and_never_wait_for_sound() {
    let (media, settings) = media_settings();
    let (mut muxer, _) = Muxer::new(&settings).unwrap();
    let mut cut = Vec::new();
    for (number, (frame, key)) in (1..).zip(&media.frames) {
        if let Some(fragment) = muxer.video(frame, *key).unwrap() {
            cut.push((number, fragment));
        }
    }
    let at: Vec<i32> = cut.iter().map(|(number, _)| *number).collect();
    assert_eq!(at, (1..=13).map(|number| number * 15).collect::<Vec<_>>());
    for (expected, (_, fragment)) in cut.iter().enumerate() {
        let moof = Moof::decode(&mut fragment.as_slice()).unwrap();
        assert_eq!(moof.mfhd.sequence_number, expected as u32 + 1);
        assert_eq!(moof.traf.len(), 1);
        let traf = &moof.traf[0];
        assert!(traf.tfhd.default_base_is_moof);
        assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, expected as u64 * 15_000);
    }
    // Sound that no video takes along is cut after a second.
    let fragments = media.packets.iter().filter_map(|packet| muxer.audio(packet).unwrap()).count();
    assert_eq!(fragments, media.packets.len() / 46);
}

/// A recording of `seconds`, as the muxer would have indexed it.
fn long(settings: &Settings, seconds: u64) -> Index {
    let (muxer, _) = Muxer::new(settings).unwrap();
    let (_, mut index) = muxer.finish(seconds * 48_000).unwrap();
    let mut packets = 0;
    for half in 0..seconds * 2 {
        let sounding = ((half + 1) * 24_000 + 1024).div_ceil(1024);
        let counts = [15, (sounding - packets) as u32];
        packets = sounding;
        let sizes = [20_000, 340];
        for (number, track) in index.tracks.iter_mut().enumerate() {
            if track.video {
                track.keys.push(track.sizes.len() as u32 + 1);
            }
            track.sizes.extend(vec![sizes[number]; counts[number] as usize]);
        }
        let bytes = [u64::from(counts[0] * sizes[0]), u64::from(counts[1] * sizes[1])];
        index.fragments.push(Fragment { payload: index.end + 600, counts, bytes });
        index.end += 600 + bytes[0] + bytes[1];
    }
    index
}

#[test]
fn the_reserve_holds_the_tables_of_the_longest_recording() {
    let (_, mut settings) = media_settings();
    for seconds in [1, 60, 4 * 3600] {
        settings.max_duration = Duration::from_secs(seconds);
        let index = long(&settings, seconds);
        let reserve = index.media_at - index.reserve_at;
        assert!(reserve < seconds * 420 + 16_384, "{reserve} bytes for {seconds} s");
        assert!(in_place::plan(&index).unwrap().is_some(), "{seconds} s");
    }
}

#[test]
fn offsets_beyond_32_bits_take_co64() {
    let (_, mut settings) = media_settings();
    settings.max_duration = Duration::from_secs(4 * 3600);
    for (seconds, wide) in [(1800, false), (4 * 3600, true)] {
        let index = long(&settings, seconds);
        assert_eq!(index.end > u32::MAX.into(), wide);
        let moov = index.moov(&index.payloads());
        let moov = Moov::decode(&mut encode(&moov).unwrap().as_slice()).unwrap();
        for (number, trak) in moov.trak.iter().enumerate() {
            let stbl = &trak.mdia.minf.stbl;
            assert_eq!((stbl.stco.is_some(), stbl.co64.is_some()), (!wide, wide));
            if let Some(co64) = &stbl.co64 {
                let expected: Vec<u64> = index
                    .fragments
                    .iter()
                    .map(|f| f.payload + number as u64 * f.bytes[0])
                    .collect();
                assert_eq!(co64.entries, expected);
            }
        }
        assert_eq!(moov.mvhd.duration, seconds * 48_000);
        for trak in &moov.trak {
            let edit = &trak.edts.as_ref().unwrap().elst.as_ref().unwrap().entries[0];
            assert_eq!(edit.segment_duration, seconds * 48_000);
        }
    }
}

#[test]
fn impossible_tracks_are_refused() {
    let (_, good) = media_settings();
    let spoil: [fn(&mut Settings); 5] = [
        |settings| settings.audio.asc.clear(),
        |settings| settings.audio.sample_rate = 0,
        |settings| settings.video.iter_mut().for_each(|video| video.fps = 0),
        |settings| settings.video.iter_mut().for_each(|video| video.sets[0].0.truncate(3)),
        |settings| settings.video.iter_mut().for_each(|video| video.sets[0].1[0] = 0x67),
    ];
    for spoil in spoil {
        let mut settings = good.clone();
        spoil(&mut settings);
        assert!(matches!(Muxer::new(&settings), Err(MuxError::Track(_))));
    }
}

#[test]
fn frames_that_no_player_could_show_are_refused() {
    let (media, settings) = media_settings();
    let (mut muxer, _) = Muxer::new(&settings).unwrap();
    let refused = |answer| matches!(answer, Err(MuxError::Track(_)));
    let (key, later) = (&media.frames[0].0, &media.frames[1].0);
    assert!(refused(muxer.video(later, false)));
    assert!(refused(muxer.video(&[0, 0, 0, 1, 0x65, 1, 2, 3], true)));
    assert!(refused(muxer.audio(&[])));
    muxer.video(key, true).unwrap();
    muxer.video(later, false).unwrap();
}
