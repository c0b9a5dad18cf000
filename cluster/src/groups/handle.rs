//! [`ClusterGroups`]: the directory as applications use it.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::{Notify, broadcast, broadcast::error::RecvError};
use treewarden_runtime::{ActorRef, MonitorEvent};

use super::{
    change::Change,
    entry::{Address, Found, GroupError},
    reference::ClusterRef,
    replica::Replica,
};
use crate::remote::{LinksShared, RemoteMessage};

/// How many changes a subscriber may be behind.
const CHANGES_KEPT: usize = 1024;

/// What the handles and the task of a node share.
pub(crate) struct Hall {
    state: Mutex<State>,
    /// Wakes the task: there is something to send.
    pub(super) wake: Notify,
    changes: broadcast::Sender<Change>,
    /// Rises with each change of what can be found.
    generation: AtomicU64,
    links: Weak<LinksShared>,
}

pub(super) struct State {
    pub(super) replica: Replica,
    /// The actors of this node that have, or had, entries, by target: each an `ActorRef<M>`.
    locals: HashMap<String, Arc<dyn Any + Send + Sync>>,
}

impl Hall {
    pub(crate) fn new(replica: Replica, links: Weak<LinksShared>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                replica,
                locals: HashMap::new(),
            }),
            wake: Notify::new(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            generation: AtomicU64::new(0),
            links,
        })
    }

    /// Reads or changes the directory, then tells what has changed.
    pub(super) fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.locked();
        let result = act(&mut state);
        // Under the lock, so that they are told in their order. Sending never waits.
        let mut has_changed = false;
        while let Some(change) = state.replica.poll_change() {
            has_changed = true;
            let _ = self.changes.send(change);
        }
        if has_changed {
            self.generation.fetch_add(1, Ordering::Release);
        }
        result
    }

    /// What is found looks different now.
    pub(super) fn touch(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn links(&self) -> Option<Arc<LinksShared>> {
        self.links.upgrade()
    }
}

/// Names and groups of the cluster, as this node sees them. Made by [`Node::groups`](crate::Node::groups); cheap to clone.
///
/// What this node enters is seen here at once, and by the others when they have heard of it. An entry lasts until it is taken back, until its actor is gone
/// for ever (a restart is not an end), or until its node is *down*. While its node is *unreachable* it stays, and is marked.
///
/// ```no_run
/// # use std::time::Duration;
/// # use serde::{Deserialize, Serialize};
/// # use treewarden_cluster::{Node, groups::ClusterRef, remote::RemoteMessage};
/// # use treewarden_runtime::{ActorRef, Failure, Reply};
/// # #[derive(Serialize, Deserialize)] enum Words { Count(String, Reply<u64>) }
/// # impl RemoteMessage for Words { const NAME: &'static str = "words"; const VERSION: u32 = 1; }
/// # async fn run(node: &Node, worker: ActorRef<Words>, board: ActorRef<Words>) -> Result<(), Failure> {
/// let groups = node.groups();
/// groups.join("workers", &worker)?;
/// groups.register("board", &board)?;
///
/// // On any node:
/// let everybody: Vec<ClusterRef<Words>> = groups.members("workers");
/// if let Some(board) = groups.find::<Words>("board") {
///     let count = board.ask(Duration::from_secs(1), |reply| Words::Count("one two".into(), reply)).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClusterGroups {
    pub(super) hall: Arc<Hall>,
}

impl ClusterGroups {
    pub(crate) fn new(hall: Arc<Hall>) -> Self {
        Self { hall }
    }

    /// Makes an actor of this node a member of a group, and reachable for the others. To join twice is no error.
    ///
    /// # Errors
    ///
    /// See [`GroupError`].
    pub fn join<M: RemoteMessage>(
        &self,
        group: &str,
        actor: &ActorRef<M>,
    ) -> Result<(), GroupError> {
        self.enter(actor, |replica, target| replica.join(group, target))
    }

    /// Takes an actor of this node out of a group. False: it was not in it.
    pub fn leave<M: RemoteMessage>(&self, group: &str, actor: &ActorRef<M>) -> bool {
        let target = target_of(actor);
        self.take_back(|replica| replica.leave(group, &target))
    }

    /// Gives an actor of this node a name in the cluster, that no other has.
    ///
    /// Two nodes that claim a name before they hear of each other both get it at first. When they hear of each other, the **older claim**
    /// holds (by the clocks of the claiming nodes; of equal ones that of the older node): the other is withdrawn, and its node is told with
    /// [`Change::NameLost`]. So a name is a means to find an actor, and no mutual exclusion.
    ///
    /// # Errors
    ///
    /// See [`GroupError`]. A name whose node is unreachable is taken until that node is down.
    pub fn register<M: RemoteMessage>(
        &self,
        name: &str,
        actor: &ActorRef<M>,
    ) -> Result<(), GroupError> {
        self.enter(actor, |replica, target| {
            replica.register(name, target, clock_ms())
        })
    }

    /// Takes back a name that an actor of this node has. False: none has it.
    pub fn unregister(&self, name: &str) -> bool {
        self.take_back(|replica| replica.unregister(name))
    }

    /// Where the members of a group are, in the same order on each node that knows the same, those on unreachable nodes included.
    #[must_use]
    pub fn addresses(&self, group: &str) -> Vec<Found> {
        self.hall.locked().replica.group(group)
    }

    /// References to the members of a group that can be reached. A member of this node whose messages are not `M` is left out; for those of
    /// others that is known when they are told something.
    #[must_use]
    pub fn members<M: RemoteMessage>(&self, group: &str) -> Vec<ClusterRef<M>> {
        let found = self.addresses(group);
        let reachable = found.iter().filter(|found| found.is_reachable);
        reachable
            .filter_map(|found| self.reference(found))
            .collect()
    }

    /// Under which address an actor of this node is found once it has an entry.
    #[must_use]
    pub fn address<M: RemoteMessage>(&self, actor: &ActorRef<M>) -> Address {
        self.hall.locked().replica.at(&target_of(actor))
    }

    /// Where the actor with this name is.
    #[must_use]
    pub fn whereis(&self, name: &str) -> Option<Found> {
        self.hall.locked().replica.name(name)
    }

    /// A reference to the actor with this name. It names the actor, not the name: when that passes to another one, it has to be found anew.
    #[must_use]
    pub fn find<M: RemoteMessage>(&self, name: &str) -> Option<ClusterRef<M>> {
        self.reference(&self.whereis(name)?)
    }

    /// Changes from now on, as this node sees them. A subscriber that falls behind misses the oldest, and delays nobody.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes {
            receiver: self.hall.changes.subscribe(),
            missed: 0,
        }
    }

    /// How many deltas of others were not taken, because they broke a bound.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.hall.locked().replica.refused()
    }

    /// Rises with each change of what can be found here.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.hall.generation.load(Ordering::Acquire)
    }

    /// The failure domain of this node.
    pub(super) fn zone(&self) -> String {
        self.hall.locked().replica.zone().to_owned()
    }

    pub(super) fn reference<M: RemoteMessage>(&self, found: &Found) -> Option<ClusterRef<M>> {
        let links = self.hall.links()?;
        let address = &found.address;
        if links.local().id == address.node {
            let local = {
                let state = self.hall.locked();
                state.locals.get(&address.target)?.clone()
            };
            let actor = local.downcast_ref::<ActorRef<M>>()?;
            return Some(ClusterRef::Local(actor.clone()));
        }
        Some(ClusterRef::Remote(
            links.remote(&address.node, &address.target),
        ))
    }

    /// Makes an entry for an actor, which becomes reachable with its first one and stays so until it is gone.
    fn enter<M: RemoteMessage>(
        &self,
        actor: &ActorRef<M>,
        act: impl FnOnce(&mut Replica, &str) -> Result<(), GroupError>,
    ) -> Result<(), GroupError> {
        let target = target_of(actor);
        self.hall.with(|state| {
            if !state.locals.contains_key(&target)
                && let Some(links) = self.hall.links()
            {
                links.expose(&target, actor).map_err(GroupError::Expose)?;
                state.locals.insert(target.clone(), Arc::new(actor.clone()));
                self.watch(&links, &target, actor);
            }
            act(&mut state.replica, &target)
        })?;
        self.hall.wake.notify_one();
        Ok(())
    }

    fn take_back(&self, act: impl FnOnce(&mut Replica) -> bool) -> bool {
        let was_there = self.hall.with(|state| act(&mut state.replica));
        self.hall.wake.notify_one();
        was_there
    }

    /// Takes everything back that an actor has when it is gone for ever.
    fn watch<M: RemoteMessage>(&self, links: &LinksShared, target: &str, actor: &ActorRef<M>) {
        let (hall, target) = (Arc::downgrade(&self.hall), target.to_owned());
        // By its monitor alone, so that the reference held here is not what keeps the address.
        let mut monitor = actor.monitor();
        links.runtime().spawn(async move {
            while let Some(event) = monitor.next().await {
                if !matches!(event, MonitorEvent::Gone { .. }) {
                    continue;
                }
                let Some(hall) = hall.upgrade() else {
                    return;
                };
                hall.with(|state| {
                    state.locals.remove(&target);
                    state.replica.withdraw(&target);
                });
                hall.wake.notify_one();
            }
        });
    }
}

impl fmt::Debug for ClusterGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterGroups").finish_non_exhaustive()
    }
}

/// A subscription. Dropping it ends it.
#[derive(Debug)]
pub struct Changes {
    receiver: broadcast::Receiver<Change>,
    missed: u64,
}

impl Changes {
    /// The next change; `None` when the node has ended. Cancel safe.
    ///
    /// If this subscriber fell behind, what it missed is counted in [`missed`](Self::missed), and it should read the directory anew.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            match self.receiver.recv().await {
                Ok(change) => return Some(change),
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many changes were missed so far.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// Under which name an actor with entries is exposed.
fn target_of<M: Send + 'static>(actor: &ActorRef<M>) -> String {
    format!("~{}", actor.id().get())
}

/// The wall clock, for the age of claims alone.
fn clock_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
