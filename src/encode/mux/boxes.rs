//! The `ftyp` and the first `moov`: everything about the tracks that is known
//! before their samples. The final `moov` is this one with its tables filled.
//!
//! Pure: settings in, boxes out.

use std::time::SystemTime;

use mp4_atom::{
    Audio, Avc1, Avcc, AvccExt, Codec, Colr, Dinf, Dref, Edts, Elst, ElstEntry, Encode, Ftyp, Hdlr,
    Mdhd, Mdia, Minf, Moov, Mp4a, Mvex, Mvhd, Pasp, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url,
    Visual, Vmhd, esds,
};

use super::{AudioTrack, MuxError, Settings, VideoTrack};

/// Samples per channel in one AAC-LC packet (ISO/IEC 14496-3, 4.5.2.1).
pub(super) const AAC_PACKET: u32 = 1024;

/// Ticks per frame. The frame rate alone would do as a timescale; a thousand
/// ticks a frame keep every frame an integer and leave later edits room for
/// times between frames.
const TICKS_PER_FRAME: u32 = 1000;

/// `sample_depends_on` = 2, a sync sample (ISO/IEC 14496-12, 8.8.3.1).
pub(super) const SYNC: u32 = 0x0200_0000;
/// `sample_depends_on` = 1 and `sample_is_non_sync_sample`.
pub(super) const NOT_SYNC: u32 = 0x0101_0000;

/// Seconds from 1904, where MP4 counts from, to 1970.
const MP4_EPOCH: u64 = 2_082_844_800;

/// One `ftyp` for both lives of the file, so that finishing in place need not
/// touch it: `iso6` promises `default-base-is-moof` and version 1 `tfdt`.
pub(super) fn ftyp() -> Ftyp {
    Ftyp {
        major_brand: b"isom".into(),
        minor_version: 0x200,
        compatible_brands: vec![b"isom".into(), b"iso6".into(), b"avc1".into(), b"mp41".into()],
    }
}

/// The bytes of a box.
pub(super) fn encode(atom: &impl Encode) -> Result<Vec<u8>, MuxError> {
    let mut bytes = Vec::new();
    atom.encode(&mut bytes)?;
    Ok(bytes)
}

/// The `moov` of a file that is still growing: empty tables, `mvex`, and the
/// edit list that keeps sound and picture together from the first fragment on.
pub(super) fn growing_moov(settings: &Settings) -> Result<Moov, MuxError> {
    let created = settings
        .created
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() + MP4_EPOCH);
    let audio_rate = u32::from(settings.audio.sample_rate);
    if audio_rate == 0 {
        return Err(MuxError::Track("the sample rate must not be zero"));
    }
    // A movie second that both a frame and a sample divide: every duration and
    // every edit is then exact.
    let mut timescale = audio_rate;
    let mut trak = Vec::new();
    let mut trex = Vec::new();
    let mut id = 0;
    if let Some(video) = &settings.video {
        if !(1..=1000).contains(&video.fps) {
            return Err(MuxError::Track("the frame rate must be 1 to 1000"));
        }
        timescale = audio_rate / gcd(audio_rate, video.fps) * video.fps;
        id += 1;
        trak.push(video_trak(id, created, video)?);
        trex.push(Trex {
            track_id: id,
            default_sample_description_index: 1,
            default_sample_duration: TICKS_PER_FRAME,
            default_sample_size: 0,
            default_sample_flags: NOT_SYNC,
        });
    }
    id += 1;
    trak.push(audio_trak(id, created, &settings.audio)?);
    trex.push(Trex {
        track_id: id,
        default_sample_description_index: 1,
        default_sample_duration: AAC_PACKET,
        default_sample_size: 0,
        default_sample_flags: SYNC,
    });
    Ok(Moov {
        mvhd: Mvhd {
            creation_time: created,
            modification_time: created,
            timescale,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: id + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: None, trex }),
        trak,
        ..Moov::default()
    })
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn video_trak(id: u32, created: u64, video: &VideoTrack) -> Result<Trak, MuxError> {
    let avcc = avcc(&video.sets)?;
    let avc1 = Avc1 {
        visual: Visual {
            data_reference_index: 1,
            width: video.width,
            height: video.height,
            ..Visual::default()
        },
        avcc,
        // BT.709 primaries, transfer and matrix; limited range (ITU-T H.273).
        colr: Some(Colr::new(1, 1, 1, false)?),
        pasp: Some(Pasp::new(1, 1)?),
        ..Avc1::default()
    };
    let mut trak = trak(id, created, video.fps * TICKS_PER_FRAME, b"vide", "Video", avc1.into());
    trak.tkhd.width = video.width.into();
    trak.tkhd.height = video.height.into();
    trak.mdia.minf.vmhd = Some(Vmhd::default());
    Ok(trak)
}

/// AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
///
/// A decoder must be able to do what any of the sets asks for: of the levels the
/// highest counts, of the promises not to use something those that all make.
fn avcc(sets: &[(Vec<u8>, Vec<u8>)]) -> Result<Avcc, MuxError> {
    let is = |nal: &[u8], kind| nal.first().is_some_and(|byte| byte & 0x1f == kind);
    for (sps, pps) in sets {
        if sps.len() < 4 || !is(sps, 7) || sps.len() > usize::from(u16::MAX) {
            return Err(MuxError::Track("not a sequence parameter set"));
        }
        if !is(pps, 8) || pps.len() > usize::from(u16::MAX) {
            return Err(MuxError::Track("not a picture parameter set"));
        }
    }
    // Five bits count them (5.3.3.1.2).
    let Some(((sps, pps), others)) = sets.split_first().filter(|_| sets.len() < 32) else {
        return Err(MuxError::Track("no parameter sets, or too many"));
    };
    if others.iter().any(|(other, _)| other[1] != sps[1]) {
        return Err(MuxError::Track("its streams are of several profiles"));
    }
    // Only the High profiles carry the extension; ours is 8-bit 4:2:0.
    let high = matches!(sps[1], 100 | 110 | 122 | 144);
    let mut avcc = Avcc { ext: high.then(AvccExt::default), ..Avcc::new(sps, pps)? };
    for (sps, pps) in others {
        avcc.profile_compatibility &= sps[2];
        avcc.avc_level_indication = avcc.avc_level_indication.max(sps[3]);
        avcc.sequence_parameter_sets.push(sps.clone());
        avcc.picture_parameter_sets.push(pps.clone());
    }
    Ok(avcc)
}

fn audio_trak(id: u32, created: u64, audio: &AudioTrack) -> Result<Trak, MuxError> {
    if audio.asc.len() < 2 {
        return Err(MuxError::Track("not an AudioSpecificConfig"));
    }
    let mp4a = Mp4a {
        audio: Audio {
            data_reference_index: 1,
            channel_count: audio.channels,
            sample_size: 16,
            sample_rate: audio.sample_rate.into(),
        },
        esds: esds::Esds {
            es_desc: esds::EsDescriptor {
                // In an MP4 file the ES_ID is 0 (ISO/IEC 14496-14, 3.1.2).
                es_id: 0,
                dec_config: esds::DecoderConfig {
                    object_type_indication: 0x40, // MPEG-4 audio
                    stream_type: 5,               // audio stream
                    max_bitrate: audio.bitrate,
                    avg_bitrate: audio.bitrate,
                    dec_specific: Some(esds::DecoderSpecific {
                        raw: audio.asc.clone(),
                        ..esds::DecoderSpecific::default()
                    }),
                    ..esds::DecoderConfig::default()
                },
                ..esds::EsDescriptor::default()
            },
        },
        btrt: None,
        taic: None,
    };
    let rate = audio.sample_rate.into();
    let mut trak = trak(id, created, rate, b"soun", "Sound", mp4a.into());
    trak.tkhd.volume = 1.into();
    trak.mdia.minf.smhd = Some(Smhd::default());
    // In a fragmented file a duration of 0 reaches to the end of the media,
    // fragments included (ISO/IEC 14496-12, 8.6.6.1).
    trak.edts = Some(edit(0, audio.priming.into()));
    Ok(trak)
}

/// An edit list that shows `duration` (movie timescale) from `start` (media
/// timescale) on.
pub(super) fn edit(duration: u64, start: u64) -> Edts {
    let entry =
        ElstEntry { segment_duration: duration, media_time: Some(start), media_rate: 1.into() };
    Edts { elst: Some(Elst { entries: vec![entry] }) }
}

fn trak(
    id: u32,
    created: u64,
    timescale: u32,
    handler: &[u8; 4],
    name: &str,
    codec: Codec,
) -> Trak {
    Trak {
        tkhd: Tkhd {
            creation_time: created,
            modification_time: created,
            track_id: id,
            enabled: true,
            in_movie: true,
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd {
                creation_time: created,
                modification_time: created,
                timescale,
                duration: 0,
                language: "und".to_owned(),
            },
            hdlr: Hdlr { handler: handler.into(), name: name.to_owned() },
            minf: Minf {
                dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                stbl: Stbl {
                    stsd: Stsd { codecs: vec![codec] },
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    }
}

/// Bytes to reserve for the final `moov` of a recording of `settings`' longest
/// duration, counted from its tables; about 400 a second at 30 fps.
///
/// Worst cases are reserved where the real file needs less: the reserve is a
/// hole, so it costs nothing. A day is the cap; what is longer is copied.
pub(super) fn reserve(settings: &Settings, growing: &Moov) -> Result<u64, MuxError> {
    /// Table headers that an empty `moov` lacks, and a fragment cut short by `flush`.
    const SLACK: u64 = 4096;
    let seconds = settings.max_duration.as_secs().min(24 * 3600) + 1;
    let audio_rate = u64::from(settings.audio.sample_rate);
    let packets = (seconds * audio_rate).div_ceil(u64::from(AAC_PACKET));
    let frames = settings.video.as_ref().map_or(0, |v| seconds * u64::from(v.fps));
    let fragments = match &settings.video {
        Some(video) => frames.div_ceil((u64::from(video.fps) / 2).max(1)),
        None => seconds * 2,
    };
    let tracks = growing.trak.len() as u64;
    let (size, chunk, run, sync) = (4, 8, 12, 4); // stsz, co64, stsc, stss entries
    let tables = (frames + packets) * size + fragments * (tracks * (chunk + run) + sync);
    Ok(encode(growing)?.len() as u64 + tables + SLACK)
}
