//! When a delivery that was not taken is tried again. Pure.

use std::time::Duration;

/// Shorter delays are kept to the letter: the contract names them.
const EXACT_BELOW: Duration = Duration::from_secs(60);

/// The delay before the next attempt once `attempts` have failed; `None` if that
/// was the last. `chance`, from 0 to 1, makes longer delays up to a tenth longer,
/// so that what failed together does not come back together.
pub(super) fn delay(retries: &[Duration], attempts: u32, chance: f64) -> Option<Duration> {
    let index = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let delay = *retries.get(index)?;
    if delay < EXACT_BELOW {
        return Some(delay);
    }
    Some(delay.mul_f64(1.0 + chance.clamp(0.0, 1.0) / 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Webhooks;

    #[test]
    fn the_contract_comes_first_and_the_end_is_the_end() {
        let retries = Webhooks::default().retries;
        let seconds =
            |attempts, chance| delay(&retries, attempts, chance).map(|delay| delay.as_secs_f64());
        for (attempts, chance, wanted) in [
            (1, 0.7, Some(1.0)),
            (2, 0.7, Some(3.0)),
            (3, 0.7, Some(10.0)),
            (4, 0.0, Some(60.0)),
            (4, 1.0, Some(66.0)),
            (10, 0.0, Some(24.0 * 3600.0)),
            (11, 0.0, None),
            (u32::MAX, 0.0, None),
            (0, 0.0, None),
        ] {
            assert_eq!(seconds(attempts, chance), wanted, "{attempts} {chance}");
        }
        assert_eq!(delay(&[], 1, 0.0), None);
    }
}
