//! [`GroupRouter`]: one address for the members of a group, wherever they are.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | [`GroupRouter`]: who the members are, and what is known of them |
//! | `builder` | [`GroupRouterBuilder`] |
//! | `worker` | one member, and what is measured of it |
//! | `send` | tell, ask, broadcast |
//! | `gather` | [`GroupGather`]: asking all at once |
//!
//! The sender chooses, by the policies of [local routers](treewarden_runtime::Router), and leaves out by the same [`Ejection`] who fails. What is
//! known of a member is what this node knows: asks of its own that are not answered, how long answers took, how they ended, and, for members of this
//! node, what is queued.

mod builder;
mod gather;
mod send;
mod worker;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use treewarden_runtime::{
    Ejection, Routing,
    routing::{Candidates, Draw, choose, hash_of, mix},
};

use self::worker::{Outcome, Worker};
use super::{
    entry::{Address, Found},
    handle::ClusterGroups,
};
use crate::remote::RemoteMessage;

pub use self::{
    builder::GroupRouterBuilder,
    gather::{GroupGather, GroupGathered, GroupTooFew},
};

/// Passes messages on to one member of a group, to all, or to the one that a key belongs to. Made by
/// [`ClusterGroups::router`]; cheap to clone, and clones are the same router.
///
/// Nothing goes to members on nodes that are unreachable, that [drain](crate::membership::Metadata::is_draining) or are
/// [cordoned](crate::membership::Metadata::is_cordoned), to members of this node that are restarting or stopped, nor to those that are
/// [ejected](GroupRouterBuilder::eject). While its own zone has members that can take messages, messages without a key stay in
/// the zone; when those have no room, or there are none, others get them. Messages with a key go by the key alone, so that all nodes
/// send a key to the same member as long as they see the same members and have ejected none.
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
    ejection: Option<Ejection>,
    /// Counts choices; random numbers are hashes of it and the seed.
    turn: AtomicU64,
    seed: u64,
    /// As of which generation of the directory they are.
    workers: Mutex<(Option<u64>, Workers<M>)>,
    /// Held while it is decided whether one more may be ejected.
    ejecting: Mutex<()>,
}

type Workers<M> = Arc<[Worker<M>]>;

impl<M: RemoteMessage> GroupRouter<M> {
    /// The members, and what is known of them.
    #[must_use]
    pub fn members(&self) -> Vec<MemberLoad> {
        let decay = self.decay();
        let load = |worker: &Worker<M>| MemberLoad {
            address: worker.address.clone(),
            in_flight: worker.measured.in_flight(),
            queued: worker.queued(),
            latency: decay.and_then(|decay| {
                let now = Instant::now();
                let nanos = worker
                    .measured
                    .latency(|latency| latency.read(now, decay))?;
                Some(Duration::from_nanos(nanos as u64))
            }),
            is_eligible: worker.is_eligible(),
            is_ejected: worker.measured.is_ejected(),
        };
        self.workers().iter().map(load).collect()
    }

    /// Leaves a member out for a time, or, with `None`, until it is [readmitted](Self::readmit). This router alone does so: those of
    /// other nodes, and others of this one, go on. False: it is not there.
    pub fn eject(&self, member: &Address, length: Option<Duration>) -> bool {
        self.with_worker(member, |worker| {
            let measured = &worker.measured;
            measured.health(|health| health.eject_by_hand(Instant::now(), length));
        })
    }

    /// Lets a member that is ejected come back now, and forgets its failures. False: it is not there.
    pub fn readmit(&self, member: &Address) -> bool {
        self.with_worker(member, |worker| {
            worker.measured.health(|health| health.readmit());
        })
    }

    /// Tells the router how something went that it cannot see: an answer that is an error, or what became of a tell. It counts like
    /// the end of an ask. False: the member is not there.
    pub fn report(&self, member: &Address, went_well: bool) -> bool {
        self.with_worker(member, |worker| match went_well {
            true => self.succeeded(worker),
            false => self.failed(worker),
        })
    }

    fn with_worker(&self, member: &Address, act: impl FnOnce(&Worker<M>)) -> bool {
        let workers = self.workers();
        let found = workers.iter().find(|worker| worker.address == *member);
        found.map(act).is_some()
    }

    /// What the end of an ask says of the health of its member.
    fn note(&self, worker: &Worker<M>, outcome: Outcome) {
        match outcome {
            Outcome::Answered => self.succeeded(worker),
            Outcome::Failed => self.failed(worker),
            Outcome::NotToBlame | Outcome::Dropped => {}
        }
    }

    fn succeeded(&self, worker: &Worker<M>) {
        if worker.measured.has_history() {
            let measured = &worker.measured;
            measured.health(|health| health.succeeded(Instant::now()));
        }
    }

    fn failed(&self, worker: &Worker<M>) {
        let Some(ejection) = &self.inner.ejection else {
            return;
        };
        let ejecting = self.inner.ejecting.lock();
        let _turn = ejecting.unwrap_or_else(PoisonError::into_inner);
        let workers = self.workers();
        let others_out = workers
            .iter()
            .filter(|other| other.address != worker.address && other.measured.is_ejected())
            .count();
        let ejected = worker.measured.health(|health| {
            let has_room = || ejection.has_room(others_out, workers.len());
            health.failed(Instant::now(), ejection, has_room)
        });
        if ejected {
            tracing::warn!(
                group = %self.inner.group,
                member = %worker.address,
                "failed too often in a row; ejected from its router for a time"
            );
        }
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

    /// How latencies fade, if they are measured.
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
        self.workers[index].outstanding()
    }

    fn latency(&self, index: usize) -> Option<f64> {
        let decay = self.decay?;
        let measured = &self.workers[index].measured;
        measured.latency(|latency| latency.read(self.now, decay))
    }
}

/// A member of a group, as a router of this node knows it now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemberLoad {
    /// Who it is.
    pub address: Address,
    /// Asks through this router that have not ended.
    pub in_flight: usize,
    /// Messages in its mailbox, from wherever they come; `None` on other nodes, of which that is not known.
    pub queued: Option<usize>,
    /// How long an answer is expected to take, under [`Routing::PowerOfTwo`] and once there was one.
    pub latency: Option<Duration>,
    /// Whether it may be given anything.
    pub is_eligible: bool,
    /// Whether it is left out for a time.
    pub is_ejected: bool,
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
