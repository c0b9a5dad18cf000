//! The cell: what all references to one address share, and the run loop that serves it.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | [`Cell`]: the mailbox and the [`Core`], as senders see them |
//! | `order` | the control lane: orders as bits of one word |
//! | `guarded` | polling user code: kill, panic, scope |
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
pub(crate) mod run;
mod slice;
pub(crate) mod starter;
mod tenancy;
pub(crate) mod watched;

use std::{
    any::{Any, type_name},
    collections::VecDeque,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
};

use slab::Slab;
use tokio::time::Instant;

use crate::{
    ask::AskError,
    dead_letter::{DeadLetter, DeadLetterReason},
    envelope::{Envelope, MessageContext},
    exit::ExitReason,
    host::{Life, Observer},
    id::ActorId,
    mailbox::{Joined, Pushed, Queue, Rejected},
    monitor::{MonitorEvent, Watcher},
    reference::AddressState,
    reply::Answer,
    scope,
    sync_ext::MutexExt,
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
    /// Whether a timer wants to know since when there is nothing to do.
    idleness_watched: AtomicBool,
}

const NO_ROOT: u32 = u32::MAX;

#[derive(Default)]
struct Rare {
    last_exit: Option<LastExit>,
    watchers: Vec<Arc<dyn Watcher>>,
    /// Who starts its incarnations. It is let go when the address ends, because it knows the address in turn.
    observer: Option<Arc<dyn Observer>>,
    /// What ends with the incarnation.
    belongings: Slab<Arc<dyn Belonging>>,
    /// Messages that were set aside; see [`crate::stash`].
    stash: Option<Box<dyn Any + Send>>,
    /// When it last parked, and how many messages it had taken by then.
    idle: Option<(Instant, u64)>,
}

/// Something that belongs to an incarnation and ends with it: a timer, a stream.
pub(crate) trait Belonging: Send + Sync {
    /// The incarnation has ended. It is off the list.
    fn end(&self);
}

struct StashGuard<'a>(MutexGuard<'a, Option<Box<Rare>>>);

impl Deref for StashGuard<'_> {
    type Target = Option<Box<dyn Any + Send>>;

    fn deref(&self) -> &Self::Target {
        match &*self.0 {
            Some(rare) => &rare.stash,
            None => &None,
        }
    }
}

impl DerefMut for StashGuard<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0.get_or_insert_default().stash
    }
}

struct LastExit {
    incarnation: u64,
    reason: ExitReason,
    /// Whether the watchers know.
    told: bool,
}

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
            idleness_watched: AtomicBool::new(false),
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

    /// Before the address is hosted.
    pub(crate) fn set_observer(&self, observer: Arc<dyn Observer>) {
        self.rare.locked().get_or_insert_default().observer = Some(observer);
    }

    fn forget_observer(&self) {
        let observer = match &mut *self.rare.locked() {
            Some(rare) => rare.observer.take(),
            None => None,
        };
        drop(observer);
    }

    /// False: nobody starts incarnations here, so there is one alone.
    fn report(&self, life: Life) -> bool {
        let observer = match &*self.rare.locked() {
            Some(rare) => rare.observer.clone(),
            None => None,
        };
        match observer {
            Some(observer) => {
                observer.on_life(life);
                true
            }
            None => false,
        }
    }

    pub(crate) fn last_exit(&self) -> Option<ExitReason> {
        let rare = self.rare.locked();
        let last_exit = rare.as_ref()?.last_exit.as_ref()?;
        Some(last_exit.reason.clone())
    }

    fn set_last_exit(&self, incarnation: u64, reason: ExitReason) {
        let belongings = {
            let mut rare = self.rare.locked();
            let rare = rare.get_or_insert_default();
            rare.last_exit = Some(LastExit {
                incarnation,
                reason,
                told: false,
            });
            rare.idle = None;
            std::mem::take(&mut rare.belongings)
        };
        self.idleness_watched.store(false, Ordering::Relaxed);
        for (_, belonging) in belongings {
            belonging.end();
        }
    }

    /// Takes something on that ends with the incarnation.
    pub(crate) fn own(&self, belonging: Arc<dyn Belonging>) -> usize {
        let mut rare = self.rare.locked();
        rare.get_or_insert_default().belongings.insert(belonging)
    }

    /// It has ended by itself.
    pub(crate) fn disown(&self, key: usize) -> Option<Arc<dyn Belonging>> {
        self.rare.locked().as_mut()?.belongings.try_remove(key)
    }

    pub(crate) fn has_stash(&self) -> bool {
        let rare = self.rare.locked();
        rare.as_ref().is_some_and(|rare| rare.stash.is_some())
    }

    /// The lock of what few addresses have, at the stash.
    pub(crate) fn stash(&self) -> impl DerefMut<Target = Option<Box<dyn Any + Send>>> {
        StashGuard(self.rare.locked())
    }

    /// From the next park on, until the incarnation ends.
    pub(crate) fn watch_idleness(&self) {
        self.idleness_watched.store(true, Ordering::Relaxed);
    }

    fn is_idleness_watched(&self) -> bool {
        self.idleness_watched.load(Ordering::Relaxed)
    }

    /// By the run loop, when it parks. Being woken for nothing is no interruption.
    #[cold]
    fn note_idle(&self) {
        let handled = self.handled();
        let mut rare = self.rare.locked();
        let rare = rare.get_or_insert_default();
        if rare.idle.is_none_or(|(_, before)| before != handled) {
            rare.idle = Some((Instant::now(), handled));
        }
    }

    /// Since when it has had nothing to do; `None` if it is busy.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let (since, handled) = self.rare.locked().as_ref()?.idle?;
        (handled == self.handled()).then_some(since)
    }

    /// Tells the watchers of the last exit, if they do not know yet.
    pub(crate) fn tell_down(&self, restart_follows: bool) {
        let event = {
            let mut rare = self.rare.locked();
            let last_exit = rare.as_mut().and_then(|rare| rare.last_exit.as_mut());
            let Some(exit) = last_exit.filter(|exit| !exit.told) else {
                return;
            };
            exit.told = true;
            MonitorEvent::Down {
                incarnation: exit.incarnation,
                reason: exit.reason.clone(),
                restart_follows,
                missed: 0,
            }
        };
        self.tell_watchers(&event);
    }

    fn tell_gone(&self) {
        self.tell_watchers(&MonitorEvent::Gone {
            reason: self.last_exit().unwrap_or(ExitReason::Shutdown),
            missed: 0,
        });
    }

    /// Tells all watchers, and forgets those who are done.
    fn tell_watchers(&self, event: &MonitorEvent) {
        // Told outside the lock: a watcher may add a watcher.
        let Some(mut told) = self
            .rare
            .locked()
            .as_mut()
            .map(|rare| std::mem::take(&mut rare.watchers))
        else {
            return;
        };
        told.retain(|watcher| watcher.tell(event.clone()));
        if !told.is_empty() {
            let mut rare = self.rare.locked();
            rare.get_or_insert_default().watchers.append(&mut told);
        }
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

    /// Counts an answer that came, or is still to come, and that nobody waits for any more.
    pub(crate) fn discard_reply<T>(&self, answer: &mut Answer<T>) {
        match answer.poll_once() {
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {
                self.record_dead(DeadLetterReason::ReplyDiscarded, None);
            }
            Poll::Ready(Some(Err(_)) | None) => {}
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
        let mut rare = self.core.rare.locked();
        rare.get_or_insert_default().watchers.push(watcher);
        drop(rare);
        // The address may have ended before the watcher was there to be told. Whoever takes it from the list tells it.
        if self.core.state() == AddressState::Gone {
            self.core.tell_gone();
        }
    }
}
