//! Asks: a message that carries a [`Reply`], and the future of its answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    envelope::{Envelope, MessageContext},
    mailbox::{Joined, Rejected, Stop, WaitKey},
    reference::ActorRef,
    reply::{Answer, Reply},
    scope,
};

/// Why an ask has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AskError {
    /// The mailbox was full, and its policy is to refuse or to drop; or it sheds load, and had no prospect for a request of this
    /// class. The request was not handled.
    Refused,
    /// The request waited in the mailbox until its deadline had passed, and was dropped. It was not handled.
    Expired,
    /// The deadline passed while the asker waited. Whether the request was handled is not known.
    Timeout,
    /// The address is stopped or gone. The request was not handled.
    Dead,
    /// The request was queued when its actor crashed or its group was restarted, and was discarded. It was not handled.
    CrashedBeforeHandling,
    /// The actor crashed, or was killed, in the handler of this very request. How far it got is not known.
    CrashedWhileHandling,
    /// The mailbox was overloaded and gave the request up after it had been queued: it had waited too long, or what matters
    /// more needed its room. It was not handled. Trying again at once adds to the overload.
    Shed,
    /// The request was handled, or taken, and its reply was dropped unanswered.
    NoReply,
    /// An actor asked itself from its own handler. It could only have waited for ever, so nothing was sent.
    SelfAsk,
    /// The link to the node of the actor was lost. Whether the request was handled is not known.
    Disconnected,
}

impl AskError {
    /// Whether the request has surely not been handled, so that it can be sent again without harm.
    pub fn is_safe_to_retry(self) -> bool {
        match self {
            Self::Refused
            | Self::Shed
            | Self::Expired
            | Self::Dead
            | Self::CrashedBeforeHandling
            | Self::SelfAsk => true,
            Self::Timeout | Self::CrashedWhileHandling | Self::NoReply | Self::Disconnected => {
                false
            }
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the mailbox takes no more; the request was not handled",
            Self::Shed => {
                "the actor is overloaded and gave the request up; it was not handled, try later"
            }
            Self::Expired => "the request expired in the mailbox and was not handled",
            Self::Timeout => "no answer before the deadline; the request may have been handled",
            Self::Dead => "the actor is stopped or gone; the request was not handled",
            Self::CrashedBeforeHandling => {
                "the actor crashed before it handled the request; it can be sent again"
            }
            Self::CrashedWhileHandling => {
                "the actor crashed while it handled the request; how far it got is not known"
            }
            Self::NoReply => "the reply was dropped unanswered",
            Self::SelfAsk => "an actor cannot ask itself in its own handler",
            Self::Disconnected => {
                "the link to the actor's node was lost; the request may have been handled"
            }
        })
    }
}

impl std::error::Error for AskError {}

/// The future of an answer. Made by [`ActorRef::ask`]; nothing is sent before it is first polled.
///
/// Without a [`timeout`](Self::timeout) or [`deadline`](Self::deadline) it waits until there is an answer or until there
/// can be none: the end of the actor, a crash in the handler and a dropped reply all end it.
///
/// Dropping it before the request was queued takes the request back. Dropping it later leaves the request to be handled;
/// an answer that comes all the same is discarded and counted
/// ([`ReplyDiscarded`](crate::DeadLetterReason::ReplyDiscarded)).
#[must_use = "nothing is asked before the future is polled"]
pub struct Ask<'a, M: Send + 'static, T: Send + 'static, F> {
    target: &'a ActorRef<M>,
    stage: Stage<T, F>,
    context: Option<Arc<MessageContext>>,
    deadline: Option<Instant>,
    /// Made when the answer is not there at once.
    timer: Option<Pin<Box<Sleep>>>,
}

// The question is moved out, and never pinned.
impl<M: Send + 'static, T: Send + 'static, F> Unpin for Ask<'_, M, T, F> {}

enum Stage<T, F> {
    Asking(F),
    /// In the wait list of the mailbox.
    Waiting(WaitKey, Answer<T>),
    /// In the mailbox, or beyond.
    Sent(Answer<T>),
    Done,
}

impl<'a, M, T, F> Ask<'a, M, T, F>
where
    M: Send + 'static,
    T: Send + 'static,
    F: FnOnce(Reply<T>) -> M,
{
    pub(crate) fn new(target: &'a ActorRef<M>, question: F) -> Self {
        Self {
            target,
            stage: Stage::Asking(question),
            context: None,
            deadline: None,
            timer: None,
        }
    }

    /// Gives up after `timeout` from now. The request then expires in the mailbox, too.
    pub fn timeout(self, timeout: Duration) -> Self {
        // A sum past the end of time is no deadline.
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// Gives up at `deadline`. The request then expires in the mailbox, too.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sends `context` along; its deadline, if it has one, is the ask's as well.
    ///
    /// Without this, an ask that is first polled inside a handler inherits the context of the message that is being handled:
    /// deadline, criticality, attempt, request id and trace parent. It then gives up at the inherited deadline, or at its
    /// own if that is earlier. An empty context, given here, inherits nothing. Asks in tasks of their own inherit nothing
    /// either; give those a clone of [`Context::message`](crate::Context::message).
    pub fn context(mut self, context: MessageContext) -> Self {
        self.deadline = self.deadline.or(context.deadline());
        self.context = Some(Arc::new(context));
        self
    }

    /// What travels with the request. The ask's own deadline is set to the one that holds.
    fn context_to_send(&mut self) -> Option<Arc<MessageContext>> {
        let context = match self.context.take() {
            Some(given) => Some(given),
            None => scope::inherited().inspect(|inherited| {
                self.deadline = self.deadline.into_iter().chain(inherited.deadline()).min();
            }),
        };
        match (context, self.deadline) {
            (None, None) => None,
            (Some(context), deadline) if context.deadline() == deadline => Some(context),
            (context, deadline) => {
                let context = context.map(Arc::unwrap_or_clone).unwrap_or_default();
                Some(Arc::new(match deadline {
                    Some(deadline) => context.with_deadline(deadline),
                    None => context,
                }))
            }
        }
    }

    /// Puts the request on its way.
    fn send(&mut self, question: F, cx: &mut Context<'_>) -> Result<Stage<T, F>, AskError> {
        let cell = &self.target.cell;
        if scope::current() == cell.address() {
            return Err(AskError::SelfAsk);
        }
        let context = self.context_to_send();
        let (reply, answer) = Reply::channel();
        let envelope = Envelope {
            message: question(reply),
            context,
        };
        let rejected = match cell.push(envelope) {
            Ok(()) => return Ok(Stage::Sent(answer)),
            Err(Rejected::Full(envelope)) => match cell.join_wait(envelope, cx.waker()) {
                Ok(Joined::Queued) => return Ok(Stage::Sent(answer)),
                Ok(Joined::Waiting(key)) => return Ok(Stage::Waiting(key, answer)),
                Err(rejected) => rejected,
            },
            Err(rejected) => rejected,
        };
        Err(match Stop::split(rejected) {
            (Stop::Closed, envelope) => unsent(envelope, AskError::Dead),
            (Stop::Full | Stop::Refused | Stop::Dropped | Stop::TooHeavy, envelope) => {
                unsent(envelope, AskError::Refused)
            }
        })
    }
}

/// Drops a request that was not queued.
fn unsent<M>(envelope: Envelope<M>, error: AskError) -> AskError {
    scope::discarding(error, || drop(envelope));
    error
}

impl<M, T, F> Future for Ask<'_, M, T, F>
where
    M: Send + 'static,
    T: Send + 'static,
    F: FnOnce(Reply<T>) -> M,
{
    type Output = Result<T, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match std::mem::replace(&mut this.stage, Stage::Done) {
                Stage::Asking(question) => match this.send(question, cx) {
                    Ok(stage) => this.stage = stage,
                    Err(error) => return Poll::Ready(Err(error)),
                },
                Stage::Waiting(key, answer) => {
                    match this.target.cell.queue.poll_wait(&key, cx.waker()) {
                        Poll::Ready(Ok(())) => this.stage = Stage::Sent(answer),
                        Poll::Ready(Err(envelope)) => {
                            return Poll::Ready(Err(unsent(envelope, AskError::Dead)));
                        }
                        Poll::Pending => {
                            this.stage = Stage::Waiting(key, answer);
                            break;
                        }
                    }
                }
                Stage::Sent(mut answer) => match answer.poll(cx.waker()) {
                    Poll::Ready(Some(answer)) => return Poll::Ready(answer),
                    // A reply answers also when it is dropped, unless its thread is being torn down.
                    Poll::Ready(None) => return Poll::Ready(Err(AskError::NoReply)),
                    Poll::Pending => {
                        this.stage = Stage::Sent(answer);
                        break;
                    }
                },
                Stage::Done => panic!("an ask was polled after it had ended"),
            }
        }
        let Some(deadline) = this.deadline else {
            return Poll::Pending;
        };
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(match this.give_up() {
            // It never got into the mailbox.
            Some(()) => AskError::Expired,
            None => AskError::Timeout,
        }))
    }
}

impl<M: Send + 'static, T: Send + 'static, F> Ask<'_, M, T, F> {
    /// Ends the ask. Some: the request was taken back before it was queued.
    fn give_up(&mut self) -> Option<()> {
        let cell = &self.target.cell;
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Asking(_) => Some(()),
            Stage::Waiting(key, answer) => {
                let taken_back = cell.queue.cancel_wait(&key);
                let was_queued = taken_back.is_none();
                scope::discarding(AskError::Expired, || drop(taken_back));
                if was_queued {
                    cell.discard_reply(answer);
                }
                (!was_queued).then_some(())
            }
            Stage::Sent(answer) => {
                cell.discard_reply(answer);
                None
            }
            Stage::Done => None,
        }
    }
}

impl<M: Send + 'static, T: Send + 'static, F> Drop for Ask<'_, M, T, F> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<M: Send + 'static, T: Send + 'static, F> fmt::Debug for Ask<'_, M, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("target", &self.target.path())
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
