use super::*;

fn stream(prebuf: i64) -> Stream {
    let buffering = Buffering { max: 20_000, target: 4800, prebuf, request: 240 };
    Stream::new(buffering, false, [1.0; 2], false)
}

fn at(clock: i64) -> Moment {
    let now = Mono(clock.unsigned_abs() * 125_000 / 6);
    Moment { now, clock, grace: Duration::from_millis(300) }
}

/// Frames whose value is their index.
fn ramp(from: i64, count: i64) -> Vec<[f32; 2]> {
    (from..from + count).map(|i| [i as f32; 2]).collect()
}

/// Left samples the stream has played before `clock`.
fn heard(stream: &mut Stream, clock: i64) -> Vec<f32> {
    let mut bus = Bus::new(Mono(0));
    stream.play(clock, &mut bus);
    let mut left = Vec::new();
    bus.emit((clock + 479) / 480 * 480, |block| left.extend(block.samples.iter().step_by(2)));
    left.truncate(usize::try_from(clock).unwrap());
    left
}

#[test]
fn wishes_become_metrics_that_work() {
    for (wish, expected) in [
        ([None; 4], [192_000, 96_000, 95_041, 960]),
        // Chromium's: three buffers of 480, requests of half a buffer.
        ([None, Some(1440), None, Some(240)], [192_000, 2880, 2641, 240]),
        ([Some(0), Some(0), Some(0), Some(0)], [5760, 2880, 0, 1]),
        (
            [Some(1 << 40), Some(1 << 40), Some(1 << 40), Some(1 << 40)],
            [192_000, 192_000, 96_001, 96_000],
        ),
    ] {
        let [max, target, prebuf, request] = wish;
        let b = Buffering::settle(max, target, prebuf, request);
        assert_eq!([b.max, b.target, b.prebuf, b.request], expected, "{wish:?}");
    }
}

#[test]
fn playing_starts_at_the_clock_when_prebuf_is_there() {
    let mut s = stream(100);
    assert_eq!(s.write(Seek::Relative, 0, &ramp(0, 99), 50), 0);
    assert!(!s.start(50));
    s.write(Seek::Relative, 0, &ramp(99, 1), 60);
    assert!(s.start(60));
    assert_eq!((s.read_index(60), s.read_index(75), s.write_index()), (0, 15, 100));
    let left = heard(&mut s, 160);
    assert_eq!(left[..60], vec![0.0; 60]);
    assert_eq!(left[60..], ramp(0, 100).iter().map(|f| f[0]).collect::<Vec<_>>());
}

#[test]
fn a_corked_stream_resumes_at_the_clock_where_it_stopped() {
    let mut s = stream(0);
    s.write(Seek::Relative, 0, &ramp(0, 100), 0);
    assert!(s.start(0));
    let mut bus = Bus::new(Mono(0));
    s.play(40, &mut bus);
    s.cork(true);
    assert!(!s.start(40));
    assert_eq!(s.read_index(1000), 40);
    s.cork(false);
    assert!(s.start(1000));
    s.play(1060, &mut bus);
    let mut left = Vec::new();
    bus.emit(1440, |block| left.extend(block.samples.iter().step_by(2).copied()));
    assert_eq!(left[39..41], [39.0, 0.0]);
    assert_eq!(left[999..1002], [0.0, 40.0, 41.0]);
    assert_eq!(left[1059..1061], [99.0, 0.0]);
}

#[test]
fn seeks_write_where_they_say() {
    for (seek, offset, at) in [
        (Seek::Relative, 0, 100),
        (Seek::Relative, 5, 105),
        (Seek::Relative, -50, 50),
        (Seek::Absolute, 60, 60),
        (Seek::RelativeToRead, 10, 30),
        (Seek::RelativeToEnd, 7, 107),
    ] {
        let mut s = stream(0);
        s.write(Seek::Relative, 0, &ramp(0, 100), 0);
        s.start(0);
        let mut expected: Vec<f32> = (0..20).map(|i| i as f32).collect();
        assert_eq!(heard(&mut s, 20), expected);
        s.write(seek, offset, &[[-1.0; 2]; 10], 20);
        assert_eq!(s.write_index(), at + 10, "{seek:?} {offset}");
        expected.extend((20..200).map(|i| match i {
            _ if (at..at + 10).contains(&i) => -1.0,
            0..100 => i as f32,
            _ => 0.0,
        }));
        // `heard` begins a new bus: what was played before is not in it.
        expected[..20].fill(0.0);
        assert_eq!(heard(&mut s, 200), expected, "{seek:?} {offset}");
    }
}

#[test]
fn what_has_played_is_not_written_again() {
    let mut s = stream(0);
    s.write(Seek::Relative, 0, &ramp(0, 100), 0);
    s.start(0);
    heard(&mut s, 50);
    assert_eq!(s.write(Seek::Absolute, 0, &[[9.0; 2]; 60], 50), 0);
    let left = heard(&mut s, 100);
    assert_eq!(left[..50], vec![0.0; 50]);
    assert_eq!(left[50..60], vec![9.0; 10]);
    assert_eq!(left[60], 60.0);
}

#[test]
fn more_than_the_buffer_holds_is_refused() {
    let mut s = stream(0);
    assert_eq!(s.write(Seek::Relative, 0, &ramp(0, 20_500), 0), 500);
    assert_eq!(s.pending.len(), 20_000);
    assert_eq!(s.write(Seek::Absolute, i64::MAX, &ramp(0, 10), 0), 10);
    assert_eq!(s.write(Seek::Absolute, i64::MIN, &ramp(0, 10), 0), 0);
    assert_eq!(s.pending.len(), 20_000);
}

#[test]
fn the_clock_asks_whether_or_not_data_came() {
    let mut s = stream(0);
    assert_eq!(s.request(at(0)), None, "asked for all of it when it was made");
    s.write(Seek::Relative, 0, &ramp(0, 4800), 0);
    s.start(0);
    assert_eq!(s.request(at(239)), None);
    assert_eq!(s.request(at(480)), Some(480));
    assert_eq!(s.request(at(960)), Some(480));
    assert_eq!(s.request(at(9600)), Some(8640));
    // What a client writes beyond that it counts against the next requests
    // itself, as libpulse does.
    s.write(Seek::Relative, 0, &ramp(4800, 10_000), 9600);
    assert_eq!(s.request(at(9800)), None);
    assert_eq!(s.request(at(9840)), Some(240));
}

#[test]
fn a_flush_asks_for_what_it_threw_away() {
    let mut s = stream(100);
    s.write(Seek::Relative, 0, &ramp(0, 4800), 0);
    s.start(0);
    heard(&mut s, 1000);
    s.request(at(1000));
    s.flush();
    assert_eq!((s.read_index(2000), s.write_index()), (1000, 1000));
    assert!(!s.start(2000), "prebuf counts again");
    assert_eq!(s.request(at(2000)), Some(3800));
}

#[test]
fn late_data_is_waited_for_from_the_request_on() {
    let mut s = stream(0);
    s.write(Seek::Relative, 0, &ramp(0, 4800), 0);
    s.start(0);
    assert_eq!(s.settled(at(4800)), 4800, "all there");
    heard(&mut s, 4800);
    assert_eq!(s.settled(at(4801)), 4800, "the next frame is missing");
    assert_eq!(s.settled(at(4800 + 14_400)), 4800);
    assert_eq!(s.settled(at(4800 + 14_500)), 4900, "waited for long enough");
    assert_eq!(s.missing(0, 4900), 100);
    // Asked only now, because this process slept: the wait begins now.
    s.request(at(40_000));
    assert_eq!(s.settled(at(40_000)), 4800);
    assert_eq!(s.settled(at(40_000 + 14_399)), 4800);
    assert_eq!(s.settled(at(40_000 + 14_400)), 40_000);
    s.excuse(Duration::from_millis(10));
    assert_eq!(s.settled(at(40_000 + 14_400)), 4800);
}

#[test]
fn a_drain_ends_with_the_last_frame() {
    let mut s = stream(1000);
    assert_eq!(s.drain(7), None);
    assert_eq!(s.drained(0), Some(7), "nothing to play");
    s.write(Seek::Relative, 0, &ramp(0, 100), 0);
    assert!(!s.start(0));
    s.drain(8);
    assert_eq!(s.drained(0), None);
    assert!(s.start(0), "a drain does not wait for prebuf");
    heard(&mut s, 99);
    assert_eq!(s.drained(99), None);
    assert_eq!(s.settled(at(500)), 500, "no more is expected");
    heard(&mut s, 100);
    assert_eq!(s.drained(100), Some(8));
    assert!(!s.playing());
}
