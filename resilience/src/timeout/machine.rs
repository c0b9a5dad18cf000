//! The deadline's arithmetic.

use std::fmt;
use std::time::{Duration, Instant};

/// When nobody waits for an answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// At this instant.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// This long after `now`; at most about a century after it.
    #[must_use]
    pub fn after(duration: Duration, now: Instant) -> Self {
        let century = Duration::from_secs(100 * 365 * 24 * 3600);
        Self(now + duration.min(century))
    }

    /// The instant.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// What is left at `now`; nothing once it is over. This is what travels to other processes, less the time of the way.
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Whether it has come at `now`.
    #[must_use]
    pub fn is_over(self, now: Instant) -> bool {
        now >= self.0
    }

    /// For a step that may take no longer than `duration`: this deadline, or an earlier one.
    #[must_use]
    pub fn at_most(self, duration: Duration, now: Instant) -> Self {
        self.min(Self::after(duration, now))
    }

    /// For a step that must leave this much time for what comes after it.
    #[must_use]
    pub fn keep_back(self, duration: Duration) -> Self {
        // Some clocks begin at boot and know no instant before it; then about as early as they can tell.
        let mut back = duration;
        loop {
            match self.0.checked_sub(back) {
                Some(earlier) => return Self(earlier),
                None => back /= 2,
            }
        }
    }
}

/// The deadline came before the answer. If the work had begun, it may have had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineOver {
    /// False if it had come already, and nothing was begun: then it is safe to do elsewhere.
    pub begun: bool,
}

impl fmt::Display for DeadlineOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.begun {
            false => "the deadline had passed: nothing was begun",
            true => "the deadline passed: the work was dropped, and may have had its effect",
        })
    }
}

impl std::error::Error for DeadlineOver {}
