//! Throttles a future, by tokio's clock.

use std::error::Error;
use std::fmt;

use tokio::time::Instant;

use super::{Throttle, Throttled};

impl Throttle {
    /// Sends the request unless it is held back. `is_overload` says whether an error is the destination's refusal for overload.
    ///
    /// Cancel safety: a request that is cancelled while under way counts as not accepted; requests mostly are because they take too
    /// long.
    pub async fn call<T, E>(
        &self,
        is_overload: impl FnOnce(&E) -> bool,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ThrottleError<E>> {
        self.admit(Instant::now().into_std(), self.dice.roll())
            .map_err(ThrottleError::Throttled)?;
        let outcome = request.await;
        if !outcome.as_ref().is_err_and(is_overload) {
            self.accepted(Instant::now().into_std());
        }
        outcome.map_err(ThrottleError::Failed)
    }
}

/// A throttled request gave no value.
#[derive(Clone, Debug, PartialEq)]
pub enum ThrottleError<E> {
    /// It was not sent.
    Throttled(Throttled),
    /// It was sent, and failed.
    Failed(E),
}

impl<E: fmt::Display> fmt::Display for ThrottleError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ThrottleError::Throttled(throttled) => throttled.fmt(f),
            ThrottleError::Failed(error) => write!(f, "the request was sent and failed: {error}"),
        }
    }
}

impl<E: Error + 'static> Error for ThrottleError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ThrottleError::Throttled(_) => None,
            ThrottleError::Failed(error) => Some(error),
        }
    }
}
