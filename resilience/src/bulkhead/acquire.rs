//! The future of a permit. It needs no runtime.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::machine::{Entry, Full, Ticket};
use super::pool::{Bulkhead, Permit, Waiter};

/// The future of [`Bulkhead::acquire`].
#[must_use = "a future does nothing unless it is polled"]
#[derive(Debug)]
pub struct Acquire {
    bulkhead: Bulkhead,
    weight: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    NotYetInLine,
    InLine(Ticket),
    Done,
}

impl Acquire {
    pub(super) fn new(bulkhead: Bulkhead, weight: u64) -> Self {
        Self {
            bulkhead,
            weight,
            place: Place::NotYetInLine,
        }
    }

    fn done(&mut self, outcome: Result<(), Full>) -> Poll<Result<Permit, Full>> {
        self.place = Place::Done;
        Poll::Ready(outcome.map(|()| self.bulkhead.permit(self.weight)))
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Full>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // Cloned before the lock: a waker's code is not ours.
        let waker = context.waker().clone();
        let bulkhead = this.bulkhead.clone();
        let mut pool = bulkhead.pool();
        match this.place {
            Place::NotYetInLine => match pool.line.enter(this.weight, true) {
                Ok(Entry::Granted) => this.done(Ok(())),
                Ok(Entry::Waiting(ticket)) => {
                    pool.waiters.insert(ticket, Waiter::InLine(waker));
                    this.place = Place::InLine(ticket);
                    Poll::Pending
                }
                Err(full) => this.done(Err(full)),
            },
            Place::InLine(ticket) => match pool.waiters.remove(&ticket) {
                Some(Waiter::Granted) => this.done(Ok(())),
                old @ (Some(Waiter::InLine(_)) | None) => {
                    pool.waiters.insert(ticket, Waiter::InLine(waker));
                    drop(pool);
                    // Dropped after the lock, for the same reason.
                    drop(old);
                    Poll::Pending
                }
            },
            Place::Done => panic!("an Acquire was polled again after it had returned its permit"),
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Place::InLine(ticket) = self.place else {
            return;
        };
        let mut waiter = None;
        self.bulkhead.change(|pool| {
            waiter = pool.waiters.remove(&ticket);
            if !pool.line.leave(ticket) {
                // Granted, and never fetched: the next may have it.
                pool.line.give_back(self.weight);
            }
        });
        drop(waiter);
    }
}
