//! What a client may put on the wire, against a card without its thread: the entry
//! of the fuzzer (`fuzz/fuzz_targets/messages.rs`) and of a test that sends spoilt
//! messages.

use std::ffi::CString;
use std::time::Duration;

use pulseaudio::protocol::stream::BufferAttr;
use pulseaudio::protocol::{
    AuthParams, ChannelMap, Command, PlaybackStreamParams, Props, ProtocolError, SampleFormat,
    SampleSpec, write_command_message,
};

use super::card::{Card, TICK};
use super::session::Session;
use super::wire::{Inbox, Violation};
use crate::clock::Mono;
use crate::media::Block;

/// Bytes between two ticks.
const PART: usize = 4096;
/// Ticks after the last byte: longer than the card waits for anybody.
const AFTER: usize = 300;

/// Lets a client introduce itself and open a stream (channel 0, see
/// [`introduction`]), and has it send `bytes`. Returns whether anything sounded.
/// What it must not do is panic, hang, grow, or spoil what is handed on.
///
/// # Errors
/// If the introduction cannot be written.
///
/// # Panics
/// If a block is missing or holds what is no sample: then a defect was found.
pub fn messages(bytes: &[u8]) -> Result<bool, ProtocolError> {
    let mut now = Mono(1_000_000_000);
    let mut card = Card::new(now, Duration::from_millis(300));
    let mut client = Client { inbox: Inbox::default(), session: Session::new(0) };
    let (mut next, mut sounded, mut connected) = (0, false, true);
    let mut take = |block: Block| {
        assert_eq!(block.position, next, "a block is missing");
        next += block.samples.len() as u64 / 2;
        assert!(block.samples.iter().all(|s| s.is_finite()), "a sample is no number");
        sounded |= block.samples.iter().any(|s| *s != 0.0);
    };
    let introduction = introduction()?;
    let silence = std::iter::repeat_n(&[][..], AFTER);
    for part in introduction.chunks(PART).chain(bytes.chunks(PART)).chain(silence) {
        now = now + TICK;
        let said = if connected { client.say(part, now, &mut card) } else { Ok(()) };
        card.tick(now, &mut take);
        if said.and_then(|()| client.hear(&mut card)).is_err() && connected {
            connected = false;
            client.session.streams().for_each(|stream| card.close(stream, now));
        }
    }
    Ok(sounded)
}

struct Client {
    inbox: Inbox,
    session: Session,
}

impl Client {
    fn say(&mut self, mut bytes: &[u8], now: Mono, card: &mut Card) -> Result<(), Violation> {
        while !bytes.is_empty() {
            // Reading from memory does not fail.
            let _ = self.inbox.fill(&mut bytes);
            while let Some(message) = self.inbox.next()? {
                self.session.handle(message, now, card, &mut drop)?;
                if self.session.outbox.overdue() {
                    return Err(Violation::Deaf);
                }
            }
        }
        Ok(())
    }

    fn hear(&mut self, card: &mut Card) -> Result<(), Violation> {
        for notice in card.notices() {
            if self.session.streams().any(|own| own == notice.stream()) {
                self.session.notify(notice)?;
            }
        }
        self.session.ask()?;
        // A sink takes everything.
        let _ = self.session.outbox.flush(&mut std::io::sink());
        Ok(())
    }
}

/// A handshake and a stereo stream of floats.
pub fn introduction() -> Result<Vec<u8>, ProtocolError> {
    let mut props = Props::new();
    props.set(pulseaudio::protocol::Prop::MediaName, CString::default());
    let stream = PlaybackStreamParams {
        sample_spec: SampleSpec {
            format: SampleFormat::Float32Le,
            channels: 2,
            sample_rate: 48_000,
        },
        channel_map: ChannelMap::stereo(),
        buffer_attr: BufferAttr { target_length: 96_000, ..BufferAttr::default() },
        props,
        ..PlaybackStreamParams::default()
    };
    let auth = AuthParams {
        version: 35,
        supports_shm: false,
        supports_memfd: false,
        cookie: vec![0; 256],
    };
    let commands = [
        Command::Auth(auth),
        Command::SetClientName(Props::new()),
        Command::CreatePlaybackStream(stream),
    ];
    let mut wire = Vec::new();
    for (sequence, command) in (0..).zip(commands) {
        write_command_message(&mut wire, sequence, &command, 35)?;
    }
    Ok(wire)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulseaudio::protocol::{
        ChannelVolume, CorkStreamParams, LatencyParams, SetStreamMuteParams, SetStreamVolumeParams,
        write_memblock,
    };

    use super::*;

    /// Sound, questions, and every way to change a stream.
    fn script() -> Vec<Vec<u8>> {
        let samples = [0.25_f32.to_le_bytes(); 9600].concat();
        let now = std::time::SystemTime::UNIX_EPOCH;
        let commands = [
            Command::GetServerInfo,
            Command::GetSinkInfoList,
            Command::GetPlaybackLatency(LatencyParams { channel: 0, now }),
            Command::SetSinkInputMute(SetStreamMuteParams { index: 0, mute: false }),
            Command::SetSinkInputVolume(SetStreamVolumeParams {
                index: 0,
                volume: ChannelVolume::norm(2),
            }),
            Command::CorkPlaybackStream(CorkStreamParams { channel: 0, cork: false }),
            Command::TriggerPlaybackStream(0),
            Command::FlushPlaybackStream(0),
            Command::PrebufPlaybackStream(0),
            Command::GetSinkInputInfoList,
            Command::DrainPlaybackStream(0),
        ];
        let mut script = Vec::new();
        for (sequence, command) in (10..).zip(commands) {
            let mut wire = Vec::new();
            write_memblock(&mut wire, 0, &samples, 0).unwrap();
            script.push(std::mem::take(&mut wire));
            write_command_message(&mut wire, sequence, &command, 35).unwrap();
            script.push(wire);
        }
        script
    }

    #[test]
    fn a_well_behaved_client_is_heard() {
        assert!(messages(&script().concat()).unwrap());
        assert!(!messages(&[]).unwrap());
    }

    /// What is done to a script; places are taken modulo its length.
    #[derive(Debug, Clone)]
    enum Fault {
        /// In the descriptor or at the beginning of the payload of a message.
        Head {
            message: usize,
            at: usize,
            becomes: u8,
        },
        Byte {
            at: usize,
            becomes: u8,
        },
        Lost(usize),
        Twice(usize),
        Cut(usize),
    }

    fn faults() -> impl Strategy<Value = Vec<Fault>> {
        let number = any::<usize>();
        let byte = prop_oneof![2 => any::<u8>(), 1 => Just(0xff), 1 => 0u8..4];
        let fault = prop_oneof![
            6 => (number, 0usize..48, byte)
                .prop_map(|(message, at, becomes)| Fault::Head { message, at, becomes }),
            2 => (number, any::<u8>()).prop_map(|(at, becomes)| Fault::Byte { at, becomes }),
            2 => number.prop_map(Fault::Lost),
            2 => number.prop_map(Fault::Twice),
            1 => number.prop_map(Fault::Cut),
        ];
        proptest::collection::vec(fault, 1..6)
    }

    fn spoilt(faults: &[Fault]) -> Vec<u8> {
        let mut script = script();
        let mut rest = Vec::new();
        for fault in faults {
            let count = script.len().max(1);
            match *fault {
                Fault::Head { message, at, becomes } => {
                    if let Some(message) = script.get_mut(message % count) {
                        let at = at % message.len();
                        message[at] = becomes;
                    }
                }
                Fault::Lost(message) => drop(script.remove(message % count)),
                Fault::Twice(message) => script.push(script[message % count].clone()),
                Fault::Byte { .. } | Fault::Cut(_) => rest.push(fault),
            }
        }
        let mut bytes = script.concat();
        for fault in rest {
            let count = bytes.len().max(1);
            match *fault {
                Fault::Byte { at, becomes } => bytes[at % count] = becomes,
                Fault::Cut(at) => bytes.truncate(1 + at % count),
                _ => {}
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn spoilt_messages_are_survived(faults in faults()) {
            messages(&spoilt(&faults)).unwrap();
        }

        #[test]
        fn noise_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            messages(&bytes).unwrap();
        }
    }
}
