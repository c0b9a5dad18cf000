//! Leave to make one call, and the duty to say how it ended.

use std::time::Instant;

use super::Breaker;
use super::window::Outcome;

/// Leave to make one call. Say how it ended with [`success`](Permit::success) or [`failure`](Permit::failure).
///
/// Dropped without either, as by a cancelled future, the call counts as not made, and a probe's place is free again.
#[must_use = "a permit that is dropped counts as a call that was not made"]
#[derive(Debug)]
pub struct Permit<'a> {
    pub(super) breaker: &'a Breaker,
    pub(super) generation: u16,
    pub(super) role: Role,
    /// `None` if slow calls are not judged.
    pub(super) started: Option<Instant>,
}

/// What the outcome is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// One of the calls of a closed breaker.
    Counted,
    /// One of the few of a half-open breaker.
    Probe,
    /// Nothing: the breaker is forced closed, or the outcome has been given.
    Uncounted,
}

impl Permit<'_> {
    /// The call succeeded, or failed by no fault of what was called.
    #[inline]
    pub fn success(self, now: Instant) {
        self.finish(false, || now);
    }

    /// The call failed.
    pub fn failure(self, now: Instant) {
        self.finish(true, || now);
    }

    /// As the two above; `now` is called only if the time is needed.
    #[inline]
    pub fn finish(mut self, failed: bool, now: impl Fn() -> Instant) {
        let role = std::mem::replace(&mut self.role, Role::Uncounted);
        let slow = self
            .started
            .is_some_and(|started| self.breaker.is_slow(started, now()));
        let outcome = Outcome { failed, slow };
        match role {
            Role::Counted => self.breaker.record(self.generation, outcome, now),
            Role::Probe => self.breaker.record_probe(self.generation, outcome, now()),
            Role::Uncounted => {}
        }
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.role == Role::Probe {
            self.breaker.return_probe(self.generation);
        }
    }
}
