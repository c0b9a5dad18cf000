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
use super::fifo::{Denied, Fifo, FifoConsumer};
use super::locked::{Locked, LockedConsumer};
use super::policy::{MailboxLoad, OnFull, Overflow, Policy};
use super::signal::Signal;
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
    fn of(denied: Denied, overflow: Overflow) -> Stop {
        match denied {
            Denied::Closed => Stop::Closed,
            Denied::Full => match overflow.decision() {
                OnFull::Wait | OnFull::DropOldest => Stop::Full,
                OnFull::Refuse => Stop::Refused,
                OnFull::DropNewest => Stop::Dropped,
            },
        }
    }

    pub(super) fn with<T>(self, value: T) -> Rejected<T> {
        match self {
            Stop::Full => Rejected::Full(value),
            Stop::Refused => Rejected::Refused(value),
            Stop::Dropped => Rejected::Dropped(value),
            Stop::TooHeavy => Rejected::TooHeavy(value),
            Stop::Closed => Rejected::Closed(value),
        }
    }

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
#[allow(dead_code, reason = "read by tests so far")]
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
    kind: Kind<T>,
}

enum Kind<T> {
    /// Bounded by count or not at all, for policies that leave queued messages alone.
    Fifo { fifo: Fifo<T>, overflow: Overflow },
    /// Everything else. Boxed, because it is larger and rarer.
    Locked(Box<Locked<T>>),
}

impl<T> Queue<T> {
    pub(crate) fn new(config: QueueConfig<T>) -> Self {
        let kind = match (&config.policy, &config.weigher) {
            (&Policy::BuiltIn(overflow), None) if overflow != Overflow::DropOldest => Kind::Fifo {
                fifo: Fifo::new(config.capacity),
                overflow,
            },
            _ => Kind::Locked(Box::new(Locked::new(config))),
        };
        Self { kind }
    }

    // Senders, from any thread.

    /// Queues a message if there is room and nobody waits for it, and wakes the consumer.
    #[inline(always)]
    pub(crate) fn try_push(&self, value: T) -> Result<Pushed<T>, Rejected<T>> {
        match &self.kind {
            Kind::Fifo { fifo, overflow } => match fifo.try_push(value) {
                Ok(()) => Ok(Pushed::Queued),
                Err((denied, value)) => Err(Stop::of(denied, *overflow).with(value)),
            },
            Kind::Locked(locked) => locked.try_push(apart(value)),
        }
    }

    /// Queues a message whose room was reserved elsewhere; it ignores capacity and the line. The message comes back if the
    /// queue is closed.
    pub(crate) fn force_push(&self, value: T) -> Result<(), T> {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.force_push(value),
            Kind::Locked(locked) => locked.force_push(value),
        }
    }

    /// Queues messages from the front as long as there is room; those that remain in `values` were not queued. Other
    /// senders' messages may come between them.
    pub(crate) fn push_all(&self, values: &mut VecDeque<T>) -> Batch<T> {
        match &self.kind {
            Kind::Fifo { fifo, overflow } => {
                let (pushed, denied) = fifo.push_all(values);
                let stop = denied.map(|denied| Stop::of(denied, *overflow));
                Batch {
                    pushed,
                    displaced: Vec::new(),
                    stop,
                }
            }
            Kind::Locked(locked) => locked.push_all(values),
        }
    }

    /// Enters the line of those that wait for room, after [`Rejected::Full`]. If there is room by now the message is queued.
    pub(crate) fn join_wait(&self, value: T, waker: &Waker) -> Result<Joined, Rejected<T>> {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.join_wait(value, waker).map_err(Rejected::Closed),
            Kind::Locked(locked) => locked.join_wait(value, waker),
        }
    }

    /// `Ok`: queued. `Err`: the queue closed, here is the message. The key is used up by either.
    pub(crate) fn poll_wait(&self, key: &WaitKey, waker: &Waker) -> Poll<Result<(), T>> {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.poll_wait(key, waker),
            Kind::Locked(locked) => locked.poll_wait(key, waker),
        }
    }

    /// Leaves the line. `Some`: the message was not queued, here it is. `None`: it had been queued.
    pub(crate) fn cancel_wait(&self, key: &WaitKey) -> Option<T> {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.cancel_wait(key),
            Kind::Locked(locked) => locked.cancel_wait(key),
        }
    }

    // Life, from any thread.

    /// No push that begins after this returns succeeds; what is queued stays for the consumer; those in line get their
    /// messages back. Does not wake the consumer.
    pub(crate) fn close(&self) {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.close(),
            Kind::Locked(locked) => locked.close(),
        }
    }

    /// Takes messages again.
    pub(crate) fn reopen(&self) {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.reopen(),
            Kind::Locked(locked) => locked.reopen(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.is_closed(),
            Kind::Locked(locked) => locked.is_closed(),
        }
    }

    /// Messages queued; while others push and pop, a number that was true a moment ago.
    pub(crate) fn len(&self) -> usize {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.len(),
            Kind::Locked(locked) => locked.len(),
        }
    }

    /// Whether nothing is queued. It can have changed when this returns.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is memory that [`Consumer::trim`] could give back.
    #[inline]
    pub(crate) fn holds_memory(&self) -> bool {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.holds_memory(),
            Kind::Locked(locked) => locked.holds_memory(),
        }
    }

    /// How full it is, and what it gave up.
    pub(crate) fn load(&self) -> MailboxLoad {
        match &self.kind {
            Kind::Fifo { fifo, .. } => MailboxLoad::of_plain(fifo.len(), fifo.capacity()),
            Kind::Locked(locked) => locked.current_load(),
        }
    }

    pub(crate) fn signal(&self) -> &Signal {
        match &self.kind {
            Kind::Fifo { fifo, .. } => fifo.signal(),
            Kind::Locked(locked) => locked.signal(),
        }
    }

    /// Becomes the consumer until the value is dropped; `None` while somebody else is. What one consumer did is visible to
    /// the next. It need not be the actor: whoever gets it may, say, [`trim`](Consumer::trim) the queue of an idle actor.
    pub(crate) fn consume(&self) -> Option<Consumer<'_, T>> {
        let kind = match &self.kind {
            Kind::Fifo { fifo, .. } => ConsumerKind::Fifo(fifo.consume()?),
            Kind::Locked(locked) => ConsumerKind::Locked(locked.consume()?),
        };
        Some(Consumer { kind })
    }
}

/// The right to take messages out. There is at most one for each queue.
pub(crate) struct Consumer<'a, T> {
    kind: ConsumerKind<'a, T>,
}

enum ConsumerKind<'a, T> {
    Fifo(FifoConsumer<'a, T>),
    Locked(LockedConsumer<'a, T>),
    /// The right was given back.
    Vacant,
}

impl<'a, T> Consumer<'a, T> {
    /// Gives the right back, for somebody else to [`consume`](Queue::consume) or for [`resume`](Self::resume). Until then there is nothing
    /// to pop.
    pub(crate) fn vacate(&mut self) {
        self.kind = ConsumerKind::Vacant;
    }

    pub(crate) fn is_vacant(&self) -> bool {
        matches!(self.kind, ConsumerKind::Vacant)
    }

    /// Takes the right again, which nobody else has taken.
    pub(crate) fn resume(&mut self, queue: &'a Queue<T>) {
        *self = queue
            .consume()
            .expect("nobody consumes in place of a run loop that was not given up");
    }
}

impl<T> Consumer<'_, T> {
    /// Lets `look` see and change the next message, which stays for [`pop`](Self::pop); if `look` panics it is dropped.
    /// `None`: as for `pop`.
    #[inline(always)]
    pub(crate) fn look<R>(&mut self, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        match &mut self.kind {
            ConsumerKind::Fifo(consumer) => consumer.look(look),
            ConsumerKind::Locked(consumer) => consumer.look(apart(look)),
            ConsumerKind::Vacant => None,
        }
    }

    /// The oldest message. `None`: nothing is queued (a sender in the middle of a push is waited for).
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<T> {
        match &mut self.kind {
            ConsumerKind::Fifo(consumer) => consumer.pop(),
            ConsumerKind::Locked(consumer) => consumer.pop(),
            ConsumerKind::Vacant => None,
        }
    }

    /// Takes out the message that [`look`](Self::look) has seen, in one move from where it lies to where the caller needs it.
    #[inline(always)]
    #[allow(unsafe_code)]
    pub(crate) fn take(&mut self) -> T {
        let at = match &mut self.kind {
            ConsumerKind::Fifo(consumer) => consumer.pass(),
            ConsumerKind::Locked(consumer) => consumer.pass(),
            ConsumerKind::Vacant => None,
        };
        match at {
            // SAFETY: it is ours, and read once, before there is another look.
            Some(at) => unsafe { at.read() },
            None => unreachable!("what was looked at is still there"),
        }
    }

    /// Lets senders see all the room there is and serves those in line: before the consumer pauses with messages left.
    pub(crate) fn publish(&mut self) {
        match &mut self.kind {
            ConsumerKind::Fifo(consumer) => consumer.publish(),
            ConsumerKind::Locked(consumer) => consumer.publish(),
            ConsumerKind::Vacant => {}
        }
    }

    /// Publishes and gets ready to sleep. `true`: nothing is queued and the next message wakes the registered waker, so the
    /// caller may return `Pending`. `false`: go on.
    pub(crate) fn park(&mut self) -> bool {
        match &mut self.kind {
            ConsumerKind::Fifo(consumer) => consumer.park(),
            ConsumerKind::Locked(consumer) => consumer.park(),
            ConsumerKind::Vacant => false,
        }
    }

    /// Running again after [`park`](Self::park): spares senders the wake-up.
    #[inline]
    pub(crate) fn unpark(&mut self) {
        match &mut self.kind {
            ConsumerKind::Fifo(consumer) => consumer.unpark(),
            ConsumerKind::Locked(consumer) => consumer.unpark(),
            ConsumerKind::Vacant => {}
        }
    }

    /// Gives memory back if the queue is empty. The next message allocates again, so this is for an actor that has been idle
    /// for a while; parking alone keeps one block.
    pub(crate) fn trim(&mut self) {
        match &mut self.kind {
            ConsumerKind::Fifo(consumer) => consumer.trim(),
            ConsumerKind::Locked(consumer) => consumer.trim(),
            ConsumerKind::Vacant => {}
        }
    }
}

/// The value, from a place of its own.
///
/// What a call that is not inlined gets by its address has to be in memory, on every path. Where that is the path of few,
/// moving the value apart there lets the path of most keep it in registers, which spares it two copies.
#[inline(always)]
pub(super) fn apart<T>(value: T) -> T {
    let mut held = Some(value);
    held.take().expect("just put there")
}

pub(super) fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
