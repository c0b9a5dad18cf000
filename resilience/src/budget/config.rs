//! How much may be retried.

use std::time::Duration;

use super::Budget;
use crate::bounds::{Bounds, ConfigError};

/// Builds a [`Budget`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetConfig {
    pub(super) ratio: f64,
    pub(super) reserve_per_second: f64,
    pub(super) window: Duration,
}

impl Default for BudgetConfig {
    /// 20 % of the requests of the last 10 s, and one a second besides.
    fn default() -> Self {
        Self {
            ratio: 0.2,
            reserve_per_second: 1.0,
            window: Duration::from_secs(10),
        }
    }
}

impl BudgetConfig {
    /// Retries for each request: 0 to 10.
    #[must_use]
    pub fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Retries for each second of the window that need no requests: 0 to a million. They may be spent in one burst.
    #[must_use]
    pub fn reserve_per_second(mut self, reserve_per_second: f64) -> Self {
        self.reserve_per_second = reserve_per_second;
        self
    }

    /// How long requests and retries are remembered: 100 ms to an hour.
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The budget, if every value lies in its bounds.
    pub fn build(self) -> Result<Budget, ConfigError> {
        let bounds = Bounds("budget");
        bounds.within("ratio", self.ratio, 0.0..=10.0)?;
        bounds.within("reserve_per_second", self.reserve_per_second, 0.0..=1e6)?;
        let window = Duration::from_millis(100)..=Duration::from_secs(3600);
        bounds.within("window", self.window, window)?;
        Ok(Budget::new(self))
    }
}
