//! References: [`ActorRef`], [`WeakActorRef`], [`Recipient`], and the future of a tell.

use std::{
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use crate::{
    ask::Ask,
    cell::{Cell, order},
    envelope::{Envelope, MessageContext},
    id::ActorId,
    mailbox::{Joined, Rejected, WaitKey},
    monitor::{Monitor, MonitorEvent},
    reply::Reply,
    system::System,
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

/// A message that was not accepted. It is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TellError<M> {
    /// The mailbox is full: for [`ActorRef::try_tell`] under every policy that does not drop, for [`ActorRef::tell`] only
    /// where the policy is to refuse.
    Full(M),
    /// The message alone weighs more than the mailbox may hold: it would never be accepted.
    TooHeavy(M),
    /// The address is stopped; its supervisor may start it again.
    Stopped(M),
    /// The address has ended for ever.
    Gone(M),
}

impl<M> TellError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message)
            | Self::TooHeavy(message)
            | Self::Stopped(message)
            | Self::Gone(message) => message,
        }
    }

    /// The same error about another form of the message.
    pub fn map<N>(self, f: impl FnOnce(M) -> N) -> TellError<N> {
        match self {
            Self::Full(message) => TellError::Full(f(message)),
            Self::TooHeavy(message) => TellError::TooHeavy(f(message)),
            Self::Stopped(message) => TellError::Stopped(f(message)),
            Self::Gone(message) => TellError::Gone(f(message)),
        }
    }
}

impl<M> fmt::Display for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the mailbox is full; the message was not queued",
            Self::TooHeavy(_) => {
                "the message weighs more than the mailbox holds; it was not queued"
            }
            Self::Stopped(_) => "the actor is stopped; the message was not queued",
            Self::Gone(_) => "the actor is gone; the message was not queued",
        })
    }
}

impl<M> fmt::Debug for TellError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::TooHeavy(_) => "TooHeavy(..)",
            Self::Stopped(_) => "Stopped(..)",
            Self::Gone(_) => "Gone(..)",
        })
    }
}

impl<M> std::error::Error for TellError<M> {}

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
    #[inline]
    pub fn try_tell(&self, message: M) -> Result<(), TellError<M>> {
        self.try_send(Envelope::bare(message))
    }

    /// [`try_tell`](Self::try_tell) with a context that travels with the message.
    pub fn try_tell_with(&self, message: M, context: MessageContext) -> Result<(), TellError<M>> {
        self.try_send(Envelope {
            message,
            context: Some(Box::new(context)),
        })
    }

    /// Queues `message`, waiting for room if the mailbox is full and its policy is to wait.
    ///
    /// If there is room the message is queued by this call, before any await. Otherwise the returned future waits;
    /// waiting senders are served first come, first served. The messages of one sender arrive in the order in which it
    /// sent them, under the policies that keep order.
    ///
    /// Cancel safety: dropping the future either leaves the message queued, or takes it back and drops it. To get it
    /// back, use [`Tell::cancel`].
    #[inline]
    pub fn tell(&self, message: M) -> Tell<'_, M> {
        Tell::new(&self.cell, Envelope::bare(message))
    }

    /// [`tell`](Self::tell) with a context that travels with the message.
    pub fn tell_with(&self, message: M, context: MessageContext) -> Tell<'_, M> {
        Tell::new(
            &self.cell,
            Envelope {
                message,
                context: Some(Box::new(context)),
            },
        )
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
        let mut messages = messages.into_iter();
        while let Some(message) = messages.next() {
            if let Err(error) = self.tell(message).await {
                return Err(TellAllError {
                    error,
                    rest: messages,
                });
            }
        }
        Ok(())
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

    #[inline]
    fn try_send(&self, envelope: Envelope<M>) -> Result<(), TellError<M>> {
        match self.cell.push(envelope) {
            Ok(()) => Ok(()),
            Err(rejected) => Err(self.cell.tell_error(rejected)),
        }
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
        Recipient {
            target: Arc::new(self.clone()),
        }
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

/// Why [`ActorRef::tell_all`] ended early.
pub struct TellAllError<M, I> {
    /// The message that was not accepted, and why.
    pub error: TellError<M>,
    /// The messages after it.
    pub rest: I,
}

impl<M, I> fmt::Display for TellAllError<M, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; those before it were queued", self.error)
    }
}

impl<M, I> fmt::Debug for TellAllError<M, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TellAllError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<M, I> std::error::Error for TellAllError<M, I> {}

/// The future of [`ActorRef::tell`].
#[must_use = "a full mailbox makes the sender wait: await it"]
pub struct Tell<'a, M> {
    cell: &'a Cell<M>,
    stage: TellStage<M>,
}

enum TellStage<M> {
    Ended(Result<(), TellError<M>>),
    /// There was no room, and the future has not been polled since.
    Full(Envelope<M>),
    Waiting(WaitKey),
    Taken,
}

impl<M> Unpin for Tell<'_, M> {}

impl<'a, M: Send + 'static> Tell<'a, M> {
    #[inline]
    fn new(cell: &'a Cell<M>, envelope: Envelope<M>) -> Self {
        let stage = match cell.push(envelope) {
            Ok(()) => TellStage::Ended(Ok(())),
            Err(Rejected::Full(envelope)) => TellStage::Full(envelope),
            Err(rejected) => TellStage::Ended(Err(cell.tell_error(rejected))),
        };
        Self { cell, stage }
    }

    /// Takes the message back if it was not queued yet. `None`: it was queued, or had been handed back before.
    pub fn cancel(mut self) -> Option<M> {
        self.take_back()
    }

    #[cold]
    fn poll_full(
        &mut self,
        envelope: Envelope<M>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TellError<M>>> {
        match self.cell.join_wait(envelope, cx.waker()) {
            Ok(Joined::Queued) => Poll::Ready(Ok(())),
            Ok(Joined::Waiting(key)) => {
                self.stage = TellStage::Waiting(key);
                Poll::Pending
            }
            Err(rejected) => Poll::Ready(Err(self.cell.tell_error(rejected))),
        }
    }
}

impl<M> Tell<'_, M> {
    fn take_back(&mut self) -> Option<M> {
        match std::mem::replace(&mut self.stage, TellStage::Taken) {
            TellStage::Full(envelope) => Some(envelope.message),
            TellStage::Ended(Err(error)) => Some(error.into_message()),
            TellStage::Waiting(key) => self
                .cell
                .queue
                .cancel_wait(&key)
                .map(|envelope| envelope.message),
            TellStage::Ended(Ok(())) | TellStage::Taken => None,
        }
    }
}

impl<M: Send + 'static> Future for Tell<'_, M> {
    type Output = Result<(), TellError<M>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.stage, TellStage::Taken) {
            TellStage::Ended(result) => Poll::Ready(result),
            TellStage::Full(envelope) => self.poll_full(envelope, cx),
            TellStage::Waiting(key) => match self.cell.queue.poll_wait(&key, cx.waker()) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
                Poll::Ready(Err(envelope)) => {
                    Poll::Ready(Err(self.cell.tell_error(Rejected::Closed(envelope))))
                }
                Poll::Pending => {
                    self.stage = TellStage::Waiting(key);
                    Poll::Pending
                }
            },
            TellStage::Taken => panic!("a tell was polled after it had ended"),
        }
    }
}

impl<M> Drop for Tell<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if let TellStage::Waiting(_) = self.stage {
            drop(self.take_back());
        }
    }
}

impl<M> fmt::Debug for Tell<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            TellStage::Ended(result) => return write!(f, "Tell({result:?})"),
            TellStage::Full(_) | TellStage::Waiting(_) => "waiting",
            TellStage::Taken => "taken",
        };
        write!(f, "Tell({stage})")
    }
}

/// Anything that takes a `T`: an actor whose messages are made from it.
///
/// It costs one dynamic call for each message, and a boxed future for a [`tell`](Self::tell).
pub struct Recipient<T> {
    target: Arc<dyn Receive<T>>,
}

/// The future of [`Recipient::tell`].
pub type RecipientTell<'a> = Pin<Box<dyn Future<Output = Result<(), TellError<()>>> + Send + 'a>>;

trait Receive<T>: Send + Sync {
    fn try_tell(&self, message: T) -> Result<(), TellError<()>>;
    fn tell(&self, message: T) -> RecipientTell<'_>;
    fn address(&self) -> usize;
    fn path(&self) -> Arc<str>;
}

impl<T, M> Receive<T> for ActorRef<M>
where
    T: Send + 'static,
    M: From<T> + Send + 'static,
{
    fn try_tell(&self, message: T) -> Result<(), TellError<()>> {
        ActorRef::try_tell(self, M::from(message)).map_err(|error| error.map(drop))
    }

    fn tell(&self, message: T) -> RecipientTell<'_> {
        let telling = ActorRef::tell(self, M::from(message));
        Box::pin(async move { telling.await.map_err(|error| error.map(drop)) })
    }

    fn address(&self) -> usize {
        self.cell.address()
    }

    fn path(&self) -> Arc<str> {
        ActorRef::path(self)
    }
}

impl<T: Send + 'static> Recipient<T> {
    /// [`ActorRef::try_tell`]. The message has been converted by then, so the error does not hand it back.
    pub fn try_tell(&self, message: T) -> Result<(), TellError<()>> {
        self.target.try_tell(message)
    }

    /// [`ActorRef::tell`]. The message has been converted by then, so the error does not hand it back.
    pub fn tell(&self, message: T) -> RecipientTell<'_> {
        self.target.tell(message)
    }

    /// The path of the actor behind it.
    pub fn path(&self) -> Arc<str> {
        self.target.path()
    }
}

impl<T> Clone for Recipient<T> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
        }
    }
}

impl<T: Send + 'static> PartialEq for Recipient<T> {
    /// The same address.
    fn eq(&self, other: &Self) -> bool {
        self.target.address() == other.target.address()
    }
}

impl<T: Send + 'static> fmt::Debug for Recipient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.path())
    }
}
