//! What the tests of all policies share: a generator of their own, seeds that can be replayed, and short durations.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Marsaglia's xorshift64 ("Xorshift RNGs", 2003): apart from [`Dice`](crate::Dice), so that a test does not judge a
/// generator by itself.
pub(crate) struct Xorshift(u64);

impl Xorshift {
    pub(crate) fn new(seed: u64) -> Self {
        // A state of 0 stays 0.
        Xorshift(seed.wrapping_mul(0x2545_F491_4F6C_DD1D) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Uniform enough below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        crate::dice::share(self.next()) < share
    }
}

/// Runs `property` for seeds 1 to `count`, and prints the seed that fails. `TREEWARDEN_SEED=n` replays one.
pub(crate) fn for_seeds(count: u64, property: impl Fn(&mut Xorshift)) {
    let only = std::env::var("TREEWARDEN_SEED")
        .ok()
        .and_then(|seed| seed.parse::<u64>().ok());
    let seeds = only.map_or(1..=count, |seed| seed..=seed);
    for seed in seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| property(&mut Xorshift::new(seed))));
        if let Err(panic) = outcome {
            eprintln!("failed with seed {seed}; replay with TREEWARDEN_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

pub(crate) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
