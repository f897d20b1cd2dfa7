//! Clients that mean harm: each loses its own connection and nothing else.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::display::fuzz::{introduction, message};

/// The screen still shows what a well-behaved client paints.
fn works(stage: &mut Stage) {
    let mut client = stage.client();
    let window = client.window();
    let canvas = client.canvas(1, SIZE, GREEN);
    client.show(&window.surface, &canvas, 1);
    client.wait_done(1);
    assert!(is_all(&stage.painted().picture.unwrap(), GREEN));
}

#[test]
fn a_file_that_shrinks_ends_its_client() {
    let mut stage = Stage::open();
    let mut client = stage.client();
    client.seals = false;
    let window = client.window();
    let canvas = client.canvas(1, SIZE, RED);
    client.show(&window.surface, &canvas, 1);
    assert!(is_all(&stage.painted().picture.unwrap(), RED));
    assert_eq!(stage.event(), Stage::mapped());
    canvas.file.set_len(100).unwrap();
    client.show(&window.surface, &canvas, 1);
    let fate = client.fate();
    assert!(fate.contains("wl_buffer"), "{fate}");
    let ScreenEvent::ClientError { message } = stage.event() else { panic!("it is told") };
    assert!(message.contains("cannot be read"), "{message}");
    assert_eq!(stage.event(), ScreenEvent::SurfaceGone);
    works(&mut stage);
}

/// What a client does wrong, and a part of what it is told.
type Crime = (&'static str, fn(&mut Client), &'static str);

#[test]
fn broken_rules_end_their_client() {
    let crimes: &[Crime] = &[
        (
            "a pool larger than its file",
            |client| {
                let file = tempfile::tempfile().unwrap();
                client.shm.create_pool(file.as_fd(), 4096, &client.handle(), ());
            },
            "wl_shm",
        ),
        (
            "a pool that is no file",
            |client| {
                let (one, _other) = UnixStream::pair().unwrap();
                client.shm.create_pool(one.as_fd(), 1, &client.handle(), ());
            },
            "wl_shm",
        ),
        (
            "a pool of negative size",
            |client| {
                let file = tempfile::tempfile().unwrap();
                client.shm.create_pool(file.as_fd(), -1, &client.handle(), ());
            },
            "wl_shm",
        ),
        (
            "a buffer before the configure is acknowledged",
            |client| {
                client.told.obedient = false;
                let window = client.window();
                let canvas = client.canvas(1, SIZE, RED);
                client.show(&window.surface, &canvas, 1);
            },
            "xdg_surface",
        ),
        (
            "a configure that was never sent",
            |client| client.window().xdg.ack_configure(4_000_000),
            "xdg_surface",
        ),
        (
            "two roles",
            |client| {
                let (window, parent) = (client.window(), client.surface());
                let surface = &window.surface;
                client.subcompositor.get_subsurface(surface, &parent, &client.handle(), ());
            },
            "wl_subcompositor",
        ),
        (
            "a surface that is its own parent",
            |client| {
                let surface = client.surface();
                client.subcompositor.get_subsurface(&surface, &surface, &client.handle(), ());
            },
            "wl_subcompositor",
        ),
        (
            "a touch screen that was not offered",
            |client| drop(client.seat.get_touch(&client.handle(), ())),
            "wl_seat",
        ),
        ("a scale of zero", |client| client.surface().set_buffer_scale(0), "wl_surface"),
        (
            "a viewport of no size",
            |client| {
                let surface = client.surface();
                let viewport = client.viewporter.get_viewport(&surface, &client.handle(), ());
                viewport.set_destination(0, 5);
            },
            "wp_viewport",
        ),
    ];
    let mut stage = Stage::open();
    for (what, commit, told) in crimes {
        let mut client = stage.client();
        commit(&mut client);
        let fate = client.fate();
        assert!(fate.contains(told), "{what}: {fate}");
        let event = stage.event();
        assert!(matches!(event, ScreenEvent::ClientError { .. }), "{what}: {event:?}");
    }
    works(&mut stage);
}

#[test]
fn who_hoards_is_disconnected() {
    let mut stage = Stage::open();
    let mut client = stage.client();
    for _ in 0..10_000 {
        client.surface();
    }
    client.fate();
    let ScreenEvent::ClientError { message } = stage.event() else { panic!("it is told") };
    assert!(message.contains("objects"), "{message}");

    let mut client = stage.client();
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    for _ in 0..200 {
        client.shm.create_pool(file.as_fd(), 4096, &client.handle(), ());
    }
    client.fate();
    let ScreenEvent::ClientError { message } = stage.event() else { panic!("it is told") };
    assert!(message.contains("files"), "{message}");

    let crowd: Vec<Client> = (0..16).map(|_| stage.client()).collect();
    let mut late = UnixStream::connect(stage.screen.socket()).unwrap();
    late.set_read_timeout(Some(PATIENT)).unwrap();
    assert_eq!(late.read(&mut [0]).unwrap(), 0, "it was not turned away");
    drop(crowd);
    works(&mut stage);
}

#[test]
fn who_says_nothing_makes_room_for_others() {
    let mut stage = Stage::open();
    let silent: Vec<_> =
        (0..64).map(|_| UnixStream::connect(stage.screen.socket()).unwrap()).collect();
    works(&mut stage);
    let ScreenEvent::ClientError { message } = stage.event() else { panic!("it is told") };
    assert!(message.contains("silent"), "{message}");
    let gone = silent.iter().filter(|stream| {
        stream.set_nonblocking(true).unwrap();
        (&mut &**stream).read(&mut [0; 64]).is_ok()
    });
    assert!(gone.count() >= 64 - 16, "the silent stay");
}

#[test]
fn registries_without_end_are_noticed() {
    let mut stage = Stage::open();
    let mut stream = UnixStream::connect(stage.screen.socket()).unwrap();
    stream.set_read_timeout(Some(PATIENT)).unwrap();
    let mut answers = vec![0; 1 << 20];
    for id in 0..20_000_u32 {
        // wl_display.get_registry, answered with every global.
        if stream.write_all(&message(1, 1, &[id + 2])).is_err() {
            break;
        }
        if stream.read(&mut answers).is_ok_and(|n| n == 0) {
            break;
        }
    }
    let ScreenEvent::ClientError { message } = stage.event() else { panic!("it is told") };
    assert!(message.contains("objects"), "{message}");
    works(&mut stage);
}

#[test]
fn a_small_picture_with_a_huge_stride_is_no_picture() {
    let mut stage = Stage::open();
    let mut client = stage.client();
    let file = tempfile::tempfile().unwrap();
    // A hole: it costs nobody anything until somebody reads it.
    file.set_len(1 << 30).unwrap();
    let pool = client.shm.create_pool(file.as_fd(), 1 << 30, &client.handle(), ());
    let stride = (1 << 30) / SIZE.1 as i32 / 4 * 4;
    let format = wayland_client::protocol::wl_shm::Format::Xrgb8888;
    let (width, height) = (SIZE.0 as i32, SIZE.1 as i32);
    pool.create_buffer(0, width, height, stride, format, &client.handle(), 1);
    let fate = client.fate();
    assert!(fate.contains("wl_shm"), "{fate}");
    assert!(matches!(stage.event(), ScreenEvent::ClientError { .. }));
    works(&mut stage);
}

/// Descriptors that no request asks for are kept by the backend until their client
/// is gone; who has too many is for the recorder to see (`recorder::meeting`).
#[test]
fn descriptors_that_nobody_asked_for_go_with_their_client() {
    let mut stage = Stage::open();
    let (far, near) = UnixStream::pair().unwrap();
    let flooder = UnixStream::connect(stage.screen.socket()).unwrap();
    for _ in 0..8 {
        let descriptors = [near.as_fd(); 28];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(28))];
        let mut ancillary = rustix::net::SendAncillaryBuffer::new(&mut space);
        ancillary.push(rustix::net::SendAncillaryMessage::ScmRights(&descriptors));
        // A byte of a request that is never whole.
        let byte = [std::io::IoSlice::new(&[1])];
        let flags = rustix::net::SendFlags::empty();
        rustix::net::sendmsg(&flooder, &byte, &mut ancillary, flags).unwrap();
    }
    works(&mut stage);
    drop((near, flooder));
    // All copies of the near end are closed: the far end sees its end.
    far.set_read_timeout(Some(PATIENT)).unwrap();
    assert_eq!((&far).read(&mut [0]).unwrap(), 0);
    works(&mut stage);
}

#[test]
fn objects_that_are_given_back_do_not_count() {
    let mut stage = Stage::open();
    let mut client = stage.client();
    for _ in 0..100 {
        for _ in 0..100 {
            client.surface().destroy();
        }
        client.roundtrip();
    }
    works(&mut stage);
}

#[test]
fn nonsense_is_survived() {
    let mut stage = Stage::open();
    let word = prop_oneof![3 => 0u32..24, 1 => any::<u32>(), 1 => Just(0xffff_ffff)];
    let request = (0u32..24, 0u16..12, proptest::collection::vec(word, 0..6))
        .prop_map(|(object, opcode, words)| message(object, opcode, &words));
    // Requests that make surfaces, so that some of the nonsense has a target.
    let sensible = Just([message(3, 0, &[12]), message(8, 2, &[13, 12])].concat());
    // What is known to make the backend panic belongs here as well.
    let null = Just(message(2, 0, &[1, 0, 1, 30]));
    let noise = proptest::collection::vec(any::<u8>(), 0..64);
    let part = prop_oneof![16 => request, 2 => sensible, 2 => noise, 1 => null];
    let input = proptest::collection::vec(part, 0..12);
    let socket = stage.screen.socket().to_path_buf();
    TestRunner::default()
        .run(&input, |parts| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            // It hangs up in the middle of most of these.
            let _ = stream.write_all(&introduction());
            let _ = stream.write_all(&parts.concat());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            Ok(())
        })
        .unwrap();
    works(&mut stage);
}

#[test]
fn a_request_that_makes_the_backend_panic_is_survived() {
    let mut stage = Stage::open();
    for round in 0..3 {
        let mut client = stage.client();
        let window = client.window();
        let canvas = client.canvas(1, SIZE, RED);
        client.show(&window.surface, &canvas, round);
        assert_eq!(stage.event(), Stage::mapped());
        let mut stream = UnixStream::connect(stage.screen.socket()).unwrap();
        // wl_registry.bind with a null string for the interface.
        let bind = [message(1, 1, &[2]), message(2, 0, &[1, 0, 1, 3])].concat();
        stream.write_all(&bind).unwrap();
        assert_eq!(stage.event(), ScreenEvent::SurfaceGone);
        assert!(matches!(stage.event(), ScreenEvent::ClientError { .. }));
        client.fate();
    }
    let ticks: Vec<Tick> = stage.ticks.try_iter().collect();
    let grid = Grid::new(ticks[0].at, FPS);
    assert!(ticks.iter().all(|tick| tick.at == grid.at(tick.index)));
    works(&mut stage);
}

#[test]
fn who_does_not_read_is_disconnected() {
    let mut stage = Stage::open();
    let mut stream = UnixStream::connect(stage.screen.socket()).unwrap();
    // wl_display.sync, each answered twice; the callback's id is free again.
    let flood = message(1, 0, &[2]).repeat(1000);
    let gone = (0..10_000).any(|_| stream.write_all(&flood).is_err());
    assert!(gone, "it was served without end");
    works(&mut stage);
}
