//! Messages on the wire of the PulseAudio native protocol: cutting the byte
//! stream into messages, and refusing what the parser must not see.
//!
//! A message is a descriptor of 20 bytes (length, channel, offset, flags, all
//! big-endian; `pulsecore/pstream.c`) and a payload: a tagstruct for channel
//! -1, else samples for a stream. Knows nothing of what commands mean.

use std::io::{self, ErrorKind, Read, Write};

use pulseaudio::protocol::{Command, DESCRIPTOR_SIZE, ProtocolError, PulseError};

/// Longest payload taken; libpulse cuts samples at 64 KiB.
const LONGEST: usize = 1 << 20;
/// Replies a client may leave unread beyond what its socket holds.
const UNREAD: usize = 64 * 1024;
const CHUNK: usize = 16 * 1024;

/// A client broke the rules of the wire: its connection must end.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Violation {
    /// Zero or more than 1 MiB.
    #[error("payload of {0} bytes")]
    Length(u32),
    /// Shared memory, which the handshake refused, or an unknown seek mode.
    #[error("descriptor flags {0:#x}")]
    Flags(u32),
    /// Not a tagstruct, or one whose lengths lie.
    #[error("malformed command")]
    Malformed,
    /// Samples that are not whole frames, or a byte offset inside one.
    #[error("samples not aligned to frames")]
    Unaligned,
    /// The client asks, and does not read the answers.
    #[error("replies not read")]
    Deaf,
    /// A version below 13.
    #[error("protocol version {0}")]
    Version(u16),
    /// Our own reply could not be put on the wire.
    #[error("reply not encodable")]
    Reply,
}

impl From<ProtocolError> for Violation {
    fn from(_: ProtocolError) -> Self {
        Self::Reply
    }
}

/// From where a write's offset counts (`pa_seek_mode_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seek {
    Relative,
    Absolute,
    RelativeToRead,
    RelativeToEnd,
}

/// One message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// A tagstruct.
    Command(&'a [u8]),
    /// Samples; `offset` in bytes.
    Samples { channel: u32, seek: Seek, offset: i64, bytes: &'a [u8] },
}

/// Bytes a client sent that are not worked off yet: less than one message and
/// one read, whatever the client does.
#[derive(Default)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Start of the first message in `bytes`.
    start: usize,
}

impl Inbox {
    /// Reads once from `source`; `Ok(0)` is the end of the connection.
    pub(super) fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.bytes.drain(..self.start);
        self.start = 0;
        let used = self.bytes.len();
        if used < CHUNK {
            self.bytes.shrink_to(4 * CHUNK);
        }
        self.bytes.resize(used + CHUNK, 0);
        let read = source.read(&mut self.bytes[used..]);
        self.bytes.truncate(used + *read.as_ref().unwrap_or(&0));
        read
    }

    /// The next complete message, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Message<'_>>, Violation> {
        let rest = &self.bytes[self.start..];
        let Some((head, rest)) = rest.split_first_chunk::<DESCRIPTOR_SIZE>() else {
            return Ok(None);
        };
        let word = |i: usize| u32::from_be_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]);
        let (length, channel, flags) = (word(0), word(4), word(16));
        let offset = (u64::from(word(8)) << 32 | u64::from(word(12))).cast_signed();
        let size = length as usize;
        if size == 0 || size > LONGEST {
            return Err(Violation::Length(length));
        }
        let seek = match flags {
            0 => Seek::Relative,
            1 => Seek::Absolute,
            2 => Seek::RelativeToRead,
            3 => Seek::RelativeToEnd,
            _ => return Err(Violation::Flags(flags)),
        };
        let Some(payload) = rest.get(..size) else { return Ok(None) };
        self.start += DESCRIPTOR_SIZE + size;
        Ok(Some(match channel {
            u32::MAX => Message::Command(payload),
            _ => Message::Samples { channel, seek, offset, bytes: payload },
        }))
    }
}

/// Bytes a client has not taken yet.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Where the next message is to be appended.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes what `to` takes now.
    pub(super) fn flush(&mut self, to: &mut impl Write) -> io::Result<()> {
        let mut sent = 0;
        let result = loop {
            if sent == self.bytes.len() {
                break Ok(());
            }
            match to.write(&self.bytes[sent..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(n) => sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => (),
                Err(e) => break Err(e),
            }
        };
        self.bytes.drain(..sent);
        result
    }

    /// Whether the client has stopped reading.
    pub(super) fn overdue(&self) -> bool {
        self.bytes.len() > UNREAD
    }
}

/// A command's sequence number, and the command or the error to answer with.
pub(super) fn command(
    payload: &[u8],
    version: u16,
) -> Result<(u32, Result<Command, PulseError>), Violation> {
    // Command and sequence number, each a tagged u32.
    let &[b'L', _, _, _, _, b'L', a, b, c, d, ..] = payload else {
        return Err(Violation::Malformed);
    };
    if !well_formed(payload) {
        return Err(Violation::Malformed);
    }
    let sequence = u32::from_be_bytes([a, b, c, d]);
    let mut rest = payload;
    let parsed = Command::read_tag_prefixed(&mut rest, version).map(|(_, command)| command);
    Ok((sequence, parsed.map_err(|_| PulseError::NotSupported)))
}

/// Whether `rest` is a sequence of tagged values whose lengths are true
/// (`pulsecore/tagstruct.c`). The parser allocates what a length field says and
/// multiplies the microseconds of a time, so it gets to see neither unchecked.
fn well_formed(mut rest: &[u8]) -> bool {
    while let Some((&tag, value)) = rest.split_first() {
        let size = match tag {
            b'N' | b'0' | b'1' | b'P' | b'f' => Some(0),
            b'B' => Some(1),
            b'L' | b'V' => Some(4),
            b'a' => Some(6),
            b'R' | b'r' | b'U' => Some(8),
            b't' => value.iter().position(|b| *b == 0).map(|end| end + 1),
            b'm' => value.first().map(|channels| 1 + usize::from(*channels)),
            b'v' => value.first().map(|channels| 1 + 4 * usize::from(*channels)),
            b'x' => be_u32(value).map(|length| 4 + length as usize),
            b'T' => value.get(4..).and_then(be_u32).filter(|us| *us < 1_000_000).map(|_| 8),
            _ => None,
        };
        match size.and_then(|size| value.get(size..)) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    true
}

fn be_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|b| u32::from_be_bytes(*b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulseaudio::protocol::{AuthParams, Props, write_command_message, write_memblock};

    use super::*;

    fn header(length: u32, channel: u32, flags: u32) -> Vec<u8> {
        [length, channel, 0, 0, flags].iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    fn auth() -> Command {
        let cookie = vec![7; 256];
        Command::Auth(AuthParams { version: 35, supports_shm: true, supports_memfd: true, cookie })
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let mut wire = Vec::new();
        write_command_message(&mut wire, 5, &auth(), 35).unwrap();
        let samples: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
        write_memblock(&mut wire, 3, &samples, 8).unwrap();
        write_command_message(&mut wire, 6, &Command::GetServerInfo, 35).unwrap();
        proptest!(|(cuts in proptest::collection::vec(1..30_000_usize, 1..20))| {
            let (mut inbox, mut seen, mut rest) = (Inbox::default(), 0, wire.as_slice());
            for cut in cuts.iter().cycle() {
                let (mut now, later) = rest.split_at((*cut).min(rest.len()));
                rest = later;
                while !now.is_empty() {
                    inbox.fill(&mut now).unwrap();
                    while let Some(message) = inbox.next().unwrap() {
                        match (seen, message) {
                            (0 | 2, Message::Command(payload)) => {
                                let (sequence, parsed) = command(payload, 35).unwrap();
                                prop_assert_eq!(sequence, 5 + seen / 2);
                                prop_assert!(parsed.is_ok());
                            }
                            (1, Message::Samples { channel, seek, offset, bytes }) => {
                                prop_assert_eq!((channel, seek, offset), (3, Seek::Relative, 8));
                                prop_assert!(bytes == samples);
                            }
                            (_, other) => prop_assert!(false, "{:?} at {}", other, seen),
                        }
                        seen += 1;
                    }
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(seen, 3);
        });
    }

    #[test]
    fn bad_descriptors_end_the_connection() {
        for (bytes, expected) in [
            (header(0, 0, 0), Violation::Length(0)),
            (header(u32::MAX, 0, 0), Violation::Length(u32::MAX)),
            (header((1 << 20) + 1, 0, 0), Violation::Length((1 << 20) + 1)),
            (header(8, 0, 4), Violation::Flags(4)),
            (header(24, 0, 0x8000_0000), Violation::Flags(0x8000_0000)),
        ] {
            let mut inbox = Inbox::default();
            inbox.fill(&mut bytes.as_slice()).unwrap();
            assert_eq!(inbox.next(), Err(expected));
        }
    }

    #[test]
    fn a_message_without_end_holds_bounded_memory() {
        let mut inbox = Inbox::default();
        inbox.fill(&mut header(1 << 20, 0, 0).as_slice()).unwrap();
        for _ in 0..(1 << 20) / CHUNK - 1 {
            inbox.fill(&mut [0; CHUNK].as_slice()).unwrap();
            assert_eq!(inbox.next(), Ok(None));
        }
        inbox.fill(&mut [0; CHUNK].as_slice()).unwrap();
        assert!(matches!(inbox.next(), Ok(Some(Message::Samples { .. }))));
        inbox.fill(&mut [].as_slice()).unwrap();
        assert!(inbox.bytes.capacity() <= 4 * CHUNK, "{}", inbox.bytes.capacity());
    }

    #[test]
    fn lying_lengths_never_reach_the_parser() {
        let head = [b'L', 0, 0, 0, 8, b'L', 0, 0, 0, 1];
        for (tail, fine) in [
            (&[b'x', 0, 0, 0, 1, 9][..], true),
            (&[b'x', 0xff, 0xff, 0xff, 0xff][..], false),
            (&[b'x', 0, 0, 0, 2, 9][..], false),
            (&[b'T', 0, 0, 0, 1, 0, 0x0f, 0x42, 0x3f][..], true),
            (&[b'T', 0, 0, 0, 1, 0, 0x0f, 0x42, 0x40][..], false),
            (b"tno end", false),
            (b"tend\0", true),
            (&[b'm', 2, 1, 2][..], true),
            (&[b'm', 3, 1, 2][..], false),
            (&[b'v', 1, 0, 1, 0][..], false),
            (&[0x99][..], false),
        ] {
            let payload = [&head[..], tail].concat();
            assert_eq!(well_formed(&payload), fine, "{tail:?}");
            assert_eq!(command(&payload, 35).is_ok(), fine, "{tail:?}");
        }
    }

    #[test]
    fn unknown_commands_are_answered() {
        for tag in [54_u32, 103, 5000] {
            let mut payload = vec![b'L'];
            payload.extend(tag.to_be_bytes());
            payload.extend([b'L', 0, 0, 0, 9]);
            assert_eq!(command(&payload, 35), Ok((9, Err(PulseError::NotSupported))));
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            start in 0..110_u32,
        ) {
            let _ = command(&bytes, 35);
            let mut payload = vec![b'L'];
            payload.extend(start.to_be_bytes());
            payload.extend([b'L', 0, 0, 0, 1]);
            payload.extend(&bytes);
            let _ = command(&payload, 35);
        }

        #[test]
        fn broken_commands_never_panic(at in 0..400_usize, with in any::<u8>(), cut in 0..400_usize) {
            let mut props = Props::new();
            props.set_bytes(c"application.name", b"x\0");
            for known in [auth(), Command::SetClientName(props)] {
                let mut wire = Vec::new();
                write_command_message(&mut wire, 1, &known, 35).unwrap();
                let mut payload = wire.split_off(DESCRIPTOR_SIZE);
                let len = payload.len();
                payload[at % len] = with;
                payload.truncate(len - cut % len);
                let _ = command(&payload, 35);
            }
        }
    }
}
