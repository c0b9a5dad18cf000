//! Randomness for the shells: seeded, shareable, and not for secrets.
//!
//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Its state only
//! counts, so that threads can share it with one atomic addition for each value.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A source of uniform `u64`s. The same seed gives the same values in the same order.
///
/// Good enough for jitter; predictable, so never for keys or tokens.
#[derive(Debug)]
pub struct Dice(AtomicU64);

impl Dice {
    /// Values that follow from `seed` alone.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Dice(AtomicU64::new(seed))
    }

    /// Values that differ from process to process and from one `Dice` to the next.
    #[must_use]
    pub fn unseeded() -> Self {
        // The standard library's hash keys are random for each process, and differ for each `RandomState`.
        Dice::seeded(RandomState::new().build_hasher().finish())
    }

    /// The next value, uniform over all of `u64`.
    pub fn roll(&self) -> u64 {
        // Relaxed: only the addition has to be atomic.
        let state = self.0.fetch_add(GAMMA, Ordering::Relaxed);
        let mut z = state.wrapping_add(GAMMA);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Default for Dice {
    /// [`unseeded`](Dice::unseeded).
    fn default() -> Self {
        Dice::unseeded()
    }
}

/// `random` as a share: at least 0 and below 1.
pub(crate) fn share(random: u64) -> f64 {
    // 53 bits are what an f64 holds exactly, so that the largest value stays below 1.
    (random >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_rolls_the_same_values_and_another_seed_others() {
        let roll = |seed| {
            let dice = Dice::seeded(seed);
            [dice.roll(), dice.roll(), dice.roll()]
        };
        assert_eq!(roll(7), roll(7));
        assert_ne!(roll(7), roll(8));
        // Published first value of SplitMix64 with seed 0.
        assert_eq!(Dice::seeded(0).roll(), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn a_share_lies_from_nought_to_below_one() {
        assert_eq!(share(0), 0.0);
        assert!(share(u64::MAX) < 1.0 && share(u64::MAX) > 0.999_999);
    }

    #[test]
    fn unseeded_dice_differ() {
        assert_ne!(Dice::unseeded().roll(), Dice::unseeded().roll());
    }
}
