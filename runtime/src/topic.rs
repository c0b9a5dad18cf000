//! Topics: publish and subscribe within a system.
//!
//! Whoever publishes does not know who listens. Each subscriber says what is to happen when it has no room: it is waited for, it misses the
//! message, or it is unsubscribed. What a subscriber misses is counted, as a dead letter too. Nothing is queued but in the mailboxes.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use dashmap::DashMap;

use crate::dead_letter::{DeadLetter, DeadLetterReason};
use crate::envelope::Criticality;
use crate::recipient::Recipient;
use crate::registry::LookupError;
use crate::sync_ext::MutexExt;
use crate::system::System;
use crate::tell::TellError;

/// What happens when a subscriber has no room for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowSubscriber {
    /// Whoever publishes waits for it. One slow subscriber slows all that publish.
    Wait,
    /// It misses the message, which becomes a dead letter.
    Miss,
    /// It is unsubscribed, and the message becomes a dead letter.
    Unsubscribe,
}

/// A subject that messages of type `T` are published about. Clones are the same topic.
///
/// ```
/// # use treewarden_runtime::{Actor, Context, Failure, SlowSubscriber, System};
/// # struct Listener;
/// # impl Actor for Listener {
/// #     type Msg = String;
/// #     type Error = Failure;
/// #     async fn handle(&mut self, _: String, _: &mut Context<Self>) -> Result<(), Failure> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let system = System::new("demo");
/// let news = system.topic::<String>("news")?;
/// news.subscribe(system.spawn(Listener).recipient(), SlowSubscriber::Miss);
/// let published = news.publish("it works".to_owned()).await;
/// assert_eq!((published.delivered, published.missed), (1, 0));
/// # Ok(())
/// # }
/// ```
pub struct Topic<T> {
    inner: Arc<Inner<T>>,
    system: System,
}

struct Inner<T> {
    name: Arc<str>,
    subscribers: Mutex<Vec<Arc<Subscriber<T>>>>,
}

struct Subscriber<T> {
    recipient: Recipient<T>,
    slow: SlowSubscriber,
    missed: AtomicU64,
}

/// What became of a message that was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// How many subscribers took it.
    pub delivered: usize,
    /// How many missed it because they had no room, or were stopped.
    pub missed: usize,
    /// How many were unsubscribed, because they were too slow or are gone.
    pub unsubscribed: usize,
}

impl<T: Clone + Send + 'static> Topic<T> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.inner.name
    }

    /// Lets `recipient` hear of what is published from now on. It is unsubscribed by itself when it is gone.
    pub fn subscribe(&self, recipient: Recipient<T>, slow: SlowSubscriber) -> Subscription<T> {
        let subscriber = Arc::new(Subscriber {
            recipient,
            slow,
            missed: AtomicU64::new(0),
        });
        self.inner.subscribers.locked().push(subscriber.clone());
        Subscription {
            topic: self.inner.clone(),
            subscriber,
        }
    }

    /// How many subscribers there are.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.inner.subscribers.locked().len()
    }

    /// Tells every subscriber. Those that have room are told before this is first suspended, in the order in which they subscribed; then
    /// those that are to be waited for. When it is dropped before it is done, the ones that were still waited for miss the message.
    pub async fn publish(&self, message: T) -> Published {
        let subscribers = self.inner.subscribers.locked().clone();
        let mut published = Published::default();
        let mut waiting = Vec::new();
        for subscriber in subscribers {
            match (
                subscriber.recipient.try_tell(message.clone()),
                subscriber.slow,
            ) {
                (Ok(()), _) => published.delivered += 1,
                (Err(TellError::Full(())), SlowSubscriber::Wait) => waiting.push(subscriber),
                (Err(TellError::Gone(())), _)
                | (Err(TellError::Full(())), SlowSubscriber::Unsubscribe) => {
                    self.inner.remove(&subscriber);
                    published.unsubscribed += 1;
                    self.miss(&subscriber);
                }
                (
                    Err(TellError::Full(()) | TellError::TooHeavy(()) | TellError::Stopped(())),
                    _,
                ) => {
                    published.missed += 1;
                    self.miss(&subscriber);
                }
            }
        }
        for subscriber in waiting {
            match subscriber.recipient.tell(message.clone()).await {
                Ok(()) => published.delivered += 1,
                Err(TellError::Gone(())) => {
                    self.inner.remove(&subscriber);
                    published.unsubscribed += 1;
                    self.miss(&subscriber);
                }
                Err(_) => {
                    published.missed += 1;
                    self.miss(&subscriber);
                }
            }
        }
        published
    }

    fn miss(&self, subscriber: &Subscriber<T>) {
        subscriber.missed.fetch_add(1, Ordering::Relaxed);
        let reason = DeadLetterReason::SlowSubscriber;
        let criticality = Criticality::default();
        let letter = || DeadLetter {
            path: subscriber.recipient.path(),
            message_type: type_name::<T>(),
            reason,
            context: None,
        };
        self.system
            .dead_letters()
            .record(reason, criticality, letter);
    }
}

impl<T> Inner<T> {
    fn remove(&self, subscriber: &Arc<Subscriber<T>>) -> bool {
        let mut subscribers = self.subscribers.locked();
        let at = subscribers
            .iter()
            .position(|other| Arc::ptr_eq(other, subscriber));
        match at {
            Some(at) => {
                let removed = subscribers.remove(at);
                drop(subscribers);
                drop(removed);
                true
            }
            None => false,
        }
    }
}

impl<T> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            system: self.system.clone(),
        }
    }
}

impl<T> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.inner.name)
    }
}

/// One subscriber's place at a topic. Dropping it does not end the subscription.
pub struct Subscription<T> {
    topic: Arc<Inner<T>>,
    subscriber: Arc<Subscriber<T>>,
}

impl<T> Subscription<T> {
    /// Ends it. False: it had ended before. What is in the mailbox already is still handled.
    pub fn unsubscribe(&self) -> bool {
        self.topic.remove(&self.subscriber)
    }

    /// How many messages this subscriber missed.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.subscriber.missed.load(Ordering::Relaxed)
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic.name)
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}

/// The topics of one system. They live as long as it does.
#[derive(Default)]
pub(crate) struct Topics {
    topics: DashMap<Arc<str>, Named>,
}

struct Named {
    topic: Box<dyn Any + Send + Sync>,
    type_id: TypeId,
    message_type: &'static str,
}

impl System {
    /// The topic with this name; it is made if there is none.
    ///
    /// # Errors
    ///
    /// [`LookupError::OtherType`]: its messages are of another type.
    pub fn topic<T: Clone + Send + 'static>(
        &self,
        name: impl Into<Arc<str>>,
    ) -> Result<Topic<T>, LookupError> {
        let name = name.into();
        let named = self
            .topics()
            .topics
            .entry(name.clone())
            .or_insert_with(|| Named {
                topic: Box::new(Arc::new(Inner::<T> {
                    name: name.clone(),
                    subscribers: Mutex::default(),
                })),
                type_id: TypeId::of::<T>(),
                message_type: type_name::<T>(),
            });
        match named.topic.downcast_ref::<Arc<Inner<T>>>() {
            Some(inner) if named.type_id == TypeId::of::<T>() => Ok(Topic {
                inner: inner.clone(),
                system: self.clone(),
            }),
            _ => Err(LookupError::OtherType {
                name,
                expected: type_name::<T>(),
                found: named.message_type,
            }),
        }
    }
}
