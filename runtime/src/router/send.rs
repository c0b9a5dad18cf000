//! Tell, ask and broadcast through a router.

use std::{
    fmt,
    future::{Future, IntoFuture},
    hash::Hash,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Router, Workers,
    error::{RouteError, RoutedAskError},
    key, myself,
    worker::{InFlight, Outcome, Worker},
};
use crate::{envelope::MessageContext, reply::Reply, tell::TellError};

/// How an attempt to queue a message without waiting went.
enum Tried<M> {
    Queued,
    /// Nobody has room; the first choice is this one.
    Full(usize, M),
    Failed(RouteError<M>),
}

impl<M: Send + 'static> Router<M> {
    /// Passes `message` on to the worker that is next and has room. If nobody has, it waits at its first choice, in line with other
    /// senders; should that one stop meanwhile, at another.
    ///
    /// The messages of one sender can overtake each other on their way to different workers.
    ///
    /// # Errors
    ///
    /// See [`RouteError`]; the message is handed back.
    ///
    /// Cancel safety: dropping the future either leaves the message queued, or drops it.
    pub async fn tell(&self, message: M) -> Result<(), RouteError<M>> {
        self.send(None, message).await
    }

    /// Passes `message` on to the worker that `key` belongs to, and waits there if it has no room. While that worker is not eligible, the
    /// key belongs to another one.
    ///
    /// # Errors
    ///
    /// See [`RouteError`]; the message is handed back.
    pub fn tell_by<'a, K: Hash + ?Sized>(
        &'a self,
        key: &K,
        message: M,
    ) -> impl Future<Output = Result<(), RouteError<M>>> + Send + use<'a, M, K> {
        self.send(Some(key::of(key)), message)
    }

    /// [`tell`](Self::tell) that never waits.
    ///
    /// # Errors
    ///
    /// See [`RouteError`]; the message is handed back.
    pub fn try_tell(&self, message: M) -> Result<(), RouteError<M>> {
        self.try_send(None, message)
    }

    /// [`tell_by`](Self::tell_by) that never waits.
    ///
    /// # Errors
    ///
    /// See [`RouteError`]; the message is handed back.
    pub fn try_tell_by<K: Hash + ?Sized>(&self, key: &K, message: M) -> Result<(), RouteError<M>> {
        self.try_send(Some(key::of(key)), message)
    }

    fn try_send(&self, key: Option<u64>, message: M) -> Result<(), RouteError<M>> {
        match self.queue(key, &self.current_workers(), message) {
            Tried::Queued => Ok(()),
            Tried::Full(_, message) => Err(RouteError::Full(message)),
            Tried::Failed(error) => Err(error),
        }
    }

    async fn send(&self, key: Option<u64>, mut message: M) -> Result<(), RouteError<M>> {
        loop {
            let workers = self.current_workers();
            let first_choice = match self.queue(key, &workers, message) {
                Tried::Queued => return Ok(()),
                Tried::Failed(error) => return Err(error),
                Tried::Full(first_choice, unsent) => {
                    message = unsent;
                    &workers[first_choice].reference
                }
            };
            match first_choice.tell(message).await {
                Ok(()) => return Ok(()),
                // It stopped while the message waited. Another one may do.
                Err(TellError::Stopped(unsent) | TellError::Gone(unsent)) => message = unsent,
                Err(error) => return Err(RouteError::of(error)),
            }
        }
    }

    /// Queues at the first choice that has room. A message with a key has no second choice but when the first has stopped.
    fn queue(&self, key: Option<u64>, workers: &Workers<M>, mut message: M) -> Tried<M> {
        let mut passed_over = Vec::new();
        let mut full = None;
        while let Some(index) = self.choose(key, workers, &passed_over) {
            match workers[index].reference.try_tell(message) {
                Ok(()) => return Tried::Queued,
                Err(TellError::Full(unsent)) => {
                    message = unsent;
                    full = full.or(Some(index));
                    if key.is_some() {
                        break;
                    }
                }
                Err(TellError::Stopped(unsent) | TellError::Gone(unsent)) => message = unsent,
                Err(error) => return Tried::Failed(RouteError::of(error)),
            }
            passed_over.push(index);
        }
        match full {
            Some(index) => Tried::Full(index, message),
            None => Tried::Failed(RouteError::NobodyEligible(message)),
        }
    }

    /// Asks the worker that is next. See [`RoutedAsk`].
    ///
    /// A worker that asks through its own router is never chosen itself.
    pub fn ask<T, F>(&self, question: F) -> RoutedAsk<'_, M, T, F>
    where
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M,
    {
        RoutedAsk::new(self, None, question)
    }

    /// Asks the worker that `key` belongs to. While that one is not eligible, the key belongs to another.
    pub fn ask_by<K, T, F>(&self, key: &K, question: F) -> RoutedAsk<'_, M, T, F>
    where
        K: Hash + ?Sized,
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M,
    {
        RoutedAsk::new(self, Some(key::of(key)), question)
    }

    /// Asks this very worker, and measures it.
    pub(super) async fn ask_worker<T, F>(
        &self,
        worker: &Arc<Worker<M>>,
        terms: Terms,
        question: F,
    ) -> Result<T, RoutedAskError>
    where
        T: Send + 'static,
        F: FnOnce(Reply<T>) -> M + Unpin,
    {
        let mut in_flight = InFlight::new(worker.clone(), self.decay());
        let mut ask = worker.reference.ask(question);
        if let Some(context) = terms.context {
            ask = ask.context(context);
        }
        if let Some(deadline) = terms.deadline {
            ask = ask.deadline(deadline);
        }
        let answer = ask.await;
        in_flight.outcome = Outcome::of(&answer);
        self.note(worker, in_flight.outcome);
        answer.map_err(RoutedAskError::Failed)
    }

    /// Passes a clone of `message` on to every worker that is eligible, and says how many there were. Those that have no room are
    /// waited for, when all others have it.
    ///
    /// Cancel safety: dropping the future leaves out those that have no room yet.
    pub async fn broadcast(&self, message: M) -> Broadcast
    where
        M: Clone,
    {
        let workers = self.current_workers();
        let mut counts = Broadcast::default();
        let mut full = Vec::new();
        for worker in workers.iter() {
            match worker.is_eligible() {
                false => counts.missed += 1,
                true => match worker.reference.try_tell(message.clone()) {
                    Ok(()) => counts.told += 1,
                    Err(TellError::Full(unsent)) => full.push((worker, unsent)),
                    Err(_) => counts.missed += 1,
                },
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

/// What became of a [`broadcast`](Router::broadcast).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Broadcast {
    /// How many workers have it in their mailbox.
    pub told: usize,
    /// How many do not: they were not eligible, stopped meanwhile, or refused it.
    pub missed: usize,
}

/// What is said of an ask beside its question.
#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    pub(super) deadline: Option<Instant>,
    pub(super) context: Option<MessageContext>,
}

impl Terms {
    pub(super) fn timeout(&mut self, timeout: Duration) {
        // A sum past the end of time is no deadline.
        self.deadline = Instant::now().checked_add(timeout).or(self.deadline);
    }
}

/// An ask through a router. Await it; nothing is chosen or sent before.
///
/// Without a timeout or deadline it waits until there is an answer or until there can be none. It is made once: an ask that
/// failed is not made again of another worker. That is what retries are for, and
/// [`is_safe_to_retry`](RoutedAskError::is_safe_to_retry) says when.
#[must_use = "nothing is asked before it is awaited"]
pub struct RoutedAsk<'a, M, T, F> {
    router: &'a Router<M>,
    key: Option<u64>,
    question: F,
    terms: Terms,
    answer: PhantomData<fn() -> T>,
}

impl<'a, M: Send + 'static, T, F> RoutedAsk<'a, M, T, F> {
    fn new(router: &'a Router<M>, key: Option<u64>, question: F) -> Self {
        Self {
            router,
            key,
            question,
            terms: Terms::default(),
            answer: PhantomData,
        }
    }

    /// Gives up after `timeout` from now.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout(timeout);
        self
    }

    /// Gives up at `deadline`.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.terms.deadline = Some(deadline);
        self
    }

    /// Sends `context` along, as [`Ask::context`](crate::Ask::context) does.
    pub fn context(mut self, context: MessageContext) -> Self {
        self.terms.context = Some(context);
        self
    }
}

impl<'a, M, T, F> IntoFuture for RoutedAsk<'a, M, T, F>
where
    M: Send + 'static,
    T: Send + 'static,
    F: FnOnce(Reply<T>) -> M + Unpin + Send + 'a,
{
    type Output = Result<T, RoutedAskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self {
                router,
                key,
                question,
                terms,
                ..
            } = self;
            let workers = router.current_workers();
            let myself = myself(&workers);
            match router.choose(key, &workers, myself.as_slice()) {
                Some(index) => router.ask_worker(&workers[index], terms, question).await,
                None => Err(RoutedAskError::NotEligible),
            }
        })
    }
}

impl<M: Send + 'static, T, F> fmt::Debug for RoutedAsk<'_, M, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutedAsk")
            .field("router", self.router)
            .field("deadline", &self.terms.deadline)
            .finish_non_exhaustive()
    }
}
