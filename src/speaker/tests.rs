//! The whole speaker over its socket, against clients made of wire types.

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::SystemTime;

use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{
    AuthParams, AuthReply, ChannelMap, ChannelVolume, Command, CommandReply, CommandTag,
    CorkStreamParams, CreatePlaybackStreamReply, LatencyParams, PlaybackLatency,
    PlaybackStreamParams, Prop, Props, ProtocolError, PulseError, SampleFormat, SampleSpec,
    ServerInfo, SetClientNameReply, SetStreamMuteParams, SinkInfo, SinkInfoList, SinkInputInfo,
    TagStructReader, read_descriptor, write_command_message, write_memblock,
};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;

/// Longer than any answer takes on a busy machine; only a failure waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    speaker: Speaker,
    blocks: mpsc::Receiver<Block>,
    events: UnboundedReceiver<SpeakerEvent>,
    _dir: tempfile::TempDir,
}

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let (sender, blocks) = mpsc::channel();
    let (reports, events) = tokio::sync::mpsc::unbounded_channel();
    // Most patient, for tests run on busy machines.
    let mut config = SpeakerConfig::new(dir.path().join("private").join("pulse"));
    config.grace = Duration::from_secs(2);
    // The receiver goes first when a test ends.
    let sink = Box::new(move |block| drop(sender.send(block)));
    let speaker = Speaker::open(config, sink, reports).unwrap();
    Bench { speaker, blocks, events, _dir: dir }
}

impl Bench {
    /// Left samples from now on until `done`; checks that blocks are contiguous.
    fn listen(&self, done: impl Fn(&[f32]) -> bool) -> Vec<f32> {
        let (mut left, mut next) = (Vec::new(), None);
        while !done(&left) {
            let block = self.blocks.recv_timeout(PATIENCE).unwrap();
            assert_eq!(block.epoch, self.speaker.epoch());
            assert_eq!(block.position, next.unwrap_or(block.position));
            next = Some(block.position + block.samples.len() as u64 / 2);
            left.extend(block.samples.iter().step_by(2));
        }
        left
    }

    fn event(&mut self) -> SpeakerEvent {
        self.events.blocking_recv().unwrap()
    }
}

struct Client {
    socket: BufReader<UnixStream>,
    sequence: u32,
    /// Bytes the server asked for, over all streams.
    requested: u64,
    started: bool,
}

impl Client {
    fn connect(bench: &Bench) -> Self {
        let socket = UnixStream::connect(bench.speaker.socket()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket: BufReader::new(socket), sequence: 0, requested: 0, started: false }
    }

    fn named(bench: &Bench) -> Self {
        let mut client = Self::connect(bench);
        let params = AuthParams {
            version: 35,
            supports_shm: true,
            supports_memfd: true,
            cookie: vec![0; 256],
        };
        let auth: AuthReply = client.ask(&Command::Auth(params)).unwrap();
        assert_eq!((auth.version, auth.use_shm, auth.use_memfd), (35, false, false));
        let _: SetClientNameReply = client.ask(&Command::SetClientName(Props::new())).unwrap();
        client
    }

    fn send(&mut self, command: &Command) -> std::io::Result<()> {
        self.sequence += 1;
        let mut wire = Vec::new();
        write_command_message(&mut wire, self.sequence, command, 35).unwrap();
        self.socket.get_mut().write_all(&wire)
    }

    fn write(&mut self, channel: u32, bytes: &[u8]) {
        write_memblock(self.socket.get_mut(), channel, bytes, 0).unwrap();
    }

    /// Reads one message: events are noted, a reply is returned.
    fn read(&mut self) -> Result<Option<Vec<u8>>, ProtocolError> {
        let descriptor = read_descriptor(&mut self.socket)?;
        let mut payload = vec![0; descriptor.length as usize];
        std::io::Read::read_exact(&mut self.socket, &mut payload)?;
        match Command::read_tag_prefixed(&mut payload.as_slice(), 35)? {
            (_, Command::Request(request)) => self.requested += u64::from(request.length),
            (_, Command::Started(_)) => self.started = true,
            (sequence, Command::Error(error)) => {
                assert_eq!(sequence, self.sequence);
                return Err(ProtocolError::ServerError(error));
            }
            (sequence, Command::Reply) => {
                assert_eq!(sequence, self.sequence);
                return Ok(Some(payload));
            }
            (_, other) => panic!("{other:?}"),
        }
        Ok(None)
    }

    fn reply(&mut self) -> Result<Vec<u8>, ProtocolError> {
        loop {
            if let Some(payload) = self.read()? {
                return Ok(payload);
            }
        }
    }

    fn ask<R: CommandReply>(&mut self, command: &Command) -> Result<R, ProtocolError> {
        self.send(command)?;
        let payload = self.reply()?;
        let mut rest = payload.as_slice();
        let mut reader = TagStructReader::new(&mut rest, 35);
        assert_eq!(reader.read_enum::<CommandTag>()?, CommandTag::Reply);
        reader.read_u32()?;
        reader.read()
    }

    fn order(&mut self, command: &Command) -> Result<(), PulseError> {
        self.send(command).unwrap();
        match self.reply() {
            Ok(payload) => assert_eq!(payload.len(), 10, "an empty reply"),
            Err(ProtocolError::ServerError(error)) => return Err(error),
            Err(other) => panic!("{other}"),
        }
        Ok(())
    }

    fn open(&mut self, params: PlaybackStreamParams) -> CreatePlaybackStreamReply {
        self.ask(&Command::CreatePlaybackStream(params)).unwrap()
    }

    /// Plays `samples` as the server asks for them, and waits for their end.
    fn play(&mut self, channel: u32, granted: u32, samples: &[f32]) {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let mut sent = 0;
        self.requested += u64::from(granted);
        while sent < bytes.len() {
            let end = bytes.len().min(usize::try_from(self.requested).unwrap());
            if end > sent {
                self.write(channel, &bytes[sent..end]);
                sent = end;
            } else {
                self.read().unwrap();
            }
        }
        self.order(&Command::DrainPlaybackStream(channel)).unwrap();
        assert!(self.started);
    }
}

fn floats(channels: u8) -> PlaybackStreamParams {
    let mut props = Props::new();
    props.set(Prop::MediaName, c"beeps");
    PlaybackStreamParams {
        sample_spec: SampleSpec { format: SampleFormat::Float32Le, channels, sample_rate: 48_000 },
        channel_map: if channels == 1 { ChannelMap::mono() } else { ChannelMap::stereo() },
        cvolume: Some(ChannelVolume::norm(channels)),
        buffer_attr: BufferAttr {
            target_length: 24_000 * 4 * u32::from(channels),
            minimum_request_length: 240 * 4 * u32::from(channels),
            ..BufferAttr::default()
        },
        props,
        ..PlaybackStreamParams::default()
    }
}

fn ramp(count: usize) -> Vec<f32> {
    (1..=count).map(|i| i as f32 / 65_536.0).collect()
}

/// The samples between the silence before and after.
fn sounding(left: &[f32]) -> &[f32] {
    let first = left.iter().position(|s| *s != 0.0).unwrap_or(left.len());
    let last = left.iter().rposition(|s| *s != 0.0).map_or(first, |last| last + 1);
    &left[first..last]
}

#[test]
fn what_a_client_plays_comes_out_sample_by_sample() {
    let mut bench = bench();
    let mut client = Client::named(&bench);
    let stream = client.open(floats(1));
    assert_eq!(stream.requested_bytes, stream.buffer_attr.target_length);
    let opened = SpeakerEvent::StreamOpened { stream: 0, name: "beeps".into(), channels: 1 };
    assert_eq!(bench.event(), opened);
    let samples = ramp(30_000);
    client.play(stream.channel, stream.requested_bytes, &samples);
    let left = bench.listen(|left| left.last() == Some(&0.0) && sounding(left).len() >= 30_000);
    assert_eq!(sounding(&left), samples);
    drop(client);
    assert_eq!(bench.event(), SpeakerEvent::StreamClosed { stream: 0 });
    let stats = bench.speaker.stats();
    assert_eq!((stats.late_frames, stats.underrun_frames, stats.overflow_frames), (0, 0, 0));
}

#[test]
fn the_card_says_what_it_is() {
    let mut bench = bench();
    let mut client = Client::named(&bench);
    let server: ServerInfo = client.ask(&Command::GetServerInfo).unwrap();
    assert_eq!((server.sample_spec.sample_rate, server.sample_spec.channels), (48_000, 2));
    assert_eq!(bench.event(), SpeakerEvent::ControlConnected);
    let sinks: SinkInfoList = client.ask(&Command::GetSinkInfoList).unwrap();
    let name = server.default_sink_name;
    assert_eq!(sinks.iter().map(|sink| &sink.name).collect::<Vec<_>>(), [name.as_ref().unwrap()]);
    let which = pulseaudio::protocol::GetSinkInfo { index: None, name };
    let sink: SinkInfo = client.ask(&Command::GetSinkInfo(which)).unwrap();
    assert_eq!(sink, sinks[0]);
    assert_eq!(client.order(&Command::GetSourceInfoList), Ok(()));
    drop(client);
    assert_eq!(bench.event(), SpeakerEvent::ControlLost);
}

#[test]
fn what_cannot_be_done_is_answered_with_an_error() {
    let bench = bench();
    let mut client = Client::connect(&bench);
    assert_eq!(client.order(&Command::GetServerInfo), Err(PulseError::AccessDenied));
    let mut client = Client::named(&bench);
    let spec = |format, channels, sample_rate| SampleSpec { format, channels, sample_rate };
    let other = |sample_spec| PlaybackStreamParams { sample_spec, ..floats(2) };
    let elsewhere = PlaybackStreamParams { sink_name: Some(c"elsewhere".to_owned()), ..floats(2) };
    use PulseError::{NoEntity, NotSupported};
    for (command, error) in [
        (Command::CreatePlaybackStream(other(spec(SampleFormat::S16Le, 2, 44_100))), NotSupported),
        (
            Command::CreatePlaybackStream(other(spec(SampleFormat::Float32Le, 6, 48_000))),
            NotSupported,
        ),
        (Command::CreatePlaybackStream(elsewhere), NoEntity),
        (Command::FlushPlaybackStream(3), NoEntity),
        (Command::DrainPlaybackStream(3), NoEntity),
        (Command::CreateRecordStream(Default::default()), NoEntity),
        (Command::SetDefaultSink(c"roomreel".to_owned()), NotSupported),
        (Command::Exit, NotSupported),
        (Command::Started(0), NotSupported),
    ] {
        assert_eq!(client.order(&command), Err(error), "{command:?}");
    }
    assert_eq!(client.order(&Command::GetSourceInfoList), Ok(()), "the connection lives on");
}

#[test]
fn streams_of_others_are_out_of_reach() {
    let bench = bench();
    let (mut owner, mut other) = (Client::named(&bench), Client::named(&bench));
    let stream = owner.open(floats(2)).channel;
    let cork = Command::CorkPlaybackStream(CorkStreamParams { channel: stream, cork: true });
    assert_eq!(other.order(&cork), Err(PulseError::NoEntity));
    assert_eq!(other.order(&Command::DeletePlaybackStream(stream)), Err(PulseError::NoEntity));
    assert_eq!(owner.order(&cork), Ok(()));
    assert_eq!(owner.order(&Command::DeletePlaybackStream(stream)), Ok(()));
}

#[test]
fn latency_is_what_is_written_less_what_has_played() {
    let bench = bench();
    let mut client = Client::named(&bench);
    let mut params = floats(2);
    params.flags = StreamFlags { start_corked: true, ..StreamFlags::default() };
    let stream = client.open(params);
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_234_567);
    let query = Command::GetPlaybackLatency(LatencyParams { channel: stream.channel, now });
    let granted = i64::from(stream.requested_bytes);
    client.write(stream.channel, &vec![0; stream.requested_bytes as usize]);
    let corked: PlaybackLatency = client.ask(&query).unwrap();
    assert_eq!((corked.write_offset, corked.read_offset, corked.playing), (granted, 0, false));
    assert_eq!((corked.local_time, corked.remote_time, corked.sink_usec), (now, now, 0));
    let channel = stream.channel;
    client.order(&Command::CorkPlaybackStream(CorkStreamParams { channel, cork: false })).unwrap();
    let mut before: PlaybackLatency = client.ask(&query).unwrap();
    assert!(before.playing);
    // The read index runs with the clock, past the end of what was written.
    while before.read_offset <= granted {
        let after: PlaybackLatency = client.ask(&query).unwrap();
        assert!(after.read_offset >= before.read_offset);
        assert_eq!((after.write_offset, after.read_offset % 8), (granted, 0));
        assert_eq!(after.playing_for, after.read_offset.unsigned_abs());
        before = after;
    }
}

#[test]
fn a_stream_can_be_muted_and_listed() {
    let bench = bench();
    let mut client = Client::named(&bench);
    let index = client.open(floats(2)).stream_index;
    client.order(&Command::SetSinkInputMute(SetStreamMuteParams { index, mute: true })).unwrap();
    let info: SinkInputInfo = client.ask(&Command::GetSinkInputInfo(index)).unwrap();
    assert!(info.muted && !info.corked);
    let list: Vec<SinkInputInfo> = client.ask(&Command::GetSinkInputInfoList).unwrap();
    assert_eq!(list, [info]);
}

#[test]
fn a_hostile_client_harms_nobody_else() {
    let mut bench = bench();
    let mut victim = Client::named(&bench);
    let stream = victim.open(floats(1));
    bench.event();
    let samples = ramp(40_000);
    let socket = bench.speaker.socket().to_owned();
    let attackers = std::thread::spawn(move || {
        let strike = |bytes: &[u8]| {
            let mut socket = UnixStream::connect(&socket).unwrap();
            socket.set_write_timeout(Some(PATIENCE)).unwrap();
            while socket.write_all(bytes).is_ok() {}
        };
        strike(&[0xff; 4096]);
        strike(b"GET / HTTP/1.1\r\n\r\n");
        // A command that claims to hold 4 GiB.
        let mut huge: Vec<u8> =
            [17, u32::MAX, 0, 0, 0].iter().flat_map(|w: &u32| w.to_be_bytes()).collect();
        huge.extend([b'L', 0, 0, 0, 8, b'L', 0, 0, 0, 0, b'L', 0, 0, 0, 35, b'x', 0xff]);
        strike(&huge);
        // Questions by the thousand, and not one answer read.
        let mut question = Vec::new();
        write_command_message(&mut question, 1, &Command::GetServerInfo, 35).unwrap();
        strike(&question);
        // A message that never ends.
        let mut partial = UnixStream::connect(&socket).unwrap();
        partial
            .write_all(&[0, 0, 0xff, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            .unwrap();
        partial
    });
    victim.play(stream.channel, stream.requested_bytes, &samples);
    let left = bench.listen(|left| left.last() == Some(&0.0) && sounding(left).len() >= 40_000);
    assert_eq!(sounding(&left), samples);
    let partial = attackers.join().unwrap();
    let errors: Vec<_> = (0..4).map(|_| bench.event()).collect();
    assert!(errors.iter().all(|e| matches!(e, SpeakerEvent::ClientError { .. })), "{errors:?}");
    drop(partial);
    assert_eq!(victim.order(&Command::GetSourceInfoList), Ok(()));
}

#[test]
fn clients_beyond_the_limit_are_turned_away_until_others_leave() {
    let mut bench = bench();
    let crowd: Vec<Client> = (0..128).map(|_| Client::named(&bench)).collect();
    let mut refused = Client::connect(&bench);
    assert!(refused.read().is_err());
    assert!(matches!(bench.event(), SpeakerEvent::ClientError { .. }));
    drop(crowd);
    // Whoever comes is let in as soon as the crowd has been seen off.
    while bench.speaker.stats().clients > 0 {
        bench.blocks.recv_timeout(PATIENCE).unwrap();
    }
    Client::named(&bench);
}

#[test]
fn streams_beyond_the_limit_are_refused_and_go_with_their_client() {
    let bench = bench();
    let mut client = Client::named(&bench);
    let opened = (0..2000).filter(|_| {
        let made: Result<CreatePlaybackStreamReply, _> =
            client.ask(&Command::CreatePlaybackStream(floats(2)));
        match made {
            Ok(_) => true,
            Err(ProtocolError::ServerError(error)) => {
                assert_eq!(error, PulseError::TooLarge);
                false
            }
            Err(other) => panic!("{other}"),
        }
    });
    assert_eq!(opened.count(), 96);
    let mut other = Client::named(&bench);
    let refused = other.ask::<CreatePlaybackStreamReply>(&Command::CreatePlaybackStream(floats(2)));
    assert!(matches!(refused, Err(ProtocolError::ServerError(PulseError::TooLarge))));
    drop(client);
    while bench.speaker.stats().streams > 0 {
        bench.blocks.recv_timeout(PATIENCE).unwrap();
    }
    other.open(floats(2));
}

#[test]
fn who_says_nothing_is_sent_away() {
    let bench = bench();
    let mut silent: Vec<Client> = (0..128).map(|_| Client::connect(&bench)).collect();
    // Nobody else can come meanwhile; it takes as long as a handshake may.
    for client in &mut silent {
        assert!(client.read().is_err());
    }
    Client::named(&bench);
}

#[test]
fn the_socket_is_private_replaces_its_left_over_and_goes_with_the_speaker() {
    let bench = bench();
    let socket = bench.speaker.socket().to_owned();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(socket.parent().unwrap()), mode(&socket)), (0o700, 0o600));
    let mut client = Client::named(&bench);
    drop(bench.speaker);
    assert!(client.read().is_err(), "the connection ends");
    assert!(bench.blocks.iter().all(|block| block.samples.len() == 960), "the thread has ended");
    assert!(!socket.exists());

    drop(UnixListener::bind(&socket).unwrap());
    let open = || {
        let (events, _) = tokio::sync::mpsc::unbounded_channel();
        Speaker::open(SpeakerConfig::new(&socket), Box::new(drop), events)
    };
    drop(open().unwrap());
    fs::write(&socket, "not ours").unwrap();
    assert!(matches!(open(), Err(SpeakerError::Socket { .. })));
    assert_eq!(fs::read_to_string(&socket).unwrap(), "not ours");
}
