//! Tell, ask and broadcast through a router over a group.

use std::{hash::Hash, time::Duration};

use treewarden_runtime::{Broadcast, Reply, TellError, routing::hash_of};

use super::{
    GroupRouter, Workers,
    worker::{InFlight, Outcome, Worker},
};
use crate::{
    groups::{
        ClusterTellError,
        entry::Address,
        route_error::{GroupAskError, GroupRouteError},
    },
    remote::{RemoteMessage, RemoteTellError},
};

impl<M: RemoteMessage> GroupRouter<M> {
    /// Passes `message` on to the member that is next and has room. If nobody has, it waits at its first choice; should that one end
    /// meanwhile, at another. The messages of one sender can overtake each other on their way to different members.
    ///
    /// Cancel safety: dropping the future either leaves the message queued, or drops it.
    ///
    /// # Errors
    ///
    /// See [`GroupRouteError`]; the message is handed back.
    pub async fn tell(&self, message: M) -> Result<(), GroupRouteError<M>> {
        self.send(None, message).await
    }

    /// Passes `message` on to the member that `key` belongs to, and waits there if it has no room. While that one cannot be given
    /// anything, the key belongs to another.
    ///
    /// # Errors
    ///
    /// See [`GroupRouteError`]; the message is handed back.
    pub async fn tell_by<K: Hash + Sync + ?Sized>(
        &self,
        key: &K,
        message: M,
    ) -> Result<(), GroupRouteError<M>> {
        self.send(Some(hash_of(key)), message).await
    }

    /// [`tell`](Self::tell) that never waits.
    ///
    /// # Errors
    ///
    /// See [`GroupRouteError`]; the message is handed back.
    pub fn try_tell(&self, message: M) -> Result<(), GroupRouteError<M>> {
        match self.queue(None, &self.workers(), &mut Vec::new(), message) {
            Ok(()) => Ok(()),
            Err((error, _)) => Err(error),
        }
    }

    async fn send(&self, key: Option<u64>, mut message: M) -> Result<(), GroupRouteError<M>> {
        let mut passed_over = Vec::new();
        loop {
            let workers = self.workers();
            let first_choice = match self.queue(key, &workers, &mut passed_over, message) {
                Ok(()) => return Ok(()),
                Err((GroupRouteError::Full(unsent), Some(first_choice))) => {
                    message = unsent;
                    &workers[first_choice]
                }
                Err((error, _)) => return Err(error),
            };
            match first_choice.reference.tell(message).await {
                Ok(()) => return Ok(()),
                Err(error) if is_final(&error) => return Err(GroupRouteError::Failed(error)),
                // It ended while the message waited. Another one may do.
                Err(error) => {
                    passed_over.push(first_choice.address.clone());
                    message = error.into_message();
                }
            }
        }
    }

    /// Queues at the first choice that has room; otherwise says which was the first. A message with a key has no second choice but when the first has
    /// ended. Who has ended is noted in `passed_over`.
    fn queue(
        &self,
        key: Option<u64>,
        workers: &Workers<M>,
        passed_over: &mut Vec<Address>,
        mut message: M,
    ) -> Result<(), (GroupRouteError<M>, Option<usize>)> {
        let mut full = Vec::new();
        while let Some(index) = self.choose(key, workers, |index| {
            full.contains(&index) || passed_over.contains(&workers[index].address)
        }) {
            match workers[index].reference.try_tell(message) {
                Ok(()) => return Ok(()),
                Err(error) if is_final(&error) => {
                    return Err((GroupRouteError::Failed(error), None));
                }
                Err(error) => {
                    if error.is_full() {
                        full.push(index);
                    } else {
                        passed_over.push(workers[index].address.clone());
                    }
                    message = error.into_message();
                    if key.is_some() && !full.is_empty() {
                        break;
                    }
                }
            }
        }
        Err(match full.first() {
            Some(&first) => (GroupRouteError::Full(message), Some(first)),
            None => (GroupRouteError::NobodyEligible(message), None),
        })
    }

    /// Asks the member that is next, and waits at most `timeout` for the answer. It is asked once; see
    /// [`GroupAskError::is_safe_to_retry`]. An actor that asks through a router over its own group is never chosen itself.
    ///
    /// # Errors
    ///
    /// See [`GroupAskError`].
    pub async fn ask<T, F>(&self, timeout: Duration, question: F) -> Result<T, GroupAskError>
    where
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M + Send + Unpin,
    {
        self.ask_next(None, timeout, question).await
    }

    /// Asks the member that `key` belongs to.
    ///
    /// # Errors
    ///
    /// See [`GroupAskError`].
    pub async fn ask_by<K, T, F>(
        &self,
        key: &K,
        timeout: Duration,
        question: F,
    ) -> Result<T, GroupAskError>
    where
        K: Hash + Sync + ?Sized,
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M + Send + Unpin,
    {
        self.ask_next(Some(hash_of(key)), timeout, question).await
    }

    async fn ask_next<T, F>(
        &self,
        key: Option<u64>,
        timeout: Duration,
        question: F,
    ) -> Result<T, GroupAskError>
    where
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M + Send + Unpin,
    {
        let workers = self.workers();
        match self.choose(key, &workers, |index| workers[index].is_myself()) {
            Some(index) => self.ask_worker(&workers[index], timeout, question).await,
            None => Err(GroupAskError::NobodyEligible),
        }
    }

    /// Asks this very member, and measures it.
    pub(super) async fn ask_worker<T, F>(
        &self,
        worker: &Worker<M>,
        timeout: Duration,
        question: F,
    ) -> Result<T, GroupAskError>
    where
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M + Send + Unpin,
    {
        let mut in_flight = InFlight::new(&worker.measured, self.decay());
        let answer = worker.reference.ask(timeout, question).await;
        in_flight.outcome = Outcome::of(&answer);
        self.note(worker, in_flight.outcome);
        answer.map_err(GroupAskError::Failed)
    }

    /// Passes a clone of `message` on to every member that can be given anything, in all zones, and says how many there were. Those that have no room are waited for, when
    /// all others have it.
    ///
    /// Cancel safety: dropping the future leaves out those that have no room yet.
    pub async fn broadcast(&self, message: M) -> Broadcast
    where
        M: Clone,
    {
        let workers = self.workers();
        let mut counts = Broadcast::default();
        let mut full = Vec::new();
        for worker in workers.iter() {
            if !worker.is_eligible() {
                counts.missed += 1;
                continue;
            }
            match worker.reference.try_tell(message.clone()) {
                Ok(()) => counts.told += 1,
                Err(error) if error.is_full() => full.push((worker, error.into_message())),
                Err(_) => counts.missed += 1,
            }
        }
        for (worker, unsent) in full {
            match worker.reference.tell(unsent).await {
                Ok(()) => counts.told += 1,
                Err(_) => counts.missed += 1,
            }
        }
        counts
    }
}

/// Whether no other member would take it either.
fn is_final<M>(error: &ClusterTellError<M>) -> bool {
    matches!(
        error,
        ClusterTellError::Local(TellError::TooHeavy(_))
            | ClusterTellError::Remote(
                RemoteTellError::TooLarge { .. } | RemoteTellError::Unencodable { .. }
            )
    )
}
