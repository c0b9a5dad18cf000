//! [`RemoteRef`]: a reference to an actor on another node, and the futures of its tells and asks.

use std::{
    cell::Cell,
    fmt,
    future::{Future, IntoFuture},
    hash::{Hash, Hasher},
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    task::coop,
    time::{Instant, timeout_at},
};
use treewarden_runtime::{AskError, MessageContext, Reply};

use super::{
    acknowledged::RemoteDelivery,
    error::{RemoteAskError, RemoteTellError},
    lane::Lane,
    message::{Note, RemoteMessage, encode, hand_over},
    monitor::RemoteMonitor,
    peer::{Peer, Target},
    place::{Place, Unsent},
};
use crate::membership::NodeId;

/// A reference to an actor that one boot of a node exposes under a name.
///
/// It costs nothing to make and is valid whether or not there is such an actor, such a node, or a link to it: the first
/// message dials. It outlives restarts of the actor and losses of the link; it ends with the boot of the node. Cloning
/// costs one increment. All references to the same actor and type share one channel, so that the messages of one sender
/// keep their order whichever of them it uses.
///
/// A message that was told is delivered at most once: it is lost if the link is lost, or if the actor does not take it.
/// Every loss is counted (see [`LinkCount`](super::LinkCount)), at the sender as far as it can know.
pub struct RemoteRef<M> {
    target: Arc<Target>,
    name: Arc<str>,
    takes: PhantomData<fn(M)>,
}

impl<M: RemoteMessage> RemoteRef<M> {
    pub(crate) fn new(target: Arc<Target>, name: Arc<str>) -> Self {
        Self {
            target,
            name,
            takes: PhantomData,
        }
    }

    /// A reference to the same actor whose messages go on another [lane](Lane). Between lanes there is no order.
    #[must_use]
    pub fn on(&self, lane: Lane) -> Self {
        Self::new(self.target.on(lane), self.name.clone())
    }

    /// On which lane its messages go.
    pub fn lane(&self) -> Lane {
        self.target.peer.lane
    }

    /// Queues `message` for the link if the remote mailbox has given credit and the link has room. Never waits; the
    /// message is handed back otherwise.
    ///
    /// Senders that wait in [`tell`](Self::tell) come first: while there are any, this is refused.
    ///
    /// # Errors
    ///
    /// See [`RemoteTellError`]. That the name is unknown there, or the type, is not known yet when this returns `Ok`; it
    /// is counted as [`MessagesNacked`](super::LinkCount::MessagesNacked) when it is.
    pub fn try_tell(&self, message: M) -> Result<(), RemoteTellError<M>> {
        self.try_send(message, None)
    }

    /// [`try_tell`](Self::try_tell) with a context that travels with the message. Its deadline travels as the time that is
    /// left; time on the way is not counted. A trace parent of more than 64 bytes does not travel.
    ///
    /// # Errors
    ///
    /// As [`try_tell`](Self::try_tell).
    pub fn try_tell_with(
        &self,
        message: M,
        context: MessageContext,
    ) -> Result<(), RemoteTellError<M>> {
        self.try_send(message, Some(context))
    }

    fn try_send(
        &self,
        message: M,
        context: Option<MessageContext>,
    ) -> Result<(), RemoteTellError<M>> {
        let peer = &self.target.peer;
        let encoded = encode(message, context, None, peer.payload_bytes_max());
        let (message, outgoing) = match encoded {
            Ok(encoded) => encoded,
            Err((message, error)) => return Err(RemoteTellError::from_encode(message, error)),
        };
        match self.target.try_send(outgoing) {
            Ok(()) => {
                hand_over(message);
                Ok(())
            }
            Err((unsent, outgoing)) => {
                outgoing.disarm();
                Err(tell_error(unsent, message))
            }
        }
    }

    /// Queues `message` for the link, waiting for credit and room.
    ///
    /// The message is encoded by this call, and queued by it if that is possible. Otherwise the returned future waits;
    /// waiting senders of one actor are served first come, first served, so that the messages of one sender arrive in the
    /// order in which it sent them. A slow actor makes those wait who send to it, and nobody else.
    ///
    /// Cancel safety: dropping the future either leaves the message queued, or takes it back and drops it. To get it back,
    /// use [`RemoteTell::cancel`].
    pub fn tell(&self, message: M) -> RemoteTell<'_, M> {
        self.send(message, None)
    }

    /// [`tell`](Self::tell) with a context that travels with the message; see [`try_tell_with`](Self::try_tell_with).
    pub fn tell_with(&self, message: M, context: MessageContext) -> RemoteTell<'_, M> {
        self.send(message, Some(context))
    }

    fn send(&self, message: M, context: Option<MessageContext>) -> RemoteTell<'_, M> {
        let peer = &self.target.peer;
        let encoded = encode(message, context, None, peer.payload_bytes_max());
        let stage = match encoded {
            Err((message, error)) => {
                Stage::Ended(Err(RemoteTellError::from_encode(message, error)))
            }
            Ok((message, outgoing)) => {
                let bytes = outgoing.payload.len();
                match self.target.send(outgoing) {
                    Ok(None) => {
                        hand_over(message);
                        match is_turn_over(bytes) {
                            true => Stage::Ended(Ok(())),
                            false => Stage::Sent,
                        }
                    }
                    Ok(Some(place)) => Stage::Waiting { message, place },
                    Err((unsent, outgoing)) => {
                        outgoing.disarm();
                        Stage::Ended(Err(tell_error(unsent, message)))
                    }
                }
            }
        };
        RemoteTell {
            target: &self.target,
            stage,
        }
    }

    /// Sends `message` again and again until it is acknowledged: until its handler has returned `Ok`. See [`RemoteDelivery`].
    pub fn deliver(&self, message: M) -> RemoteDelivery<'_, M> {
        RemoteDelivery::new(&self.target, message)
    }

    /// Asks: `question` makes the message from the [`Reply`] that the actor will answer. See [`RemoteAsk`].
    pub fn ask<T, F>(&self, question: F) -> RemoteAsk<'_, M, T, F>
    where
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M,
    {
        RemoteAsk {
            target: &self.target,
            question,
            context: None,
            deadline: None,
            asks: PhantomData,
        }
    }

    /// Hears of the ends of the actor, on the [control lane](Lane::Control): what it tells can overtake messages. See [`RemoteMonitor`].
    pub fn monitor(&self) -> RemoteMonitor {
        RemoteMonitor::new(self.target.on(Lane::Control))
    }
}

impl<M> RemoteRef<M> {
    /// Which boot of which node.
    pub fn node(&self) -> &NodeId {
        &self.target.peer.id
    }

    /// The name under which the actor is exposed there.
    pub fn name(&self) -> &str {
        &self.name
    }
}

thread_local! {
    /// What has been sent from this thread since one of its tasks was last asked whether its turn is over.
    static SENT: Cell<usize> = const { Cell::new(0) };
}

/// So many small messages are as much work as whatever else takes one unit of a task's turn.
const MESSAGES_A_UNIT: usize = 8;
/// So many bytes weigh as much as one more message.
const BYTES_A_MESSAGE: usize = 256;

/// Whether it is time to ask the runtime whether others should have their turn. The writer of the link is one of them: it should find a good
/// deal when it comes.
fn is_turn_over(bytes: usize) -> bool {
    SENT.with(|sent| {
        let now = sent.get() + 1 + bytes / BYTES_A_MESSAGE;
        let is_over = now >= MESSAGES_A_UNIT;
        sent.set(if is_over { 0 } else { now });
        is_over
    })
}

fn tell_error<M>(unsent: Unsent, message: M) -> RemoteTellError<M> {
    match unsent {
        Unsent::Full | Unsent::TooManyAsks => RemoteTellError::Full(message),
        Unsent::Disconnected => RemoteTellError::Disconnected(message),
        Unsent::NodeDown => RemoteTellError::NodeDown(message),
        Unsent::ShutDown => RemoteTellError::ShutDown(message),
    }
}

impl<M> Clone for RemoteRef<M> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            name: self.name.clone(),
            takes: PhantomData,
        }
    }
}

impl<M> PartialEq for RemoteRef<M> {
    /// The same name at the same boot of the same node.
    fn eq(&self, other: &Self) -> bool {
        self.node() == other.node() && self.name == other.name
    }
}

impl<M> Eq for RemoteRef<M> {}

impl<M> Hash for RemoteRef<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.node().hash(state);
        self.name.hash(state);
    }
}

impl<M> fmt::Debug for RemoteRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteRef({} on {})", self.name, self.node())
    }
}

/// The future of [`RemoteRef::tell`].
#[must_use = "a full remote mailbox makes the sender wait: await it"]
pub struct RemoteTell<'a, M> {
    target: &'a Target,
    stage: Stage<M>,
}

enum Stage<M> {
    /// And its sender need not think of others yet.
    Sent,
    Ended(Result<(), RemoteTellError<M>>),
    Waiting {
        message: M,
        place: Arc<Place>,
    },
    Taken,
}

impl<M> RemoteTell<'_, M> {
    /// Takes the message back if it was not queued for the link yet. `None`: it was queued, or had been handed back.
    pub fn cancel(mut self) -> Option<M> {
        self.take_back()
    }

    fn take_back(&mut self) -> Option<M> {
        match std::mem::replace(&mut self.stage, Stage::Taken) {
            Stage::Ended(Err(error)) => Some(error.into_message()),
            Stage::Waiting { message, place } => {
                if self.target.cancel(&place) {
                    return Some(message);
                }
                // It has left the line: sent, or failed.
                match place.poll(Waker::noop()) {
                    Poll::Ready(Ok(())) => {
                        hand_over(message);
                        None
                    }
                    Poll::Ready(Err(_)) | Poll::Pending => Some(message),
                }
            }
            Stage::Ended(Ok(())) | Stage::Sent | Stage::Taken => None,
        }
    }
}

impl<M> Unpin for RemoteTell<'_, M> {}

impl<M> Future for RemoteTell<'_, M> {
    type Output = Result<(), RemoteTellError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.stage, Stage::Taken) {
            Stage::Sent => Poll::Ready(Ok(())),
            Stage::Ended(result) => match coop::poll_proceed(cx) {
                Poll::Ready(turn) => {
                    turn.made_progress();
                    Poll::Ready(result)
                }
                // Whoever never waits has to give others a turn now and then: the writer of the link first.
                Poll::Pending => {
                    self.stage = Stage::Ended(result);
                    Poll::Pending
                }
            },
            Stage::Waiting { message, place } => match place.poll(cx.waker()) {
                Poll::Ready(Ok(())) => {
                    hand_over(message);
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Err(unsent)) => Poll::Ready(Err(tell_error(unsent, message))),
                Poll::Pending => {
                    self.stage = Stage::Waiting { message, place };
                    Poll::Pending
                }
            },
            Stage::Taken => panic!("a tell was polled after it had ended"),
        }
    }
}

impl<M> Drop for RemoteTell<'_, M> {
    fn drop(&mut self) {
        if let Stage::Waiting { .. } = self.stage {
            drop(self.take_back());
        }
    }
}

impl<M> fmt::Debug for RemoteTell<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stage {
            Stage::Sent => f.write_str("RemoteTell(Ok(()))"),
            Stage::Ended(result) => write!(f, "RemoteTell({result:?})"),
            Stage::Waiting { .. } => f.write_str("RemoteTell(waiting)"),
            Stage::Taken => f.write_str("RemoteTell(taken)"),
        }
    }
}

/// An ask of an actor on another node. Made by [`RemoteRef::ask`]; nothing is sent before it is awaited.
///
/// Without a [`timeout`](Self::timeout) or [`deadline`](Self::deadline) it waits until there is an answer or until there
/// can be none: besides what ends a local ask, the loss of the link ends it. The deadline travels as the time that is left;
/// a request that waits in the remote mailbox until it has passed is not handled.
///
/// Dropping its future before the request was queued for the link takes the request back. Dropping it later leaves the
/// request to be handled; its answer is discarded and counted ([`LinkCount::RepliesLate`](super::LinkCount::RepliesLate)).
#[must_use = "nothing is asked before it is awaited"]
pub struct RemoteAsk<'a, M, T, F> {
    target: &'a Target,
    question: F,
    context: Option<MessageContext>,
    deadline: Option<Instant>,
    asks: PhantomData<fn(M) -> T>,
}

impl<M, T, F> RemoteAsk<'_, M, T, F> {
    /// Gives up after `timeout` from now.
    pub fn timeout(self, timeout: Duration) -> Self {
        // A sum past the end of time is no deadline.
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// Gives up at `deadline`.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sends `context` along; its deadline, if it has one, is the ask's as well. Without this, an ask that is first polled in
    /// a handler inherits the context of the message that is being handled, as [local asks](treewarden_runtime::Ask::context)
    /// do.
    pub fn context(mut self, context: MessageContext) -> Self {
        self.deadline = self.deadline.or(context.deadline());
        self.context = Some(context);
        self
    }
}

impl<'a, M, T, F> IntoFuture for RemoteAsk<'a, M, T, F>
where
    M: RemoteMessage,
    T: Send + 'static,
    F: FnOnce(Reply<T>) -> M + Send + 'a,
{
    type Output = Result<T, RemoteAskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<M, T, F> RemoteAsk<'_, M, T, F>
where
    M: RemoteMessage,
    T: Send + 'static,
    F: FnOnce(Reply<T>) -> M + Send,
{
    async fn run(mut self) -> Result<T, RemoteAskError> {
        // As a local ask does: what it is not given it inherits from the message whose handler asks.
        if self.context.is_none()
            && let Some(inherited) = MessageContext::inherited()
        {
            self.deadline = self.deadline.into_iter().chain(inherited.deadline()).min();
            self.context = Some(inherited);
        }
        let target = self.target;
        let peer = &*target.peer;
        let context = match (self.context, self.deadline) {
            (context, None) => context,
            (context, Some(deadline)) => Some(context.unwrap_or_default().with_deadline(deadline)),
        };
        let note: Note = Arc::new(OnceLock::new());
        let (answered, answer) = oneshot::channel();
        let message = (self.question)(Reply::from_fn(move |result| {
            // Nobody listens any more if the ask was dropped.
            let _ = answered.send(result);
        }));
        let encoded = encode(
            message,
            context,
            Some(note.clone()),
            peer.payload_bytes_max(),
        );
        let (message, outgoing) = match encoded {
            Ok(encoded) => encoded,
            Err((_, error)) => {
                return Err(match RemoteTellError::from_encode((), error) {
                    RemoteTellError::TooLarge { bytes_max, .. } => {
                        RemoteAskError::TooLarge { bytes_max }
                    }
                    error => RemoteAskError::Unencodable {
                        error: error.to_string(),
                    },
                });
            }
        };
        let in_flight = InFlight {
            peer,
            numbers: outgoing
                .replies()
                .iter()
                .map(|reply| reply.number)
                .collect(),
        };
        match target.send(outgoing) {
            Ok(None) => hand_over(message),
            Err((unsent, outgoing)) => {
                outgoing.disarm();
                return Err(peer.ask_error(unsent));
            }
            Ok(Some(place)) => {
                let sending = RemoteTell {
                    target,
                    stage: Stage::Waiting { message, place },
                };
                match by(self.deadline, sending).await {
                    Some(Ok(())) => {}
                    Some(Err(RemoteTellError::NodeDown(_))) => {
                        return Err(RemoteAskError::NodeDown);
                    }
                    Some(Err(RemoteTellError::ShutDown(_))) => {
                        return Err(RemoteAskError::ShutDown);
                    }
                    Some(Err(_)) => return Err(AskError::Disconnected.into()),
                    // It never left.
                    None => return Err(AskError::Expired.into()),
                }
            }
        }
        let answered = by(self.deadline, answer).await;
        drop(in_flight);
        match answered {
            Some(Ok(Ok(answer))) => Ok(answer),
            Some(Ok(Err(error))) => Err(note.get().cloned().unwrap_or(error.into())),
            Some(Err(_)) => Err(AskError::NoReply.into()),
            None => Err(AskError::Timeout.into()),
        }
    }
}

/// The outcome, if it comes before the deadline.
async fn by<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// Forgets the asks of a message when nobody waits for their answers any more.
struct InFlight<'a> {
    peer: &'a Peer,
    numbers: Vec<u64>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        for &number in &self.numbers {
            self.peer.forget_ask(number);
        }
    }
}

impl<M, T, F> fmt::Debug for RemoteAsk<'_, M, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteAsk")
            .field("target", &self.target)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
