//! Limits a future, by tokio's clock.

use std::error::Error;
use std::fmt;

use tokio::time::Instant;

use super::{Limiter, Saturated};

impl Limiter {
    /// Makes the call if it is let in. `is_overload` says whether an error means overload (a time-out, "too many requests"); other
    /// errors teach the limiter nothing.
    ///
    /// Cancel safety: dropping this future drops the call and makes room; nothing is learnt from it.
    pub async fn call<T, E>(
        &self,
        is_overload: impl FnOnce(&E) -> bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, LimitedError<E>> {
        let now = || Instant::now().into_std();
        let permit = self.try_acquire(now()).map_err(LimitedError::Saturated)?;
        let outcome = call.await;
        match &outcome {
            Ok(_) => permit.success(now()),
            Err(error) if is_overload(error) => permit.overloaded(now()),
            Err(_) => drop(permit),
        }
        outcome.map_err(LimitedError::Failed)
    }
}

/// A limited call gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitedError<E> {
    /// The call was not made.
    Saturated(Saturated),
    /// The call was made, and failed.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for LimitedError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LimitedError::Saturated(saturated) => saturated.fmt(f),
            LimitedError::Failed(error) => write!(f, "the call was made and failed: {error}"),
        }
    }
}

impl<E: Error + 'static> Error for LimitedError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LimitedError::Saturated(_) => None,
            LimitedError::Failed(error) => Some(error),
        }
    }
}
