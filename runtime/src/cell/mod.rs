//! The cell: what all references to one address share, and the run loop that serves it.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | [`Cell`]: the mailbox and the [`Core`], as senders see them |
//! | `order` | the control lane: orders as bits of one word |
//! | `guarded` | polling user code: kill, panic, scope |
//! | `rare` | what most addresses never have: watchers, an observer, belongings, a stash |
//! | `run` | the life of an address: incarnations, one after the other, in one task |
//! | `slice` | how long one poll of it goes on |
//! | `starter` | who makes the instances |
//! | `watched` | the same for addresses that the [watchdog](crate::watchdog) may take from a run loop that is stuck |
//!
//! Rules. Senders touch the queue and read the core. The one task that `run` describes takes messages out, changes
//! `incarnation` and `handled`, and is the only one that runs the user's code. `state` is changed by that task and by the
//! host handle of the supervisor, which never act at the same time: the supervisor acts between an exit and the next
//! start.

pub(crate) mod guarded;
mod handling;
pub(crate) mod order;
mod park;
mod rare;
pub(crate) mod run;
mod slice;
pub(crate) mod starter;
mod tenancy;
pub(crate) mod watched;

use std::{
    any::type_name,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::{Poll, Wake, Waker},
};

use rare::Rare;

pub(crate) use rare::Belonging;

use crate::{
    ask::AskError,
    dead_letter::{DeadLetter, DeadLetterReason},
    envelope::{Criticality, Envelope, MessageContext},
    id::ActorId,
    mailbox::{Joined, Pushed, Queue, Rejected},
    monitor::Watcher,
    reference::AddressState,
    reply::Answer,
    scope,
    system::System,
    tell::TellError,
};

/// One address: its mailbox and what is known of it.
pub(crate) struct Cell<M> {
    pub(crate) queue: Queue<Envelope<M>>,
    pub(crate) core: Core,
}

/// What is known of an address, whatever its messages.
///
/// An idle actor weighs little more than this and its queue, so what most addresses never have lies in `rare`.
pub(crate) struct Core {
    pub(crate) id: ActorId,
    /// The whole path, if it has one of its own.
    name: Option<Arc<str>>,
    pub(crate) system: System,
    /// How many messages were taken into a handler, over all incarnations.
    handled: AtomicU64,
    rare: Mutex<Option<Box<Rare>>>,
    orders: AtomicU32,
    /// Its place among the roots of the system; [`NO_ROOT`]: it is in a tree.
    root_key: AtomicU32,
    incarnation: AtomicU32,
    state: AtomicU8,
    /// Whether the registry has a name for it.
    registered: AtomicBool,
    /// Whether it is on the list of those who may have memory to give back.
    listed: AtomicBool,
    /// What of `rare` is known without its lock; see [`rare::mark`].
    marks: AtomicU8,
}

const NO_ROOT: u32 = u32::MAX;

impl Core {
    pub(crate) fn new(id: ActorId, name: Option<Arc<str>>, system: System, orders: u32) -> Self {
        Self {
            id,
            name,
            system,
            handled: AtomicU64::new(0),
            rare: Mutex::new(None),
            orders: AtomicU32::new(orders),
            root_key: AtomicU32::new(NO_ROOT),
            incarnation: AtomicU32::new(0),
            state: AtomicU8::new(AddressState::Restarting as u8),
            registered: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            marks: AtomicU8::new(0),
        }
    }

    pub(crate) fn path(&self) -> Arc<str> {
        match &self.name {
            Some(name) => name.clone(),
            None => format!("/{}", self.id).into(),
        }
    }

    pub(crate) fn set_registered(&self) {
        self.registered.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.registered.load(Ordering::SeqCst)
    }

    pub(crate) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_listed(&self, listed: bool) {
        self.listed.store(listed, Ordering::Relaxed);
    }

    /// Before the address is hosted.
    pub(crate) fn set_root_key(&self, key: usize) {
        let key = u32::try_from(key).expect("a system has fewer than 2^32 roots");
        self.root_key.store(key, Ordering::Relaxed);
    }

    pub(crate) fn root_key(&self) -> Option<usize> {
        match self.root_key.load(Ordering::Relaxed) {
            NO_ROOT => None,
            key => Some(key as usize),
        }
    }

    pub(crate) fn state(&self) -> AddressState {
        match self.state.load(Ordering::SeqCst) {
            state if state == AddressState::Running as u8 => AddressState::Running,
            state if state == AddressState::Restarting as u8 => AddressState::Restarting,
            state if state == AddressState::Stopped as u8 => AddressState::Stopped,
            _ => AddressState::Gone,
        }
    }

    pub(crate) fn set_state(&self, state: AddressState) {
        self.state.store(state as u8, Ordering::SeqCst);
    }

    /// An incarnation has ended; whether another one follows is for the supervisor to say. Until it does, nobody should count on this
    /// address.
    pub(crate) fn no_longer_runs(&self) {
        let (running, restarting) = (AddressState::Running as u8, AddressState::Restarting as u8);
        // If the supervisor has stopped the address meanwhile, that stays.
        let _ =
            self.state
                .compare_exchange(running, restarting, Ordering::SeqCst, Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Relaxed).into()
    }

    #[inline]
    pub(crate) fn handled(&self) -> u64 {
        self.handled.load(Ordering::Relaxed)
    }

    /// By the run loop alone: one writer, so no read-modify-write is needed.
    #[inline]
    fn begin_handling(&self) {
        self.handled.store(self.handled() + 1, Ordering::Relaxed);
    }

    /// By the run loop alone.
    fn begin_incarnation(&self) {
        let number = self.incarnation.load(Ordering::Relaxed).saturating_add(1);
        self.incarnation.store(number, Ordering::Relaxed);
    }
}

/// Counts a reply to an asker that has gone away, when it is called. It knows of the cell what it needs, and not the cell
/// itself, in whose mailbox it may lie.
struct UnseenReply {
    system: System,
    path: Arc<str>,
    message_type: &'static str,
}

impl Wake for UnseenReply {
    fn wake(self: Arc<Self>) {
        let reason = DeadLetterReason::ReplyDiscarded;
        self.system
            .dead_letters()
            .record(reason, Criticality::default(), || DeadLetter {
                path: self.path.clone(),
                message_type: self.message_type,
                reason,
                context: None,
            });
    }
}

impl<M> Cell<M> {
    /// A number that no other living cell has.
    #[inline]
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    pub(crate) fn record_dead(&self, reason: DeadLetterReason, context: Option<&MessageContext>) {
        let criticality = context.map_or_else(Default::default, MessageContext::criticality);
        self.core
            .system
            .dead_letters()
            .record(reason, criticality, || DeadLetter {
                path: self.core.path(),
                message_type: type_name::<M>(),
                reason,
                context: context.cloned(),
            });
    }

    /// Drops a message that nobody will handle: counts it, and tells its asker.
    #[cold]
    pub(crate) fn discard(&self, envelope: Envelope<M>, reason: DeadLetterReason) {
        self.record_dead(reason, envelope.context.as_deref());
        let verdict = match reason {
            DeadLetterReason::DroppedNewest | DeadLetterReason::DroppedOldest => AskError::Refused,
            DeadLetterReason::Expired => AskError::Expired,
            DeadLetterReason::Shed | DeadLetterReason::OverShare => AskError::Shed,
            DeadLetterReason::GroupRestart => AskError::CrashedBeforeHandling,
            DeadLetterReason::Stashed => AskError::CrashedWhileHandling,
            DeadLetterReason::Stopped
            | DeadLetterReason::Gone
            | DeadLetterReason::Stale
            | DeadLetterReason::SlowSubscriber
            | DeadLetterReason::ReplyDiscarded => AskError::Dead,
        };
        // The drop of a message is the user's code.
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            scope::discarding(verdict, || drop(envelope));
        }));
        if let Err(payload) = dropped {
            let panic = crate::panics::describe(payload);
            tracing::error!(path = %self.core.path(), %panic, "the drop of a discarded message panicked");
        }
    }

    /// Counts the answer that nobody waits for any more: now if it is there, else when it comes.
    pub(crate) fn discard_reply<T>(&self, answer: Answer<T>) {
        let note = UnseenReply {
            system: self.core.system.clone(),
            path: self.core.path(),
            message_type: type_name::<M>(),
        };
        if let Poll::Ready(Some(Ok(_))) = answer.give_up(Arc::new(note).into()) {
            self.record_dead(DeadLetterReason::ReplyDiscarded, None);
        }
    }

    /// Queues a message; what the policy displaces or drops becomes a dead letter.
    #[inline(always)]
    pub(crate) fn push(&self, envelope: Envelope<M>) -> Result<(), Rejected<Envelope<M>>> {
        match self.queue.try_push(envelope) {
            Ok(Pushed::Queued) => Ok(()),
            otherwise => self.pushed_otherwise(otherwise),
        }
    }

    #[cold]
    #[inline(never)]
    fn pushed_otherwise(
        &self,
        pushed: Result<Pushed<Envelope<M>>, Rejected<Envelope<M>>>,
    ) -> Result<(), Rejected<Envelope<M>>> {
        match pushed {
            Ok(Pushed::Queued) => Ok(()),
            Ok(Pushed::Displaced(oldest)) => {
                self.discard_displaced(oldest);
                Ok(())
            }
            Err(Rejected::Dropped(envelope)) => {
                self.discard(envelope, DeadLetterReason::DroppedNewest);
                Ok(())
            }
            Err(rejected) => Err(rejected),
        }
    }

    /// Queues messages from the front while there is room; those that remain were not queued.
    pub(crate) fn push_all(&self, envelopes: &mut VecDeque<Envelope<M>>) {
        self.discard_displaced(self.queue.push_all(envelopes).displaced);
    }

    /// Discards what made room for others, for the reason that its mailbox wrote on it, if it did.
    fn discard_displaced(&self, displaced: Vec<Envelope<M>>) {
        for envelope in displaced {
            let sentence = envelope
                .context
                .as_ref()
                .and_then(|context| context.sentence);
            self.discard(
                envelope,
                sentence.unwrap_or(DeadLetterReason::DroppedOldest),
            );
        }
    }

    /// Gets in line for room.
    pub(crate) fn join_wait(
        &self,
        envelope: Envelope<M>,
        waker: &Waker,
    ) -> Result<Joined, Rejected<Envelope<M>>> {
        match self.queue.join_wait(envelope, waker) {
            Err(Rejected::Dropped(envelope)) => {
                self.discard(envelope, DeadLetterReason::DroppedNewest);
                Ok(Joined::Queued)
            }
            joined => joined,
        }
    }

    /// What to tell a sender whose message was not accepted.
    #[cold]
    pub(crate) fn tell_error(&self, rejected: Rejected<Envelope<M>>) -> TellError<M> {
        match rejected {
            Rejected::Full(envelope)
            | Rejected::Refused(envelope)
            | Rejected::Dropped(envelope) => TellError::Full(envelope.message),
            Rejected::TooHeavy(envelope) => TellError::TooHeavy(envelope.message),
            Rejected::Closed(envelope) => match self.core.state() {
                AddressState::Gone => TellError::Gone(envelope.message),
                AddressState::Running | AddressState::Restarting | AddressState::Stopped => {
                    TellError::Stopped(envelope.message)
                }
            },
        }
    }

    pub(crate) fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.core.add_watcher(watcher);
        // The address may have ended before the watcher was there to be told. Whoever takes it from the list tells it.
        if self.core.state() == AddressState::Gone {
            self.core.tell_gone();
        }
    }
}
