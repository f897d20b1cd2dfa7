use super::*;
use proptest::prelude::*;

const AIM: Aim = Aim { crf: 25, most: 12_441_600, burst: 17_500_000, fps: 30, macroblocks: 3600 };

/// Codes `frames` pictures of this complexity; the groups, and bits that came.
fn run(quantiser: &mut Quantiser, frames: u32, complexity: f64) -> (Vec<Group>, f64) {
    let (mut groups, mut total) = (vec![quantiser.group()], 0.0);
    for _ in 0..frames {
        if quantiser.length == 120 || quantiser.ends_early() {
            groups.push(quantiser.next());
        }
        let qp = match quantiser.group() {
            Group::Constant(qp) => f64::from(qp),
            Group::Guarded => quantiser.wanted(complexity),
        };
        let mut bits = complexity * f64::from(quantiser.aim.macroblocks) / step(qp);
        let first = quantiser.length == 0;
        if first {
            bits *= 4.0;
        }
        if quantiser.group() == Group::Guarded {
            bits = bits.min(quantiser.aim.most as f64 / f64::from(quantiser.aim.fps));
        }
        quantiser.coded((bits / 8.0) as usize, first);
        total += bits;
    }
    (groups, total)
}

#[test]
fn a_busy_page_is_coarser_and_a_calm_one_finer_within_limits() {
    for (complexity, qp) in
        [(0.0, 21), (1.0, 21), (92.0, 22), (USUAL, 25), (2.0 * USUAL, 27), (4.0 * USUAL, 29)]
    {
        let (groups, _) = run(&mut Quantiser::new(AIM), 600, complexity);
        assert_eq!(groups[groups.len() - 1], Group::Constant(qp), "{complexity}");
        assert_eq!(groups.len(), 5, "{complexity}: none ended early");
    }
}

#[test]
fn what_changes_little_keeps_its_encoder() {
    let mut quantiser = Quantiser::new(AIM);
    run(&mut quantiser, 240, 92.0);
    let before = quantiser.group();
    for complexity in [100.0, 85.0, 95.0, 88.0] {
        let (groups, _) = run(&mut quantiser, 240, complexity);
        assert!(groups.iter().all(|group| *group == before), "{complexity}: {groups:?}");
    }
}

#[test]
fn noise_is_handed_to_the_guard_at_once_and_what_follows_taken_back() {
    let mut quantiser = Quantiser::new(AIM);
    run(&mut quantiser, 250, 20.0);
    let (groups, bits) = run(&mut quantiser, 300, 20_000.0);
    assert!(groups[1..].iter().all(|group| *group == Group::Guarded), "{groups:?}");
    // Ten seconds at the ceiling, and one burst.
    assert!(bits < 12_441_600.0 * 10.0 + 17_500_000.0, "{bits}");
    let (groups, _) = run(&mut quantiser, 60, 20.0);
    assert!(matches!(groups[groups.len() - 1], Group::Constant(..=25)), "{groups:?}");
    run(&mut quantiser, 120, 20.0);
    assert_eq!(quantiser.group(), Group::Constant(21));
}

#[test]
fn busy_pages_below_the_ceiling_are_not_guarded() {
    let mut quantiser = Quantiser::new(AIM);
    run(&mut quantiser, 240, USUAL * 10.0);
    assert_eq!(quantiser.group(), Group::Constant(31));
    run(&mut quantiser, 240, USUAL * 60.0);
    assert_eq!(quantiser.group(), Group::Guarded);
    run(&mut quantiser, 240, USUAL * 10.0);
    assert_eq!(quantiser.group(), Group::Constant(31));
}

#[test]
fn neither_a_detailed_keyframe_nor_a_fine_crf_brings_keyframe_after_keyframe() {
    for (crf, complexity) in [(25, 1.0), (5, 1.0), (5, 92.0), (0, 250.0), (0, 280.0)] {
        let mut quantiser = Quantiser::new(Aim { crf, ..AIM });
        let mut keyframes = 0;
        for _ in 0..600 {
            if quantiser.length == 120 || quantiser.ends_early() {
                quantiser.next();
            }
            let (first, qp) = (quantiser.length == 0, quantiser.wanted(complexity));
            let bits = (complexity * 3600.0 / step(qp)).min(414_720.0);
            quantiser.coded(if first { 1_500_000 } else { (bits / 8.0) as usize }, first);
            keyframes += u32::from(first);
        }
        assert!(keyframes <= 6, "{keyframes} at crf {crf}, complexity {complexity}");
    }
}

/// Mean bits a second of a minute, and how many keyframes it had, of a page that shows
/// `pictures(n)`: its complexity, or `None` for a repeat. x264's ceiling is modelled
/// as the buffer that it is.
fn minute(aim: Aim, gop: u32, pictures: impl Fn(u32) -> Option<f64>) -> (f64, u32) {
    let allowed = aim.most as f64 / f64::from(aim.fps);
    // No picture has more: that of a picture without compression.
    let largest = f64::from(aim.macroblocks) * 256.0 * 12.0;
    let mut quantiser = Quantiser::new(aim);
    let (mut total, mut keyframes, mut room) = (0.0, 0, 0.0);
    for number in 0..60 * aim.fps {
        if quantiser.length == gop || quantiser.ends_early() {
            let before = quantiser.group();
            if quantiser.next() == Group::Guarded && before != Group::Guarded {
                room = aim.burst as f64 * 0.1;
            }
        }
        let keyframe = quantiser.length == 0;
        keyframes += u32::from(keyframe);
        room = (room + allowed).min(aim.burst as f64);
        let Some(complexity) = pictures(number).or(keyframe.then_some(1.0)) else {
            quantiser.repeated();
            continue;
        };
        let (qp, most) = match quantiser.group() {
            Group::Constant(qp) => (f64::from(qp), largest),
            Group::Guarded => (quantiser.wanted(complexity), room),
        };
        let scale = if keyframe { 4.0 } else { 1.0 };
        let bits = scale * complexity * f64::from(aim.macroblocks) / step(qp);
        let bits = bits.min(most);
        room -= bits;
        quantiser.coded((bits / 8.0) as usize, keyframe);
        total += bits;
    }
    (total / 60.0, keyframes)
}

#[test]
fn a_page_that_flashes_stays_at_the_ceiling() {
    let slow = Aim { fps: 10, most: 4_147_200, burst: 14_000_000, ..AIM };
    let large = Aim { most: 27_993_600, burst: 62_500_000, macroblocks: 8160, ..AIM };
    for aim in [AIM, slow, large] {
        for crf in [10, 15, 20, 25] {
            for half in [5, 10, 15, 20, 30, 60] {
                let aim = Aim { crf, ..aim };
                let noise = |n: u32| (n / half).is_multiple_of(2).then_some(20_000.0);
                let (rate, keyframes) = minute(aim, 4 * aim.fps, noise);
                // A burst is not made up for at the end.
                let most = aim.most as f64 + aim.burst as f64 * 1.5 / 60.0;
                assert!(rate < most, "{rate} of {most}: {aim:?}, each {half}");
                assert!(keyframes <= 61, "{keyframes} keyframes: {aim:?}, each {half}");
            }
        }
    }
}

#[test]
fn frequent_detailed_keyframes_stay_at_the_ceiling() {
    let aim = Aim { crf: 15, ..AIM };
    let (rate, _) = minute(aim, 15, |n| (n % 15 == 0).then_some(20_000.0));
    assert!(rate < aim.most as f64 * 1.03, "{rate}");
}

#[test]
fn repeats_make_up_for_a_burst() {
    let mut quantiser = Quantiser::new(AIM);
    run(&mut quantiser, 120, 92.0);
    quantiser.coded(1_500_000, false);
    assert!(quantiser.is_overdue());
    (0..30).for_each(|_| quantiser.repeated());
    assert!(!quantiser.is_overdue());
}

#[test]
fn a_page_that_stands_still_after_much_has_moved_is_fine_again_within_a_second() {
    for complexity in [USUAL * 8.0, 20_000.0] {
        let mut quantiser = Quantiser::new(AIM);
        run(&mut quantiser, 250, complexity);
        let busy = quantiser.group();
        let still = (1..).find(|_| {
            quantiser.repeated();
            quantiser.ends_early()
        });
        assert!(still.is_some_and(|pictures| pictures <= 40), "{still:?}");
        assert_ne!(quantiser.next(), busy);
        run(&mut quantiser, 240, 0.0);
        assert_eq!(quantiser.group(), Group::Constant(21));
    }
}

#[test]
fn a_page_that_moves_by_fits_and_starts_is_seldom_cut_short() {
    let mut quantiser = Quantiser::new(AIM);
    let mut groups = 1;
    for _ in 0..20 {
        for complexity in [USUAL * 8.0, 0.0] {
            groups += run(&mut quantiser, 20, complexity).0.len() - 1;
        }
    }
    // 800 pictures: seven groups, if all are whole.
    assert!(groups <= 14, "{groups}");
}

proptest! {
    #[test]
    fn whatever_comes_it_is_a_quantiser_that_there_is(
        crf in 0_u8..=51,
        sizes in prop::collection::vec(0_usize..3_000_000, 1..400),
        gop in 1_u32..200,
    ) {
        let mut quantiser = Quantiser::new(Aim { crf, ..AIM });
        for size in sizes {
            if quantiser.length == gop || quantiser.ends_early() {
                quantiser.next();
            }
            if let Group::Constant(qp) = quantiser.group() {
                prop_assert!((1..=51).contains(&qp));
            }
            quantiser.coded(size, quantiser.length == 0);
        }
    }
}
