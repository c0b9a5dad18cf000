//! What a full mailbox does with the next message.
//!
//! The policy belongs to the actor that receives. It decides only; the queue carries the decision out and hands every
//! message that is not queued back to the sender's side, which counts it. Nothing here drops a message.
//!
//! Policies that also act when a message is taken out are in `sojourn/`; fairness by key is in `fair`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::sojourn::Shedding;
use crate::dead_letter::DeadLetterReason;
use crate::envelope::Criticality;

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

/// How full a mailbox is, and what it gave up: [`ActorRef::mailbox_load`](crate::ActorRef::mailbox_load), and what a policy
/// sees at the moment a message found the mailbox full.
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
    /// Senders that wait in line; not counted in a plain mailbox ([`ActorRef::mailbox_load`](crate::ActorRef::mailbox_load)
    /// says 0 there).
    pub senders_waiting: usize,
    /// How long the oldest message has waited, in a mailbox that [sheds](crate::Mailbox::shed) and is not empty.
    pub oldest_waited: Option<Duration>,
    /// How many messages were refused on arrival since the beginning, by class, in a mailbox that sheds or is fair.
    pub refused: ByClass,
    /// How many messages were queued and then given up since the beginning, by class, in a mailbox that sheds or is fair.
    /// Each of them is a dead letter as well.
    pub shed: ByClass,
}

impl MailboxLoad {
    /// What was refused and what was shed, together.
    pub(crate) fn given_up(&self) -> ByClass {
        let ByClass {
            sheddable,
            default,
            critical,
        } = self.shed;
        ByClass {
            sheddable: sheddable + self.refused.sheddable,
            default: default + self.refused.default,
            critical: critical + self.refused.critical,
        }
    }

    /// Of a mailbox that neither weighs nor chooses.
    pub(super) fn of_plain(len: usize, capacity: usize) -> Self {
        Self {
            len,
            capacity,
            weight_bytes: 0,
            weight_bytes_max: usize::MAX,
            senders_waiting: 0,
            oldest_waited: None,
            refused: ByClass::default(),
            shed: ByClass::default(),
        }
    }
}

/// A count for each class of [`Criticality`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ByClass {
    /// Of those that are the first to be given up.
    pub sheddable: u64,
    /// Of those that say nothing else.
    pub default: u64,
    /// Of those that are the last to be given up.
    pub critical: u64,
}

impl ByClass {
    /// All classes together.
    pub fn total(&self) -> u64 {
        self.sheddable + self.default + self.critical
    }

    /// The count of one class.
    pub fn of(&self, criticality: Criticality) -> u64 {
        match criticality {
            Criticality::Sheddable => self.sheddable,
            Criticality::Default => self.default,
            Criticality::Critical => self.critical,
        }
    }

    pub(super) fn add(&mut self, criticality: Criticality) {
        *match criticality {
            Criticality::Sheddable => &mut self.sheddable,
            Criticality::Default => &mut self.default,
            Criticality::Critical => &mut self.critical,
        } += 1;
    }
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
    /// By waiting time and class.
    Shed(Shedding),
    /// By key; the function that names it is in the queue's configuration.
    Fair,
}

impl Policy {
    /// Why messages that give way are discarded.
    pub(super) fn sentence(&self) -> DeadLetterReason {
        match self {
            Policy::BuiltIn(_) | Policy::Custom(_) => DeadLetterReason::DroppedOldest,
            Policy::Shed(_) => DeadLetterReason::Shed,
            Policy::Fair => DeadLetterReason::OverShare,
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::BuiltIn(overflow) => overflow.fmt(f),
            Policy::Custom(_) => f.write_str("Custom"),
            Policy::Shed(shedding) => shedding.fmt(f),
            Policy::Fair => f.write_str("Fair"),
        }
    }
}
