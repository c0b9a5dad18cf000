//! References: [`ActorRef`] and [`WeakActorRef`].

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, Weak},
};

use crate::{
    ask::Ask,
    cell::{Cell, order},
    envelope::{Envelope, MessageContext},
    id::ActorId,
    mailbox::MailboxLoad,
    monitor::{Monitor, MonitorEvent},
    recipient::Recipient,
    reply::Reply,
    system::System,
    tell::{Tell, TellAllError, TellError, tell_all},
};

/// Whether messages to an address are handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressState {
    /// An incarnation handles messages.
    Running,
    /// Between incarnations, or before the first: messages wait in the mailbox.
    Restarting,
    /// No incarnation is coming, but one can be started again by its supervisor. Sending is an error.
    Stopped,
    /// The address has ended for ever.
    Gone,
}

impl AddressState {
    /// One word for logs: `running`, `restarting`, `stopped`, `gone`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
        }
    }
}

/// A reference to an actor that takes messages of type `M`.
///
/// It names the address, not an incarnation: a restart by a supervisor leaves it valid. Cloning costs one increment. An
/// actor is not stopped by losing its references.
pub struct ActorRef<M> {
    pub(crate) cell: Arc<Cell<M>>,
}

impl<M: Send + 'static> ActorRef<M> {
    /// Queues `message` if there is room. Never waits; the message is handed back if it was not accepted.
    ///
    /// Senders that wait in [`tell`](Self::tell) come first: while there are any, this is refused.
    #[inline(always)]
    pub fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        self.try_send(Envelope::bare(message))
    }

    /// [`try_tell`](Self::try_tell) with a context that travels with the message.
    pub fn try_tell_with(&self, message: M, context: MessageContext) -> Result<(), TellError<M>> {
        self.try_send(Envelope::with(message, context))
    }

    /// Queues `message`, waiting for room if the mailbox is full and its policy is to wait.
    ///
    /// If there is room the message is queued by this call, before any await. Otherwise the returned future waits;
    /// waiting senders are served first come, first served. The messages of one sender arrive in the order in which it
    /// sent them, under the policies that keep order.
    ///
    /// Cancel safety: dropping the future either leaves the message queued, or takes it back and drops it. To get it
    /// back, use [`Tell::cancel`].
    #[inline(always)]
    pub fn tell(&self, message: M) -> Tell<'_, M> {
        Tell::new(&self.cell, Envelope::bare(message))
    }

    /// [`tell`](Self::tell) with a context that travels with the message.
    pub fn tell_with(&self, message: M, context: MessageContext) -> Tell<'_, M> {
        Tell::new(&self.cell, Envelope::with(message, context))
    }

    /// Queues many messages, in order, as [`tell`](Self::tell) does one after the other.
    ///
    /// # Errors
    ///
    /// The first message that was not accepted. Those before it are queued; it and those after it are in the
    /// [`TellAllError`].
    ///
    /// Cancel safety: what was queued stays queued, the rest is dropped.
    pub async fn tell_all<I>(&self, messages: I) -> Result<(), TellAllError<M, I::IntoIter>>
    where
        I: IntoIterator<Item = M>,
    {
        tell_all(&self.cell, messages.into_iter()).await
    }

    /// Asks: `question` makes the message from the [`Reply`] that the actor will answer. See [`Ask`].
    ///
    /// An actor that asks itself in its own handler gets [`AskError::SelfAsk`](crate::AskError::SelfAsk) at once.
    #[inline]
    pub fn ask<T, F>(&self, question: F) -> Ask<'_, M, T, F>
    where
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M,
    {
        Ask::new(self, question)
    }

    #[inline(always)]
    fn try_send(&self, envelope: Envelope<M>) -> Result<(), TellError<M>> {
        match self.cell.push(envelope) {
            Ok(()) => Ok(()),
            Err(rejected) => Err(self.cell.tell_error(rejected)),
        }
    }

    /// Whether this is the actor whose code is being polled on this thread. It cannot ask itself.
    pub fn is_current(&self) -> bool {
        crate::scope::current() == self.cell.address()
    }

    /// A reference that does not keep the address in memory.
    pub fn downgrade(&self) -> WeakActorRef<M> {
        WeakActorRef {
            cell: Arc::downgrade(&self.cell),
        }
    }

    /// This actor as something that takes a `T`, for any `T` that its messages are made from.
    pub fn recipient<T>(&self) -> Recipient<T>
    where
        T: Send + 'static,
        M: From<T>,
    {
        Recipient::new(self.clone())
    }

    /// Hears of the ends of this address. On an address that is gone already the first event says so.
    pub fn monitor(&self) -> Monitor {
        let (monitor, inbox) = Monitor::new();
        self.cell.watch(inbox);
        monitor
    }

    /// Waits until the address is gone, and says how its last incarnation ended.
    pub async fn closed(&self) -> crate::ExitReason {
        let mut monitor = self.monitor();
        loop {
            match monitor.next().await {
                Some(MonitorEvent::Gone { reason, .. }) => return reason,
                Some(MonitorEvent::Down { .. }) => {}
                None => return crate::ExitReason::Normal,
            }
        }
    }
}

impl<M> ActorRef<M> {
    /// Stops the actor after the message that it is handling, before those that are queued. It ends with
    /// [`ExitReason::Normal`](crate::ExitReason::Normal). A supervisor then does what its child spec says.
    pub fn stop(&self) {
        self.cell.core.give_order(order::STOP);
        self.cell.queue.signal().wake();
    }

    /// Refuses new messages from now on, lets the actor handle what is queued, and then stops it like
    /// [`stop`](Self::stop).
    pub fn drain(&self) {
        self.cell.queue.close();
        self.cell.core.give_order(order::DRAIN);
        self.cell.queue.signal().wake();
    }

    /// Kills the running incarnation at its next await point, also in the middle of a handler or of a slow start. Its
    /// state is dropped; its [`stopped`](crate::Actor::stopped) does not run.
    pub fn kill(&self) {
        self.cell.core.give_order(order::KILL);
        self.cell.queue.signal().wake();
    }

    /// The path of the address, for example `/app/counter`; `/#7` for an actor without a name.
    pub fn path(&self) -> Arc<str> {
        self.cell.core.path()
    }

    /// The number of the address, unique in its system.
    pub fn id(&self) -> ActorId {
        self.cell.core.id
    }

    /// The system that it belongs to.
    pub fn system(&self) -> &System {
        &self.cell.core.system
    }

    /// The number of the newest incarnation; the first is 1, and 0 means that none was started yet.
    pub fn incarnation(&self) -> u64 {
        self.cell.core.incarnation()
    }

    /// Whether messages are handled just now. It can have changed when this returns.
    pub fn state(&self) -> AddressState {
        self.cell.core.state()
    }

    /// Whether the address has ended for ever.
    pub fn is_gone(&self) -> bool {
        self.state() == AddressState::Gone
    }

    /// How many messages are queued, the one in the handler not counted. It can have changed when this returns.
    pub fn queue_depth(&self) -> usize {
        self.cell.queue.len()
    }

    /// How full the mailbox is, and what it refused and shed. It can have changed when this returns.
    pub fn mailbox_load(&self) -> MailboxLoad {
        self.cell.queue.load()
    }
}

impl<M> Clone for ActorRef<M> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            cell: self.cell.clone(),
        }
    }
}

impl<M> PartialEq for ActorRef<M> {
    /// The same address, whatever the incarnation.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }
}

impl<M> Eq for ActorRef<M> {}

impl<M> Hash for ActorRef<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.cell).hash(state);
    }
}

impl<M> fmt::Debug for ActorRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef({})", self.path())
    }
}

/// A reference that does not keep the address in memory.
pub struct WeakActorRef<M> {
    cell: Weak<Cell<M>>,
}

impl<M> WeakActorRef<M> {
    /// The reference, if the address is still in memory.
    pub fn upgrade(&self) -> Option<ActorRef<M>> {
        self.cell.upgrade().map(|cell| ActorRef { cell })
    }
}

impl<M> Clone for WeakActorRef<M> {
    fn clone(&self) -> Self {
        Self {
            cell: self.cell.clone(),
        }
    }
}

impl<M> fmt::Debug for WeakActorRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.upgrade() {
            Some(target) => write!(f, "WeakActorRef({})", target.path()),
            None => f.write_str("WeakActorRef(dropped)"),
        }
    }
}
