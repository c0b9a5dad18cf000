//! The decision after each failed attempt.
//!
//! [`Retry::begin`], then [`Operation::next_attempt`]; after a failure [`Operation::fail`], and by its decision wait and
//! begin the next attempt, or give up. After a success just drop the operation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::Earns;
use super::{Class, Failed, GiveUp, Idempotency};
use crate::backoff::{Backoff, Delays};
use crate::budget::Budget;
use crate::{Dice, IdempotencyKey};

/// A retry policy. Cheap to clone; clones share the budget. Built by [`RetryConfig::build`](super::RetryConfig::build).
#[derive(Clone, Debug)]
pub struct Retry {
    pub(super) attempts_max: u32,
    pub(super) deadline: Duration,
    pub(super) attempt_timeout: Option<Duration>,
    pub(super) backoff: Backoff,
    pub(super) budget: Option<(Arc<Budget>, Earns)>,
    /// For the shell alone.
    #[cfg_attr(not(feature = "tokio"), allow(dead_code))]
    pub(super) dice: Arc<Dice>,
}

impl Retry {
    /// One operation, begun at `now`. Counts as a request in the budget, if this policy earns.
    #[must_use]
    pub fn begin(&self, idempotency: Idempotency, now: Instant) -> Operation {
        if let Some((budget, Earns::Yes)) = &self.budget {
            budget.deposit(now);
        }
        Operation {
            idempotency,
            deadline: now + self.deadline,
            attempts: 0,
            delays: self.backoff.delays(),
            retry: self.clone(),
        }
    }
}

/// One operation and its attempts.
#[derive(Clone, Debug)]
pub struct Operation {
    retry: Retry,
    idempotency: Idempotency,
    deadline: Instant,
    /// Begun so far.
    attempts: u32,
    delays: Delays,
}

/// One attempt, about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// To be sent along; the same for every attempt.
    pub key: Option<IdempotencyKey>,
    /// The time this attempt has: up to its own time-out or the deadline, whichever is sooner. To be sent along as well.
    pub time_left: Duration,
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait until `at`, and begin the next attempt.
    Retry {
        /// Not before this; always before the deadline.
        at: Instant,
    },
    /// Do not try again.
    GiveUp(GiveUp),
}

impl Operation {
    /// Brings the deadline forward to that of the caller. A later one changes nothing.
    #[must_use]
    pub fn not_after(mut self, deadline: Instant) -> Self {
        self.deadline = self.deadline.min(deadline);
        self
    }

    /// Attempts begun so far.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The attempt to make at `now`; an error once the deadline has come, with nothing changed.
    pub fn next_attempt(&mut self, now: Instant) -> Result<Attempt, GiveUp> {
        let until_deadline = self.deadline.saturating_duration_since(now);
        if until_deadline.is_zero() {
            return Err(GiveUp::Deadline);
        }
        self.attempts += 1;
        let time_out = self.retry.attempt_timeout.unwrap_or(Duration::MAX);
        Ok(Attempt {
            number: self.attempts,
            key: self.idempotency.key(),
            time_left: until_deadline.min(time_out),
        })
    }

    /// Decides what follows a failed attempt. `random`, uniform over all of `u64`, is for the jitter.
    ///
    /// The order is policy: what costs nothing is asked first, and a token is spent only on a retry that will be made.
    pub fn fail(&mut self, failed: impl Into<Failed>, now: Instant, random: u64) -> Decision {
        let Failed { class, retry_after } = failed.into();
        match class {
            Class::Permanent => return Decision::GiveUp(GiveUp::Permanent),
            Class::MaybeHandled if self.idempotency == Idempotency::No => {
                return Decision::GiveUp(GiveUp::NotIdempotent);
            }
            Class::MaybeHandled | Class::NotHandled => {}
        }
        if self.attempts >= self.retry.attempts_max {
            return Decision::GiveUp(GiveUp::AttemptsExhausted);
        }
        let asked = retry_after.unwrap_or(Duration::ZERO);
        let wait = asked.saturating_add(self.delays.next(random));
        // A time beyond what an instant holds is beyond the deadline.
        let Some(at) = now.checked_add(wait).filter(|at| *at < self.deadline) else {
            return Decision::GiveUp(GiveUp::Deadline);
        };
        match &self.retry.budget {
            Some((budget, _)) if budget.withdraw(now).is_err() => {
                Decision::GiveUp(GiveUp::BudgetExhausted)
            }
            Some(_) | None => Decision::Retry { at },
        }
    }
}
