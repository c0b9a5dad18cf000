//! Tells: the future of [`ActorRef::tell`](crate::ActorRef::tell), and why a message was not accepted.
//!
//! Most tells find room, so everything here is about that case: the message goes from the caller's registers into its
//! slot, and what is left is two words that say that it is done. Whatever else happens lies in a box, behind cold calls.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    mem::ManuallyDrop,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    cell::Cell,
    envelope::Envelope,
    mailbox::{Joined, Rejected, WaitKey},
};

/// A message that was not accepted. It is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TellError<M> {
    /// The mailbox is full, or sheds load and has no prospect for a message of this class: for [`try_tell`](crate::ActorRef::try_tell) under every policy that does not drop, for
    /// [`tell`](crate::ActorRef::tell) only where the policy is to refuse.
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
            Self::Full(_) => "the mailbox takes no more; the message was not queued",
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

/// How many messages of a [`ActorRef::tell_all`](crate::ActorRef::tell_all) are queued by one reservation.
const CHUNK: usize = 64;

pub(crate) async fn tell_all<M, I>(
    cell: &Cell<M>,
    mut messages: I,
) -> Result<(), TellAllError<M, I>>
where
    M: Send + 'static,
    I: Iterator<Item = M>,
{
    let mut chunk = VecDeque::new();
    loop {
        if chunk.is_empty() {
            chunk.extend(messages.by_ref().take(CHUNK).map(Envelope::bare));
            if chunk.is_empty() {
                return Ok(());
            }
        }
        cell.push_all(&mut chunk);
        // The first for which there was no room is told alone: it waits, or learns why it is not accepted.
        if let Some(envelope) = chunk.pop_front()
            && let Err(error) = Tell::new(cell, envelope).await
        {
            let rest = Unsent { chunk, messages };
            return Err(TellAllError { error, rest });
        }
    }
}

/// Why [`ActorRef::tell_all`](crate::ActorRef::tell_all) ended early.
pub struct TellAllError<M, I> {
    /// The message that was not accepted, and why. Those before it were queued.
    pub error: TellError<M>,
    /// The messages after it, in order.
    pub rest: Unsent<M, I>,
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

/// The messages that a [`ActorRef::tell_all`](crate::ActorRef::tell_all) did not come to.
pub struct Unsent<M, I> {
    chunk: VecDeque<Envelope<M>>,
    messages: I,
}

impl<M, I: Iterator<Item = M>> Iterator for Unsent<M, I> {
    type Item = M;

    fn next(&mut self) -> Option<M> {
        match self.chunk.pop_front() {
            Some(envelope) => Some(envelope.message),
            None => self.messages.next(),
        }
    }
}

/// The future of [`ActorRef::tell`](crate::ActorRef::tell).
#[must_use = "a full mailbox makes the sender wait: await it"]
pub struct Tell<'a, M> {
    cell: &'a Cell<M>,
    /// `None`: queued, or taken back. Dropped by hand, so that the drop of one that was queued is no more than a look.
    stage: ManuallyDrop<Option<Box<Stage<M>>>>,
}

enum Stage<M> {
    Rejected(TellError<M>),
    /// There was no room, and the future has not been polled since.
    Full(Envelope<M>),
    Waiting(WaitKey),
}

impl<M> Unpin for Tell<'_, M> {}

impl<'a, M: Send + 'static> Tell<'a, M> {
    #[inline(always)]
    pub(crate) fn new(cell: &'a Cell<M>, envelope: Envelope<M>) -> Self {
        let stage = match cell.push(envelope) {
            Ok(()) => None,
            Err(rejected) => Some(Self::not_queued(cell, rejected)),
        };
        Self {
            cell,
            stage: ManuallyDrop::new(stage),
        }
    }

    #[cold]
    #[inline(never)]
    fn not_queued(cell: &Cell<M>, rejected: Rejected<Envelope<M>>) -> Box<Stage<M>> {
        Box::new(match rejected {
            Rejected::Full(envelope) => Stage::Full(envelope),
            rejected => Stage::Rejected(cell.tell_error(rejected)),
        })
    }

    /// Takes the message back if it was not queued yet. `None`: it was queued, or had been handed back before.
    pub fn cancel(mut self) -> Option<M> {
        self.take_back()
    }

    #[cold]
    #[inline(never)]
    fn poll_slow(
        &mut self,
        mut stage: Box<Stage<M>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TellError<M>>> {
        let key = match *stage {
            Stage::Rejected(error) => return Poll::Ready(Err(error)),
            Stage::Full(envelope) => match self.cell.join_wait(envelope, cx.waker()) {
                Ok(Joined::Queued) => return Poll::Ready(Ok(())),
                Ok(Joined::Waiting(key)) => key,
                Err(rejected) => return Poll::Ready(Err(self.cell.tell_error(rejected))),
            },
            Stage::Waiting(key) => match self.cell.queue.poll_wait(&key, cx.waker()) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(envelope)) => {
                    let rejected = Rejected::Closed(envelope);
                    return Poll::Ready(Err(self.cell.tell_error(rejected)));
                }
                Poll::Pending => key,
            },
        };
        *stage = Stage::Waiting(key);
        *self.stage = Some(stage);
        Poll::Pending
    }
}

impl<M> Tell<'_, M> {
    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        drop(self.take_back());
    }

    #[cold]
    #[inline(never)]
    fn take_back(&mut self) -> Option<M> {
        match *self.stage.take()? {
            Stage::Rejected(error) => Some(error.into_message()),
            Stage::Full(envelope) => Some(envelope.message),
            Stage::Waiting(key) => {
                let envelope = self.cell.queue.cancel_wait(&key)?;
                Some(envelope.message)
            }
        }
    }
}

impl<M: Send + 'static> Future for Tell<'_, M> {
    type Output = Result<(), TellError<M>>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.stage.take() {
            None => Poll::Ready(Ok(())),
            Some(stage) => self.poll_slow(stage, cx),
        }
    }
}

impl<M> Drop for Tell<'_, M> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.stage.is_some() {
            self.give_up();
        }
    }
}

impl<M> fmt::Debug for Tell<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage.as_deref() {
            None => "Tell(queued)",
            Some(Stage::Rejected(_)) => "Tell(rejected)",
            Some(Stage::Full(_) | Stage::Waiting(_)) => "Tell(waiting)",
        })
    }
}
