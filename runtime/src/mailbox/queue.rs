//! The message queue of one actor: many senders, one consumer.
//!
//! [`Queue`] chooses the implementation that the configuration needs and joins it with the [`Signal`] that wakes the
//! consumer. Senders call the queue; whoever consumes takes the [`Consumer`] for the time of one poll.
//!
//! Every message that is not queued comes back to the caller, displaced ones included; the queue drops messages only when
//! it is dropped itself.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

use super::config::QueueConfig;
use super::locked::Locked;
use super::signal::Signal;
use super::sync::atomic::{AtomicBool, Ordering};
use super::wait::WaitKey;

/// A message was queued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed<T> {
    Queued,
    /// These had to go to make room; oldest first.
    Displaced(Vec<T>),
}

/// A message was not queued, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejected<T> {
    /// No room, or others wait already; the sender may [`join_wait`](Queue::join_wait).
    Full(T),
    /// No room, and the policy lets nobody wait.
    Refused(T),
    /// No room, and the policy drops what arrives: the caller makes it a dead letter.
    Dropped(T),
    /// Weighs more than the whole mailbox may hold; can never be queued.
    TooHeavy(T),
    /// The queue is closed.
    Closed(T),
}

/// Why [`Queue::push_all`] stopped: [`Rejected`] without the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Full,
    Refused,
    Dropped,
    TooHeavy,
    Closed,
}

impl Stop {
    pub(crate) fn split<T>(rejected: Rejected<T>) -> (Stop, T) {
        match rejected {
            Rejected::Full(value) => (Stop::Full, value),
            Rejected::Refused(value) => (Stop::Refused, value),
            Rejected::Dropped(value) => (Stop::Dropped, value),
            Rejected::TooHeavy(value) => (Stop::TooHeavy, value),
            Rejected::Closed(value) => (Stop::Closed, value),
        }
    }
}

/// What [`Queue::push_all`] did.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) pushed: usize,
    /// Queued messages that had to go; oldest first.
    pub(crate) displaced: Vec<T>,
    /// Why the first of the remaining messages was not queued; `None` if none remains.
    pub(crate) stop: Option<Stop>,
}

/// What [`Queue::join_wait`] did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// There was room by now.
    Queued,
    /// In line; [`poll_wait`](Queue::poll_wait) until ready or [`cancel_wait`](Queue::cancel_wait).
    Waiting(WaitKey),
}

/// See the [module](self).
pub(crate) struct Queue<T> {
    signal: Signal,
    consumed: AtomicBool,
    locked: Box<Locked<T>>,
}

impl<T> Queue<T> {
    pub(crate) fn new(config: QueueConfig<T>) -> Self {
        Self {
            signal: Signal::new(),
            consumed: AtomicBool::new(false),
            locked: Box::new(Locked::new(config)),
        }
    }

    // Senders, from any thread.

    /// Queues a message if there is room and nobody waits for it, and wakes the consumer.
    pub(crate) fn try_push(&self, value: T) -> Result<Pushed<T>, Rejected<T>> {
        let pushed = self.locked.try_push(value)?;
        self.signal.notify();
        Ok(pushed)
    }

    /// Queues a message whose room was reserved elsewhere; it ignores capacity and the line. The message comes back if the
    /// queue is closed.
    pub(crate) fn force_push(&self, value: T) -> Result<(), T> {
        self.locked.force_push(value)?;
        self.signal.notify();
        Ok(())
    }

    /// Queues messages from the front as long as there is room; those that remain in `values` were not queued. Other
    /// senders' messages may come between them.
    pub(crate) fn push_all(&self, values: &mut VecDeque<T>) -> Batch<T> {
        let batch = self.locked.push_all(values);
        if batch.pushed > 0 {
            self.signal.notify();
        }
        batch
    }

    /// Enters the line of those that wait for room, after [`Rejected::Full`]. If there is room by now the message is queued.
    pub(crate) fn join_wait(&self, value: T, waker: &Waker) -> Result<Joined, Rejected<T>> {
        let joined = self.locked.join_wait(value, waker)?;
        if joined == Joined::Queued {
            self.signal.notify();
        }
        Ok(joined)
    }

    /// `Ok`: queued. `Err`: the queue closed, here is the message. The key is used up by either.
    pub(crate) fn poll_wait(&self, key: &WaitKey, waker: &Waker) -> Poll<Result<(), T>> {
        self.locked.poll_wait(key, waker)
    }

    /// Leaves the line. `Some`: the message was not queued, here it is. `None`: it had been queued.
    pub(crate) fn cancel_wait(&self, key: &WaitKey) -> Option<T> {
        self.locked.cancel_wait(key)
    }

    // Life, from any thread.

    /// No push that begins after this returns succeeds; what is queued stays for the consumer; those in line get their
    /// messages back. Does not wake the consumer.
    pub(crate) fn close(&self) {
        self.locked.close();
    }

    /// Takes messages again.
    pub(crate) fn reopen(&self) {
        self.locked.reopen();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.locked.is_closed()
    }

    /// Messages queued; while others push and pop, a number that was true a moment ago.
    pub(crate) fn len(&self) -> usize {
        self.locked.len()
    }

    /// Whether nothing is queued. It can have changed when this returns.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Becomes the consumer until the value is dropped; `None` while somebody else is. What one consumer did is visible to
    /// the next.
    pub(crate) fn consume(&self) -> Option<Consumer<'_, T>> {
        self.consumed
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(Consumer { queue: self })
    }
}

/// The right to take messages out. There is at most one for each queue.
pub(crate) struct Consumer<'a, T> {
    queue: &'a Queue<T>,
}

impl<T> Consumer<'_, T> {
    /// The oldest message.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.queue.locked.pop()
    }

    /// Lets senders see all the room there is and serves those in line: before the consumer pauses with messages left.
    pub(crate) fn publish(&mut self) {
        self.queue.locked.serve();
    }

    /// `true`: nothing is queued and the next message wakes the registered waker, so the caller may return `Pending`.
    /// `false`: go on.
    pub(crate) fn park(&mut self) -> bool {
        self.publish();
        self.queue.signal.park();
        let empty = self.queue.locked.is_empty();
        if !empty {
            self.queue.signal.unpark();
        }
        empty
    }

    /// Gives memory back if the queue is empty.
    pub(crate) fn trim(&mut self) {
        self.queue.locked.trim();
    }
}

impl<T> Drop for Consumer<'_, T> {
    fn drop(&mut self) {
        self.queue.consumed.store(false, Ordering::Release);
    }
}
