//! Waits for a bounded time, by tokio's clock.

use std::time::Duration;

use tokio::time::timeout;

use super::{Bulkhead, Full, Permit};

impl Bulkhead {
    /// As [`acquire`](Bulkhead::acquire), and leaves the line after `wait_max`.
    pub async fn acquire_within(&self, weight: u64, wait_max: Duration) -> Result<Permit, Full> {
        match timeout(wait_max, self.acquire(weight)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Full::TimedOut),
        }
    }
}
