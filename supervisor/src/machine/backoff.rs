//! How long to wait before a failing child is started again.
//!
//! Delays grow exponentially with the number of failures in a row up to a cap. Jitter only ever shortens a delay, so
//! the cap is never exceeded. A child that ran healthily for `reset_after` begins again with the first delay. A group
//! restart waits for the delay of the child that failed. OTP has no backoff; without one a restart is immediate.
//!
//! A long backoff makes failures so rare that they never trip the intensity, so that a child could fail for ever
//! unnoticed: `max_consecutive` gives up after that many failures in a row, however slow, and `give_up_after` after so long a time of them.

use std::time::Duration;

/// The delays between the restarts of one child.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The delay after the first failure.
    pub first: Duration,
    /// What no delay exceeds.
    pub cap: Duration,
    /// By what each delay is longer than the one before; values below 1 count as 1.
    pub factor: f64,
    /// The share of each delay that is random, from 0 (none) to 1 (anything from nothing to the full delay).
    pub jitter: f64,
    /// A child that ran for at least this long before it failed counts as healthy, and begins again with `first`.
    pub reset_after: Duration,
    /// The supervisor gives up when a child fails more often than this in a row; `None` leaves that to the intensity.
    pub max_consecutive: Option<u32>,
    /// The supervisor gives up when a child fails and has not been healthy for so long, however often it was tried; `None` for ever.
    pub give_up_after: Option<Duration>,
}

impl Backoff {
    /// Doubling delays from `first` up to `cap`, a fifth of each random; forgiven after running for twice the cap.
    #[must_use]
    pub fn exponential(first: Duration, cap: Duration) -> Self {
        Backoff {
            first,
            cap,
            factor: 2.0,
            jitter: 0.2,
            reset_after: cap * 2,
            max_consecutive: None,
            give_up_after: None,
        }
    }

    /// The same delay each time, without jitter.
    #[must_use]
    pub fn constant(delay: Duration) -> Self {
        Backoff {
            first: delay,
            cap: delay,
            factor: 1.0,
            jitter: 0.0,
            reset_after: delay * 2,
            max_consecutive: None,
            give_up_after: None,
        }
    }

    /// Another growth factor.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Another share of randomness, from 0 to 1.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long a child must have run to count as healthy.
    #[must_use]
    pub fn reset_after(mut self, healthy: Duration) -> Self {
        self.reset_after = healthy;
        self
    }

    /// Gives up after more than this many failures in a row.
    #[must_use]
    pub fn max_consecutive(mut self, failures: u32) -> Self {
        self.max_consecutive = Some(failures);
        self
    }

    /// Gives up at the first failure after so long a time without a healthy run.
    #[must_use]
    pub fn give_up_after(mut self, unhealthy: Duration) -> Self {
        self.give_up_after = Some(unhealthy);
        self
    }

    /// The delay after the `failures`th failure in a row (counted from 1); `random` is uniform over all of `u64`.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let cap_s = self.cap.as_secs_f64();
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown_s = self.first.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        // NaN (0 times infinity) and infinity both end at the cap, unless there is nothing to grow.
        let full_s = if self.first.is_zero() {
            0.0
        } else {
            grown_s.min(cap_s)
        };
        let share = self.jitter.clamp(0.0, 1.0) * (random as f64 / u64::MAX as f64);
        Duration::try_from_secs_f64(full_s * (1.0 - share))
            .unwrap_or(self.cap)
            .min(self.cap)
    }
}

/// A small generator (SplitMix64; Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), so
/// that the machine's jitter is a function of its seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn delays_double_up_to_the_cap() {
        let backoff = Backoff::exponential(MS(100), MS(1000)).jitter(0.0);
        let delays: Vec<_> = (1..=6).map(|n| backoff.delay(n, 0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn jitter_shortens_and_never_exceeds_the_cap() {
        let backoff = Backoff::exponential(MS(100), MS(1000)).jitter(0.5);
        let mut random = Random::new(7);
        for n in 1..200 {
            let (full, delay) = (backoff.delay(n, 0), backoff.delay(n, random.next()));
            assert!(
                delay <= full && delay >= full / 2,
                "failure {n}: {delay:?} of {full:?}"
            );
        }
    }

    #[test]
    fn absurd_parameters_still_give_a_delay_under_the_cap() {
        for factor in [f64::NAN, f64::INFINITY, -3.0, 1e300] {
            let backoff = Backoff::exponential(MS(1), MS(50))
                .factor(factor)
                .jitter(f64::NAN);
            assert!(
                backoff.delay(u32::MAX, u64::MAX) <= MS(50),
                "factor {factor}"
            );
        }
        assert_eq!(
            Backoff::exponential(MS(0), MS(50))
                .factor(f64::INFINITY)
                .delay(9, 3),
            MS(0)
        );
    }
}
