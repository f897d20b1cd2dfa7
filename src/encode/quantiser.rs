//! How coarse the next group of pictures is: constant quality in the sense of x264's
//! constant rate factor, without its look at every picture beforehand.
//!
//! Within a group all pictures have one quantiser. Between groups it follows what the
//! pictures before took: a busy page gets a coarser one, as nobody sees detail in what
//! moves, a calm one a finer one. A group ends early where bits flow faster than the
//! ceiling allows (x264's own rate control, which guards it, has those that follow until
//! what came too much is made up for), and where a page has become calm that was busy. Used
//! by `video`; pure.

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

/// Part of what may come at once that may be left to make up for by then: else a page that
/// flashes would have all of it again with each flash.
const PAID: f64 = 0.1;

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
    /// This group is coded with what the one before was, and lasts until a keyframe is due.
    held: bool,
}

impl Quantiser {
    pub(super) fn new(aim: Aim) -> Self {
        let qp = (f64::from(aim.crf) + FIRST).clamp(*RANGE.start(), *RANGE.end());
        let group = Group::Constant(qp.round() as u8);
        let (complexity, newest, seen, excess) = (0.0, 0.0, 0.0, 0.0);
        Self { aim, group, complexity, newest, seen, excess, over: false, length: 0, held: false }
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
        if self.group == Group::Guarded {
            // What x264 does not manage to hold back is not held against what follows.
            self.excess = self.excess.min(self.aim.burst as f64);
        }
    }

    /// The group is to end although no keyframe is due.
    pub(super) fn ends_early(&self) -> bool {
        !self.held && (self.is_overdue() || self.is_too_coarse())
    }

    /// Far more bits came than may, and go on to come: half of what may come at once,
    /// as the next keyframe comes on top. A keyframe alone, however detailed, is made up
    /// for by what follows it.
    fn is_overdue(&self) -> bool {
        self.group != Group::Guarded && self.length > 1 && self.over && self.is_far_above()
    }

    fn is_far_above(&self) -> bool {
        self.excess > self.aim.burst as f64 / 2.0
    }

    /// A guarded page stays so until what came too much is made up for.
    fn owes(&self) -> bool {
        self.group == Group::Guarded && self.excess > self.aim.burst as f64 * PAID
    }

    /// What was busy is calm, and looks worse than it need.
    fn is_too_coarse(&self) -> bool {
        let coarse = match self.group {
            Group::Constant(qp) => f64::from(qp) - self.wanted(self.newest) >= GLARING,
            Group::Guarded => self.fits(self.newest) && !self.owes(),
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
        // A whole group that did not make up for its keyframe: the next one comes on top.
        let overdue = self.is_far_above() || self.owes();
        let calmed = self.is_too_coarse();
        (self.length, self.held) = (0, false);
        if calmed {
            // What went so suddenly is not there to code any more.
            self.complexity = self.complexity.min(self.newest);
        }
        let wanted = self.wanted(self.complexity);
        if overdue || !self.fits(self.complexity) {
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

    /// The group that begins cannot be coded as [`next`](Self::next) said: it is coded as
    /// `group`, that of the one before.
    pub(super) fn hold(&mut self, group: Group) {
        (self.group, self.held) = (group, true);
    }
}

/// The step of a quantiser parameter, in steps of parameter 0.
fn step(qp: f64) -> f64 {
    (qp / DOUBLES).exp2()
}

#[cfg(test)]
mod tests;
