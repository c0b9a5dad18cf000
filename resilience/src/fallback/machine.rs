//! The last good answer, and what an answer says of itself.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::sync_ext::MutexExt;

/// A value, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From where it should.
    Primary,
    /// From the primary, but earlier.
    Stale {
        /// How long ago.
        age: Duration,
    },
    /// From the fallback.
    Fallback,
}

impl<T> Answer<T> {
    /// True unless the value is from the primary, now.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.source != Source::Primary
    }
}

/// The last good answer to one question. Built by [`LastGoodConfig::build`](super::LastGoodConfig::build).
#[derive(Debug)]
pub struct LastGood<T> {
    age_max: Duration,
    answer: Mutex<Option<(Arc<T>, Instant)>>,
}

impl<T: Clone> LastGood<T> {
    pub(super) fn new(age_max: Duration) -> Self {
        Self {
            age_max,
            answer: Mutex::new(None),
        }
    }

    /// Remembers an answer that was good at `now`. One that is older than what is remembered is ignored.
    pub fn store(&self, value: T, now: Instant) {
        let value = Arc::new(value);
        let unused = {
            let mut answer = self.answer.locked();
            match &*answer {
                Some((_, at)) if *at > now => Some((value, now)),
                _ => answer.replace((value, now)),
            }
        };
        // A value's drop is not ours, and so happens without the lock.
        drop(unused);
    }

    /// The last good answer, unless there is none or it is too old at `now`.
    pub fn get(&self, now: Instant) -> Option<Answer<T>> {
        // Cloned in two steps, because the value's own clone is not ours either.
        let (value, at) = self.answer.locked().clone()?;
        let age = now.saturating_duration_since(at);
        (age <= self.age_max).then(|| Answer {
            value: T::clone(&value),
            source: Source::Stale { age },
        })
    }
}
