//! What the card says about itself: one server, one sink, no source.

use std::ffi::CStr;
use std::time::SystemTime;

use pulseaudio::protocol::{
    ChannelMap, ChannelVolume, DEFAULT_SINK, FormatEncoding, FormatInfo, PlaybackLatency,
    SampleFormat, SampleSpec, ServerInfo, SinkFlags, SinkInfo, SinkInputInfo, SinkState, Volume,
};

use super::sample::Layout;
use super::stream::Stream;
use crate::media::SAMPLE_RATE;

/// Index of the only sink.
pub(super) const SINK: u32 = 0;
/// Name of the only sink.
pub(super) const SINK_NAME: &CStr = c"roomreel";

const SPEC: SampleSpec =
    SampleSpec { format: SampleFormat::Float32Le, channels: 2, sample_rate: SAMPLE_RATE };

/// Clients take rate and channels of their streams from here.
pub(super) fn server() -> ServerInfo {
    ServerInfo {
        server_name: Some(c"roomreel".to_owned()),
        // Clients compare it with releases of the daemon whose protocol this is.
        server_version: Some(c"16.1".to_owned()),
        user_name: Some(c"roomreel".to_owned()),
        host_name: Some(c"localhost".to_owned()),
        sample_spec: SPEC,
        cookie: 1,
        default_sink_name: Some(SINK_NAME.to_owned()),
        default_source_name: None,
        channel_map: ChannelMap::stereo(),
    }
}

pub(super) fn sink() -> SinkInfo {
    SinkInfo {
        index: SINK,
        name: SINK_NAME.to_owned(),
        description: Some(c"Recording".to_owned()),
        state: SinkState::Running,
        sample_spec: SPEC,
        channel_map: ChannelMap::stereo(),
        cvolume: ChannelVolume::norm(2),
        flags: SinkFlags::LATENCY | SinkFlags::DECIBEL_VOLUME,
        base_volume: Volume::NORM,
        formats: vec![FormatInfo::new(FormatEncoding::Pcm)],
        ..SinkInfo::default()
    }
}

/// A stream as mixers list it, after the way to stereo.
pub(super) fn sink_input(index: u32, stream: &Stream) -> SinkInputInfo {
    let mut cvolume = ChannelVolume::empty();
    for gain in stream.gain() {
        cvolume.push(Volume::from_linear(gain));
    }
    SinkInputInfo {
        index,
        name: c"stream".to_owned(),
        sink_index: SINK,
        sample_spec: SPEC,
        channel_map: ChannelMap::stereo(),
        cvolume,
        muted: stream.muted(),
        corked: stream.corked(),
        has_volume: true,
        volume_writable: true,
        format: FormatInfo::new(FormatEncoding::Pcm),
        ..SinkInputInfo::default()
    }
}

/// Where a stream stands at position `clock`. The sink itself adds no latency:
/// what the read index says plays now, for that is what the clock rule means.
///
/// The reply carries the client's own time as ours. From a difference libpulse
/// would conclude how long the answer travels back; but what it would measure is
/// how long the question waited for us, and its clock would be off by that.
pub(super) fn timing(
    stream: &Stream,
    layout: Layout,
    clock: i64,
    asked_at: SystemTime,
) -> PlaybackLatency {
    let size = layout.frame_size() as i64;
    PlaybackLatency {
        sink_usec: 0,
        source_usec: 0,
        playing: stream.playing(),
        local_time: asked_at,
        remote_time: asked_at,
        write_offset: stream.write_index() * size,
        read_offset: stream.read_index(clock) * size,
        underrun_for: 0,
        playing_for: (stream.played(clock) * size).unsigned_abs(),
    }
}

/// Whether a client means the only sink: by index, by name, or by default.
pub(super) fn is_our_sink(index: Option<u32>, name: Option<&CStr>) -> bool {
    match (index, name) {
        (Some(index), _) => index == SINK,
        (None, Some(name)) => name == SINK_NAME || name == DEFAULT_SINK,
        (None, None) => true,
    }
}
