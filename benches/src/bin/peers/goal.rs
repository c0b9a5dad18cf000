//! How a measurement learns that its actors are done, at the same price for every system.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Reached when `size` actors have arrived; then it counts anew.
///
/// Ten thousand actors that arrive at one counter measure its cache line. So a goal can stand under another one: its
/// own last arrival arrives there, and neighbours share a small counter.
#[derive(Clone)]
pub(crate) struct Goal(Arc<Inner>);

// A line of its own, so that groups do not slow each other down.
#[repr(align(64))]
struct Inner {
    left: AtomicU64,
    size: u64,
    then: Then,
}

enum Then {
    Wake(Notify),
    Arrive(Goal),
}

impl Goal {
    /// `size` is at least 1.
    pub(crate) fn new(size: u64) -> Goal {
        Goal::with(size, Then::Wake(Notify::new()))
    }

    /// One goal for each of `members`, in groups of up to 100 that stand under a common goal, which is the second value.
    pub(crate) fn grouped(members: usize) -> (Vec<Goal>, Goal) {
        const GROUP: usize = 100;
        let top = Goal::new(members.div_ceil(GROUP) as u64);
        let mut goals = Vec::with_capacity(members);
        while goals.len() < members {
            let size = GROUP.min(members - goals.len());
            let group = Goal::with(size as u64, Then::Arrive(top.clone()));
            goals.extend(std::iter::repeat_n(group, size));
        }
        (goals, top)
    }

    fn with(size: u64, then: Then) -> Goal {
        Goal(Arc::new(Inner {
            left: AtomicU64::new(size),
            size,
            then,
        }))
    }

    pub(crate) fn arrive(&self) {
        if self.0.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.left.store(self.0.size, Ordering::Release);
            match &self.0.then {
                Then::Wake(waiter) => waiter.notify_one(),
                Then::Arrive(above) => above.arrive(),
            }
        }
    }

    /// Waits until all have arrived, once for each time; one task waits at a time, and for a goal under no other.
    pub(crate) async fn reached(&self) {
        match &self.0.then {
            Then::Wake(waiter) => waiter.notified().await,
            Then::Arrive(_) => unreachable!("only the top of grouped goals is waited for"),
        }
    }
}
