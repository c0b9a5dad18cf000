//! A place in the line of senders that wait for credit or for room on a link.

use std::{
    sync::{Arc, Mutex},
    task::{Poll, Waker},
};

use super::{message::Outgoing, sync_ext::MutexExt};

/// Why a message cannot be sent now, or ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// No credit or no room.
    Full,
    /// More asks than are allowed.
    TooManyAsks,
    /// There was no link.
    Disconnected,
    NodeDown,
    ShutDown,
}

/// Somebody who waits; its message lies in the line, as bytes.
pub(crate) struct Waiting {
    pub(crate) place: Arc<Place>,
    pub(crate) outgoing: Outgoing,
}

/// What the one who waits looks at.
#[derive(Debug)]
pub(crate) struct Place(Mutex<State>);

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Settled(Result<(), Unsent>),
}

impl Place {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Waiting(None))))
    }

    /// The message was sent, or will not be. The waker is to be woken when no lock is held.
    #[must_use]
    pub(crate) fn settle(&self, outcome: Result<(), Unsent>) -> Option<Waker> {
        match std::mem::replace(&mut *self.0.locked(), State::Settled(outcome)) {
            State::Waiting(waker) => waker,
            State::Settled(_) => None,
        }
    }

    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<(), Unsent>> {
        match &mut *self.0.locked() {
            State::Settled(outcome) => Poll::Ready(*outcome),
            State::Waiting(Some(known)) if known.will_wake(waker) => Poll::Pending,
            State::Waiting(known) => {
                *known = Some(waker.clone());
                Poll::Pending
            }
        }
    }
}
