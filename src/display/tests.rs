//! The screen seen by a real client over the real socket.

mod client;
mod hostile;

use std::sync::mpsc;
use std::time::Duration;

use client::{Client, Told};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::grid::Grid;
use super::{PATIENCE, PING_EVERY, Screen, ScreenConfig, ScreenError, ScreenEvent};
use crate::clock::Mono;
use crate::media::{Picture, Tick};

/// Longer than any machine needs; only a failing test waits for it.
const PATIENT: Duration = Duration::from_secs(30);
const SIZE: (u32, u32) = (64, 48);
const FPS: u32 = 60;

const RED: [u8; 3] = [0, 0, 255];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [255, 0, 0];

/// An open screen and what it hands over.
struct Stage {
    screen: Screen,
    ticks: mpsc::Receiver<Tick>,
    events: UnboundedReceiver<ScreenEvent>,
    dir: tempfile::TempDir,
}

impl Stage {
    fn open() -> Self {
        Self::open_with(FPS, PING_EVERY, PATIENCE)
    }

    fn open_with(fps: u32, ping_every: Duration, patience: Duration) -> Self {
        Self::open_as(fps, ping_every, patience, false)
    }

    fn open_as(fps: u32, ping_every: Duration, patience: Duration, blind: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (width, height) = SIZE;
        let config = ScreenConfig { width, height, fps, blind, runtime_dir: dir.path().into() };
        let (sink, ticks) = mpsc::channel();
        let (told, events) = unbounded_channel();
        // The stage may be gone before the thread.
        let sink = Box::new(move |tick| drop(sink.send(tick)));
        let screen = Screen::open_with(config, ping_every, patience, sink, told).unwrap();
        Self { screen, ticks, events, dir }
    }

    fn client(&self) -> Client {
        Client::connect(self.screen.socket())
    }

    fn tick(&self) -> Tick {
        self.ticks.recv_timeout(PATIENT).unwrap()
    }

    /// The next tick that carries a picture.
    fn painted(&self) -> Tick {
        std::iter::repeat_with(|| self.tick()).find(|tick| tick.picture.is_some()).unwrap()
    }

    /// All ticks up to the one with that index.
    fn until(&self, index: u64) -> Vec<Tick> {
        let mut ticks = vec![self.tick()];
        while ticks[ticks.len() - 1].index < index {
            ticks.push(self.tick());
        }
        ticks
    }

    fn event(&mut self) -> ScreenEvent {
        let start = std::time::Instant::now();
        loop {
            if let Ok(event) = self.events.try_recv() {
                return event;
            }
            assert!(start.elapsed() < PATIENT, "no event came");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn mapped() -> ScreenEvent {
        ScreenEvent::Mapped { width: SIZE.0, height: SIZE.1 }
    }
}

/// BT.709 limited range (ITU-T H.273, matrix coefficients 1) of a B, G, R pixel.
fn yuv([b, g, r]: [u8; 3]) -> [f64; 3] {
    let [b, g, r] = [b, g, r].map(|v| f64::from(v) / 255.0);
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    [16.0 + 219.0 * y, 128.0 + 224.0 * (b - y) / 1.8556, 128.0 + 224.0 * (r - y) / 1.5748]
}

fn near(value: u8, ideal: f64) -> bool {
    (f64::from(value) - ideal).abs() <= 1.5
}

fn is_all(picture: &Picture, colour: [u8; 3]) -> bool {
    let [y, u, v] = yuv(colour);
    picture.y.iter().all(|p| near(*p, y))
        && picture.u.iter().all(|p| near(*p, u))
        && picture.v.iter().all(|p| near(*p, v))
}

#[test]
fn pictures_come_in_order_with_their_colours() {
    let mut stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    for (tag, colour) in [(1, RED), (2, GREEN), (3, BLUE), (4, [255; 3]), (5, [0; 3])] {
        let canvas = client.canvas(tag, SIZE, colour);
        client.show(&window.surface, &canvas, tag);
        let tick = stage.painted();
        let picture = tick.picture.unwrap();
        assert_eq!((picture.width, picture.height), SIZE);
        assert!(is_all(&picture, colour), "{colour:?} became {:?}", &picture.y[..4]);
    }
    assert_eq!(stage.event(), Stage::mapped());
}

#[test]
fn blind_it_hands_over_one_picture_and_all_buffers_back() {
    let stage = Stage::open_as(FPS, PING_EVERY, PATIENCE, true);
    let mut client = stage.client();
    let window = client.window();
    let canvas = client.canvas(1, SIZE, RED);
    client.show(&window.surface, &canvas, 1);
    assert!(is_all(&stage.painted().picture.unwrap(), RED));
    for (tag, colour) in [(2, GREEN), (3, BLUE)] {
        let canvas = client.canvas(tag, SIZE, colour);
        client.show(&window.surface, &canvas, tag);
        client.wait(|seen| seen.released.contains(&tag)).unwrap();
    }
    assert!((0..3).all(|_| stage.tick().picture.is_none()));
}

#[test]
fn rows_keep_their_place() {
    let stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    // Neither the offset nor the stride is a round number.
    let shade = |x: u32, y: u32, tag: u32| [(x * 4) as u8, (y * 5) as u8, (x + y + 9 * tag) as u8];
    // Read in place, and copied.
    for (tag, seals) in [(1, true), (2, false)] {
        client.seals = seals;
        let canvas = client.canvas_at(tag, SIZE, 4100, SIZE.0 * 4 + 12, |x, y| {
            let [b, g, r] = shade(x, y, tag);
            [b, g, r, 77]
        });
        client.show(&window.surface, &canvas, tag);
        let picture = stage.painted().picture.unwrap();
        for (x, y) in (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (x, y))) {
            let got = picture.y[(y * SIZE.0 + x) as usize];
            assert!(near(got, yuv(shade(x, y, tag))[0]), "{got} at {x}, {y}");
        }
    }
}

#[test]
fn a_client_paces_itself_on_the_grid() {
    const N: u32 = 20;
    let stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    let canvases = [client.canvas(7, SIZE, RED), client.canvas(8, SIZE, BLUE)];
    for tag in 0..N {
        client.show(&window.surface, &canvases[tag as usize % 2], tag);
        client.wait_done(tag);
    }
    client.wait(|told| told.released.len() == N as usize).unwrap();
    client.wait(|told| told.presented.len() == N as usize).unwrap();
    let Told { done, presented, discarded, .. } = &client.told;
    assert!(discarded.is_empty());
    assert_eq!(done.len(), N as usize);

    let ticks = stage.until(presented[presented.len() - 1].sequence);
    let first = &ticks[0];
    assert_eq!(first.index, 0);
    let grid = Grid::new(first.at, FPS);
    let painted: Vec<&Tick> = ticks.iter().filter(|tick| tick.picture.is_some()).collect();
    assert_eq!(painted.len(), N as usize, "one picture for each commit");
    for (tag, tick) in (0..N).zip(painted) {
        let told = presented[tag as usize];
        assert_eq!(tick.at, grid.at(tick.index), "ticks stay on the grid");
        assert_eq!((told.tag, told.at, told.sequence), (tag, tick.at.0, tick.index));
        assert_eq!(told.refresh, grid.period());
        assert_eq!(done[tag as usize], (tag, (tick.at.0 / 1_000_000) as u32));
    }
    assert!(ticks.windows(2).all(|pair| pair[0].index < pair[1].index));
}

#[test]
fn only_the_newest_of_a_tick_is_shown() {
    let stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    let canvases = [(1, RED), (2, GREEN), (3, BLUE)].map(|(tag, c)| client.canvas(tag, SIZE, c));
    // One write, so that the screen reads them together.
    for (tag, canvas) in (1..).zip(&canvases) {
        client.ask(&window.surface, tag);
        window.surface.attach(Some(&canvas.buffer), 0, 0);
        window.surface.damage(0, 0, 1, 1);
        window.surface.commit();
    }
    client.wait_done(3);
    client.wait(|told| told.released.len() == 3 && !told.presented.is_empty()).unwrap();
    assert_eq!(client.told.discarded, [1, 2]);
    assert_eq!(client.told.presented[0].tag, 3);
    assert_eq!(client.told.done.len(), 3, "a replaced frame is called back as well");
    let tick = stage.painted();
    assert_eq!(tick.superseded, 2);
    assert!(is_all(&tick.picture.unwrap(), BLUE));
}

#[test]
fn what_changes_nothing_is_no_picture() {
    let stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    let (first, second) = (client.canvas(1, SIZE, RED), client.canvas(2, SIZE, RED));
    // The first content counts whatever its damage.
    client.ask(&window.surface, 1);
    window.surface.attach(Some(&first.buffer), 0, 0);
    window.surface.commit();
    client.wait_done(1);
    assert!(is_all(&stage.painted().picture.unwrap(), RED));
    // Only state.
    client.ask(&window.surface, 2);
    window.surface.damage(0, 0, 10, 10);
    window.surface.commit();
    client.wait_done(2);
    // A new buffer that says it shows the same.
    client.ask(&window.surface, 3);
    window.surface.attach(Some(&second.buffer), 0, 0);
    window.surface.damage(5, 5, 0, 10);
    window.surface.commit();
    client.wait_done(3);
    client.wait(|told| told.presented.len() == 3 && told.released == [1, 2]).unwrap();
    let ticks = stage.until(client.told.presented[2].sequence);
    assert!(ticks.iter().all(|tick| tick.picture.is_none() && tick.superseded == 0));
}

#[test]
fn the_same_pixels_painted_again_are_no_new_picture() {
    let stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    let canvases = [(1, RED), (2, RED), (3, BLUE)].map(|(tag, c)| client.canvas(tag, SIZE, c));
    for (tag, canvas) in (1..).zip(&canvases) {
        client.show(&window.surface, canvas, tag);
        client.wait_done(tag);
    }
    client.wait(|told| told.presented.len() == 3).unwrap();
    let ticks = stage.until(client.told.presented[2].sequence);
    let painted: Vec<u64> = ticks.iter().filter(|t| t.picture.is_some()).map(|t| t.index).collect();
    assert_eq!(painted, [0, 2].map(|n| client.told.presented[n].sequence));
}

#[test]
fn unchanged_content_does_not_hide_the_change_before_it() {
    let stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    let [red, green, same] =
        [(1, RED), (2, GREEN), (3, GREEN)].map(|(tag, colour)| client.canvas(tag, SIZE, colour));
    client.show(&window.surface, &red, 1);
    client.wait_done(1);
    stage.painted();
    for (canvas, damage) in [(&green, 1), (&same, 0)] {
        window.surface.attach(Some(&canvas.buffer), 0, 0);
        window.surface.damage(0, 0, damage, damage);
        window.surface.commit();
    }
    client.wait(|told| told.released.len() == 3).unwrap();
    let tick = stage.painted();
    assert!(is_all(&tick.picture.unwrap(), GREEN));
    assert_eq!(tick.superseded, 0, "nothing was lost");
}

#[test]
fn a_wrong_size_is_told_and_not_shown() {
    let mut stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    let (small, right) = (client.canvas(1, (32, 32), RED), client.canvas(2, SIZE, GREEN));
    for tag in [1, 2] {
        client.show(&window.surface, &small, tag);
        client.wait_done(tag);
    }
    client.wait(|told| told.released == [1, 1]).unwrap();
    assert_eq!(client.told.discarded, [1, 2]);
    assert_eq!(stage.event(), ScreenEvent::WrongSize { width: 32, height: 32 });
    client.show(&window.surface, &right, 3);
    assert_eq!(stage.event(), Stage::mapped(), "the same wrong size is told once");
    assert!(is_all(&stage.painted().picture.unwrap(), GREEN));
    // The right buffer, but scaled by the viewport.
    let viewport = client.viewporter.get_viewport(&window.surface, &client.handle(), ());
    viewport.set_destination(32, 24);
    client.show(&window.surface, &right, 4);
    assert_eq!(stage.event(), ScreenEvent::WrongSize { width: SIZE.0, height: SIZE.1 });
    viewport.set_destination(SIZE.0 as i32, SIZE.1 as i32);
    client.show(&window.surface, &right, 5);
    assert_eq!(stage.event(), Stage::mapped());
}

#[test]
fn a_browser_is_replaced_on_the_same_grid() {
    let mut stage = Stage::open();
    for (tag, colour) in [(1, RED), (2, GREEN)] {
        let mut client = stage.client();
        let window = client.window();
        let canvas = client.canvas(tag, SIZE, colour);
        client.show(&window.surface, &canvas, tag);
        client.wait_done(tag);
        assert_eq!(stage.event(), Stage::mapped());
        drop(client);
        assert_eq!(stage.event(), ScreenEvent::SurfaceGone);
    }
    let ticks: Vec<Tick> = stage.ticks.try_iter().collect();
    let grid = Grid::new(ticks[0].at, FPS);
    assert!(ticks.iter().all(|tick| tick.at == grid.at(tick.index)));
    let painted: Vec<_> = ticks.into_iter().filter_map(|tick| tick.picture).collect();
    assert_eq!(painted.len(), 2);
    assert!(is_all(&painted[0], RED) && is_all(&painted[1], GREEN));
}

#[test]
fn other_windows_are_served_but_not_shown() {
    let mut stage = Stage::open();
    let mut client = stage.client();
    let mut other = stage.client();
    let window = client.window();
    let canvas = client.canvas(1, SIZE, RED);
    client.show(&window.surface, &canvas, 1);
    client.wait_done(1);
    assert_eq!(stage.event(), Stage::mapped());
    stage.painted();

    // A window of another connection, a surface without a role, a subsurface.
    let second = other.window();
    assert_eq!(other.told.configures.last(), Some(&(0, 0)), "it chooses its size");
    let green = other.canvas(2, SIZE, GREEN);
    other.show(&second.surface, &green, 2);
    other.show(&other.surface(), &green, 3);
    let child = other.surface();
    other.subcompositor.get_subsurface(&child, &second.surface, &other.handle(), ());
    other.show(&child, &green, 4);
    other.wait(|told| told.done.len() == 3 && told.released.len() == 3).unwrap();
    assert_eq!(other.told.discarded.len(), 3);

    // When the first is gone, a window that was there already is not shown, a
    // window that maps is.
    window.toplevel.destroy();
    window.xdg.destroy();
    client.roundtrip();
    assert_eq!(stage.event(), ScreenEvent::SurfaceGone);
    other.show(&second.surface, &green, 5);
    other.wait_done(5);
    let third = client.window();
    let blue = client.canvas(6, SIZE, BLUE);
    client.show(&third.surface, &blue, 6);
    assert_eq!(stage.event(), Stage::mapped());
    assert!(is_all(&stage.painted().picture.unwrap(), BLUE), "and nothing in between");
}

#[test]
fn an_unmapped_window_can_come_back() {
    let mut stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    let canvas = client.canvas(1, SIZE, RED);
    client.show(&window.surface, &canvas, 1);
    assert_eq!(stage.event(), Stage::mapped());
    window.surface.attach(None, 0, 0);
    window.surface.commit();
    client.roundtrip();
    assert_eq!(stage.event(), ScreenEvent::SurfaceGone);
    // It asks for its size again, here with an explicit null buffer.
    window.surface.attach(None, 0, 0);
    window.surface.commit();
    client.wait(|told| told.configures.len() == 2).unwrap();
    client.show(&window.surface, &canvas, 2);
    assert_eq!(stage.event(), Stage::mapped());
}

#[test]
fn a_window_is_told_to_fill_the_screen() {
    let stage = Stage::open();
    let mut client = stage.client();
    let window = client.window();
    let full = (SIZE.0 as i32, SIZE.1 as i32);
    window.toplevel.set_fullscreen(None);
    window.toplevel.unset_fullscreen();
    window.toplevel.set_maximized();
    window.toplevel.unset_maximized();
    client.wait(|told| told.configures.len() == 5).unwrap();
    assert_eq!(client.told.configures, [full; 5]);
    assert_eq!(client.told.decorations, [2], "server side");
    assert_eq!(client.told.capabilities, Some(1), "a pointer, no touch, no keyboard");
    assert_eq!(client.told.modes, [(full.0, full.1, FPS as i32 * 1000)]);
    let canvas = client.canvas(1, SIZE, RED);
    client.show(&window.surface, &canvas, 1);
    client.wait_done(1);
    stage.screen.close_window();
    client.wait(|told| told.closed).unwrap();
}

#[test]
fn silence_and_its_end_are_told() {
    let mut stage = Stage::open_with(FPS, Duration::from_millis(50), Duration::from_millis(200));
    let mut client = stage.client();
    let window = client.window();
    let canvas = client.canvas(1, SIZE, RED);
    client.show(&window.surface, &canvas, 1);
    assert_eq!(stage.event(), Stage::mapped());
    // The client does not look at its socket.
    let ScreenEvent::Unresponsive { silent_for } = stage.event() else { panic!("it is told") };
    assert!(silent_for >= Duration::from_millis(180));
    client.wait(|told| !told.pings.is_empty()).unwrap();
    client.roundtrip();
    assert_eq!(stage.event(), ScreenEvent::Responsive);
}

#[test]
fn ticks_come_without_any_window() {
    let stage = Stage::open();
    let ticks = stage.until(5);
    assert!(ticks.iter().all(|tick| tick.picture.is_none()));
    assert!(ticks[0].at <= Mono::now());
}

#[test]
fn the_socket_comes_and_goes() {
    let stage = Stage::open();
    let socket = stage.dir.path().join("wayland-0");
    assert_eq!(stage.screen.socket(), socket);
    let config = ScreenConfig {
        width: 64,
        height: 64,
        fps: 30,
        blind: false,
        runtime_dir: stage.dir.path().into(),
    };
    let again = Screen::open(config, Box::new(|_| ()), unbounded_channel().0);
    assert!(matches!(again, Err(ScreenError::Socket { .. })), "a second screen in one place");
    assert!(socket.exists(), "the first keeps its socket");
    drop(stage.screen);
    assert!(!socket.exists());
}

#[test]
fn impossible_screens_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (width, height, fps) in
        [(0, 720, 30), (1281, 720, 30), (1280, 719, 30), (10_000, 720, 30), (1280, 720, 0)]
    {
        let config =
            ScreenConfig { width, height, fps, blind: false, runtime_dir: dir.path().into() };
        let screen = Screen::open(config, Box::new(|_| ()), unbounded_channel().0);
        assert!(matches!(screen, Err(ScreenError::Config { .. })), "{width}x{height}@{fps}");
    }
    let config = ScreenConfig {
        width: 2,
        height: 2,
        fps: 1,
        blind: false,
        runtime_dir: dir.path().join("none"),
    };
    let screen = Screen::open(config, Box::new(|_| ()), unbounded_channel().0);
    assert!(matches!(screen, Err(ScreenError::Socket { .. })));
}
