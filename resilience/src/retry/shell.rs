//! Runs the attempts, and sleeps between them.
//!
//! The attempts come from a plain closure that returns a future: an `AsyncFnMut` could lend to its futures, but the
//! compiler could then not prove in a spawned task that they are `Send`.

use tokio::time::{Instant, sleep_until, timeout};

use super::{Attempt, Class, Decision, Failed, Idempotency, Operation, Retry, RetryError};

impl Retry {
    /// Calls `attempt` until it succeeds or the policy gives up. `classify` says what an error means for a repetition.
    ///
    /// An attempt that runs out of [`Attempt::time_left`] is dropped, and counts as [`Class::MaybeHandled`].
    ///
    /// Cancel safety: dropping this future drops the attempt under way, and nothing is tried again. What was deposited in the
    /// budget or spent from it stays so.
    pub async fn run<T, E, F>(
        &self,
        idempotency: Idempotency,
        classify: impl Fn(&E) -> Failed,
        attempt: impl FnMut(Attempt) -> F,
    ) -> Result<T, RetryError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let operation = self.begin(idempotency, Instant::now().into_std());
        self.run_operation(operation, classify, attempt).await
    }

    /// As [`run`](Retry::run), for an operation that the caller has begun, with a deadline of its own for instance.
    pub async fn run_operation<T, E, F>(
        &self,
        mut operation: Operation,
        classify: impl Fn(&E) -> Failed,
        mut attempt: impl FnMut(Attempt) -> F,
    ) -> Result<T, RetryError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut last = None;
        loop {
            let now = Instant::now().into_std();
            let this = match operation.next_attempt(now) {
                Ok(this) => this,
                Err(reason) => {
                    let attempts = operation.attempts();
                    return Err(RetryError {
                        reason,
                        attempts,
                        last,
                    });
                }
            };
            let failed = match timeout(this.time_left, attempt(this)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => {
                    let failed = classify(&error);
                    last = Some(error);
                    failed
                }
                Err(_elapsed) => {
                    last = None;
                    Class::MaybeHandled.into()
                }
            };
            match operation.fail(failed, Instant::now().into_std(), self.dice.roll()) {
                Decision::Retry { at } => sleep_until(Instant::from_std(at)).await,
                Decision::GiveUp(reason) => {
                    let attempts = operation.attempts();
                    return Err(RetryError {
                        reason,
                        attempts,
                        last,
                    });
                }
            }
        }
    }
}
