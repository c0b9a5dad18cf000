//! [`GroupRouter`]: one address for the members of a group, wherever they are.
//!
//! The sender chooses, by the policies of [local routers](treewarden_runtime::Router). What is known of a member is what this node knows: asks of
//! its own that are not answered, how long answers took, and, for members of this node, what is queued.

use std::{
    collections::hash_map::RandomState,
    fmt,
    hash::{BuildHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use treewarden_runtime::{
    AddressState, AskError, Broadcast, Reply, Routing, TellError,
    routing::{Candidates, Draw, Latency, choose, hash_of, mix},
};

use super::{
    entry::{Address, Found},
    handle::ClusterGroups,
    reference::{ClusterRef, ClusterTellError},
    route_error::{GroupAskError, GroupRouteError},
};
use crate::remote::{RemoteAskError, RemoteMessage, RemoteTellError};

/// Passes messages on to one member of a group, to all, or to the one that a key belongs to. Made by
/// [`ClusterGroups::router`]; cheap to clone, and clones are the same router.
///
/// Nothing goes to members on nodes that are unreachable, that [drain](crate::membership::Metadata::is_draining) or are
/// [cordoned](crate::membership::Metadata::is_cordoned), nor to members of this node that are restarting or stopped. While its own zone has members that can take messages, messages without a key stay in
/// the zone; when those have no room, or there are none, others get them. Messages with a key go by the key alone, so that all nodes
/// send a key to the same member as long as they see the same members.
///
/// Round robin, least loaded and power of two choices are as for local routers; [`Routing::Rendezvous`] is by key, and by lot without one.
/// Of what is queued on other nodes nothing is known: there, asks count, and tells do not, until the credit of the mailbox is used up.
///
/// ```no_run
/// # use std::time::Duration;
/// # use serde::{Deserialize, Serialize};
/// # use treewarden_cluster::{Node, groups::GroupRouter, remote::RemoteMessage};
/// # use treewarden_runtime::{ActorRef, Failure, Reply, Routing};
/// # #[derive(Serialize, Deserialize)] enum Words { Count(String, Reply<u64>), Forget }
/// # impl RemoteMessage for Words { const NAME: &'static str = "words"; const VERSION: u32 = 1; }
/// # async fn run(node: &Node, worker: ActorRef<Words>) -> Result<(), Failure> {
/// node.groups().join("workers", &worker)?;
/// let workers: GroupRouter<Words> = node.groups().router("workers", Routing::LeastLoaded);
/// workers.tell(Words::Forget).await?;
/// let second = Duration::from_secs(1);
/// let count = workers.ask(second, |reply| Words::Count("one two".into(), reply)).await?;
/// let always_there = workers.ask_by("tenant-17", second, |reply| Words::Count("three".into(), reply)).await?;
/// # Ok(())
/// # }
/// ```
pub struct GroupRouter<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    groups: ClusterGroups,
    group: String,
    routing: Routing,
    stays_in_zone: bool,
    turn: AtomicU64,
    seed: u64,
    /// As of which generation of the directory they are.
    workers: Mutex<(Option<u64>, Workers<M>)>,
}

type Workers<M> = Arc<[Worker<M>]>;

/// A member, as it is now.
struct Worker<M> {
    address: Address,
    reference: ClusterRef<M>,
    identity: u64,
    /// Its node can be reached, and neither drains nor is cordoned.
    is_open: bool,
    /// It is in this node's zone.
    is_near: bool,
    measured: Arc<Measured>,
}

/// What this router knows of a member, for as long as it is one.
#[derive(Default)]
struct Measured {
    in_flight: AtomicUsize,
    latency: Mutex<Latency>,
}

impl Measured {
    fn latency<R>(&self, act: impl FnOnce(&mut Latency) -> R) -> R {
        act(&mut self.latency.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<M: RemoteMessage> Worker<M> {
    fn is_eligible(&self) -> bool {
        let is_running = match &self.reference {
            ClusterRef::Local(actor) => actor.state() == AddressState::Running,
            ClusterRef::Remote(_) => true,
        };
        self.is_open && is_running
    }
}

impl ClusterGroups {
    /// A router over a group, which follows who is in it.
    #[must_use]
    pub fn router<M: RemoteMessage>(&self, group: &str, routing: Routing) -> GroupRouter<M> {
        self.make_router(group, routing, true)
    }

    /// [`router`](Self::router) that heeds no zones.
    #[must_use]
    pub fn router_over_all_zones<M: RemoteMessage>(
        &self,
        group: &str,
        routing: Routing,
    ) -> GroupRouter<M> {
        self.make_router(group, routing, false)
    }

    fn make_router<M: RemoteMessage>(
        &self,
        group: &str,
        routing: Routing,
        stays_in_zone: bool,
    ) -> GroupRouter<M> {
        GroupRouter {
            inner: Arc::new(Inner {
                groups: self.clone(),
                group: group.to_owned(),
                routing,
                stays_in_zone,
                turn: AtomicU64::new(0),
                seed: RandomState::new().build_hasher().finish(),
                workers: Mutex::new((None, Arc::new([]))),
            }),
        }
    }
}

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
        let is_myself = |index: usize| match &workers[index].reference {
            ClusterRef::Local(actor) => actor.is_current(),
            ClusterRef::Remote(_) => false,
        };
        let Some(index) = self.choose(key, &workers, is_myself) else {
            return Err(GroupAskError::NobodyEligible);
        };
        let worker = &workers[index];
        let mut asked = Asked {
            measured: &worker.measured,
            began: Instant::now(),
            decay: self.decay(),
            outcome: Outcome::Unanswered,
        };
        worker.measured.in_flight.fetch_add(1, Ordering::Relaxed);
        let answer = worker.reference.ask(timeout, question).await;
        asked.outcome = match &answer {
            Ok(_) => Outcome::Answered,
            Err(error) if was_not_tried(error) => Outcome::NotTried,
            Err(_) => Outcome::Unanswered,
        };
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

    /// The members, and whether each may be given anything now.
    #[must_use]
    pub fn members(&self) -> Vec<(Address, bool)> {
        let workers = self.workers();
        let member = |worker: &Worker<M>| (worker.address.clone(), worker.is_eligible());
        workers.iter().map(member).collect()
    }

    /// The members as the directory has them now.
    fn workers(&self) -> Workers<M> {
        let inner = &*self.inner;
        let generation = inner.groups.generation();
        let mut cached = inner.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.0 != Some(generation) {
            let zone = inner.groups.zone();
            let known = cached.1.clone();
            let found = inner.groups.addresses(&inner.group);
            let workers = found
                .into_iter()
                .filter_map(|found| self.worker(found, &zone, &known));
            *cached = (Some(generation), workers.collect());
        }
        cached.1.clone()
    }

    fn worker(&self, found: Found, zone: &str, known: &[Worker<M>]) -> Option<Worker<M>> {
        let reference = self.inner.groups.reference(&found)?;
        let before = known.iter().find(|worker| worker.address == found.address);
        Some(Worker {
            reference,
            identity: hash_of(&found.address),
            is_open: found.takes_work(),
            is_near: !zone.is_empty() && found.zone == zone,
            measured: before.map_or_else(Arc::default, |worker| worker.measured.clone()),
            address: found.address,
        })
    }

    /// Who is next, `excepted` excepted.
    fn choose(
        &self,
        key: Option<u64>,
        workers: &Workers<M>,
        excepted: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let inner = &*self.inner;
        let turn = inner.turn.fetch_add(1, Ordering::Relaxed);
        let draw = Draw {
            turn: turn as usize,
            random: mix(inner.seed ^ mix(turn)),
            key,
        };
        let mut seen = Seen {
            workers,
            excepted,
            near_alone: inner.stays_in_zone && key.is_none(),
            decay: self.decay(),
            now: Instant::now(),
        };
        let near = match seen.near_alone {
            true => choose(inner.routing, draw, &seen),
            false => None,
        };
        seen.near_alone = false;
        near.or_else(|| choose(inner.routing, draw, &seen))
    }

    fn decay(&self) -> Option<Duration> {
        match self.inner.routing {
            Routing::PowerOfTwo(average) => Some(average.decay),
            _ => None,
        }
    }
}

/// The members as the policy sees them.
struct Seen<'a, M, E> {
    workers: &'a [Worker<M>],
    excepted: E,
    near_alone: bool,
    decay: Option<Duration>,
    now: Instant,
}

impl<M: RemoteMessage, E: Fn(usize) -> bool> Candidates for Seen<'_, M, E> {
    fn count(&self) -> usize {
        self.workers.len()
    }

    fn is_eligible(&self, index: usize) -> bool {
        let worker = &self.workers[index];
        (worker.is_near || !self.near_alone) && worker.is_eligible() && !(self.excepted)(index)
    }

    fn identity(&self, index: usize) -> u64 {
        self.workers[index].identity
    }

    fn outstanding(&self, index: usize) -> usize {
        let worker = &self.workers[index];
        let queued = match &worker.reference {
            ClusterRef::Local(actor) => actor.queue_depth(),
            ClusterRef::Remote(_) => 0,
        };
        worker
            .measured
            .in_flight
            .load(Ordering::Relaxed)
            .max(queued)
    }

    fn latency(&self, index: usize) -> Option<f64> {
        let decay = self.decay?;
        let measured = &self.workers[index].measured;
        measured.latency(|latency| latency.read(self.now, decay))
    }
}

enum Outcome {
    Answered,
    Unanswered,
    /// Overload, or an end in good order.
    NotTried,
}

/// Counts an ask as in flight for as long as it lives, and measures it.
struct Asked<'a> {
    measured: &'a Measured,
    began: Instant,
    decay: Option<Duration>,
    outcome: Outcome,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.measured.in_flight.fetch_sub(1, Ordering::Relaxed);
        let Some(decay) = self.decay else {
            return;
        };
        let now = Instant::now();
        let took = now.duration_since(self.began);
        self.measured.latency(|latency| match self.outcome {
            Outcome::Answered => latency.answered(took, now, decay),
            Outcome::Unanswered => latency.unanswered(took, now, decay),
            Outcome::NotTried => {}
        });
    }
}

fn was_not_tried(error: &RemoteAskError) -> bool {
    matches!(
        error,
        RemoteAskError::Ask(
            AskError::Refused
                | AskError::Shed
                | AskError::Expired
                | AskError::Dead
                | AskError::SelfAsk
        ) | RemoteAskError::TooLarge { .. }
            | RemoteAskError::Unencodable { .. }
            | RemoteAskError::TooManyAsks { .. }
            | RemoteAskError::ShutDown
    )
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

impl<M> Clone for GroupRouter<M> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<M> fmt::Debug for GroupRouter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupRouter")
            .field("group", &self.inner.group)
            .field("routing", &self.inner.routing)
            .finish_non_exhaustive()
    }
}
