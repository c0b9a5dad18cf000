//! Guards a future with a breaker, by tokio's clock.

use std::error::Error;
use std::fmt;

use tokio::time::Instant;

use super::{Breaker, Rejected};

impl Breaker {
    /// Makes the call if the breaker admits it; an error counts as a failure.
    ///
    /// Cancel safety: dropping this future drops the call, which then counts as not made. A call under a time-out of its own belongs
    /// *inside*, so that running out of time counts as a failure.
    pub async fn call<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        self.call_with(Result::is_err, call).await
    }

    /// As [`call`](Breaker::call); `is_failure` says whether what was called is to blame. A bad request, for instance, is not its failure.
    pub async fn call_with<T, E>(
        &self,
        is_failure: impl FnOnce(&Result<T, E>) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let now = || Instant::now().into_std();
        let permit = self.try_acquire_with(now).map_err(CallError::Rejected)?;
        let outcome = call.await;
        permit.finish(is_failure(&outcome), now);
        outcome.map_err(CallError::Failed)
    }
}

/// A guarded call gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// The call was not made.
    Rejected(Rejected),
    /// The call was made, and failed.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Rejected(rejected) => rejected.fmt(f),
            CallError::Failed(error) => write!(f, "the call was made and failed: {error}"),
        }
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CallError::Rejected(_) => None,
            CallError::Failed(error) => Some(error),
        }
    }
}
