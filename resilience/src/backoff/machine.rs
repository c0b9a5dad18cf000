//! The delays themselves.

use std::time::Duration;

use super::{BackoffConfig, Jitter};
use crate::dice::share;

/// A validated backoff: how the delays between attempts grow. Built by [`BackoffConfig::build`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff(pub(super) BackoffConfig);

impl Backoff {
    /// The delays of one operation, beginning with the first.
    #[must_use]
    pub fn delays(&self) -> Delays {
        Delays {
            backoff: *self,
            failures: 0,
            previous: self.0.first,
        }
    }

    /// What no delay exceeds.
    #[must_use]
    pub fn cap(&self) -> Duration {
        self.0.cap
    }

    /// The delay after the `failures`th failure in a row (counted from 1), before jitter.
    fn grown(&self, failures: u32) -> Duration {
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let grown_s = self.0.first.as_secs_f64() * self.0.factor.powi(exponent);
        if self.0.first.is_zero() {
            // Nothing grows from nothing; infinity times zero would be not-a-number.
            return Duration::ZERO;
        }
        // Beyond what a duration holds, infinity included, it is beyond the cap.
        Duration::try_from_secs_f64(grown_s).map_or(self.0.cap, |grown| grown.min(self.0.cap))
    }
}

/// The delays between the attempts of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delays {
    backoff: Backoff,
    failures: u32,
    /// Before any failure: `first`.
    previous: Duration,
}

impl Delays {
    /// The delay after one more failure: at most [`Backoff::cap`]. `random` is uniform over all of `u64`.
    pub fn next(&mut self, random: u64) -> Duration {
        let BackoffConfig {
            first, cap, jitter, ..
        } = self.backoff.0;
        self.failures = self.failures.saturating_add(1);
        let grown = self.backoff.grown(self.failures);
        let delay = match jitter {
            Jitter::None => grown,
            Jitter::Full => between(Duration::ZERO, grown, random),
            Jitter::Equal => between(grown / 2, grown, random),
            Jitter::Decorrelated => between(first, self.previous.saturating_mul(3), random),
        };
        // Jitter comes first and the cap last, so that no rounding and no jitter passes the cap.
        self.previous = delay.min(cap);
        self.previous
    }

    /// Failures in a row so far.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Begins again with the first delay, as after a success.
    pub fn reset(&mut self) {
        *self = self.backoff.delays();
    }
}

/// A duration from `low` to `high`, uniformly.
fn between(low: Duration, high: Duration, random: u64) -> Duration {
    let span = high.saturating_sub(low);
    low.saturating_add(span.mul_f64(share(random)))
}
