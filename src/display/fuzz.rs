//! What a client may put on the wire, against a display without its thread: the
//! entry of the fuzzer (`fuzz/fuzz_targets/requests.rs`) and of a test that sends
//! spoilt requests.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::sync::mpsc::unbounded_channel;

use super::grid::Grid;
use super::peer::{Counter, Peer};
use super::pulse::Pulse;
use super::run;
use super::state::State;
use crate::clock::Mono;

/// The screen's size; small, so that there is time for many inputs.
pub const SIZE: (u32, u32) = (64, 48);

/// Bytes between two ticks.
const PART: usize = 256;
/// Longest input that is sent whole.
const LONGEST: usize = 64 << 10;

/// Lets a client bind every global (ids 3 to 11, see [`introduction`]), gives it
/// descriptors of four kinds, and has it send `bytes`. Returns how many pictures
/// the screen has shown. What it must not do is panic, hang or grow.
///
/// # Errors
/// If the system gives no descriptors.
pub fn requests(bytes: &[u8]) -> io::Result<usize> {
    let (mut client, ours) = UnixStream::pair()?;
    client.set_nonblocking(true)?;
    let mut display = run::open()?;
    let pictures = Arc::new(AtomicUsize::new(0));
    let shown = Arc::clone(&pictures);
    let sink = Box::new(move |tick: crate::media::Tick| {
        shown.fetch_add(usize::from(tick.picture.is_some()), Ordering::Relaxed);
    });
    let (told, _events) = unbounded_channel();
    let grid = Grid::new(Mono::now(), 30);
    let mut state = State::new(SIZE, false, grid, Pulse::new(2, 4), sink, told.clone());
    let peer = Peer::new(&Counter::default(), told).ok_or(ErrorKind::Other)?;
    display.handle().insert_client(ours, Arc::new(peer))?;

    let files = files()?;
    send(&client, &introduction(), &files)?;
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let mut answer = vec![0; 64 << 10];
    for (index, part) in (0..).zip(bytes.chunks(PART).chain([&[][..]])) {
        // It may have been disconnected: nobody hears it then.
        let _ = client.write_all(part);
        let dispatch = AssertUnwindSafe(|| display.dispatch_clients(&mut state));
        match catch_unwind(dispatch) {
            Ok(dispatched) => drop(dispatched?),
            // The screen's thread goes on with another display.
            Err(panic) if panic.downcast_ref::<&str>().is_some_and(|text| is_survived(text)) => {
                break;
            }
            Err(panic) => resume_unwind(panic),
        }
        state.tick(index);
        display.flush_clients()?;
        while client.read(&mut answer).is_ok_and(|n| n > 0) {}
    }
    Ok(pictures.load(Ordering::Relaxed))
}

/// Twelve descriptors: a file that cannot shrink, one that can, an empty one, and
/// a socket, over and over.
fn files() -> io::Result<Vec<OwnedFd>> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut files = Vec::new();
    for _ in 0..3 {
        let file = |size: u64| {
            let file = memfd_create("fuzz", flags)?;
            ftruncate(&file, size)?;
            Ok::<_, rustix::io::Errno>(file)
        };
        let length = u64::from(SIZE.0 * SIZE.1 * 4);
        let (sealed, open) = (file(length)?, file(length)?);
        // A picture that differs from black.
        File::from(sealed.try_clone()?).write_all(&[0x55; 4096])?;
        fcntl_add_seals(&sealed, SealFlags::SHRINK)?;
        let (socket, _) = UnixStream::pair()?;
        files.extend([sealed, open, file(0)?, socket.into()]);
    }
    Ok(files)
}

fn send(to: &UnixStream, bytes: &[u8], files: &[OwnedFd]) -> io::Result<()> {
    let files: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(12))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(to, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// A Wayland message: object, opcode and arguments (wire format, core spec).
pub fn message(object: u32, opcode: u16, arguments: &[u32]) -> Vec<u8> {
    let size = 8 + arguments.len() as u32 * 4;
    let head = [object, size << 16 | u32::from(opcode)];
    head.iter().chain(arguments).flat_map(|word| word.to_ne_bytes()).collect()
}

/// Binds every global of the screen: ids 3 and up.
pub fn introduction() -> Vec<u8> {
    let globals: [(&str, u32); 9] = [
        ("wl_compositor", 4),
        ("wl_subcompositor", 1),
        ("wl_shm", 1),
        ("wl_output", 3),
        ("wl_seat", 5),
        ("xdg_wm_base", 3),
        ("zxdg_decoration_manager_v1", 1),
        ("wp_viewporter", 1),
        ("wp_presentation", 1),
    ];
    let mut bytes = message(1, 1, &[2]);
    for (n, (name, version)) in (0u32..).zip(globals) {
        let mut text = name.as_bytes().to_vec();
        text.push(0);
        let length = text.len() as u32;
        text.resize(text.len().next_multiple_of(4), 0);
        let words = text.chunks(4).map(|c| u32::from_ne_bytes([c[0], c[1], c[2], c[3]]));
        let mut arguments = vec![n + 1, length];
        arguments.extend(words);
        arguments.extend([version, n + 3]);
        bytes.extend(message(2, 0, &arguments));
    }
    bytes
}

/// Whether that is how the backend panics when a string is null that must not be
/// (wl_registry.bind, xdg_toplevel.set_title). Code of this crate unwraps nothing
/// and has no unreachable place, so its own panics have other words.
pub fn is_survived(panic: &str) -> bool {
    ["called `Option::unwrap()` on a `None` value", "internal error: entered unreachable code"]
        .contains(&panic)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A window with a picture, a subsurface, a viewport and a cursor.
    fn script() -> Vec<Vec<u8>> {
        let (width, height) = SIZE;
        vec![
            message(3, 0, &[12]),
            message(8, 2, &[13, 12]),
            message(13, 1, &[14]),
            message(12, 6, &[]),
            // The first serial there is.
            message(13, 4, &[1]),
            message(5, 0, &[15, width * height * 4]),
            message(15, 0, &[16, 0, width, height, width * 4, 1]),
            message(12, 1, &[16, 0, 0]),
            message(12, 2, &[0, 0, width, height]),
            message(12, 3, &[17]),
            message(11, 1, &[12, 18]),
            message(12, 6, &[]),
            message(3, 0, &[19]),
            message(4, 1, &[20, 19, 12]),
            message(10, 1, &[21, 12]),
            message(21, 2, &[width, height]),
            message(7, 0, &[22]),
            message(3, 0, &[23]),
            message(22, 0, &[1, 23, 0, 0]),
            message(9, 1, &[24, 14]),
            message(8, 1, &[25]),
            message(5, 0, &[26, 4096]),
            message(26, 2, &[8192]),
            message(12, 6, &[]),
            message(14, 11, &[0]),
            message(14, 0, &[]),
        ]
    }

    #[test]
    fn a_well_behaved_client_gets_as_far_as_a_picture() {
        assert_eq!(requests(&script().concat()).unwrap(), 1);
    }

    #[test]
    fn null_strings_are_survived() {
        for null in [message(2, 0, &[1, 0, 1, 30]), message(14, 2, &[0]), message(14, 3, &[0])] {
            let mut script = script();
            // The window closes last.
            script.pop();
            requests(&[script.concat(), null].concat()).unwrap();
        }
    }

    /// What is done to a script: message and word are taken modulo their number.
    #[derive(Debug, Clone)]
    enum Fault {
        Word { message: usize, word: usize, becomes: u32 },
        Byte { at: usize, becomes: u8 },
        Lost(usize),
        Twice(usize),
        Cut(usize),
    }

    fn faults() -> impl Strategy<Value = Vec<Fault>> {
        let number = any::<usize>();
        let value = prop_oneof![4 => 0u32..32, 1 => any::<u32>(), 1 => Just(u32::MAX)];
        let fault = prop_oneof![
            6 => (number, number, value)
                .prop_map(|(message, word, becomes)| Fault::Word { message, word, becomes }),
            1 => (number, any::<u8>()).prop_map(|(at, becomes)| Fault::Byte { at, becomes }),
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
                Fault::Word { message, word, becomes } => {
                    if let Some(message) = script.get_mut(message % count) {
                        let at = word % (message.len() / 4) * 4;
                        message[at..at + 4].copy_from_slice(&becomes.to_ne_bytes());
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
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn spoilt_requests_are_survived(faults in faults()) {
            requests(&spoilt(&faults)).unwrap();
        }

        #[test]
        fn noise_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            requests(&bytes).unwrap();
        }
    }
}
