//! How often, how long, and at whose expense.

use std::sync::Arc;
use std::time::Duration;

use super::Retry;
use crate::Dice;
use crate::backoff::{Backoff, BackoffConfig};
use crate::bounds::{Bounds, ConfigError};
use crate::budget::Budget;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Builds a [`Retry`].
#[derive(Clone, Debug)]
pub struct RetryConfig {
    attempts_max: u32,
    deadline: Duration,
    attempt_timeout: Option<Duration>,
    backoff: Option<Backoff>,
    budget: Option<(Arc<Budget>, Earns)>,
    seed: Option<u64>,
}

/// Whether first attempts count as requests of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Earns {
    Yes,
    No,
}

impl Default for RetryConfig {
    /// 3 attempts within 30 s, no time-out for a single one, default backoff, no budget.
    fn default() -> Self {
        Self {
            attempts_max: 3,
            deadline: Duration::from_secs(30),
            attempt_timeout: None,
            backoff: None,
            budget: None,
            seed: None,
        }
    }
}

impl RetryConfig {
    /// Attempts in all, the first included: 1 (never retry) to 1000.
    #[must_use]
    pub fn attempts_max(mut self, attempts_max: u32) -> Self {
        self.attempts_max = attempts_max;
        self
    }

    /// Time for all attempts and the waits between them: 1 ms to 24 hours.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Time for each attempt: 1 ms to 24 hours. An attempt that takes longer is dropped, and counts as
    /// [`Class::MaybeHandled`](super::Class::MaybeHandled). A breaker inside the attempt learns nothing from it: give the call a time-out of
    /// its own there.
    #[must_use]
    pub fn attempt_timeout(mut self, attempt_timeout: Duration) -> Self {
        self.attempt_timeout = Some(attempt_timeout);
        self
    }

    /// The waits between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Each operation earns for the budget, and each retry spends from it: for the outermost layer that retries.
    #[must_use]
    pub fn budget(mut self, budget: Arc<Budget>) -> Self {
        self.budget = Some((budget, Earns::Yes));
        self
    }

    /// Retries spend from the budget of an outer layer, which alone earns.
    #[must_use]
    pub fn shared_budget(mut self, budget: Arc<Budget>) -> Self {
        self.budget = Some((budget, Earns::No));
        self
    }

    /// Makes the jitter of [`Retry::run`](super::Retry) repeatable; otherwise it differs in every process.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The policy, if every value lies in its bounds.
    pub fn build(self) -> Result<Retry, ConfigError> {
        let bounds = Bounds("retry");
        bounds.within("attempts_max", self.attempts_max, 1..=1000)?;
        bounds.within("deadline", self.deadline, MILLISECOND..=DAY)?;
        if let Some(attempt_timeout) = self.attempt_timeout {
            bounds.within("attempt_timeout", attempt_timeout, MILLISECOND..=DAY)?;
        }
        Ok(Retry {
            attempts_max: self.attempts_max,
            deadline: self.deadline,
            attempt_timeout: self.attempt_timeout,
            backoff: match self.backoff {
                Some(backoff) => backoff,
                None => BackoffConfig::default().build()?,
            },
            budget: self.budget,
            dice: Arc::new(self.seed.map_or_else(Dice::unseeded, Dice::seeded)),
        })
    }
}
