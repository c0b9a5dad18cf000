//! How delays grow and how random they are.

use std::time::Duration;

use super::Backoff;
use crate::bounds::{Bounds, ConfigError};

const HOUR: Duration = Duration::from_secs(3600);

/// How a delay is randomised. `grown` is the delay without jitter, already under the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Jitter {
    /// Exactly `grown`. Callers that failed together come back together.
    None,
    /// Anything from nothing to `grown`. The least work in total; some attempts follow at once.
    #[default]
    Full,
    /// Half of `grown`, and anything up to as much again. Keeps a minimal pause.
    Equal,
    /// Anything from `first` to three times the previous delay, under the cap. Ignores the factor.
    Decorrelated,
}

/// Builds a [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffConfig {
    pub(super) first: Duration,
    pub(super) cap: Duration,
    pub(super) factor: f64,
    pub(super) jitter: Jitter,
}

impl Default for BackoffConfig {
    /// 100 ms, doubling, at most 10 s, full jitter.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            cap: Duration::from_secs(10),
            factor: 2.0,
            jitter: Jitter::Full,
        }
    }
}

impl BackoffConfig {
    /// The delay after the first failure, before jitter: up to an hour. Zero means no delay at all.
    #[must_use]
    pub fn first(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// What no delay exceeds: from `first` up to 24 hours.
    #[must_use]
    pub fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// By what each delay is longer than the one before: 1 (constant) to 100.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// How delays are randomised.
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The backoff, if every value lies in its bounds.
    pub fn build(self) -> Result<Backoff, ConfigError> {
        let bounds = Bounds("backoff");
        bounds.within("first", self.first, Duration::ZERO..=HOUR)?;
        bounds.within("cap", self.cap, self.first..=24 * HOUR)?;
        bounds.within("factor", self.factor, 1.0..=100.0)?;
        Ok(Backoff(self))
    }
}
