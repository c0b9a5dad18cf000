//! [`Reply`]: the right to answer one question, once.
//!
//! One small allocation for each ask: a `oneshot` channel of the crate of that name. A reply that is dropped unanswered
//! tells the asker why, as far as the runtime knows (see `scope`).

use std::{fmt, mem, sync::Mutex};

use crate::{ask::AskError, scope, sync_ext::MutexExt};

/// Where an answer comes out.
pub(crate) type Answer<T> = oneshot::AsyncReceiver<Result<T, AskError>>;

/// The right to answer one ask.
///
/// It can be kept, moved to another task or thread, or put into another message. Dropping it unanswered is allowed: the
/// asker gets an [`AskError`] that tells what happened, [`NoReply`](AskError::NoReply) if nothing else did.
#[must_use = "dropping a reply tells the asker that there is none"]
pub struct Reply<T: Send + 'static> {
    /// A lock only for the sake of `Sync`, and for [`take`](Self::take); an owner gets at it without locking.
    to: Mutex<To<T>>,
}

enum To<T> {
    Asker(oneshot::Sender<Result<T, AskError>>),
    Call(Box<dyn FnOnce(Result<T, AskError>) + Send>),
    Answered,
}

impl<T: Send + 'static> To<T> {
    fn resolve(self, answer: Result<T, AskError>) {
        match self {
            // An error means that the asker has gone away; it hands the answer back, to be dropped here.
            Self::Asker(sender) => drop(sender.send(answer)),
            Self::Call(answered) => answered(answer),
            Self::Answered => {}
        }
    }
}

impl<T: Send + 'static> Reply<T> {
    /// A reply, and where its answer comes out.
    pub(crate) fn channel() -> (Self, Answer<T>) {
        let (sender, answer) = oneshot::async_channel();
        (Self::to(To::Asker(sender)), answer)
    }

    /// A reply that calls `answered` exactly once: with the answer, or with the reason why there is none.
    ///
    /// It is called by whoever answers or drops the reply, so it must not block.
    pub fn from_fn(answered: impl FnOnce(Result<T, AskError>) + Send + 'static) -> Self {
        Self::to(To::Call(Box::new(answered)))
    }

    fn to(to: To<T>) -> Self {
        Self { to: Mutex::new(to) }
    }

    /// Answers. If the asker has gone away, the answer is dropped; that is not an error.
    #[inline]
    pub fn send(self, answer: T) {
        self.resolve(Ok(answer));
    }

    /// Answers with an error of the runtime, for those who pass asks on to somewhere else.
    pub fn refuse(self, error: AskError) {
        self.resolve(Err(error));
    }

    #[inline]
    fn resolve(mut self, answer: Result<T, AskError>) {
        self.take_owned().resolve(answer);
    }

    fn take_owned(&mut self) -> To<T> {
        let to = self
            .to
            .get_mut()
            .unwrap_or_else(|poison| poison.into_inner());
        mem::replace(to, To::Answered)
    }

    /// What this reply was, leaving one whose drop does nothing.
    #[cfg(feature = "wire")]
    pub(crate) fn take(&self) -> impl FnOnce(Result<T, AskError>) + Send + 'static {
        let to = mem::replace(&mut *self.to.locked(), To::Answered);
        move |answer| to.resolve(answer)
    }

    /// Whether the asker has gone away, so that an answer would be dropped. Costly answers can be spared.
    pub fn is_abandoned(&self) -> bool {
        match &*self.to.locked() {
            To::Asker(sender) => sender.is_closed(),
            To::Call(_) | To::Answered => false,
        }
    }
}

impl<T: Send + 'static> Drop for Reply<T> {
    #[inline]
    fn drop(&mut self) {
        match self.take_owned() {
            To::Answered => {}
            to => scope::abandon(Box::new(move |error| to.resolve(Err(error)))),
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn taken<T>(answer: &mut Answer<T>) -> Option<Result<T, AskError>> {
        match Pin::new(answer).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer.ok(),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_answer_is_taken_once() {
        let (reply, mut answer) = Reply::channel();
        assert_eq!(taken(&mut answer), None);
        reply.send(7);
        assert_eq!(taken(&mut answer), Some(Ok(7)));
    }

    #[test]
    fn a_dropped_reply_says_that_there_is_none() {
        let (reply, mut answer) = Reply::<u8>::channel();
        drop(reply);
        assert_eq!(taken(&mut answer), Some(Err(AskError::NoReply)));
    }

    #[test]
    fn what_is_discarded_says_why() {
        let (reply, mut answer) = Reply::<u8>::channel();
        scope::discarding(AskError::Dead, || drop(reply));
        assert_eq!(taken(&mut answer), Some(Err(AskError::Dead)));
    }

    #[test]
    fn a_reply_dropped_in_a_handler_waits_for_the_handlers_fate() {
        let (reply, mut answer) = Reply::<u8>::channel();
        let entered = scope::enter(1);
        drop(reply);
        assert_eq!(taken(&mut answer), None);
        assert!(scope::has_orphans());
        scope::settle_orphans(AskError::CrashedWhileHandling);
        drop(entered);
        assert_eq!(
            taken(&mut answer),
            Some(Err(AskError::CrashedWhileHandling))
        );
    }

    #[test]
    fn an_answer_to_a_caller_that_went_away_is_no_error() {
        let (reply, answer) = Reply::channel();
        drop(answer);
        assert!(reply.is_abandoned());
        reply.send(1);
    }

    #[test]
    fn messages_with_replies_can_be_shared_between_threads() {
        fn is_sync<T: Send + Sync>() {}
        is_sync::<Reply<std::cell::Cell<u8>>>();
    }
}
