//! How much, in what time, and how much at once.

use std::time::Duration;

use super::Rate;
use crate::bounds::{Bounds, ConfigError};

const HOUR: Duration = Duration::from_secs(3600);
const MICROSECOND: Duration = Duration::from_micros(1);

/// Builds a [`Rate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateConfig {
    permits: u32,
    period: Duration,
    burst: Option<u32>,
}

impl RateConfig {
    /// `permits` (1 to a million) in each `period`, which must give each permit a microsecond to an hour.
    #[must_use]
    pub fn new(permits: u32, period: Duration) -> Self {
        Self {
            permits,
            period,
            burst: None,
        }
    }

    /// The weight that is admitted at once after a pause: 1 to a million. The permits of one period, if not given.
    #[must_use]
    pub fn burst(mut self, burst: u32) -> Self {
        self.burst = Some(burst);
        self
    }

    /// The rate, with a full burst, if every value lies in its bounds.
    pub fn build(self) -> Result<Rate, ConfigError> {
        let bounds = Bounds("rate");
        bounds.within("permits", self.permits, 1..=1_000_000)?;
        let least = MICROSECOND * self.permits;
        bounds.within(
            "period",
            self.period,
            least..=HOUR.saturating_mul(self.permits),
        )?;
        let burst = bounds.within("burst", self.burst.unwrap_or(self.permits), 1..=1_000_000)?;
        let permit_ns = self.period.as_nanos().div_ceil(u128::from(self.permits));
        // At most an hour by the bound on the period.
        Ok(Rate::new(
            u64::try_from(permit_ns).unwrap_or(u64::MAX),
            burst,
        ))
    }
}
