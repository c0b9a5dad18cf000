//! How many keys, and for how long.

use std::time::Duration;

use super::IdempotencyStore;
use crate::bounds::{Bounds, ConfigError};

/// Builds an [`IdempotencyStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyConfig {
    pub(super) keys_max: usize,
    pub(super) keep: Duration,
}

impl Default for IdempotencyConfig {
    /// 10 000 keys, 24 hours.
    fn default() -> Self {
        Self {
            keys_max: 10_000,
            keep: Duration::from_secs(24 * 3600),
        }
    }
}

impl IdempotencyConfig {
    /// Keys remembered at most, those under way included: 1 to 100 million.
    #[must_use]
    pub fn keys_max(mut self, keys_max: usize) -> Self {
        self.keys_max = keys_max;
        self
    }

    /// How long an answer (or an interruption) is remembered: 1 ms to 30 days. Longer than any caller goes on retrying.
    #[must_use]
    pub fn keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// The store, empty, if every value lies in its bounds.
    pub fn build<A: Clone>(self) -> Result<IdempotencyStore<A>, ConfigError> {
        let bounds = Bounds("idempotency");
        bounds.within("keys_max", self.keys_max, 1..=100_000_000)?;
        let keeps = Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 3600);
        bounds.within("keep", self.keep, keeps)?;
        Ok(IdempotencyStore::new(self))
    }
}
