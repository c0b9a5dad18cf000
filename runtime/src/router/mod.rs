//! Routers: one address for many equal workers.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | [`Router`]: who the workers are, and what is known of them |
//! | `policy` | [`Routing`]: which worker is next; pure |
//! | `latency` | how long a worker takes; pure |
//! | `ejection` | [`Ejection`]: who is left out, and for how long; pure |
//! | `worker` | one worker, and what is measured of it |
//! | `key` | hashes of keys |
//! | `send` | tell, ask, broadcast |
//! | `gather` | [`Gather`]: asking all at once |
//! | `error` | why something was not passed on |
//!
//! Rules. A router is no actor: the sender chooses, in its own task, and queues in the worker's mailbox, so that backpressure reaches
//! it. The list of workers is copied when it changes and never locked while a message is queued. A router starts and stops nobody:
//! that is what pools are for.

mod ejection;
mod error;
mod gather;
mod key;
mod latency;
mod policy;
mod send;
mod worker;

use std::{
    cell::OnceCell,
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hasher},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use self::worker::{Outcome, Worker};
use crate::{reference::ActorRef, scope, sync_ext::MutexExt};

pub use self::{
    ejection::{Ejection, Health},
    error::{RouteError, RoutedAskError},
    gather::{Gather, Gathered, Need, TooFew, collect},
    key::of as hash_of,
    latency::Latency,
    policy::{Candidates, Draw, PeakEwma, Routing, choose, mix},
    send::{Broadcast, RoutedAsk},
};

/// Passes messages on to one of many workers, to all of them, or to the one that a key belongs to.
///
/// Cheap to clone; clones are the same router. Workers come and go while it is used. One that is restarting, stopped, about to end
/// or ejected gets nothing until it is back; if nobody is left the message is handed back. One that waits for its first start, or is
/// in it, is used: its messages wait with it.
///
/// ```
/// use treewarden_runtime::{Actor, Context, Failure, Reply, Router, Routing, System};
///
/// struct Squares;
///
/// impl Actor for Squares {
///     type Msg = (u64, Reply<u64>);
///     type Error = Failure;
///     async fn handle(&mut self, (n, reply): Self::Msg, _cx: &mut Context<Self>) -> Result<(), Failure> {
///         reply.send(n * n);
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let system = System::new("demo");
/// let router = Router::new(Routing::LeastLoaded);
/// for _ in 0..4 {
///     router.add(system.spawn(Squares));
/// }
/// let square = router.ask(|reply| (7, reply)).await?;
/// assert_eq!(square, 49);
///
/// // The same worker for the same key, as long as it is there.
/// let square = router.ask_by("tenant-17", |reply| (8, reply)).await?;
/// assert_eq!(square, 64);
/// # Ok(())
/// # }
/// ```
pub struct Router<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    routing: Routing,
    ejection: Option<Ejection>,
    workers: RwLock<Workers<M>>,
    /// Counts choices; random numbers are hashes of it and the seed.
    turn: AtomicU64,
    seed: u64,
    /// Held while it is decided whether one more may be ejected.
    ejecting: Mutex<()>,
}

type Workers<M> = Arc<[Arc<Worker<M>>]>;

/// Makes a [`Router`] that is not all defaults.
#[derive(Clone, Copy, Debug)]
#[must_use = "it makes a router when it is built"]
pub struct RouterBuilder {
    routing: Routing,
    ejection: Option<Ejection>,
    seed: Option<u64>,
}

impl RouterBuilder {
    /// Leaves workers out that fail. Default: only those that are [ejected by hand](Router::eject), because a timeout can also
    /// mean that there is too much to do.
    pub fn eject(mut self, ejection: Ejection) -> Self {
        self.ejection = Some(ejection);
        self
    }

    /// Lots that follow from `seed` alone, for tests. Default: they differ from router to router.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// A router without workers.
    pub fn build<M: Send + 'static>(self) -> Router<M> {
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Router {
            inner: Arc::new(Inner {
                routing: self.routing,
                ejection: self.ejection,
                workers: RwLock::new(Arc::new([])),
                turn: AtomicU64::new(0),
                seed,
                ejecting: Mutex::default(),
            }),
        }
    }
}

impl Router<()> {
    /// A router that is not all defaults. Its messages are of whatever type it is [built](RouterBuilder::build) for.
    pub fn builder(routing: Routing) -> RouterBuilder {
        RouterBuilder {
            routing,
            ejection: None,
            seed: None,
        }
    }
}

impl<M: Send + 'static> Router<M> {
    /// A router without workers, with all defaults.
    #[must_use]
    pub fn new(routing: Routing) -> Self {
        Router::builder(routing).build()
    }

    /// Adds a worker, unless it is there already. Those that are gone for ever are forgotten.
    pub fn add(&self, worker: ActorRef<M>) {
        self.change(|workers| {
            workers.retain(|known| !known.reference.is_gone());
            if !workers.iter().any(|known| known.reference == worker) {
                workers.push(Arc::new(Worker::new(worker)));
            }
        });
    }

    /// Takes a worker out; `None` if it was not there. It gets nothing more through this router. What it was given before, it keeps.
    pub fn remove(&self, worker: &ActorRef<M>) -> Option<Leaving<M>> {
        let mut leaving = None;
        self.change(|workers| {
            let index = workers.iter().position(|known| known.reference == *worker);
            leaving = index.map(|index| Leaving(workers.remove(index)));
        });
        leaving
    }

    /// The workers, and what is known of them.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerLoad<M>> {
        let decay = self.decay();
        let load = |worker: &Arc<Worker<M>>| WorkerLoad {
            worker: worker.reference.clone(),
            in_flight: worker.in_flight(),
            queued: worker.reference.queue_depth(),
            latency: decay.and_then(|decay| {
                let nanos = worker.latency.locked().read(Instant::now(), decay)?;
                Some(Duration::from_nanos(nanos as u64))
            }),
            is_eligible: worker.is_eligible(),
            is_ejected: worker.is_ejected(),
        };
        self.current_workers().iter().map(load).collect()
    }

    /// How many workers there are, eligible or not.
    #[must_use]
    pub fn count(&self) -> usize {
        self.current_workers().len()
    }

    /// Leaves a worker out for a time, or, with `None`, until it is [readmitted](Self::readmit). False: it is not there.
    pub fn eject(&self, worker: &ActorRef<M>, length: Option<Duration>) -> bool {
        self.with_worker(worker, |worker| {
            worker.health(|health| health.eject_by_hand(Instant::now(), length));
        })
    }

    /// Lets a worker that is ejected come back now, and forgets its failures. False: it is not there.
    pub fn readmit(&self, worker: &ActorRef<M>) -> bool {
        self.with_worker(worker, |worker| {
            worker.health(|health| health.readmit());
        })
    }

    /// Tells the router how something went that it cannot see: an answer that is an error, or what became of a tell. It counts like
    /// the end of an ask. False: the worker is not there.
    pub fn report(&self, worker: &ActorRef<M>, went_well: bool) -> bool {
        self.with_worker(worker, |worker| match went_well {
            true => self.succeeded(worker),
            false => self.failed(worker),
        })
    }

    fn with_worker(&self, worker: &ActorRef<M>, act: impl FnOnce(&Worker<M>)) -> bool {
        let workers = self.current_workers();
        let found = workers.iter().find(|known| known.reference == *worker);
        found.map(|worker| act(worker)).is_some()
    }

    /// What the end of an ask says of the health of its worker.
    fn note(&self, worker: &Worker<M>, outcome: Outcome) {
        match outcome {
            Outcome::Answered => self.succeeded(worker),
            Outcome::Failed => self.failed(worker),
            Outcome::NotHandled | Outcome::Dropped => {}
        }
    }

    fn succeeded(&self, worker: &Worker<M>) {
        if worker.has_history() {
            worker.health(|health| health.succeeded(Instant::now()));
        }
    }

    fn failed(&self, worker: &Worker<M>) {
        let Some(ejection) = &self.inner.ejection else {
            return;
        };
        let _turn = self.inner.ejecting.locked();
        let workers = self.current_workers();
        let others_out = workers
            .iter()
            .filter(|other| !std::ptr::eq(&***other, worker) && other.is_ejected())
            .count();
        let ejected = worker.health(|health| {
            let has_room = || ejection.has_room(others_out, workers.len());
            health.failed(Instant::now(), ejection, has_room)
        });
        if ejected {
            tracing::warn!(path = %worker.reference.path(), "failed too often in a row; ejected from its router for a time");
        }
    }

    /// How latencies fade, if they are measured.
    fn decay(&self) -> Option<Duration> {
        match self.inner.routing {
            Routing::PowerOfTwo(PeakEwma { decay }) => Some(decay),
            Routing::RoundRobin | Routing::LeastLoaded | Routing::Rendezvous => None,
        }
    }

    fn current_workers(&self) -> Workers<M> {
        let workers = self.inner.workers.read();
        workers.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Worker<M>>>)) {
        let workers = self.inner.workers.write();
        let mut workers = workers.unwrap_or_else(PoisonError::into_inner);
        let mut changed = workers.to_vec();
        change(&mut changed);
        *workers = changed.into();
    }

    /// Who is next among `workers`, `passed_over` excepted.
    fn choose(
        &self,
        key: Option<u64>,
        workers: &Workers<M>,
        passed_over: &[usize],
    ) -> Option<usize> {
        // Relaxed: only the addition has to be atomic.
        let turn = self.inner.turn.fetch_add(1, Ordering::Relaxed);
        let draw = Draw {
            turn: turn as usize,
            random: mix(self.inner.seed ^ mix(turn)),
            key,
        };
        let candidates = Seen {
            workers,
            passed_over,
            decay: self.decay(),
            now: OnceCell::new(),
        };
        choose(self.inner.routing, draw, &candidates)
    }
}

/// The workers as the policy sees them.
struct Seen<'a, M> {
    workers: &'a [Arc<Worker<M>>],
    passed_over: &'a [usize],
    decay: Option<Duration>,
    /// Read once, and only if somebody asks.
    now: OnceCell<Instant>,
}

impl<M: Send + 'static> Candidates for Seen<'_, M> {
    fn count(&self) -> usize {
        self.workers.len()
    }

    fn is_eligible(&self, index: usize) -> bool {
        self.workers[index].is_eligible() && !self.passed_over.contains(&index)
    }

    fn identity(&self, index: usize) -> u64 {
        self.workers[index].identity
    }

    fn outstanding(&self, index: usize) -> usize {
        self.workers[index].outstanding()
    }

    fn latency(&self, index: usize) -> Option<f64> {
        let now = *self.now.get_or_init(Instant::now);
        let latency = self.workers[index].latency.locked();
        latency.read(now, self.decay?)
    }
}

/// The place of the actor that is being polled on this thread among `workers`: it cannot ask itself.
fn myself<M>(workers: &[Arc<Worker<M>>]) -> Option<usize> {
    match scope::current() {
        0 => None,
        current => workers
            .iter()
            .position(|worker| worker.reference.cell.address() == current),
    }
}

/// A worker that was taken out of a router, and may still have asks to answer.
pub struct Leaving<M>(Arc<Worker<M>>);

impl<M: Send + 'static> Leaving<M> {
    /// The worker.
    #[must_use]
    pub fn worker(&self) -> &ActorRef<M> {
        &self.0.reference
    }

    /// Waits until all asks have ended that were made of it through the router. Messages that were told may still be queued; for those
    /// there is [`ActorRef::drain`].
    pub async fn answered(&self) {
        loop {
            let idle = self.0.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.0.in_flight() == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl<M: Send + 'static> fmt::Debug for Leaving<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaving({})", self.worker().path())
    }
}

/// A worker of a router, as it is now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerLoad<M> {
    /// The worker.
    pub worker: ActorRef<M>,
    /// Asks through this router that have not ended.
    pub in_flight: usize,
    /// Messages in its mailbox, from wherever they come.
    pub queued: usize,
    /// How long an answer is expected to take, under [`Routing::PowerOfTwo`] and once there was one.
    pub latency: Option<Duration>,
    /// Whether it may be given anything.
    pub is_eligible: bool,
    /// Whether it is left out for a time.
    pub is_ejected: bool,
}

impl<M> WorkerLoad<M> {
    /// What it has to do, as [`Routing::LeastLoaded`] sees it.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.in_flight.max(self.queued)
    }
}

impl<M> Clone for Router<M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<M: Send + 'static> fmt::Debug for Router<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("routing", &self.inner.routing)
            .field("workers", &self.count())
            .finish_non_exhaustive()
    }
}
