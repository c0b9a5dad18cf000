//! How large the pool and its line are.

use super::Bulkhead;
use crate::bounds::{Bounds, ConfigError};

/// Builds a [`Bulkhead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkheadConfig {
    pub(super) permits: u32,
    pub(super) weight_max: Option<u64>,
    pub(super) waiting_max: u32,
}

impl BulkheadConfig {
    /// At most `permits` (1 to a million) at once. Nobody waits, weight is not counted.
    #[must_use]
    pub fn new(permits: u32) -> Self {
        Self {
            permits,
            weight_max: None,
            waiting_max: 0,
        }
    }

    /// The permits' weights together never exceed this (at least 1), in bytes for example.
    #[must_use]
    pub fn weight_max(mut self, weight_max: u64) -> Self {
        self.weight_max = Some(weight_max);
        self
    }

    /// At most so many (up to a million) wait in line.
    #[must_use]
    pub fn waiting_max(mut self, waiting_max: u32) -> Self {
        self.waiting_max = waiting_max;
        self
    }

    /// The pool, if every value lies in its bounds.
    pub fn build(self) -> Result<Bulkhead, ConfigError> {
        let bounds = Bounds("bulkhead");
        bounds.within("permits", self.permits, 1..=1_000_000)?;
        if let Some(weight_max) = self.weight_max {
            bounds.within("weight_max", weight_max, 1..=u64::MAX)?;
        }
        bounds.within("waiting_max", self.waiting_max, 0..=1_000_000)?;
        Ok(Bulkhead::new(self))
    }
}
