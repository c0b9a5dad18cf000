//! Scatter and gather over a group: asking all members, and how many answers are enough.

use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use treewarden_runtime::{
    Gathered, Reply, TooFew,
    routing::{Need, collect},
};

use super::GroupRouter;
use crate::{
    groups::{entry::Address, route_error::GroupAskError},
    remote::RemoteMessage,
};

impl<M: RemoteMessage> GroupRouter<M> {
    /// Asks every member that can be given anything, in all zones, each with a message that `question` makes, and waits at most `timeout`
    /// from when it is awaited. See [`GroupGather`].
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use serde::{Deserialize, Serialize};
    /// # use treewarden_cluster::{groups::GroupRouter, remote::RemoteMessage};
    /// # use treewarden_runtime::{Failure, Reply};
    /// # #[derive(Serialize, Deserialize)] enum Replica { Version(Reply<u64>) }
    /// # impl RemoteMessage for Replica { const NAME: &'static str = "replica"; const VERSION: u32 = 1; }
    /// # async fn run(replicas: GroupRouter<Replica>) -> Result<(), Failure> {
    /// let versions = replicas.gather(Duration::from_secs(1), Replica::Version).quorum(2).await?;
    /// let newest = versions.answers.into_iter().max();
    /// # Ok(())
    /// # }
    /// ```
    pub fn gather<T, F>(&self, timeout: Duration, question: F) -> GroupGather<'_, M, T, F>
    where
        T: Send + 'static,
        F: Fn(Reply<T>) -> M,
    {
        GroupGather {
            router: self,
            question,
            need: Need::All,
            timeout,
            answer: PhantomData,
        }
    }
}

/// What came of a [`GroupGather`].
pub type GroupGathered<T> = Gathered<T, Address, GroupAskError>;

/// There were not enough answers to a [`GroupGather`].
pub type GroupTooFew<T> = TooFew<T, Address, GroupAskError>;

/// An ask of all members of a group. Await it; nothing is sent before.
///
/// It resolves as soon as there are enough answers, or as soon as there cannot be enough any more, and at its timeout at the latest. The
/// requests that are not answered by then may still be handled; their answers are discarded. A member that cannot be given anything is not asked, and
/// counts as one that failed: so a quorum is one of all members that this node knows of, those that are unreachable included. A member
/// that asks through a router over its own group is not asked itself either.
///
/// What is known of the members is what this node knows: during a change, or in a partition, nodes can count different ones.
#[must_use = "nothing is asked before it is awaited"]
pub struct GroupGather<'a, M, T, F> {
    router: &'a GroupRouter<M>,
    question: F,
    need: Need,
    timeout: Duration,
    answer: PhantomData<fn() -> T>,
}

impl<M, T, F> GroupGather<'_, M, T, F> {
    /// One answer is enough: the first.
    pub fn first(self) -> Self {
        self.quorum(1)
    }

    /// So many answers are enough, at least one: the first ones.
    pub fn quorum(mut self, answers: usize) -> Self {
        self.need = Need::Some(answers.max(1));
        self
    }

    /// All members have to answer, those that cannot be given anything as well. The default. If some do not, it resolves when all others
    /// have, because their answers may be of use.
    pub fn all(mut self) -> Self {
        self.need = Need::All;
        self
    }
}

impl<'a, M, T, F> IntoFuture for GroupGather<'a, M, T, F>
where
    M: RemoteMessage,
    T: Send + 'static,
    F: Fn(Reply<T>) -> M + Send + Sync + 'a,
{
    type Output = Result<GroupGathered<T>, GroupTooFew<T>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let workers = self.router.workers();
            let mut gathered = Gathered::default();
            let question = &self.question;
            let mut asked = Vec::new();
            for worker in workers.iter() {
                let address = worker.address.clone();
                match worker.is_eligible() && !worker.is_myself() {
                    true => {
                        let asking = self.router.ask_worker(worker, self.timeout, question);
                        asked.push((address, asking));
                    }
                    false => gathered
                        .failures
                        .push((address, GroupAskError::NobodyEligible)),
                }
            }
            collect(self.need, gathered, asked).await
        })
    }
}

impl<M, T, F> fmt::Debug for GroupGather<'_, M, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupGather")
            .field("router", self.router)
            .field("need", &self.need)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
