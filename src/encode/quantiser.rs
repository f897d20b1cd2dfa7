//! How coarse the next group of pictures is: constant quality in the sense of x264's
//! constant rate factor, without its look at every picture beforehand.
//!
//! Within a group all pictures have one quantiser. Between groups it follows what the
//! pictures before took: a busy page gets a coarser one, as nobody sees detail in what
//! moves, a calm one a finer one. A group ends early where bits flow faster than the
//! ceiling allows (x264's own rate control, which guards it, has the next one), and
//! where a page has become calm that was busy. Used by `video`; pure.

/// A quantiser parameter (QP) of H.264: its step doubles with every six (ITU-T H.264,
/// 8.5.9).
const DOUBLES: f64 = 6.0;

/// The lowest that is lossy: 0 is another profile. The highest there is.
const RANGE: std::ops::RangeInclusive<f64> = 1.0..=51.0;

/// Complexity at which the quantiser is the constant rate factor itself: about three
/// times that of a call with four people who fill the picture.
const USUAL: f64 = 290.0;

/// How much of a difference in complexity becomes bits; the rest becomes coarseness.
/// What x264's `qcomp` is, which is 0.6 of another measure of complexity: with 0.7 of
/// this one calls, scrolled text and full-screen motion get about what x264 gives them.
const BITS: f64 = 0.7;

/// How far the quantiser may be from the constant rate factor.
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

/// Seconds that a group lasts at least before it ends for being too coarse.
const CALM: f64 = 0.5;

/// Pictures that show what came suddenly.
const SUDDEN: f64 = 5.0;

/// Part of the ceiling that a guarded page must stay below to be taken back.
const ROOM: f64 = 0.75;

/// What one group is coded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// All pictures but the keyframe with this quantiser parameter.
    Constant(u8),
    /// x264's constant rate factor with its ceiling.
    Guarded,
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
    /// The newest picture took more than the ceiling allows one.
    over: bool,
    /// Pictures of this group, repeats included.
    length: u32,
}

impl Quantiser {
    pub(super) fn new(aim: Aim) -> Self {
        let qp = (f64::from(aim.crf) + FIRST).clamp(*RANGE.start(), *RANGE.end());
        let group = Group::Constant(qp.round() as u8);
        let (complexity, newest, seen, excess) = (0.0, 0.0, 0.0, 0.0);
        Self { aim, group, complexity, newest, seen, excess, over: false, length: 0 }
    }

    /// Of the group under way.
    pub(super) fn group(&self) -> Group {
        self.group
    }

    /// A picture of this many bytes was coded.
    pub(super) fn coded(&mut self, bytes: usize, keyframe: bool) {
        let bits = bytes as f64 * 8.0;
        if !keyframe {
            self.learn(bits / f64::from(self.aim.macroblocks));
        }
        self.passed(bits);
    }

    /// A picture repeated the one before, for nothing.
    pub(super) fn repeated(&mut self) {
        self.learn(0.0);
        self.passed(0.0);
    }

    /// `bits` are of a macroblock.
    fn learn(&mut self, bits: f64) {
        let found = match self.group {
            Group::Constant(qp) => bits * step(f64::from(qp)),
            // x264 decides on the step by the rule below: its inverse.
            Group::Guarded => {
                (bits * step(f64::from(self.aim.crf)) / USUAL).powf(1.0 / BITS) * USUAL
            }
        };
        let fps = f64::from(self.aim.fps);
        self.seen = (self.seen + 1.0).min((MEMORY * fps).max(1.0));
        self.complexity += (found - self.complexity) / self.seen;
        let newest = if found > self.newest { SUDDEN } else { (CALM * fps / 2.0).max(1.0) };
        self.newest += (found - self.newest) / newest;
    }

    fn passed(&mut self, bits: f64) {
        self.length += 1;
        let allowed = self.aim.most as f64 / f64::from(self.aim.fps);
        self.over = bits > allowed;
        self.excess = (self.excess + bits - allowed).max(0.0);
    }

    /// The group is to end although no keyframe is due.
    pub(super) fn ends_early(&self) -> bool {
        self.is_overdue() || self.is_too_coarse()
    }

    /// Far more bits came than may, and go on to come: half of what may come at once,
    /// as the next keyframe comes on top. A keyframe alone, however detailed, is made up
    /// for by what follows it.
    fn is_overdue(&self) -> bool {
        let far = self.excess > self.aim.burst as f64 / 2.0;
        self.group != Group::Guarded && self.length > 1 && self.over && far
    }

    /// What was busy is calm, and looks worse than it need.
    fn is_too_coarse(&self) -> bool {
        let coarse = match self.group {
            Group::Constant(qp) => f64::from(qp) - self.wanted(self.newest) >= GLARING,
            Group::Guarded => self.fits(self.newest),
        };
        let lasted = f64::from(self.length) >= CALM * f64::from(self.aim.fps);
        coarse && lasted && self.newest < USUAL
    }

    /// The quantiser for content of this complexity.
    fn wanted(&self, complexity: f64) -> f64 {
        let busier = (complexity.max(f64::MIN_POSITIVE) / USUAL).log2();
        let offset = (DOUBLES * (1.0 - BITS) * busier).clamp(-FINER, COARSER);
        (f64::from(self.aim.crf) + offset).clamp(*RANGE.start(), *RANGE.end())
    }

    /// Whether content of this complexity stays below the ceiling by itself. What is held
    /// at the ceiling seems to be just below it.
    fn fits(&self, complexity: f64) -> bool {
        let blocks = f64::from(self.aim.macroblocks) * f64::from(self.aim.fps);
        let rate = complexity / step(self.wanted(complexity)) * blocks;
        let room = if self.group == Group::Guarded { ROOM } else { 1.0 };
        rate <= self.aim.most as f64 * room
    }

    /// Begins a group; what it is coded with.
    pub(super) fn next(&mut self) -> Group {
        let (overdue, calmed) = (self.is_overdue(), self.is_too_coarse());
        self.length = 0;
        if calmed {
            // What went so suddenly is not there to code any more.
            self.complexity = self.complexity.min(self.newest);
        }
        let wanted = self.wanted(self.complexity);
        if overdue || !self.fits(self.complexity) {
            // From here on x264 keeps the account.
            self.excess = 0.0;
            self.group = Group::Guarded;
        } else if self.seen > 0.0 {
            let near = match self.group {
                Group::Constant(qp) => (wanted - f64::from(qp)).abs() <= SLACK,
                Group::Guarded => false,
            };
            if !near {
                self.group = Group::Constant(wanted.round() as u8);
            }
        }
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
}
