//! How eagerly a caller holds back, and how long it remembers.

use std::time::Duration;

use super::Throttle;
use crate::bounds::{Bounds, ConfigError};

/// Builds a [`Throttle`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThrottleConfig {
    pub(super) k: f64,
    pub(super) window: Duration,
    pub(super) probability_max: f64,
    pub(super) seed: Option<u64>,
}

impl Default for ThrottleConfig {
    /// `k` = 2 over 30 s, never holding back more than 90 %.
    fn default() -> Self {
        Self {
            k: 2.0,
            window: Duration::from_secs(30),
            probability_max: 0.9,
            seed: None,
        }
    }
}

impl ThrottleConfig {
    /// Requests sent for each one accepted before any is held back: 1 (eager) to 100 (hardly ever).
    #[must_use]
    pub fn k(mut self, k: f64) -> Self {
        self.k = k;
        self
    }

    /// How long requests are remembered: 1 s to an hour.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The largest share of requests that is held back: 0 (none) to 1 (the formula alone).
    #[must_use]
    pub fn probability_max(mut self, probability_max: f64) -> Self {
        self.probability_max = probability_max;
        self
    }

    /// Makes the choices of [`Throttle::call`](super::Throttle) repeatable; otherwise they differ in every process.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The throttle, if every value lies in its bounds.
    pub fn build(self) -> Result<Throttle, ConfigError> {
        let bounds = Bounds("throttle");
        bounds.within("k", self.k, 1.0..=100.0)?;
        let windows = Duration::from_secs(1)..=Duration::from_secs(3600);
        bounds.within("window", self.window, windows)?;
        bounds.within("probability_max", self.probability_max, 0.0..=1.0)?;
        Ok(Throttle::new(self))
    }
}
