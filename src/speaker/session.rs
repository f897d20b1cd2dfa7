//! One client: handshake, commands, samples, and the replies to them.
//!
//! Turns messages into calls on the [`Card`] and the card's notices into
//! messages. Knows no sockets: bytes for the client wait in an outbox.
//!
//! Protocol: PulseAudio native protocol, versions 13 to 35
//! (`pulsecore/protocol-native.c`). Samples come inline only; shared memory and
//! memfd are refused in the reply to Auth.

use std::collections::BTreeMap;

use pulseaudio::protocol::{
    AuthReply, ChannelMap, ChannelVolume, Command, CommandReply, CreatePlaybackStreamReply,
    FormatEncoding, FormatInfo, LookupReply, MAX_VERSION, MIN_VERSION, PlaybackStreamParams, Prop,
    PulseError, Request, SetClientNameReply, SetPlaybackStreamBufferAttrReply, StatInfo, Underflow,
    write_ack_message, write_command_message, write_error, write_reply_message,
};

use super::SpeakerEvent;
use super::card::{Card, Notice};
use super::facts;
use super::sample::Layout;
use super::stream::Stream;
use super::wire::{Message, Outbox, Violation, command};
use crate::clock::Mono;
use crate::media::SAMPLE_RATE;

/// Frames of decoding memory kept between writes.
const SCRATCH: usize = 16 * 1024;

/// A stream as its client sees it.
struct Outlet {
    layout: Layout,
    /// Bytes to ask for that have not been put into a message yet.
    unasked: u64,
}

pub(super) struct Session {
    /// The client's index.
    index: u32,
    /// Negotiated at Auth; `None` before.
    version: Option<u16>,
    named: bool,
    inquired: bool,
    /// By channel; channels are stream indices of the card.
    outlets: BTreeMap<u32, Outlet>,
    /// Messages for the client.
    pub(super) outbox: Outbox,
    /// Kept for its memory only.
    scratch: Vec<[f32; 2]>,
}

/// What became of a command.
enum Outcome {
    /// Replied to with data, or to be replied to when it is complete.
    Replied,
    /// Carried out; an empty reply says so.
    Done,
    Refused(PulseError),
}

impl Outcome {
    fn of(found: Option<()>) -> Self {
        found.map_or(Self::Refused(PulseError::NoEntity), |()| Self::Done)
    }
}

impl Session {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            version: None,
            named: false,
            inquired: false,
            outlets: BTreeMap::new(),
            outbox: Outbox::default(),
            scratch: Vec::new(),
        }
    }

    /// Whether the handshake is complete.
    pub(super) fn named(&self) -> bool {
        self.named
    }

    /// Whether the client asked what card this is. Chromium does so on its
    /// control connection, and never on the one it opens per stream.
    pub(super) fn inquired(&self) -> bool {
        self.inquired
    }

    /// Streams of this client.
    pub(super) fn streams(&self) -> impl Iterator<Item = u32> {
        self.outlets.keys().copied()
    }

    /// Works off one message.
    pub(super) fn handle(
        &mut self,
        message: Message<'_>,
        now: Mono,
        card: &mut Card,
        events: &mut dyn FnMut(SpeakerEvent),
    ) -> Result<(), Violation> {
        match message {
            Message::Command(payload) => {
                let (tag, parsed) = command(payload, self.version.unwrap_or(MIN_VERSION))?;
                let outcome = match parsed {
                    Ok(Command::Auth(auth)) => self.authenticate(tag, auth.version)?,
                    _ if self.version.is_none() => Outcome::Refused(PulseError::AccessDenied),
                    Ok(command) => self.obey(tag, command, now, card, events)?,
                    Err(error) => Outcome::Refused(error),
                };
                match outcome {
                    Outcome::Replied => (),
                    Outcome::Done => write_ack_message(self.outbox.end(), tag)?,
                    Outcome::Refused(error) => write_error(self.outbox.end(), tag, &error)?,
                }
            }
            Message::Samples { channel, seek, offset, bytes } => {
                // A write may cross the deletion of its stream on the way.
                let Some(outlet) = self.outlets.get(&channel) else { return Ok(()) };
                let size = outlet.layout.frame_size();
                if bytes.len() % size != 0 || offset % size as i64 != 0 {
                    return Err(Violation::Unaligned);
                }
                outlet.layout.decode(bytes, &mut self.scratch);
                card.write(channel, seek, offset / size as i64, &self.scratch, now);
                self.scratch.clear();
                self.scratch.shrink_to(SCRATCH);
            }
        }
        Ok(())
    }

    /// Agrees on a version. The cookie is not looked at: who can reach the socket
    /// may play.
    fn authenticate(&mut self, tag: u32, version: u16) -> Result<Outcome, Violation> {
        if version < MIN_VERSION {
            return Err(Violation::Version(version));
        }
        self.version = Some(version.min(MAX_VERSION));
        self.reply(tag, &AuthReply { version: MAX_VERSION, use_memfd: false, use_shm: false })
    }

    /// Carries out commands about the card, and passes on those about streams.
    fn obey(
        &mut self,
        tag: u32,
        command: Command,
        now: Mono,
        card: &mut Card,
        events: &mut dyn FnMut(SpeakerEvent),
    ) -> Result<Outcome, Violation> {
        Ok(match command {
            Command::SetClientName(_) => {
                self.named = true;
                self.reply(tag, &SetClientNameReply { client_id: self.index })?
            }
            Command::GetServerInfo => {
                self.inquired = true;
                self.reply(tag, &facts::server())?
            }
            Command::GetSinkInfoList => self.reply(tag, &vec![facts::sink()])?,
            Command::GetSinkInfo(which)
                if facts::is_our_sink(which.index, which.name.as_deref()) =>
            {
                self.reply(tag, &facts::sink())?
            }
            Command::LookupSink(name) if facts::is_our_sink(None, Some(&name)) => {
                self.reply(tag, &LookupReply(facts::SINK))?
            }
            Command::GetSinkInputInfo(index) => match card.stream(index) {
                Some(stream) => self.reply(tag, &facts::sink_input(index, stream))?,
                None => Outcome::Refused(PulseError::NoEntity),
            },
            Command::GetSinkInputInfoList => {
                let list: Vec<_> = card.streams().map(|(i, s)| facts::sink_input(i, s)).collect();
                self.reply(tag, &list)?
            }
            Command::Stat => self.reply(tag, &StatInfo::default())?,
            // There is one sink and nothing else: an empty list is an empty reply.
            Command::GetSourceInfoList
            | Command::GetModuleInfoList
            | Command::GetClientInfoList
            | Command::GetSourceOutputInfoList
            | Command::GetSampleInfoList
            | Command::GetCardInfoList => Outcome::Done,
            Command::GetSinkInfo(_)
            | Command::GetSourceInfo(_)
            | Command::GetModuleInfo(_)
            | Command::GetClientInfo(_)
            | Command::GetSourceOutputInfo(_)
            | Command::GetSampleInfo(_)
            | Command::GetCardInfo(_)
            | Command::LookupSink(_)
            | Command::LookupSource(_)
            | Command::CreateRecordStream(_) => Outcome::Refused(PulseError::NoEntity),
            // The sink never changes, and properties are not kept.
            Command::Subscribe(_)
            | Command::UpdateClientProplist(_)
            | Command::RemoveClientProplist => Outcome::Done,
            // Volumes are set by mixers, which need not own the stream.
            Command::SetSinkInputVolume(p) => {
                Outcome::of(card.change(p.index, now, |stream| stream.set_gain(gain(&p.volume))))
            }
            Command::SetSinkInputMute(p) => {
                Outcome::of(card.change(p.index, now, |stream| stream.set_muted(p.mute)))
            }
            Command::CreatePlaybackStream(params) => self.open(tag, &params, card, events)?,
            Command::DeletePlaybackStream(channel) => match self.outlets.remove(&channel) {
                Some(_) => {
                    card.close(channel, now);
                    events(SpeakerEvent::StreamClosed { stream: channel });
                    Outcome::Done
                }
                None => Outcome::Refused(PulseError::NoEntity),
            },
            command => self.obey_on_stream(tag, command, now, card)?,
        })
    }

    /// Carries out commands on one of the client's own streams.
    fn obey_on_stream(
        &mut self,
        tag: u32,
        command: Command,
        now: Mono,
        card: &mut Card,
    ) -> Result<Outcome, Violation> {
        let channel = match &command {
            Command::CorkPlaybackStream(p) => p.channel,
            Command::GetPlaybackLatency(p) => p.channel,
            Command::SetPlaybackStreamBufferAttr(p) => p.index,
            Command::SetPlaybackStreamName(p) => p.index,
            Command::UpdatePlaybackStreamProplist(p) => p.index,
            Command::UpdatePlaybackStreamSampleRate(p) => p.index,
            Command::FlushPlaybackStream(channel)
            | Command::TriggerPlaybackStream(channel)
            | Command::PrebufPlaybackStream(channel)
            | Command::DrainPlaybackStream(channel)
            | Command::RemovePlaybackStreamProplist(channel) => *channel,
            _ => return Ok(Outcome::Refused(PulseError::NotSupported)),
        };
        let Some(layout) = self.outlets.get(&channel).map(|outlet| outlet.layout) else {
            return Ok(Outcome::Refused(PulseError::NoEntity));
        };
        let mut change = |change: &mut dyn FnMut(&mut Stream)| {
            Outcome::of(card.change(channel, now, |stream| change(stream)))
        };
        Ok(match command {
            Command::CorkPlaybackStream(p) => change(&mut |stream| stream.cork(p.cork)),
            Command::FlushPlaybackStream(_) => change(&mut Stream::flush),
            Command::TriggerPlaybackStream(_) => change(&mut Stream::trigger),
            Command::PrebufPlaybackStream(_) => change(&mut Stream::refill),
            Command::DrainPlaybackStream(_) => {
                let mut replaced = None;
                change(&mut |stream| replaced = stream.drain(tag));
                if let Some(tag) = replaced {
                    write_error(self.outbox.end(), tag, &PulseError::Busy)?;
                }
                Outcome::Replied
            }
            Command::GetPlaybackLatency(p) => match card.stream(channel) {
                Some(stream) => {
                    let timing = facts::timing(stream, layout, card.clock(now), p.now);
                    self.reply(tag, &timing)?
                }
                None => Outcome::Refused(PulseError::NoEntity),
            },
            Command::SetPlaybackStreamBufferAttr(p) => {
                let buffering = layout.buffering(&p.buffer_attr);
                change(&mut |stream| stream.set_buffering(buffering));
                let reply = SetPlaybackStreamBufferAttrReply {
                    buffer_attr: layout.attributes(buffering),
                    configured_sink_latency: 0,
                };
                self.reply(tag, &reply)?
            }
            Command::UpdatePlaybackStreamSampleRate(p) if p.sample_rate != SAMPLE_RATE => {
                Outcome::Refused(PulseError::NotSupported)
            }
            // Names and properties are not kept.
            _ => Outcome::Done,
        })
    }

    /// Makes a stream on the card, if the card can play it.
    fn open(
        &mut self,
        tag: u32,
        params: &PlaybackStreamParams,
        card: &mut Card,
        events: &mut dyn FnMut(SpeakerEvent),
    ) -> Result<Outcome, Violation> {
        if !facts::is_our_sink(params.sink_index, params.sink_name.as_deref()) {
            return Ok(Outcome::Refused(PulseError::NoEntity));
        }
        let Some(layout) = Layout::of(&params.sample_spec) else {
            return Ok(Outcome::Refused(PulseError::NotSupported));
        };
        let buffering = layout.buffering(&params.buffer_attr);
        let gain = params.cvolume.as_ref().map_or([1.0; 2], gain);
        let muted = params.flags.start_muted.unwrap_or(false);
        let Some(channel) = card.open(buffering, params.flags.start_corked, gain, muted) else {
            return Ok(Outcome::Refused(PulseError::TooLarge));
        };
        self.outlets.insert(channel, Outlet { layout, unasked: 0 });
        events(SpeakerEvent::StreamOpened {
            stream: channel,
            name: media_name(params),
            channels: layout.channels(),
        });
        let buffer_attr = layout.attributes(buffering);
        let channel_map =
            if layout.channels() == 1 { ChannelMap::mono() } else { ChannelMap::stereo() };
        let reply = CreatePlaybackStreamReply {
            channel,
            stream_index: channel,
            requested_bytes: buffer_attr.target_length,
            buffer_attr,
            sample_spec: params.sample_spec,
            channel_map,
            stream_latency: 0,
            sink_index: facts::SINK,
            sink_name: Some(facts::SINK_NAME.to_owned()),
            suspended: false,
            format: FormatInfo::new(FormatEncoding::Pcm),
        };
        self.reply(tag, &reply)
    }

    fn reply<R: CommandReply>(&mut self, tag: u32, reply: &R) -> Result<Outcome, Violation> {
        let version = self.version.unwrap_or(MIN_VERSION);
        write_reply_message(self.outbox.end(), tag, reply, version)?;
        Ok(Outcome::Replied)
    }

    /// Tells the client what the card has to say about one of its streams.
    pub(super) fn notify(&mut self, notice: Notice) -> Result<(), Violation> {
        let command = match notice {
            Notice::Request { stream, frames } => {
                if let Some(outlet) = self.outlets.get_mut(&stream) {
                    outlet.unasked += frames.unsigned_abs() * outlet.layout.frame_size() as u64;
                }
                return Ok(());
            }
            Notice::Drained { tag, .. } => {
                return Ok(write_ack_message(self.outbox.end(), tag)?);
            }
            Notice::Started { stream } => Command::Started(stream),
            Notice::Overflow { stream } => Command::Overflow(stream),
            Notice::Underflow { stream, index } => {
                let size = self.outlets.get(&stream).map_or(0, |o| o.layout.frame_size() as i64);
                Command::Underflow(Underflow { channel: stream, offset: index * size })
            }
        };
        self.tell(&command)
    }

    /// Puts what is to be asked for into messages, one a stream. While the client
    /// does not read, requests add up instead of queueing.
    pub(super) fn ask(&mut self) -> Result<(), Violation> {
        if !self.outbox.is_empty() {
            return Ok(());
        }
        let mut requests = Vec::new();
        for (&channel, outlet) in &mut self.outlets {
            let length = u32::try_from(outlet.unasked).unwrap_or(u32::MAX);
            if length > 0 {
                outlet.unasked = 0;
                requests.push(Command::Request(Request { channel, length }));
            }
        }
        requests.iter().try_for_each(|request| self.tell(request))
    }

    /// Sends a command of ours; those carry no sequence number.
    fn tell(&mut self, command: &Command) -> Result<(), Violation> {
        let version = self.version.unwrap_or(MIN_VERSION);
        Ok(write_command_message(self.outbox.end(), u32::MAX, command, version)?)
    }
}

fn media_name(params: &PlaybackStreamParams) -> String {
    let name = params.props.get(Prop::MediaName).unwrap_or_default();
    String::from_utf8_lossy(name).trim_end_matches('\0').chars().take(100).collect()
}

/// Left and right gain; amplification ends at 12 dB.
fn gain(volume: &ChannelVolume) -> [f32; 2] {
    let linear = |i: usize| volume.channels().get(i).map(|v| v.to_linear().min(4.0));
    let left = linear(0).unwrap_or(1.0);
    [left, linear(1).unwrap_or(left)]
}
