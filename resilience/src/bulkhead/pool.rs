//! The line behind a lock, and the wakers of those who wait.
//!
//! Rules: wakers are called after the lock is released. A ticket is in exactly one of three places: in the line, granted and not yet
//! fetched by its future, or gone. Whoever drops a future returns the ticket from wherever it is.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use super::BulkheadConfig;
use super::acquire::Acquire;
use super::machine::{Entry, Full, Line, Ticket};
use crate::sync_ext::MutexExt;

/// A pool of permits. Cheap to clone; clones share the pool. Built by [`BulkheadConfig::build`].
#[derive(Clone)]
pub struct Bulkhead(Arc<Mutex<Pool>>);

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) line: Line,
    /// Of those in line that have been polled, and of those granted that have not been polled since.
    pub(super) waiters: HashMap<Ticket, Waiter>,
}

#[derive(Debug)]
pub(super) enum Waiter {
    InLine(Waker),
    Granted,
}

impl Bulkhead {
    pub(super) fn new(config: BulkheadConfig) -> Self {
        Self(Arc::new(Mutex::new(Pool {
            line: Line::new(config),
            waiters: HashMap::new(),
        })))
    }

    /// Permits that are free. Those who wait may be owed them already.
    #[must_use]
    pub fn permits_left(&self) -> u32 {
        self.0.locked().line.permits_left()
    }

    /// Weight that is free; `None` if weight is not counted.
    #[must_use]
    pub fn weight_left(&self) -> Option<u64> {
        self.0.locked().line.weight_left()
    }

    /// Callers in line.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.0.locked().line.waiting()
    }

    /// Lets a call of this weight in, if there is room and nobody waits. The weight is ignored by a pool that does not count it.
    pub fn try_acquire(&self, weight: u64) -> Result<Permit, Full> {
        let entry = self.0.locked().line.enter(weight, false)?;
        debug_assert_eq!(
            entry,
            Entry::Granted,
            "who may not wait is let in or refused"
        );
        Ok(self.permit(weight))
    }

    /// Waits in line for its turn. Takes its place in line when it is first polled, and errs then if it cannot.
    ///
    /// Cancel safety: dropping the future leaves the line; a permit that was granted meanwhile goes to the next.
    pub fn acquire(&self, weight: u64) -> Acquire {
        Acquire::new(self.clone(), weight)
    }

    pub(super) fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.0.locked()
    }

    pub(super) fn permit(&self, weight: u64) -> Permit {
        Permit {
            bulkhead: self.clone(),
            weight,
        }
    }

    /// Changes the line, grants what can be granted after that, and wakes.
    pub(super) fn change(&self, change: impl FnOnce(&mut Pool)) {
        let mut woken = Vec::new();
        {
            let mut pool = self.pool();
            change(&mut pool);
            while let Some(ticket) = pool.line.poll_granted() {
                // A place in line is taken in a poll, and so has a waker.
                if let Some(Waiter::InLine(waker)) = pool.waiters.insert(ticket, Waiter::Granted) {
                    woken.push(waker);
                }
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bulkhead").field(&self.pool().line).finish()
    }
}

/// One call's place in the pool. Dropping it gives the place to the next in line.
#[must_use = "dropping it gives the place back at once"]
#[derive(Debug)]
pub struct Permit {
    bulkhead: Bulkhead,
    weight: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.bulkhead
            .change(|pool| pool.line.give_back(self.weight));
    }
}
