//! One member as a router sees it: its reference, and what the router measures of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use treewarden_runtime::{
    AddressState, AskError,
    routing::{Health, Latency},
};

use crate::{
    groups::{ClusterRef, entry::Address},
    remote::{RemoteAskError, RemoteMessage},
};

/// A member, as it is now.
pub(super) struct Worker<M> {
    pub(super) address: Address,
    pub(super) reference: ClusterRef<M>,
    pub(super) identity: u64,
    /// Its node can be reached, and neither drains nor is cordoned.
    pub(super) is_open: bool,
    /// It is in this node's zone.
    pub(super) is_near: bool,
    pub(super) measured: Arc<Measured>,
}

impl<M: RemoteMessage> Worker<M> {
    /// On an open node, running as far as is known, and not ejected.
    pub(super) fn is_eligible(&self) -> bool {
        let is_running = match &self.reference {
            ClusterRef::Local(actor) => actor.state() == AddressState::Running,
            ClusterRef::Remote(_) => true,
        };
        self.is_open && is_running && !self.measured.is_ejected()
    }

    /// Whether it is the actor that is being polled on this thread: it cannot ask itself.
    pub(super) fn is_myself(&self) -> bool {
        match &self.reference {
            ClusterRef::Local(actor) => actor.is_current(),
            ClusterRef::Remote(_) => false,
        }
    }

    /// What it has to do, as far as this node can see.
    pub(super) fn outstanding(&self) -> usize {
        self.measured.in_flight().max(self.queued().unwrap_or(0))
    }

    /// What is in its mailbox, if that can be seen from here.
    pub(super) fn queued(&self) -> Option<usize> {
        match &self.reference {
            ClusterRef::Local(actor) => Some(actor.queue_depth()),
            ClusterRef::Remote(_) => None,
        }
    }
}

/// What this router knows of a member, for as long as it is one.
#[derive(Default)]
pub(super) struct Measured {
    in_flight: AtomicUsize,
    latency: Mutex<Latency>,
    health: Mutex<Health>,
    /// Whether there is anything in `health`: it is looked at for each message.
    has_history: AtomicBool,
}

impl Measured {
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn latency<R>(&self, act: impl FnOnce(&mut Latency) -> R) -> R {
        act(&mut locked(&self.latency))
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.has_history() && locked(&self.health).is_ejected(Instant::now())
    }

    pub(super) fn has_history(&self) -> bool {
        self.has_history.load(Ordering::Relaxed)
    }

    /// Reads or changes the health.
    pub(super) fn health<R>(&self, change: impl FnOnce(&mut Health) -> R) -> R {
        let mut health = locked(&self.health);
        let result = change(&mut health);
        self.has_history
            .store(!health.is_clean(), Ordering::Relaxed);
        result
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How an ask ended, for the one who measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// The member, its node or the way there is to blame.
    Failed,
    /// It says nothing of the member: overload, an end in good order, or a request that nobody could be sent.
    NotToBlame,
    /// The asker went away first.
    Dropped,
}

impl Outcome {
    pub(super) fn of<T>(answer: &Result<T, RemoteAskError>) -> Self {
        match answer {
            Ok(_) => Self::Answered,
            Err(
                RemoteAskError::Ask(
                    AskError::Timeout
                    | AskError::CrashedBeforeHandling
                    | AskError::CrashedWhileHandling
                    | AskError::NoReply
                    | AskError::Disconnected,
                )
                // It is in the group and takes nothing, at once: left in, it would get ever more.
                | RemoteAskError::NotOpened(_)
                | RemoteAskError::Undecodable
                | RemoteAskError::NodeDown,
            ) => Self::Failed,
            Err(
                // Refused, shed, expired, dead, or the asker itself.
                RemoteAskError::Ask(_)
                | RemoteAskError::TooLarge { .. }
                | RemoteAskError::Unencodable { .. }
                | RemoteAskError::AnswerTooLarge { .. }
                | RemoteAskError::TooManyAsks { .. }
                | RemoteAskError::ShutDown,
            ) => Self::NotToBlame,
        }
    }
}

/// Counts an ask as in flight for as long as it lives, and measures it.
pub(super) struct InFlight<'a> {
    measured: &'a Measured,
    began: Instant,
    /// How latencies fade, if they are measured.
    decay: Option<Duration>,
    pub(super) outcome: Outcome,
}

impl<'a> InFlight<'a> {
    pub(super) fn new(measured: &'a Measured, decay: Option<Duration>) -> Self {
        measured.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            measured,
            began: Instant::now(),
            decay,
            outcome: Outcome::Dropped,
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.measured.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(decay) = self.decay else {
            return;
        };
        let now = Instant::now();
        let took = now.duration_since(self.began);
        self.measured.latency(|latency| match self.outcome {
            Outcome::Answered => latency.answered(took, now, decay),
            Outcome::Failed | Outcome::Dropped => latency.unanswered(took, now, decay),
            Outcome::NotToBlame => {}
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overload_and_what_the_request_itself_is_to_blame_for_is_no_failure_of_the_member() {
        let outcome = |error| Outcome::of::<()>(&Err(error));
        let to_blame = [
            RemoteAskError::Ask(AskError::Timeout),
            RemoteAskError::Ask(AskError::CrashedBeforeHandling),
            RemoteAskError::Ask(AskError::CrashedWhileHandling),
            RemoteAskError::Ask(AskError::NoReply),
            RemoteAskError::Ask(AskError::Disconnected),
            RemoteAskError::Undecodable,
            RemoteAskError::NodeDown,
        ];
        for error in to_blame {
            assert_eq!(outcome(error.clone()), Outcome::Failed, "{error}");
        }
        let not_to_blame = [
            RemoteAskError::Ask(AskError::Refused),
            RemoteAskError::Ask(AskError::Shed),
            RemoteAskError::Ask(AskError::Expired),
            RemoteAskError::Ask(AskError::Dead),
            RemoteAskError::Ask(AskError::SelfAsk),
            RemoteAskError::TooLarge { bytes_max: 1 },
            RemoteAskError::AnswerTooLarge { bytes: 1 },
            RemoteAskError::TooManyAsks { asks_max: 1 },
            RemoteAskError::ShutDown,
        ];
        for error in not_to_blame {
            assert_eq!(outcome(error.clone()), Outcome::NotToBlame, "{error}");
        }
        assert_eq!(Outcome::of(&Ok(())), Outcome::Answered);
    }
}
