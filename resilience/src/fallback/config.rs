//! How old an answer may be.

use std::time::Duration;

use super::LastGood;
use crate::bounds::{Bounds, ConfigError};

/// Builds a [`LastGood`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastGoodConfig {
    age_max: Duration,
}

impl LastGoodConfig {
    /// Answers up to this old are given: 1 ms to 30 days.
    #[must_use]
    pub fn new(age_max: Duration) -> Self {
        Self { age_max }
    }

    /// The store of one answer, empty, if every value lies in its bounds.
    pub fn build<T: Clone>(self) -> Result<LastGood<T>, ConfigError> {
        let ages = Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 3600);
        Bounds("fallback").within("age_max", self.age_max, ages)?;
        Ok(LastGood::new(self.age_max))
    }
}
