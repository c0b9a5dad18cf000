//! Between which limits, and by which algorithm.

use std::time::Duration;

use super::{Algorithm, Limiter};
use crate::bounds::{Bounds, ConfigError};

const LIMIT_MAX: u32 = 1_000_000;

/// Builds a [`Limiter`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimiterConfig {
    pub(super) algorithm: Algorithm,
    pub(super) begin: u32,
    pub(super) lowest: u32,
    pub(super) highest: u32,
    pub(super) window: Duration,
    pub(super) window_calls_min: u32,
}

impl Default for LimiterConfig {
    /// Gradient; begins at 20, between 4 and 1000; windows of at least 100 ms and 10 calls.
    fn default() -> Self {
        Self {
            algorithm: Algorithm::gradient(),
            begin: 20,
            lowest: 4,
            highest: 1000,
            window: Duration::from_millis(100),
            window_calls_min: 10,
        }
    }
}

impl LimiterConfig {
    /// How the limit is adapted.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The limit to begin with: between `lowest` and `highest`. A gradient measures its baseline first.
    #[must_use]
    pub fn begin(mut self, begin: u32) -> Self {
        self.begin = begin;
        self
    }

    /// The limit never leaves `lowest` (at least 1) to `highest` (at most a million).
    #[must_use]
    pub fn limits(mut self, lowest: u32, highest: u32) -> Self {
        (self.lowest, self.highest) = (lowest, highest);
        self
    }

    /// The least time between two changes of the limit: 1 ms to a minute.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The fewest calls between two changes: 1 to 10 000.
    #[must_use]
    pub fn window_calls_min(mut self, window_calls_min: u32) -> Self {
        self.window_calls_min = window_calls_min;
        self
    }

    /// The limiter, if every value lies in its bounds.
    pub fn build(self) -> Result<Limiter, ConfigError> {
        let bounds = Bounds("limiter");
        bounds.within("limits(lowest)", self.lowest, 1..=LIMIT_MAX)?;
        bounds.within("limits(highest)", self.highest, self.lowest..=LIMIT_MAX)?;
        bounds.within("begin", self.begin, self.lowest..=self.highest)?;
        let windows = Duration::from_millis(1)..=Duration::from_secs(60);
        bounds.within("window", self.window, windows)?;
        bounds.within("window_calls_min", self.window_calls_min, 1..=10_000)?;
        match self.algorithm {
            Algorithm::Aimd {
                increase, decrease, ..
            } => {
                bounds.within("algorithm(increase)", increase, f64::MIN_POSITIVE..=100.0)?;
                bounds.within("algorithm(decrease)", decrease, 0.1..=0.99)?;
            }
            Algorithm::Gradient {
                tolerance,
                baseline_every,
            } => {
                let every = Duration::from_secs(1)..=Duration::from_secs(3600);
                bounds.within("algorithm(tolerance)", tolerance, 1.0..=10.0)?;
                bounds.within("algorithm(baseline_every)", baseline_every, every)?;
            }
        }
        Ok(Limiter::new(self))
    }
}
