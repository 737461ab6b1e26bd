//! Trying again what failed for a passing reason: a few times, after rests that grow and that no two share.

use crate::destinations::marker::random;
use crate::host::{pause, pulse};
use std::time::Duration;

/// The first rest.
const REST_MIN: Duration = Duration::from_millis(250);
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(30);
/// Longest nap, so that a run that is told to end is not held up by one.
const NAP_MAX: Duration = Duration::from_millis(200);

/// How often something may be tried again.
#[derive(Debug, Clone, Copy)]
pub(in crate::destinations) struct Tries {
    left: u32,
    made: u32,
}

impl Tries {
    /// So many tries after the first.
    pub fn new(left: u32) -> Self {
        Self { left, made: 0 }
    }

    /// Rests and says that it may be tried once more, or that this was the last time.
    pub fn again(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        let mut rest = Self::rest(self.made, random());
        self.left -= 1;
        self.made += 1;
        while !rest.is_zero() {
            let nap = rest.min(NAP_MAX);
            pulse::beat();
            pause(nap);
            rest -= nap;
        }
        true
    }

    /// Between half and all of a length that doubles with each try.
    fn rest(made: u32, chance: u64) -> Duration {
        let whole = REST_MIN.saturating_mul(1 << made.min(16)).min(REST_MAX);
        let half = whole / 2;
        // A remainder of 1000 fits.
        half + half / 1000 * u32::try_from(chance % 1000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_to_a_limit_and_differ_by_chance() {
        assert_eq!(Tries::rest(0, 0), REST_MIN / 2);
        assert!(Tries::rest(0, 999) < REST_MIN && Tries::rest(0, 999) > Tries::rest(0, 1));
        assert_eq!(Tries::rest(3, 0), REST_MIN * 4);
        assert!(Tries::rest(40, 999) <= REST_MAX);
        assert!(!Tries::new(0).again());
    }
}
