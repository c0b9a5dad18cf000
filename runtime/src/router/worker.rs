//! One worker of a router: its reference, and what the router measures of it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{ejection::Health, key, latency::Latency};
use crate::{
    ask::AskError,
    reference::{ActorRef, AddressState},
    sync_ext::MutexExt,
};

pub(super) struct Worker<M> {
    pub(super) reference: ActorRef<M>,
    pub(super) identity: u64,
    /// Asks through the router that have not ended.
    in_flight: AtomicUsize,
    pub(super) latency: Mutex<Latency>,
    health: Mutex<Health>,
    /// Whether there is anything in `health`: it is looked at for each message.
    has_history: AtomicBool,
    /// Is woken when the last ask has ended.
    pub(super) idle: Notify,
}

impl<M: Send + 'static> Worker<M> {
    pub(super) fn new(reference: ActorRef<M>) -> Self {
        Self {
            identity: key::of(&*reference.path()),
            reference,
            in_flight: AtomicUsize::new(0),
            latency: Mutex::default(),
            health: Mutex::default(),
            has_history: AtomicBool::new(false),
            idle: Notify::new(),
        }
    }

    /// Running or about to run for the first time, not about to end, and not ejected.
    pub(super) fn is_eligible(&self) -> bool {
        let serves = match self.reference.state() {
            AddressState::Running => true,
            // Before its first start nothing has gone wrong, and its mailbox takes messages: whoever adds an actor that was just
            // spawned can use it at once.
            AddressState::Restarting => self.reference.cell.core.last_exit().is_none(),
            AddressState::Stopped | AddressState::Gone => false,
        };
        serves && !self.reference.cell.queue.is_closed() && !self.is_ejected()
    }

    pub(super) fn is_ejected(&self) -> bool {
        self.has_history.load(Ordering::Relaxed) && self.health.locked().is_ejected(Instant::now())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What it has to do, as far as can be seen. Asks that are queued are in both numbers.
    pub(super) fn outstanding(&self) -> usize {
        self.in_flight().max(self.reference.queue_depth())
    }

    /// Reads or changes the health.
    pub(super) fn health<R>(&self, change: impl FnOnce(&mut Health) -> R) -> R {
        let mut health = self.health.locked();
        let result = change(&mut health);
        self.has_history
            .store(!health.is_clean(), Ordering::Relaxed);
        result
    }

    pub(super) fn has_history(&self) -> bool {
        self.has_history.load(Ordering::Relaxed)
    }
}

/// How an ask ended, for the one who measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// The worker is to blame.
    Failed,
    /// It was not tried: overload, or an end in good order.
    NotHandled,
    /// The asker went away first.
    Dropped,
}

impl Outcome {
    pub(super) fn of<T>(answer: &Result<T, AskError>) -> Self {
        match answer {
            Ok(_) => Self::Answered,
            Err(
                AskError::Timeout
                | AskError::CrashedBeforeHandling
                | AskError::CrashedWhileHandling
                | AskError::NoReply
                | AskError::Disconnected,
            ) => Self::Failed,
            Err(
                AskError::Refused
                | AskError::Shed
                | AskError::Expired
                | AskError::Dead
                | AskError::SelfAsk,
            ) => Self::NotHandled,
        }
    }
}

/// Counts an ask as in flight for as long as it lives, and measures it.
pub(super) struct InFlight<M: Send + 'static> {
    worker: Arc<Worker<M>>,
    /// If latencies are measured: since when, and how they fade.
    measure: Option<(Instant, Duration)>,
    pub(super) outcome: Outcome,
}

impl<M: Send + 'static> InFlight<M> {
    pub(super) fn new(worker: Arc<Worker<M>>, decay: Option<Duration>) -> Self {
        worker.in_flight.fetch_add(1, Ordering::Relaxed);
        Self {
            worker,
            measure: decay.map(|decay| (Instant::now(), decay)),
            outcome: Outcome::Dropped,
        }
    }
}

impl<M: Send + 'static> Drop for InFlight<M> {
    fn drop(&mut self) {
        if let Some((began, decay)) = self.measure {
            let now = Instant::now();
            let took = now.duration_since(began);
            let mut latency = self.worker.latency.locked();
            match self.outcome {
                Outcome::Answered => latency.answered(took, now, decay),
                Outcome::Failed | Outcome::Dropped => latency.unanswered(took, now, decay),
                Outcome::NotHandled => {}
            }
        }
        // Ordered, so that whoever is woken sees the count.
        if self.worker.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.worker.idle.notify_waiters();
        }
    }
}
