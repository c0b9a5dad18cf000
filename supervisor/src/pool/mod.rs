//! Pools: equal workers under one supervisor, and a router in front of them.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | [`Pool`], and [`Workers`] that run: growing, and draining before they shrink |
//! | `autoscale` | [`Autoscale`]: how many there should be; pure |
//!
//! A worker that leaves goes through four steps: out of the router; its asks are answered; it handles what is queued and ends; its specification is
//! deleted. While it drains it is *transient*: its end in good order is final, and a crash is restarted, so that what is behind the message that
//! crashed is handled as well. The supervisor is not kept busy meanwhile: other workers are restarted as ever.

mod autoscale;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use treewarden_runtime::{
    ActorRef, AddressState, Leaving, LookupError, Router, RouterBuilder, Routing,
};

use self::autoscale::Scaler;
use crate::child::Child;
use crate::error::CallError;
use crate::machine::{AdminError, Restart};
use crate::partition::PartitionSupervisor;
use crate::supervisor::Supervisor;
use crate::sync::MutexExt;
use crate::tree::Tree;

pub use self::autoscale::Autoscale;

/// How often a worker that leaves, and is being restarted, is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A pool of `n` equal workers to be. Each is a child of its own, with its number, from 0, as its id.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::{Actor, Context, Failure, Reply, Routing, System};
/// use treewarden_supervisor::{Child, Pool, Supervisor};
///
/// struct Resizer;
///
/// enum Msg {
///     Thumbnail(Vec<u8>, Reply<Vec<u8>>),
/// }
///
/// impl Actor for Resizer {
///     type Msg = Msg;
///     type Error = Failure;
///     async fn handle(&mut self, msg: Msg, _cx: &mut Context<Self>) -> Result<(), Failure> {
///         match msg {
///             Msg::Thumbnail(image, reply) => reply.send(image),
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let pool = Pool::new("resizers", 4, |number| {
///     Child::actor(number.to_string(), |_| async { Ok(Resizer) })
/// })
/// .routing(Routing::LeastLoaded)
/// .with(|supervisor| supervisor.intensity(10, Duration::from_secs(10)));
/// let tree = Supervisor::one_for_one("app").child(pool.child()).start(&System::new("demo")).await?;
///
/// let workers = pool.find::<Msg>(&tree)?;
/// let router = workers.router();
/// let image = router.ask(|reply| Msg::Thumbnail(vec![1, 2, 3], reply)).await?;
/// assert_eq!(image, [1, 2, 3]);
///
/// workers.resize(2).await?; // two handle what they have, and stop
/// # assert_eq!(workers.count(), 2);
/// # tree.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a pool does nothing until a supervisor starts it"]
pub struct Pool {
    plan: PartitionSupervisor,
    router: RouterBuilder,
    drain_max: Duration,
}

impl Pool {
    /// `workers` children, at least one, each made by `make` from its number. What `make` gives it as its id does not matter. They are routed to by
    /// least load, unless something else is said.
    ///
    /// All workers share the limit of restarts of one supervisor, which is 1 in 5 s unless [`with`](Self::with) sets another
    /// [`intensity`](Supervisor::intensity): the second crash within that time, of whichever worker, ends them all.
    pub fn new(
        id: impl Into<Arc<str>>,
        workers: usize,
        make: impl Fn(usize) -> Child + Send + Sync + 'static,
    ) -> Self {
        Pool {
            plan: PartitionSupervisor::new(id, workers, make),
            router: Router::builder(Routing::LeastLoaded),
            drain_max: Duration::from_secs(30),
        }
    }

    /// Other settings of the supervisor than the defaults of [`Supervisor::one_for_one`]: its intensity, for example.
    pub fn with(mut self, settings: impl FnOnce(Supervisor) -> Supervisor) -> Self {
        self.plan = self.plan.with(settings);
        self
    }

    /// How the next worker is chosen.
    pub fn routing(self, routing: Routing) -> Self {
        self.router(Router::builder(routing))
    }

    /// A router that is not all defaults.
    pub fn router(mut self, router: RouterBuilder) -> Self {
        self.router = router;
        self
    }

    /// How long a worker that leaves may take to answer its asks, and as long again to handle what is queued, before it is stopped as its
    /// specification says. Default: 30 s.
    pub fn drain_for(mut self, at_most: Duration) -> Self {
        self.drain_max = at_most;
        self
    }

    /// The supervisor, to be put into a tree.
    pub fn child(&self) -> Supervisor {
        self.plan.child()
    }

    /// The workers in the tree that they were put into, below the supervisor that they are a child of, with a router of their own. All handles to
    /// resize by have to be clones of one: each knows of its own resizes alone.
    ///
    /// # Errors
    ///
    /// If they are not there, or are actors that take messages of another type.
    pub fn find<M: Send + 'static>(&self, parent: &Tree) -> Result<Workers<M>, LookupError> {
        let tree = parent.supervisor(self.plan.id())?;
        let workers = (0..self.plan.count()).map(|number| tree.actor(&number.to_string()));
        let workers = workers.collect::<Result<Vec<ActorRef<M>>, _>>()?;
        let router = self.router.build();
        for worker in &workers {
            router.add(worker.clone());
        }
        Ok(Workers {
            inner: Arc::new(Inner {
                tree,
                pool: self.clone(),
                router,
                workers: Mutex::new(workers),
                resizing: tokio::sync::Mutex::new(()),
            }),
        })
    }

    /// So many workers, and those behind them, up to `before`, as leaving.
    fn leaving(&self, after: usize, before: usize) -> Supervisor {
        let leaving = (after..before).map(|number| {
            let mut child = self.plan.partition(number);
            if child.spec.restart == Restart::Permanent {
                child.spec.restart = Restart::Transient;
            }
            child
        });
        self.plan.of_size(after).children(leaving)
    }
}

/// The workers of a pool that runs. Cheap to clone; clones are the same workers.
pub struct Workers<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    tree: Tree,
    pool: Pool,
    router: Router<M>,
    /// By number.
    workers: Mutex<Vec<ActorRef<M>>>,
    /// Resizes come one after the other.
    resizing: tokio::sync::Mutex<()>,
}

impl<M: Send + 'static> Workers<M> {
    /// The router in front of them. It stays the same through resizes and restarts.
    #[must_use]
    pub fn router(&self) -> &Router<M> {
        &self.inner.router
    }

    /// How many workers there are, those that leave not counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.inner.workers.locked().len()
    }

    /// All workers, by number.
    #[must_use]
    pub fn all(&self) -> Vec<ActorRef<M>> {
        self.inner.workers.locked().clone()
    }

    /// Makes them so many, at least one. Growing: the new ones are started, and then they are routed to. Shrinking: the last ones get nothing more
    /// through the router, answer what they were asked, handle what is queued, and stop; see [`Pool::drain_for`]. A restart of the supervisor itself
    /// begins with the new number.
    ///
    /// A resize waits for the one before it, and resolves when those that leave have ended. Dropping the future does not stop it.
    ///
    /// # Errors
    ///
    /// If a new worker cannot be started, or the tree ends: [`count`](Self::count) says how many there are then.
    pub async fn resize(&self, workers: usize) -> Result<(), CallError> {
        let inner = self.inner.clone();
        let resizing = tokio::spawn(async move {
            let _turn = inner.resizing.lock().await;
            let (before, after) = (inner.workers.locked().len(), workers.max(1));
            match after < before {
                true => inner.shrink(before, after).await,
                false => inner.grow(before, after).await,
            }
        });
        // It does not panic, and is aborted only with its runtime.
        resizing.await.unwrap_or(Err(AdminError::ShuttingDown))
    }

    /// Grows and shrinks by load until the tree ends. To be run as a task, or better as a child:
    ///
    /// ```
    /// # use treewarden_runtime::{Actor, Context, Failure, Reply, System};
    /// # use treewarden_supervisor::{Autoscale, Child, Pool, Supervisor};
    /// # struct Worker;
    /// # impl Actor for Worker {
    /// #     type Msg = ();
    /// #     type Error = Failure;
    /// #     async fn handle(&mut self, (): (), _cx: &mut Context<Self>) -> Result<(), Failure> {
    /// #         Ok(())
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Failure> {
    /// # let pool = Pool::new("workers", 2, |n| Child::actor(n.to_string(), |_| async { Ok(Worker) }));
    /// # let tree = Supervisor::one_for_one("app").child(pool.child()).start(&System::new("demo")).await?;
    /// let workers = pool.find::<()>(&tree)?;
    /// tree.start_child(Child::future("scaler", move || {
    ///     let workers = workers.clone();
    ///     async move { workers.scale_by_load(Autoscale::between(2, 16).target(4.0)).await }
    /// }))
    /// .await?;
    /// # tree.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What [`Autoscale`] decides is written as a `tracing` event. While workers drain, nothing else is decided.
    pub async fn scale_by_load(&self, autoscale: Autoscale) {
        let began = Instant::now();
        let mut scaler = Scaler::new(autoscale, Duration::ZERO);
        loop {
            sleep(autoscale.every).await;
            let before = self.count();
            let loads = self.router().workers();
            let outstanding = loads.iter().map(|load| load.outstanding()).sum();
            let Some(after) = scaler.decide(began.elapsed(), before, outstanding) else {
                continue;
            };
            let path = self.inner.tree.path();
            tracing::info!(%path, before, after, outstanding, "the pool is resized by its load");
            match self.resize(after).await {
                Ok(()) => {}
                Err(AdminError::ShuttingDown) => return,
                Err(error) => tracing::warn!(%path, %error, "the pool could not be resized"),
            }
        }
    }
}

impl<M: Send + 'static> Inner<M> {
    async fn shrink(&self, before: usize, after: usize) -> Result<(), CallError> {
        let Inner { tree, pool, .. } = self;
        let leaving = self.workers.locked().split_off(after);
        let leaving: Vec<_> = leaving
            .iter()
            .filter_map(|worker| self.router.remove(worker))
            .collect();
        tree.change(pool.leaving(after, before)).await?;
        join_all(leaving.iter().map(|worker| drain(worker, pool.drain_max))).await;
        for number in (after..before).rev() {
            self.remove(number).await?;
        }
        // What a restart of the supervisor begins with.
        tree.change(pool.plan.of_size(after)).await.map(drop)
    }

    async fn grow(&self, before: usize, after: usize) -> Result<(), CallError> {
        let Inner { tree, pool, .. } = self;
        // New ones have no instance yet.
        tree.change(pool.plan.of_size(after)).await?;
        for number in before..after {
            let started = tree.restart_child(&*number.to_string()).await;
            let worker = started.and_then(|child| {
                // Just now it was there, and what kind of child it is does not change.
                child.actor().map_err(|_| AdminError::NotFound)
            });
            match worker {
                Ok(worker) => {
                    self.workers.locked().push(worker.clone());
                    self.router.add(worker);
                }
                Err(error) => {
                    for left_over in (number..after).rev() {
                        // The error that matters is the first.
                        let _ = self.remove(left_over).await;
                    }
                    let _ = tree.change(pool.plan.of_size(number)).await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Stops a worker if it runs, and deletes it. A temporary one is gone as soon as it has ended.
    async fn remove(&self, number: usize) -> Result<(), CallError> {
        let id = number.to_string();
        match self.tree.terminate_child(&*id).await {
            Ok(()) => {}
            Err(AdminError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        }
        match self.tree.delete_child(&*id).await {
            Ok(()) | Err(AdminError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Waits until a worker that is out of the router has nothing left, or for as long as it may take.
async fn drain<M: Send + 'static>(leaving: &Leaving<M>, at_most: Duration) {
    let worker = leaving.worker();
    // An answer may come from elsewhere than its handler: it has to live on until then.
    let answered = timeout(at_most, leaving.answered()).await;
    let drained = timeout(at_most, handle_what_is_queued(worker)).await;
    if answered.is_err() || drained.is_err() {
        tracing::warn!(path = %worker.path(), "did not handle what it had in time; it is stopped");
    }
}

/// Drains a worker, over crashes, until it has ended in good order.
async fn handle_what_is_queued<M: Send + 'static>(worker: &ActorRef<M>) {
    let mut ends = worker.monitor();
    loop {
        match worker.state() {
            AddressState::Running => {
                worker.drain();
                ends.next().await;
            }
            AddressState::Restarting => sleep(LOOK_AGAIN).await,
            AddressState::Stopped | AddressState::Gone => return,
        }
    }
}

impl<M> Clone for Workers<M> {
    fn clone(&self) -> Self {
        Workers {
            inner: self.inner.clone(),
        }
    }
}

impl<M: Send + 'static> fmt::Debug for Workers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers({}, {})", self.inner.tree.path(), self.count())
    }
}
