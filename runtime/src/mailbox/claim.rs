//! The right to consume, held by at most one at a time.
//!
//! A run loop claims it for the time of one poll, so the right passes between threads, and the queue's safety rests on this
//! flag and not on a promise of the run loop.

use super::sync::atomic::{AtomicBool, Ordering};

/// See the [module](self).
pub(super) struct Claim {
    taken: AtomicBool,
}

/// The right; given up when dropped.
pub(super) struct Claimed<'a> {
    claim: &'a Claim,
}

impl Claim {
    pub(super) fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
        }
    }

    /// What the last holder did happens before what the next one does.
    pub(super) fn take(&self) -> Option<Claimed<'_>> {
        self.taken
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(Claimed { claim: self })
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.claim.taken.store(false, Ordering::Release);
    }
}
