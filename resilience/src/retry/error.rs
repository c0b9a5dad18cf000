//! Why there is no further attempt.

use std::error::Error;
use std::fmt;

/// Why an operation is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GiveUp {
    /// The failure would repeat itself.
    Permanent,
    /// It may have been handled, and is not idempotent: the caller must find out before it repeats anything.
    NotIdempotent,
    /// As many attempts were made as the policy allows.
    AttemptsExhausted,
    /// No further attempt could begin before the deadline.
    Deadline,
    /// Too large a share of the recent requests were retried already.
    BudgetExhausted,
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GiveUp::Permanent => "the failure would repeat itself",
            GiveUp::NotIdempotent => "it may have been handled and must not be repeated",
            GiveUp::AttemptsExhausted => "no attempts are left",
            GiveUp::Deadline => "no further attempt could begin before the deadline",
            GiveUp::BudgetExhausted => "the retry budget is exhausted",
        })
    }
}

/// An operation failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryError<E> {
    /// Why it was not tried again.
    pub reason: GiveUp,
    /// The attempts made; 0 if the deadline had passed before the first.
    pub attempts: u32,
    /// The error of the last attempt; `None` if that ran out of time, or if there was none.
    pub last: Option<E>,
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reason,
            attempts,
            last,
        } = self;
        write!(f, "gave up after {attempts} attempts, because {reason}; ")?;
        match last {
            Some(error) => write!(f, "the last failed: {error}"),
            None if *attempts == 0 => f.write_str("nothing was sent"),
            None => f.write_str("the last ran out of time, and may have been handled"),
        }
    }
}

impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.last.as_ref().map(|error| error as _)
    }
}
