//! [`Reply`]: the right to answer one question, once.
//!
//! One small allocation for each ask: the slot, shared by the asker and the reply. A reply that is dropped unanswered
//! tells the asker why, as far as the runtime knows (see `scope`).

use std::{
    fmt, mem,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use crate::{
    ask::AskError,
    scope::{self, Settle},
    sync_ext::MutexExt,
};

/// The right to answer one ask.
///
/// It can be kept, moved to another task or thread, or put into another message. Dropping it unanswered is allowed: the
/// asker gets an [`AskError`] that tells what happened, [`NoReply`](AskError::NoReply) if nothing else did.
#[must_use = "dropping a reply tells the asker that there is none"]
pub struct Reply<T: Send + 'static> {
    to: To<T>,
}

enum To<T> {
    Slot(Arc<Slot<T>>),
    Call(Arc<Call<T>>),
    Answered,
}

/// A function that takes the answer, once.
struct Call<T>(Mutex<Option<CallFn<T>>>);

type CallFn<T> = Box<dyn FnOnce(Result<T, AskError>) + Send>;

impl<T> Call<T> {
    fn fill(&self, answer: Result<T, AskError>) {
        let call = self.0.locked().take();
        if let Some(call) = call {
            call(answer);
        }
    }
}

impl<T: Send> Settle for Call<T> {
    fn settle(&self, error: AskError) {
        self.fill(Err(error));
    }
}

impl<T: Send + 'static> Reply<T> {
    /// A reply and the slot that it fills.
    pub(crate) fn slot() -> (Self, Arc<Slot<T>>) {
        let slot = Arc::new(Slot(Mutex::new(State::Waiting(None))));
        (
            Self {
                to: To::Slot(slot.clone()),
            },
            slot,
        )
    }

    /// A reply that calls `answered` exactly once: with the answer, or with the reason why there is none.
    ///
    /// It is called by whoever answers or drops the reply, so it must not block.
    pub fn from_fn(answered: impl FnOnce(Result<T, AskError>) + Send + 'static) -> Self {
        Self {
            to: To::Call(Arc::new(Call(Mutex::new(Some(Box::new(answered)))))),
        }
    }

    /// Answers. If the asker has gone away, the answer is dropped; that is not an error.
    pub fn send(self, answer: T) {
        self.resolve(Ok(answer));
    }

    /// Answers with an error of the runtime, for those who pass asks on to somewhere else.
    pub fn refuse(self, error: AskError) {
        self.resolve(Err(error));
    }

    /// A function that answers in place of this reply, which is to be dropped in [`scope::handing_over`] afterwards.
    #[cfg(feature = "wire")]
    pub(crate) fn stand_in(&self) -> impl FnOnce(Result<T, AskError>) + Send + 'static {
        enum StandIn<T> {
            Slot(Arc<Slot<T>>),
            Call(Arc<Call<T>>),
            None,
        }
        let stand_in = match &self.to {
            To::Slot(slot) => StandIn::Slot(slot.clone()),
            To::Call(call) => StandIn::Call(call.clone()),
            To::Answered => StandIn::None,
        };
        move |answer| match stand_in {
            StandIn::Slot(slot) => slot.fill(answer),
            StandIn::Call(call) => call.fill(answer),
            StandIn::None => {}
        }
    }

    pub(crate) fn resolve(mut self, answer: Result<T, AskError>) {
        match mem::replace(&mut self.to, To::Answered) {
            To::Slot(slot) => slot.fill(answer),
            To::Call(call) => call.fill(answer),
            To::Answered => unreachable!("a reply is consumed by its answer"),
        }
    }

    /// Whether the asker has gone away, so that an answer would be dropped. Costly answers can be spared.
    pub fn is_abandoned(&self) -> bool {
        match &self.to {
            To::Slot(slot) => matches!(*slot.0.locked(), State::Abandoned),
            To::Call(_) | To::Answered => false,
        }
    }
}

impl<T: Send + 'static> Drop for Reply<T> {
    fn drop(&mut self) {
        match mem::replace(&mut self.to, To::Answered) {
            To::Slot(slot) => scope::abandon(slot),
            To::Call(call) => scope::abandon(call),
            To::Answered => {}
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// The place where one answer is left.
pub(crate) struct Slot<T>(Mutex<State<T>>);

enum State<T> {
    Waiting(Option<Waker>),
    Filled(Result<T, AskError>),
    Taken,
    Abandoned,
}

impl<T> Slot<T> {
    fn fill(&self, answer: Result<T, AskError>) {
        let mut state = self.0.locked();
        match &mut *state {
            State::Waiting(waker) => {
                let waker = waker.take();
                *state = State::Filled(answer);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            // The answer is dropped outside the lock: its drop is the user's code.
            State::Abandoned | State::Filled(_) | State::Taken => drop(state),
        }
    }

    /// Takes the answer, or leaves the waker.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, AskError>> {
        let mut state = self.0.locked();
        match &mut *state {
            State::Waiting(Some(waker)) if waker.will_wake(cx.waker()) => Poll::Pending,
            State::Waiting(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            State::Filled(_) => match mem::replace(&mut *state, State::Taken) {
                State::Filled(answer) => Poll::Ready(answer),
                _ => unreachable!("the state was matched under the same lock"),
            },
            State::Taken | State::Abandoned => Poll::Ready(Err(AskError::NoReply)),
        }
    }

    /// The asker goes away. True if an answer was still to come, or had come and was not taken.
    pub(crate) fn abandon(&self) -> bool {
        let before = mem::replace(&mut *self.0.locked(), State::Abandoned);
        matches!(before, State::Waiting(_) | State::Filled(Ok(_)))
    }
}

impl<T: Send> Settle for Slot<T> {
    fn settle(&self, error: AskError) {
        self.fill(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken<T>(slot: &Slot<T>) -> Option<Result<T, AskError>> {
        match slot.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_answer_is_taken_once() {
        let (reply, slot) = Reply::slot();
        assert_eq!(taken(&slot), None);
        reply.send(7);
        assert_eq!(taken(&slot), Some(Ok(7)));
    }

    #[test]
    fn a_dropped_reply_says_that_there_is_none() {
        let (reply, slot) = Reply::<u8>::slot();
        drop(reply);
        assert_eq!(taken(&slot), Some(Err(AskError::NoReply)));
    }

    #[test]
    fn what_is_discarded_says_why() {
        let (reply, slot) = Reply::<u8>::slot();
        scope::discarding(AskError::Dead, || drop(reply));
        assert_eq!(taken(&slot), Some(Err(AskError::Dead)));
    }

    #[test]
    fn a_reply_dropped_in_a_handler_waits_for_the_handlers_fate() {
        let (reply, slot) = Reply::<u8>::slot();
        let entered = scope::enter(1);
        drop(reply);
        assert_eq!(taken(&slot), None);
        assert!(scope::has_orphans());
        scope::settle_orphans(AskError::CrashedWhileHandling);
        drop(entered);
        assert_eq!(taken(&slot), Some(Err(AskError::CrashedWhileHandling)));
    }

    #[test]
    fn an_answer_to_a_caller_that_went_away_is_no_error() {
        let (reply, slot) = Reply::slot();
        assert!(slot.abandon());
        assert!(reply.is_abandoned());
        reply.send(1);
    }
}
