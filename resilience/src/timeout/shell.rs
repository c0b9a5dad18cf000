//! Runs a future until the deadline, by tokio's clock.

use tokio::time::{Instant, timeout_at};

use super::{Deadline, DeadlineOver};

impl Deadline {
    /// The output of `work`, or an error once the deadline has come. What is over is not polled at all.
    ///
    /// Cancel safety: dropping this drops `work`, and so does the deadline.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Result<T, DeadlineOver> {
        if self.is_over(Instant::now().into_std()) {
            return Err(DeadlineOver { begun: false });
        }
        let until = Instant::from_std(self.instant());
        let outcome = timeout_at(until, work).await;
        outcome.map_err(|_elapsed| DeadlineOver { begun: true })
    }
}
