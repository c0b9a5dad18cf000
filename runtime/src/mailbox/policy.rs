//! What a full mailbox does with the next message.
//!
//! The policy belongs to the actor that receives. It decides only; the queue carries the decision out and hands every
//! message that is not queued back to the sender's side, which counts it. Nothing here drops a message.
//!
//! A place for policies that act when a message is taken out (shedding by waiting time) is the one point where messages
//! leave the locked queue; it has no hook yet.

use std::fmt;
use std::sync::Arc;

/// What a full mailbox does with the next message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// The sender waits in line for room (backpressure); a send that cannot wait gets its message back.
    #[default]
    Wait,
    /// The message is handed back to the sender at once, also by sends that could wait.
    Refuse,
    /// The message that arrives becomes a dead letter; the sender's call succeeds.
    DropNewest,
    /// The oldest queued message becomes a dead letter and makes room; per-sender order holds among those that remain.
    DropOldest,
}

/// The decision about one message that found a mailbox full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFull {
    /// Let the sender wait in line.
    Wait,
    /// Hand the message back.
    Refuse,
    /// Drop the message that arrives.
    DropNewest,
    /// Drop as many of the oldest messages as the new one needs room. While other senders wait in line this is read as
    /// [`Wait`](OnFull::Wait), because the message would overtake them.
    DropOldest,
}

/// What a policy sees of the mailbox at the moment a message found it full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MailboxLoad {
    /// Messages queued.
    pub len: usize,
    /// The most messages that may be queued; `usize::MAX` if unbounded.
    pub capacity: usize,
    /// Bytes queued; 0 if the mailbox doesn't weigh.
    pub weight_bytes: usize,
    /// The most bytes that may be queued; `usize::MAX` if the mailbox doesn't weigh.
    pub weight_bytes_max: usize,
    /// Senders that wait in line.
    pub senders_waiting: usize,
}

/// A custom overflow policy, for [`Mailbox::overflow_policy`](super::Mailbox::overflow_policy).
///
/// Called by the sender's thread, with no lock held, once for each send that found the mailbox full. If there is room by
/// the time the answer arrives, the message is queued whatever the answer was. A panic propagates to the sender, whose
/// message is lost with it.
pub trait OverflowPolicy: Send + Sync + 'static {
    /// Decides about one message that found the mailbox full.
    fn on_full(&self, load: &MailboxLoad) -> OnFull;
}

impl OverflowPolicy for Overflow {
    fn on_full(&self, _: &MailboxLoad) -> OnFull {
        self.decision()
    }
}

impl Overflow {
    pub(super) fn decision(self) -> OnFull {
        match self {
            Overflow::Wait => OnFull::Wait,
            Overflow::Refuse => OnFull::Refuse,
            Overflow::DropNewest => OnFull::DropNewest,
            Overflow::DropOldest => OnFull::DropOldest,
        }
    }
}

/// Which policy a mailbox has.
#[derive(Clone)]
pub(crate) enum Policy {
    /// Decides without looking, so it can be asked anywhere.
    BuiltIn(Overflow),
    /// User code: never asked under a lock.
    Custom(Arc<dyn OverflowPolicy>),
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::BuiltIn(overflow) => overflow.fmt(f),
            Policy::Custom(_) => f.write_str("Custom"),
        }
    }
}
