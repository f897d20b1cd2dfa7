//! How often somebody may show what proves nothing. `auth` asks here after each
//! failure; who is refused is told to wait. A good token is never asked about:
//! behind one address may be many, and none of them can lock out the others. A
//! password can be guessed: the dashboard asks before it looks at one.
//!
//! Constant memory: addresses share a number of places, and those that fall on the
//! same place share its patience. Which do is different in each process.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that are forgiven at once.
const BURST: u32 = 30;
/// After them, one is forgiven in each of these.
const STEP: Duration = Duration::from_secs(6);
const PLACES: usize = 4096;

/// Failures of late, for all addresses.
pub(super) struct Attempts {
    places: Mutex<Vec<Place>>,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Place {
    /// When all failures are forgiven.
    clear: Instant,
    /// It was refused since they last were.
    told: bool,
}

/// The address has to wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Whole seconds until the next failure is forgiven, at least one.
    pub(super) seconds: u64,
    /// It is the first time for this place since all was forgiven.
    pub(super) first: bool,
}

impl Attempts {
    pub(super) fn new() -> Self {
        let place = Place { clear: Instant::now(), told: false };
        Self { places: Mutex::new(vec![place; PLACES]), hasher: RandomState::new() }
    }

    /// Counts a failure of `who` at `now`, unless there were too many.
    pub(super) fn failed(&self, who: IpAddr, now: Instant) -> Result<(), Wait> {
        let n = self.place(who);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut places[n];
        if place.clear <= now {
            *place = Place { clear: now, told: false };
        }
        let owed = place.clear + STEP - now;
        if owed <= STEP * BURST {
            place.clear += STEP;
            return Ok(());
        }
        let seconds = (owed - STEP * BURST).as_millis().div_ceil(1000).max(1) as u64;
        Err(Wait { seconds, first: !std::mem::replace(&mut place.told, true) })
    }

    /// Takes back one failure of `who`, which was none after all.
    pub(super) fn forgive(&self, who: IpAddr) {
        let n = self.place(who);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clear) = places[n].clear.checked_sub(STEP) {
            places[n].clear = clear;
        }
    }

    fn place(&self, who: IpAddr) -> usize {
        self.hasher.hash_one(network(who)) as usize % PLACES
    }
}

/// Who has one IPv6 address has all of its /64.
fn network(who: IpAddr) -> u128 {
    match who.to_canonical() {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_is_forgiven_and_then_one_in_each_step() {
        let (attempts, who, begun) = (Attempts::new(), address("192.0.2.1"), Instant::now());
        let failed = |seconds| attempts.failed(who, begun + Duration::from_secs(seconds));
        for _ in 0..BURST {
            assert_eq!(failed(1), Ok(()));
        }
        assert_eq!(failed(1), Err(Wait { seconds: 6, first: true }));
        assert_eq!(failed(4), Err(Wait { seconds: 3, first: false }));
        assert_eq!(failed(7), Ok(()));
        assert_eq!(failed(7), Err(Wait { seconds: 6, first: false }));
        // All is forgiven: the whole burst is there again, and so is the telling.
        for _ in 0..BURST {
            assert_eq!(failed(1000), Ok(()));
        }
        assert_eq!(failed(1000), Err(Wait { seconds: 6, first: true }));
    }

    #[test]
    fn what_was_no_failure_is_taken_back() {
        let (attempts, who, now) = (Attempts::new(), address("192.0.2.1"), Instant::now());
        for _ in 0..10 * BURST {
            assert_eq!(attempts.failed(who, now), Ok(()));
            attempts.forgive(who);
        }
        while attempts.failed(who, now).is_ok() {}
        attempts.forgive(who);
        assert_eq!(attempts.failed(who, now), Ok(()));
        assert!(attempts.failed(who, now).is_err());
    }

    #[test]
    fn others_are_not_made_to_wait() {
        let (attempts, now) = (Attempts::new(), Instant::now());
        let bad = address("2001:db8:1:2::3");
        while attempts.failed(bad, now).is_ok() {}
        assert!(attempts.failed(address("2001:db8:1:2:ffff::1"), now).is_err(), "the same /64");
        let others = (0..100_u32).map(|n| IpAddr::from((0xc000_0200 + n).to_be_bytes()));
        let waiting = others.filter(|other| attempts.failed(*other, now).is_err()).count();
        assert!(waiting <= 2, "{waiting} share the one place of {PLACES}");
        assert_eq!(network(address("::ffff:192.0.2.1")), network(address("192.0.2.1")));
    }
}
