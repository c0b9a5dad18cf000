//! When to ask again, and at whose expense.

use std::sync::Arc;
use std::time::Duration;

use super::Hedge;
use crate::bounds::{Bounds, ConfigError};
use crate::budget::Budget;

/// How long an attempt may take before another is begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HedgeDelay {
    /// Always this long: 1 ms to an hour.
    Fixed(Duration),
    /// As long as this share of the recent attempts took.
    Percentile {
        /// 0.5 to 0.999.
        share: f64,
        /// While fewer than 32 latencies are known: 1 ms to an hour.
        at_first: Duration,
    },
}

/// Builds a [`Hedge`].
#[derive(Clone, Debug)]
pub struct HedgeConfig {
    pub(super) attempts_max: u32,
    pub(super) delay: HedgeDelay,
    pub(super) budget: Option<Arc<Budget>>,
}

impl Default for HedgeConfig {
    /// Two attempts; the 95th percentile, and 100 ms at first; no budget.
    fn default() -> Self {
        Self {
            attempts_max: 2,
            delay: HedgeDelay::Percentile {
                share: 0.95,
                at_first: Duration::from_millis(100),
            },
            budget: None,
        }
    }
}

impl HedgeConfig {
    /// Attempts under way at most, the first included: 1 (never hedge) to 8.
    #[must_use]
    pub fn attempts_max(mut self, attempts_max: u32) -> Self {
        self.attempts_max = attempts_max;
        self
    }

    /// How long the youngest attempt may take before another is begun.
    #[must_use]
    pub fn delay(mut self, delay: HedgeDelay) -> Self {
        self.delay = delay;
        self
    }

    /// Each operation earns for this budget, and each hedge spends from it. Share it with the retries of the same destination.
    #[must_use]
    pub fn budget(mut self, budget: Arc<Budget>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// The policy, if every value lies in its bounds.
    pub fn build(self) -> Result<Hedge, ConfigError> {
        let bounds = Bounds("hedge");
        let delays = Duration::from_millis(1)..=Duration::from_secs(3600);
        bounds.within("attempts_max", self.attempts_max, 1..=8)?;
        match self.delay {
            HedgeDelay::Fixed(delay) => {
                bounds.within("delay", delay, delays)?;
            }
            HedgeDelay::Percentile { share, at_first } => {
                bounds.within("delay(share)", share, 0.5..=0.999)?;
                bounds.within("delay(at_first)", at_first, delays)?;
            }
        }
        Ok(Hedge::new(self))
    }
}
