//! Waits for permits, by tokio's clock.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Limited, Rate};

impl Rate {
    /// Waits for permits of this weight, at most `wait_max`; errs at once if they will not be there by then. First come, first
    /// served.
    ///
    /// Cancel safety: permits are taken when this is first polled. Dropped while it waits, they are used up.
    pub async fn acquire(&self, weight: u32, wait_max: Duration) -> Result<(), Limited> {
        let wait = self.reserve(weight, wait_max, Instant::now().into_std())?;
        if !wait.is_zero() {
            sleep(wait).await;
        }
        Ok(())
    }
}
