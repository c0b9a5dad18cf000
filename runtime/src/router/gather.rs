//! Scatter and gather: asking all workers, and how many answers are enough.

use std::{
    fmt,
    future::{Future, IntoFuture, poll_fn},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::Instant;

use super::{Router, error::RoutedAskError, myself, send::Terms};
use crate::reply::Reply;

impl<M: Send + 'static> Router<M> {
    /// Asks every worker that is eligible, each with a message that `question` makes. See [`Gather`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use treewarden_runtime::{Actor, Context, Failure, Reply, Router, Routing, System};
    /// # struct Replica(u64);
    /// # impl Actor for Replica {
    /// #     type Msg = Reply<u64>;
    /// #     type Error = Failure;
    /// #     async fn handle(&mut self, reply: Reply<u64>, _: &mut Context<Self>) -> Result<(), Failure> {
    /// #         reply.send(self.0);
    /// #         Ok(())
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Failure> {
    /// # let system = System::new("demo");
    /// let replicas = Router::new(Routing::RoundRobin);
    /// for version in [3, 4, 4] {
    ///     replicas.add(system.spawn(Replica(version)));
    /// }
    /// let versions = replicas.gather(|reply| reply).quorum(2).timeout(Duration::from_secs(1)).await?;
    /// let newest = versions.answers.into_iter().max();
    /// # assert!(newest.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn gather<T, F>(&self, question: F) -> Gather<'_, M, T, F>
    where
        T: Send + 'static,
        F: Fn(Reply<T>) -> M,
    {
        Gather {
            router: self,
            question,
            need: Need::All,
            terms: Terms::default(),
            answer: PhantomData,
        }
    }
}

/// How many answers are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// So many.
    Some(usize),
    /// That of every worker.
    All,
}

/// An ask of all workers. Await it; nothing is sent before.
///
/// It resolves as soon as there are enough answers, or as soon as there cannot be enough any more. The requests that are not
/// answered by then are still handled, and their answers discarded. A worker that is not eligible is not asked, and counts as one that
/// failed. One that asks through its own router is not asked itself either.
#[must_use = "nothing is asked before it is awaited"]
pub struct Gather<'a, M, T, F> {
    router: &'a Router<M>,
    question: F,
    need: Need,
    terms: Terms,
    answer: PhantomData<fn() -> T>,
}

impl<M, T, F> Gather<'_, M, T, F> {
    /// One answer is enough: the first.
    pub fn first(self) -> Self {
        self.quorum(1)
    }

    /// So many answers are enough, at least one: the first ones.
    pub fn quorum(mut self, answers: usize) -> Self {
        self.need = Need::Some(answers.max(1));
        self
    }

    /// All workers have to answer, those that are not eligible as well. The default. If some do not, it resolves when all others have,
    /// because their answers may be of use.
    pub fn all(mut self) -> Self {
        self.need = Need::All;
        self
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
}

/// What came of a [`Gather`]. `W` says who, and `E` why not.
#[derive(Clone, Debug)]
pub struct Gathered<T, W = Arc<str>, E = RoutedAskError> {
    /// The answers, in the order in which they came.
    pub answers: Vec<T>,
    /// The workers, by path, of which it is known that there is no answer, and why.
    pub failures: Vec<(W, E)>,
}

impl<T, W, E> Default for Gathered<T, W, E> {
    fn default() -> Self {
        Self {
            answers: Vec::new(),
            failures: Vec::new(),
        }
    }
}

/// There were not enough answers.
#[derive(Clone, Debug)]
pub struct TooFew<T, W = Arc<str>, E = RoutedAskError> {
    /// How many would have been enough.
    pub needed: usize,
    /// What there is.
    pub gathered: Gathered<T, W, E>,
}

impl<T, W: fmt::Display, E: fmt::Display> fmt::Display for TooFew<T, W, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gathered { answers, failures } = &self.gathered;
        write!(f, "{} answers of {} needed", answers.len(), self.needed)?;
        match failures.first() {
            Some((who, error)) => write!(
                f,
                "; {} workers gave none, the first of them {who}: {error}",
                failures.len()
            ),
            None => f.write_str("; there are no workers"),
        }
    }
}

impl<T, W, E> std::error::Error for TooFew<T, W, E>
where
    T: fmt::Debug,
    W: fmt::Debug + fmt::Display,
    E: fmt::Debug + fmt::Display,
{
}

/// Whether it is over. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open,
    Enough,
    TooFew,
}

fn verdict(need: Need, workers: usize, answers: usize, failures: usize) -> Verdict {
    let pending = workers - answers - failures;
    match need {
        Need::Some(needed) if answers >= needed => Verdict::Enough,
        Need::Some(needed) if answers + pending < needed => Verdict::TooFew,
        Need::All if pending == 0 && failures == 0 && workers > 0 => Verdict::Enough,
        Need::All if pending == 0 => Verdict::TooFew,
        Need::Some(_) | Need::All => Verdict::Open,
    }
}

impl<'a, M, T, F> IntoFuture for Gather<'a, M, T, F>
where
    M: Send + 'static,
    T: Send + 'static,
    F: Fn(Reply<T>) -> M + Send + Sync + 'a,
{
    type Output = Result<Gathered<T>, TooFew<T>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<M, T, F> Gather<'_, M, T, F>
where
    M: Send + 'static,
    T: Send + 'static,
    F: Fn(Reply<T>) -> M + Send + Sync,
{
    async fn run(self) -> Result<Gathered<T>, TooFew<T>> {
        let workers = self.router.current_workers();
        let myself = myself(&workers);
        let mut gathered = Gathered::default();
        let question = &self.question;
        let mut asked = Vec::new();
        for (index, worker) in workers.iter().enumerate() {
            let path = worker.reference.path();
            match worker.is_eligible() && Some(index) != myself {
                true => {
                    let asking = self.router.ask_worker(worker, self.terms.clone(), question);
                    asked.push((path, asking));
                }
                false => gathered.failures.push((path, RoutedAskError::NotEligible)),
            }
        }
        collect(self.need, gathered, asked).await
    }
}

/// Waits until enough of those that are `asked` have answered, or until there cannot be enough answers any more. Who is in
/// `gathered` from the beginning counts too.
///
/// Cancel safety: dropping the future drops all that are asked, as it does when there is enough.
///
/// # Errors
///
/// If there were not enough answers.
pub async fn collect<T, W, E, A>(
    need: Need,
    mut gathered: Gathered<T, W, E>,
    asked: Vec<(W, A)>,
) -> Result<Gathered<T, W, E>, TooFew<T, W, E>>
where
    A: Future<Output = Result<T, E>>,
{
    let workers = gathered.answers.len() + gathered.failures.len() + asked.len();
    let pinned = |(who, asking)| (who, Box::pin(asking));
    let mut pending: Vec<_> = asked.into_iter().map(pinned).collect();
    let verdict = poll_fn(|cx| {
        let mut index = 0;
        loop {
            let Gathered { answers, failures } = &mut gathered;
            match verdict(need, workers, answers.len(), failures.len()) {
                Verdict::Open if index < pending.len() => {}
                Verdict::Open => return Poll::Pending,
                verdict => return Poll::Ready(verdict),
            }
            match pending[index].1.as_mut().poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(answer) => {
                    let (who, _) = pending.remove(index);
                    match answer {
                        Ok(answer) => answers.push(answer),
                        Err(error) => failures.push((who, error)),
                    }
                }
            }
        }
    })
    .await;
    let needed = match need {
        Need::Some(needed) => needed,
        Need::All => workers,
    };
    match verdict {
        Verdict::Enough => Ok(gathered),
        Verdict::Open | Verdict::TooFew => Err(TooFew { needed, gathered }),
    }
}

impl<M: Send + 'static, T, F> fmt::Debug for Gather<'_, M, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather")
            .field("router", self.router)
            .field("need", &self.need)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_there_is_enough_or_cannot_be() {
        use Verdict::{Enough, Open, TooFew};
        let cases = [
            // need, workers, answers, failures, verdict
            (Need::Some(1), 3, 0, 0, Open),
            (Need::Some(1), 3, 0, 2, Open),
            (Need::Some(1), 3, 1, 2, Enough),
            (Need::Some(1), 3, 0, 3, TooFew),
            (Need::Some(1), 0, 0, 0, TooFew),
            (Need::Some(2), 3, 1, 1, Open),
            (Need::Some(2), 3, 2, 0, Enough),
            (Need::Some(2), 3, 0, 2, TooFew),
            (Need::Some(4), 3, 0, 0, TooFew),
            (Need::All, 3, 2, 0, Open),
            (Need::All, 3, 1, 1, Open),
            (Need::All, 3, 3, 0, Enough),
            (Need::All, 3, 2, 1, TooFew),
            (Need::All, 0, 0, 0, TooFew),
        ];
        for (need, workers, answers, failures, expected) in cases {
            let verdict = verdict(need, workers, answers, failures);
            assert_eq!(
                verdict, expected,
                "{need:?} of {workers}: {answers}, {failures}"
            );
        }
    }
}
