//! What a failure says about a repetition, and what the operation says.

use std::time::Duration;

use crate::IdempotencyKey;

/// What a failure means for a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It will fail again: bad input, no permission, no such thing.
    Permanent,
    /// The receiver has certainly not begun: refused, not connected, shed. Always safe to repeat.
    NotHandled,
    /// The receiver may have done it: no answer, connection lost, crash in the handler. Repeated only when idempotent.
    MaybeHandled,
}

impl Class {
    /// As classified, and the receiver asks not to be tried again sooner than this.
    #[must_use]
    pub fn after(self, retry_after: Duration) -> Failed {
        Failed {
            class: self,
            retry_after: Some(retry_after),
        }
    }
}

/// A failed attempt, classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Whether it may be repeated.
    pub class: Class,
    /// The receiver's wish, if it gave one. It may pass the backoff's cap, but not the deadline.
    pub retry_after: Option<Duration>,
}

impl From<Class> for Failed {
    fn from(class: Class) -> Self {
        Self {
            class,
            retry_after: None,
        }
    }
}

/// Whether doing it twice is the same as doing it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Idempotency {
    /// It is not: what may have been handled is not retried.
    #[default]
    No,
    /// By its nature: a read, or "set to 5".
    Natural,
    /// Because the receiver knows the key again, for as long as its store remembers
    /// ([`idempotency`](crate::idempotency)).
    Key(IdempotencyKey),
}

impl Idempotency {
    /// The key, to be sent with every attempt.
    #[must_use]
    pub fn key(self) -> Option<IdempotencyKey> {
        match self {
            Idempotency::Key(key) => Some(key),
            Idempotency::No | Idempotency::Natural => None,
        }
    }
}
