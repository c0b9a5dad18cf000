//! [`Reply`]: the right to answer one question, once.
//!
//! One small allocation for each ask, see `mailbox/answer`. A reply that is dropped unanswered tells the asker why, as
//! far as the runtime knows (see `scope`).

use std::fmt;

use crate::{
    ask::AskError,
    mailbox::answer::{self, Right},
    scope,
};

/// Where an answer comes out.
pub(crate) type Answer<T> = answer::Answer<Result<T, AskError>>;

/// The right to answer one ask.
///
/// It can be kept, moved to another task or thread, or put into another message. Dropping it unanswered is allowed: the
/// asker gets an [`AskError`] that tells what happened, [`NoReply`](AskError::NoReply) if nothing else did.
#[must_use = "dropping a reply tells the asker that there is none"]
pub struct Reply<T: Send + 'static> {
    right: Right<Result<T, AskError>>,
}

impl<T: Send + 'static> Reply<T> {
    /// A reply, and where its answer comes out.
    #[inline]
    pub(crate) fn channel() -> (Self, Answer<T>) {
        let (right, answer) = answer::channel();
        (Self { right }, answer)
    }

    /// A reply that calls `answered` exactly once: with the answer, or with the reason why there is none.
    ///
    /// It is called by whoever answers or drops the reply, so it must not block.
    pub fn from_fn(answered: impl FnOnce(Result<T, AskError>) + Send + 'static) -> Self {
        Self {
            right: Right::calling(Box::new(answered)),
        }
    }

    /// Answers. If the asker has gone away, the answer is dropped; that is not an error.
    #[inline]
    pub fn send(mut self, answer: T) {
        if scope::is_given_up() {
            return self.refuse(AskError::CrashedWhileHandling);
        }
        self.right.answer(Ok(answer));
    }

    /// Answers with an error of the runtime, for those who pass asks on to somewhere else.
    pub fn refuse(mut self, error: AskError) {
        self.right.refuse(Err(error));
    }

    /// Moves the right to answer out, leaving a reply whose drop does nothing.
    #[cfg(feature = "wire")]
    pub(crate) fn take(&self) -> impl FnOnce(Result<T, AskError>) + Send + 'static {
        let mut right = self.right.take();
        move |answer| match answer {
            Ok(_) => right.answer(answer),
            Err(_) => right.refuse(answer),
        }
    }

    /// Whether the asker has gone away, so that an answer would be dropped. Costly answers can be spared.
    pub fn is_abandoned(&self) -> bool {
        self.right.is_abandoned()
    }
}

impl<T: Send + 'static> Drop for Reply<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.right.is_used() {
            abandon(self.right.take_mut());
        }
    }
}

/// Settles an ask whose reply was dropped, now or when the handler's fate is known.
#[cold]
fn abandon<T: Send + 'static>(mut right: Right<Result<T, AskError>>) {
    scope::abandon(Box::new(move |error| right.refuse(Err(error))));
}

impl<T: Send + 'static> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    fn taken<T>(answer: &mut Answer<T>) -> Option<Result<T, AskError>> {
        match answer.poll(std::task::Waker::noop()) {
            Poll::Ready(answer) => answer,
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_reply_is_as_small_as_a_pointer() {
        assert_eq!(size_of::<Reply<u64>>(), size_of::<usize>());
        assert_eq!(size_of::<Reply<[u64; 100]>>(), size_of::<usize>());
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
