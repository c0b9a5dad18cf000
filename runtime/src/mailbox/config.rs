//! How a mailbox is configured: [`Mailbox`] for users, `QueueConfig` for the queue.

use std::any::{Any, type_name};
use std::fmt;
use std::hash::{DefaultHasher, Hash};
use std::sync::Arc;
use std::time::Instant;

use super::policy::{Overflow, OverflowPolicy, Policy};
use super::sojourn::Shedding;
use crate::dead_letter::DeadLetterReason;
use crate::envelope::Criticality;

type WeighFn<M> = Arc<dyn Fn(&M) -> usize + Send + Sync>;
type KeyFn<M> = Arc<dyn Fn(&M, &mut DefaultHasher) + Send + Sync>;

/// Capacity and overflow policy of an actor's mailbox.
///
/// ```
/// use treewarden_runtime::{Mailbox, Overflow};
///
/// let backpressure = Mailbox::bounded(1024); // senders wait when 1024 messages are queued
/// let latest = Mailbox::bounded(16).overflow(Overflow::DropOldest);
/// let bytes = Mailbox::bounded(1024).weigh(1 << 20, |message: &Vec<u8>| message.len());
/// # let _ = (backpressure, latest, bytes);
/// ```
#[derive(Clone)]
pub struct Mailbox {
    capacity: usize,
    policy: Policy,
    weigher: Option<ErasedWeigher>,
    key: Option<ErasedKey>,
}

/// A [`KeyFn<M>`], erased for the same reason as the weigher.
#[derive(Clone)]
struct ErasedKey {
    key_of: Arc<dyn Any + Send + Sync>,
    message: &'static str,
}

/// A [`WeighFn<M>`] whose `M` is checked when the mailbox meets its actor: child specs do not name message types.
#[derive(Clone)]
struct ErasedWeigher {
    weight_bytes_max: usize,
    weigh: Arc<dyn Any + Send + Sync>,
    message: &'static str,
}

impl Mailbox {
    /// Messages a mailbox holds if nothing else is said.
    pub const DEFAULT_CAPACITY: usize = 1024;

    /// At most `capacity` messages (at least 1: a 0 is read as 1); senders wait when it is full.
    pub fn bounded(capacity: usize) -> Self {
        // `usize::MAX` is how an unbounded queue is told apart.
        let capacity = capacity.clamp(1, usize::MAX - 1);
        Self {
            capacity,
            policy: Policy::BuiltIn(Overflow::Wait),
            weigher: None,
            key: None,
        }
    }

    /// As many messages as memory holds. Nothing protects the process from a sender that is faster than the actor.
    pub fn unbounded() -> Self {
        Self {
            capacity: usize::MAX,
            policy: Policy::BuiltIn(Overflow::Wait),
            weigher: None,
            key: None,
        }
    }

    /// What happens to the next message when the mailbox is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.policy = Policy::BuiltIn(overflow);
        self
    }

    /// As [`overflow`](Mailbox::overflow), decided by your own code for each message. Such a mailbox uses a queue behind a
    /// lock.
    #[must_use]
    pub fn overflow_policy(mut self, policy: impl OverflowPolicy) -> Self {
        self.policy = Policy::Custom(Arc::new(policy));
        self
    }

    /// Sheds load by waiting time, instead of an overflow policy. Senders never wait: a message is queued, or refused
    /// ([`TellError::Full`](crate::TellError::Full)); one that is queued can still be shed, becomes a dead letter
    /// ([`DeadLetterReason::Shed`]) then, and its ask ends with [`AskError::Shed`](crate::AskError::Shed).
    ///
    /// Messages in such a mailbox are stamped with their time of arrival by tokio's clock; in no other mailbox are they. It
    /// uses a queue behind a lock.
    #[must_use]
    pub fn shed(mut self, shedding: Shedding) -> Self {
        self.policy = Policy::Shed(shedding);
        self
    }

    /// Lets the senders named by a key (tenants, users, connections) take turns, instead of an overflow policy, so that one of
    /// them that floods the mailbox neither delays the others nor takes their room.
    ///
    /// Keys take turns message by message; in a mailbox that [weighs](Self::weigh), about byte by byte. When the mailbox is
    /// full, the newest message of the key with the most queued becomes a dead letter
    /// ([`DeadLetterReason::OverShare`]) for a message of a key with less; a message of that key itself is refused. Nobody
    /// waits. The order of the messages of one key is kept. Monitor messages come before all others.
    ///
    /// Memory is held for keys that have messages queued, so for at most as many as the capacity. `key_of` is called once for
    /// each message, in the sender's thread with no lock held. Keys are told apart by a 64-bit hash (SipHash 1-3 without
    /// a secret); two with the same hash share their turns. `M` must be the message type of the actor; the mailbox is
    /// refused by an actor with another one. Such a mailbox uses a queue behind a lock.
    ///
    /// ```
    /// use treewarden_runtime::Mailbox;
    ///
    /// struct Request { tenant: String }
    ///
    /// let shared = Mailbox::bounded(1024).fair_by(|request: &Request| request.tenant.clone());
    /// # let _ = shared;
    /// ```
    #[must_use]
    pub fn fair_by<M: 'static, K: Hash>(
        mut self,
        key_of: impl Fn(&M) -> K + Send + Sync + 'static,
    ) -> Self {
        let key_of: KeyFn<M> = Arc::new(move |message, hasher| key_of(message).hash(hasher));
        self.policy = Policy::Fair;
        self.key = Some(ErasedKey {
            key_of: Arc::new(key_of),
            message: type_name::<M>(),
        });
        self
    }

    /// Bounds the queued messages by weight too: full when the next message would bring their sum above
    /// `weight_bytes_max`. A single message above that can never be queued and is refused.
    ///
    /// `weigh` is called once for each message, in the sender's thread with no lock held, and should count what the
    /// message holds on the heap. `M` must be the message type of the actor; the mailbox is refused by an actor with
    /// another one. Such a mailbox uses a queue behind a lock.
    #[must_use]
    pub fn weigh<M: 'static>(
        mut self,
        weight_bytes_max: usize,
        weigh: impl Fn(&M) -> usize + Send + Sync + 'static,
    ) -> Self {
        let weigh: WeighFn<M> = Arc::new(weigh);
        self.weigher = Some(ErasedWeigher {
            weight_bytes_max,
            weigh: Arc::new(weigh),
            message: type_name::<M>(),
        });
        self
    }

    /// The most messages this mailbox holds; `None` if unbounded.
    pub fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    /// The queue for an actor with messages `M` that travel as `T`.
    pub(crate) fn queue_config<M: 'static, T: 'static>(
        &self,
        message_of: fn(&T) -> &M,
        reading: Reading<T>,
    ) -> Result<QueueConfig<T>, WeighsOtherMessages> {
        let key_of = match &self.key {
            None => None,
            Some(erased) => {
                let key_of = erased.key_of.downcast_ref::<KeyFn<M>>().cloned();
                let mismatch = WeighsOtherMessages {
                    weighed: erased.message,
                    received: type_name::<M>(),
                };
                let key_of = key_of.ok_or(mismatch)?;
                let key_of: KeyOf<T> =
                    Box::new(move |value, hasher| key_of(message_of(value), hasher));
                Some(key_of)
            }
        };
        let weigher = match &self.weigher {
            None => None,
            Some(erased) => {
                let weigh = erased.weigh.downcast_ref::<WeighFn<M>>().cloned();
                let mismatch = WeighsOtherMessages {
                    weighed: erased.message,
                    received: type_name::<M>(),
                };
                let weigh = weigh.ok_or(mismatch)?;
                Some(Weigher {
                    weight_bytes_max: erased.weight_bytes_max,
                    weigh: Box::new(move |value| weigh(message_of(value))),
                })
            }
        };
        Ok(QueueConfig {
            capacity: self.capacity,
            policy: self.policy.clone(),
            weigher,
            key_of,
            reading,
        })
    }
}

impl Default for Mailbox {
    /// Bounded to [`DEFAULT_CAPACITY`](Mailbox::DEFAULT_CAPACITY), senders wait.
    fn default() -> Self {
        Self::bounded(Self::DEFAULT_CAPACITY)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("capacity", &self.capacity())
            .field("overflow", &self.policy)
            .field(
                "weight_bytes_max",
                &self
                    .weigher
                    .as_ref()
                    .map(|weigher| weigher.weight_bytes_max),
            )
            .finish()
    }
}

/// A mailbox weighs, or names the keys of, messages of one type and was given to an actor that receives another. Nothing was
/// spawned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeighsOtherMessages {
    /// The type that the function given to [`Mailbox::weigh`] or [`Mailbox::fair_by`] takes.
    pub weighed: &'static str,
    /// The type that the actor receives.
    pub received: &'static str,
}

impl fmt::Display for WeighsOtherMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { weighed, received } = self;
        write!(
            f,
            "the mailbox is for messages of type {weighed}, but the actor receives {received}: nothing was spawned; give Mailbox::weigh and Mailbox::fair_by functions of &{received}"
        )
    }
}

impl std::error::Error for WeighsOtherMessages {}

/// What a [`Queue`](super::Queue) is built from.
pub(crate) struct QueueConfig<T> {
    /// At least 1; `usize::MAX` is unbounded.
    pub(super) capacity: usize,
    pub(super) policy: Policy,
    pub(super) weigher: Option<Weigher<T>>,
    pub(super) key_of: Option<KeyOf<T>>,
    pub(super) reading: Reading<T>,
}

/// Feeds the key of a message to a hasher.
pub(super) type KeyOf<T> = Box<dyn Fn(&T, &mut DefaultHasher) + Send + Sync>;

/// How a queue that chooses reads and marks what lies in it. None of these is foreign code.
#[derive(Clone, Copy)]
pub(crate) struct Reading<T> {
    /// The time.
    pub(crate) now: fn() -> Instant,
    /// How much a message matters.
    pub(crate) criticality_of: fn(&T) -> Criticality,
    /// Writes on a message that it is to be discarded by whoever takes it out.
    pub(crate) sentence: fn(&mut T, DeadLetterReason),
}

/// Capacity by weight.
pub(super) struct Weigher<T> {
    pub(super) weight_bytes_max: usize,
    pub(super) weigh: Box<dyn Fn(&T) -> usize + Send + Sync>,
}

#[cfg(test)]
impl<T> Reading<T> {
    /// For queues that do not choose.
    pub(super) fn plain() -> Self {
        Self {
            now: Instant::now,
            criticality_of: |_| Criticality::Default,
            sentence: |_, _| {},
        }
    }
}
