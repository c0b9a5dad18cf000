//! Streams into actors, and actors as sinks.
//!
//! [`Context::attach`] lets a [`Stream`] flow into the mailbox of an actor: each item becomes a message, the next one is taken when that has
//! found room. [`ActorSink`] is the other direction. What these are made of: one task for each attached stream, and the wait line of the
//! mailbox; nothing is queued anywhere else.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use futures_sink::Sink;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::actor::Actor;
use crate::cell::Belonging;
use crate::context::Context;
use crate::dead_letter::DeadLetterReason;
use crate::envelope::{Envelope, MessageContext, Slot, SlotGuard};
use crate::reference::ActorRef;
use crate::tell::TellError;

impl<A: Actor> Context<A> {
    /// Lets a stream flow into this actor. `message` makes a message of each item, and of `None` at the end of the stream; it must not
    /// block.
    ///
    /// A full mailbox holds the stream back if its overflow policy lets senders wait. What does not fit under another policy is a dead
    /// letter, and so is what finds the actor stopped or gone. The stream is dropped when the incarnation ends; what it has put into the
    /// mailbox by then is not handled by the next one. A stream that panics has ended.
    ///
    /// ```
    /// # use treewarden_runtime::{Actor, Context, Failure, of_receiver};
    /// use tokio::sync::mpsc;
    ///
    /// struct Adder {
    ///     total: u64,
    ///     input: Option<mpsc::Receiver<u64>>,
    /// }
    ///
    /// enum AdderMsg {
    ///     Number(u64),
    ///     End,
    /// }
    ///
    /// impl Actor for Adder {
    ///     type Msg = AdderMsg;
    ///     type Error = Failure;
    ///
    ///     async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
    ///         if let Some(input) = self.input.take() {
    ///             cx.attach(of_receiver(input), |item| item.map_or(AdderMsg::End, AdderMsg::Number));
    ///         }
    ///         Ok(())
    ///     }
    ///
    ///     async fn handle(&mut self, msg: AdderMsg, cx: &mut Context<Self>) -> Result<(), Failure> {
    ///         match msg {
    ///             AdderMsg::Number(n) => self.total += n,
    ///             AdderMsg::End => cx.stop(),
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn attach<S>(
        &mut self,
        stream: S,
        message: impl FnMut(Option<S::Item>) -> A::Msg + Send + 'static,
    ) -> Attachment
    where
        S: Stream + Send + 'static,
        S::Item: Send,
    {
        let attached = Arc::new(Attached {
            incarnation: self.incarnation(),
            is_over: AtomicBool::new(crate::scope::is_given_up()),
            task: OnceLock::new(),
        });
        if !attached.is_over.load(Ordering::Acquire) {
            let key = self.cell.core.own(attached.clone());
            let (myself, attached_to) = (self.myself(), attached.clone());
            let task = tokio::spawn(async move {
                flow(&myself, stream, message, &attached_to).await;
                attached_to.is_over.store(true, Ordering::Release);
                drop(myself.cell.core.disown(key));
            });
            let _ = attached.task.set(task.abort_handle());
            if attached.is_over.load(Ordering::Acquire) {
                task.abort();
            }
        }
        Attachment { attached }
    }
}

/// A stream that flows into an actor. Dropping this changes nothing.
#[derive(Clone)]
pub struct Attachment {
    attached: Arc<Attached>,
}

impl Attachment {
    /// Drops the stream. What is in the mailbox already is still handled, the end is not told.
    pub fn detach(&self) {
        self.attached.abort();
    }

    /// Whether the stream still flows.
    #[must_use]
    pub fn is_active(&self) -> bool {
        let task = self.attached.task.get();
        task.is_some_and(|task| !task.is_finished())
            && !self.attached.is_over.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("is_active", &self.is_active())
            .finish()
    }
}

struct Attached {
    incarnation: u64,
    is_over: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Attached {
    fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

impl Belonging for Attached {
    fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.abort();
    }
}

/// Its messages need no slot of their own; they only have to be of the right incarnation.
impl Slot for Attached {
    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn is_void(&self) -> bool {
        false
    }

    fn release(self: Arc<Self>) {}
}

async fn flow<M, S>(
    to: &ActorRef<M>,
    stream: S,
    mut message: impl FnMut(Option<S::Item>) -> M,
    attached: &Arc<Attached>,
) where
    M: Send + 'static,
    S: Stream,
{
    let mut stream = Box::pin(stream);
    loop {
        let item = poll_fn(|cx| {
            match catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll_next(cx))) {
                Ok(polled) => polled,
                Err(_) => {
                    tracing::error!(path = %to.path(), "a stream that flows into this actor panicked; it has ended");
                    Poll::Ready(None)
                }
            }
        })
        .await;
        let is_end = item.is_none();
        let mut context = MessageContext::new();
        context.slot = Some(SlotGuard(attached.clone()));
        let told = to.tell_with(message(item), context).await;
        // There is nobody to hand it back to.
        let (unsent, reason) = match told {
            Ok(()) if is_end => return,
            Ok(()) => continue,
            Err(TellError::Full(unsent) | TellError::TooHeavy(unsent)) => {
                (unsent, DeadLetterReason::DroppedNewest)
            }
            Err(TellError::Stopped(unsent)) => (unsent, DeadLetterReason::Stopped),
            Err(TellError::Gone(unsent)) => (unsent, DeadLetterReason::Gone),
        };
        to.cell.discard(Envelope::bare(unsent), reason);
        if is_end || reason != DeadLetterReason::DroppedNewest {
            return;
        }
    }
}

/// The receiving end of a tokio channel as a stream. Dropping it closes the channel.
pub fn of_receiver<T>(receiver: mpsc::Receiver<T>) -> ReceiverStream<T> {
    ReceiverStream { receiver }
}

/// See [`of_receiver`].
#[derive(Debug)]
pub struct ReceiverStream<T> {
    receiver: mpsc::Receiver<T>,
}

impl<T> Stream for ReceiverStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<T>> {
        self.receiver.poll_recv(cx)
    }
}

/// An actor as a [`Sink`]: made by [`ActorRef::sink`]. It is ready when its last message has found room; closing it leaves the actor alone.
pub struct ActorSink<M, F> {
    target: ActorRef<M>,
    message: F,
    telling: Option<Telling<M>>,
}

type Telling<M> = Pin<Box<dyn Future<Output = Result<(), TellError<M>>> + Send>>;

impl<M: Send + 'static> ActorRef<M> {
    /// This actor as a sink for whatever `message` makes messages of.
    ///
    /// ```
    /// # use treewarden_runtime::{Actor, Context, Failure, System};
    /// # struct Adder;
    /// # impl Actor for Adder {
    /// #     type Msg = u64;
    /// #     type Error = Failure;
    /// #     async fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<(), Failure> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Failure> {
    /// use futures_util::{SinkExt, StreamExt, stream};
    ///
    /// let adder = System::new("demo").spawn(Adder);
    /// let mut numbers = stream::iter(1..=3_u64).map(Ok);
    /// adder.sink(|number| number).send_all(&mut numbers).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sink<T, F>(&self, message: F) -> ActorSink<M, F>
    where
        F: FnMut(T) -> M,
    {
        ActorSink {
            target: self.clone(),
            message,
            telling: None,
        }
    }
}

impl<M, F> Unpin for ActorSink<M, F> {}

impl<M: Send + 'static, T, F: FnMut(T) -> M> Sink<T> for ActorSink<M, F> {
    type Error = TellError<M>;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<(), TellError<M>>> {
        let Some(telling) = &mut self.telling else {
            return Poll::Ready(Ok(()));
        };
        let told = std::task::ready!(telling.as_mut().poll(cx));
        self.telling = None;
        Poll::Ready(told)
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), TellError<M>> {
        let message = (self.message)(item);
        match self.target.try_tell(message) {
            Err(TellError::Full(message)) => {
                let target = self.target.clone();
                self.telling = Some(Box::pin(async move { target.tell(message).await }));
                Ok(())
            }
            told => told,
        }
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<(), TellError<M>>> {
        Sink::<T>::poll_ready(self, cx)
    }

    fn poll_close(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<(), TellError<M>>> {
        Sink::<T>::poll_ready(self, cx)
    }
}

impl<M, F> fmt::Debug for ActorSink<M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorSink")
            .field("is_waiting", &self.telling.is_some())
            .finish_non_exhaustive()
    }
}
