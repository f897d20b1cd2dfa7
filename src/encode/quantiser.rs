//! How coarse the next group of pictures is: constant quality in the sense of x264's
//! constant rate factor, without its look at every picture beforehand.
//!
//! Within a group all pictures have one quantiser. Between groups it follows what the
//! pictures before took: a busy page gets a coarser one, as nobody sees detail in what
//! moves, a calm one a finer one. A group ends early where bits flow faster than the
//! ceiling allows, and where a page has become calm that was busy. Used by `video`; pure.

/// A quantiser parameter (QP) of H.264: its step doubles with every six (ITU-T H.264,
/// 8.5.9).
const DOUBLES: f64 = 6.0;

/// The lowest that is lossy: 0 is another profile. The highest there is.
const RANGE: std::ops::RangeInclusive<f64> = 1.0..=51.0;

/// Complexity at which the quantiser is the constant rate factor itself: half as busy
/// again as a call with four people who fill the picture.
const USUAL: f64 = 220.0;

/// How much of a difference in complexity becomes bits; the rest becomes coarseness.
/// x264's `qcomp`.
const BITS: f64 = 0.6;

/// How far the quantiser may be from the constant rate factor by complexity alone.
const FINER: f64 = 4.0;
const COARSER: f64 = 10.0;

/// Before anything is known: as for a call.
const FIRST: f64 = -3.0;

/// A difference that is not worth another encoder.
const SLACK: f64 = 0.75;

/// A difference that is not left to see until a keyframe is due: twice the step.
const GLARING: f64 = 6.0;

/// Seconds of pictures that complexity is the mean of.
const MEMORY: f64 = 1.0;

/// Seconds that have to be calm before a page counts as calm, and between two
/// keyframes where none is due.
const CALM: f64 = 0.5;

/// Quantiser step of keyframes against that of the pictures between them. What does
/// not move (a wall, a slide) is skipped until the next keyframe and stays as good as
/// the last one was, so bits are best spent there: what lookahead does for encoders
/// that can wait.
const KEYFRAME_SCALE: f64 = 1.0 / 3.0;

/// Pictures from a keyframe on before a group can end early: they tell how coarse the
/// next one has to be.
const LEAST: u32 = 5;

/// What one group is coded with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    /// Quantiser parameter of all pictures but the keyframe.
    pub qp: u8,
    /// Step of the keyframe against theirs.
    pub keyframe: f64,
}

/// What is to be kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    /// The constant rate factor.
    pub crf: u8,
    /// Bits a second at most, over some time.
    pub most: u64,
    /// Bits that may come at once above that.
    pub burst: u64,
    pub fps: u32,
    /// Macroblocks of a picture.
    pub macroblocks: u32,
}

#[derive(Debug)]
pub(super) struct Quantiser {
    aim: Aim,
    group: Group,
    /// Mean of bits a macroblock times the quantiser step, which for one content is
    /// nearly the same at every step.
    complexity: f64,
    /// The same of the newest few pictures: quick to rise, slower to fall.
    newest: f64,
    /// Pictures that `complexity` is the mean of, as far as it remembers.
    seen: f64,
    /// Bits above the ceiling that are not made up for yet.
    excess: f64,
    /// Pictures of this group, repeats included.
    length: u32,
}

impl Quantiser {
    pub(super) fn new(aim: Aim) -> Self {
        let qp = (f64::from(aim.crf) + FIRST).clamp(*RANGE.start(), *RANGE.end());
        let group = Group { qp: qp.round() as u8, keyframe: KEYFRAME_SCALE };
        Self { aim, group, complexity: 0.0, newest: 0.0, seen: 0.0, excess: 0.0, length: 0 }
    }

    /// Of the group under way.
    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// A picture of this many bytes was coded.
    pub(super) fn coded(&mut self, bytes: usize, keyframe: bool) {
        let bits = bytes as f64 * 8.0;
        if !keyframe {
            let step = step(f64::from(self.group.qp));
            self.learn(bits / f64::from(self.aim.macroblocks) * step);
        }
        self.passed(bits);
    }

    /// A picture repeated the one before, for nothing.
    pub(super) fn repeated(&mut self) {
        self.learn(0.0);
        self.passed(0.0);
    }

    fn learn(&mut self, found: f64) {
        let fps = f64::from(self.aim.fps);
        self.seen = (self.seen + 1.0).min((MEMORY * fps).max(1.0));
        self.complexity += (found - self.complexity) / self.seen;
        let newest = if found > self.newest { f64::from(LEAST) } else { CALM * fps / 2.0 };
        self.newest += (found - self.newest) / newest.max(1.0);
    }

    fn passed(&mut self, bits: f64) {
        self.length += 1;
        self.excess = (self.excess + bits - self.most() / f64::from(self.aim.fps)).max(0.0);
    }

    /// The group is to end although no keyframe is due.
    pub(super) fn ends_early(&self) -> bool {
        self.is_overdue() || self.is_too_coarse()
    }

    /// Far more bits came than may.
    fn is_overdue(&self) -> bool {
        self.length >= LEAST && self.excess > self.limit()
    }

    /// What was busy is calm, and looks worse than it need.
    fn is_too_coarse(&self) -> bool {
        let (wanted, _) = self.wanted(self.newest, self.most());
        self.newest < USUAL
            && f64::from(self.length) >= CALM * f64::from(self.aim.fps)
            && f64::from(self.group.qp) - wanted >= GLARING
    }

    /// Bits a second.
    fn most(&self) -> f64 {
        self.aim.most as f64
    }

    /// Half of what may come at once: the next keyframe comes on top.
    fn limit(&self) -> f64 {
        self.aim.burst as f64 / 2.0
    }

    /// The quantiser for content of this complexity at no more than `pace` bits a
    /// second, and whether it is as coarse as that for the sake of the pace.
    fn wanted(&self, complexity: f64, pace: f64) -> (f64, bool) {
        let complexity = complexity.max(f64::MIN_POSITIVE);
        let offset = DOUBLES * (1.0 - BITS) * (complexity / USUAL).log2();
        let by_quality = f64::from(self.aim.crf) + offset.clamp(-FINER, COARSER);
        let blocks = f64::from(self.aim.macroblocks) * f64::from(self.aim.fps);
        let by_pace = DOUBLES * (complexity * blocks / pace).log2();
        (by_quality.max(by_pace).clamp(*RANGE.start(), *RANGE.end()), by_pace > by_quality)
    }

    /// Begins a group; what it is coded with.
    pub(super) fn next(&mut self) -> Group {
        let (overdue, calmed) = (self.is_overdue(), self.is_too_coarse());
        self.length = 0;
        if self.seen == 0.0 {
            return self.group;
        }
        // What came or went so suddenly is what there is to code.
        if overdue {
            self.complexity = self.complexity.max(self.newest);
        } else if calmed {
            self.complexity = self.complexity.min(self.newest);
        }
        // Half the ceiling while there is something to make up for.
        let pace = if overdue { 0.5 } else { 1.0 } * self.most();
        let (mut wanted, bound) = self.wanted(self.complexity, pace);
        let before = f64::from(self.group.qp);
        if overdue {
            // Whatever the estimate says, this was too fine.
            wanted = wanted.max(before + 1.0).min(*RANGE.end());
            self.excess = self.limit() / 2.0;
        } else if !calmed {
            // At a coarse step noise takes less than its complexity says, and would
            // seem calmer than it is.
            wanted = wanted.max(before - GLARING);
        }
        if (wanted - before).abs() > SLACK {
            self.group.qp = wanted.round() as u8;
        }
        // Where bits are short, a keyframe gets no more of them than the rest.
        self.group.keyframe = if bound || overdue { 1.0 } else { KEYFRAME_SCALE };
        self.group
    }
}

/// The step of a quantiser parameter, in steps of parameter 0.
fn step(qp: f64) -> f64 {
    (qp / DOUBLES).exp2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AIM: Aim =
        Aim { crf: 25, most: 12_441_600, burst: 17_500_000, fps: 30, macroblocks: 3600 };

    /// Bytes of a picture of this complexity.
    fn bytes(complexity: f64, aim: Aim, qp: u8) -> usize {
        (complexity * f64::from(aim.macroblocks) / step(f64::from(qp)) / 8.0) as usize
    }

    /// Groups of `gop` pictures of this complexity until `frames` are coded; the
    /// groups, and bits that came.
    fn run(quantiser: &mut Quantiser, gop: u32, frames: u32, complexity: f64) -> (Vec<Group>, f64) {
        let (mut groups, mut bits) = (vec![quantiser.group()], 0.0);
        for _ in 0..frames {
            if quantiser.length == gop || quantiser.ends_early() {
                groups.push(quantiser.next());
            }
            let first = quantiser.length == 0;
            let Group { qp, keyframe } = quantiser.group();
            // What a keyframe takes more than another picture: more if it is finer.
            let factor = if first { 1.5 / keyframe } else { 1.0 };
            let size = (bytes(complexity, quantiser.aim, qp) as f64 * factor) as usize;
            quantiser.coded(size, first);
            bits += size as f64 * 8.0;
        }
        (groups, bits)
    }

    #[test]
    fn a_busy_page_is_coarser_and_a_calm_one_finer_within_limits() {
        for (complexity, qp) in
            [(0.0, 21), (1.0, 21), (92.0, 22), (USUAL, 25), (2.0 * USUAL, 27), (4.0 * USUAL, 30)]
        {
            let (groups, _) = run(&mut Quantiser::new(AIM), 120, 600, complexity);
            let last = groups[groups.len() - 1];
            assert_eq!(last, Group { qp, keyframe: KEYFRAME_SCALE }, "{complexity}");
            assert_eq!(groups.len(), 5, "{complexity}: none ended early");
        }
    }

    #[test]
    fn what_changes_little_keeps_its_encoder() {
        let mut quantiser = Quantiser::new(AIM);
        run(&mut quantiser, 120, 240, 92.0);
        let before = quantiser.group();
        for complexity in [100.0, 85.0, 95.0, 88.0] {
            let (groups, _) = run(&mut quantiser, 120, 240, complexity);
            assert!(groups.iter().all(|group| *group == before), "{complexity}: {groups:?}");
        }
    }

    #[test]
    fn noise_ends_its_group_early_and_is_kept_to_the_ceiling_from_there() {
        let mut quantiser = Quantiser::new(AIM);
        run(&mut quantiser, 120, 250, 20.0);
        let (groups, bits) = run(&mut quantiser, 120, 300, 10_000.0);
        assert_eq!(groups[1].keyframe, 1.0, "{groups:?}");
        // Ten seconds at the ceiling, and one burst.
        assert!(bits < 12_441_600.0 * 10.0 + 17_500_000.0, "{bits}");
        // And back again.
        let (groups, _) = run(&mut quantiser, 120, 600, 20.0);
        assert_eq!(groups[groups.len() - 1], Group { qp: 21, keyframe: KEYFRAME_SCALE });
    }

    #[test]
    fn repeats_make_up_for_a_burst() {
        let mut quantiser = Quantiser::new(AIM);
        run(&mut quantiser, 120, 120, 92.0);
        quantiser.coded(1_500_000, false);
        assert!(quantiser.is_overdue());
        (0..30).for_each(|_| quantiser.repeated());
        assert!(!quantiser.is_overdue());
    }

    #[test]
    fn a_page_that_stands_still_after_much_has_moved_is_fine_again_within_a_second() {
        for complexity in [USUAL * 8.0, 10_000.0] {
            let mut quantiser = Quantiser::new(AIM);
            run(&mut quantiser, 120, 250, complexity);
            let busy = quantiser.group().qp;
            assert!(busy >= 31, "{busy}");
            let still = (1..).find(|_| {
                quantiser.repeated();
                quantiser.ends_early()
            });
            assert!(still.is_some_and(|pictures| pictures <= 30), "{still:?}");
            let fine = Group { qp: 21, keyframe: KEYFRAME_SCALE };
            assert!(quantiser.next().qp <= busy - 6);
            run(&mut quantiser, 120, 240, 0.0);
            assert_eq!(quantiser.group(), fine);
        }
    }

    #[test]
    fn a_group_that_moves_by_fits_and_starts_is_seldom_cut_short() {
        let mut quantiser = Quantiser::new(AIM);
        let mut groups = 1;
        for _ in 0..20 {
            for complexity in [USUAL * 8.0, 0.0] {
                groups += run(&mut quantiser, 120, 20, complexity).0.len() - 1;
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
            let mut number = 0;
            for size in sizes {
                if number == gop || quantiser.ends_early() {
                    let Group { qp, keyframe } = quantiser.next();
                    prop_assert!((1..=51).contains(&qp));
                    prop_assert!(keyframe == 1.0 || keyframe == KEYFRAME_SCALE);
                    number = 0;
                }
                quantiser.coded(size, number == 0);
                number += 1;
            }
        }
    }
}
