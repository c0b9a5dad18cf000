//! One kind of child many times, and the one among them that a key belongs to (Elixir: `PartitionSupervisor`).
//!
//! For work that one actor cannot keep up with and that can be split by a key: the messages of a key always go to the same partition, in their
//! order. The partition of a key is found by jump consistent hashing (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm",
//! 2014), so that a resize from `n` to `n + 1` partitions moves one key in `n + 1`, and no key between two partitions that stay.
//!
//! What is not here: moving the state of a key that has moved, and choosing by load; for the latter there are [pools](crate::Pool).

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, RwLock};

use treewarden_runtime::{ActorRef, LookupError};

use crate::child::Child;
use crate::error::CallError;
use crate::supervisor::Supervisor;
use crate::tree::Tree;

/// A supervisor of `n` partitions to be. Each is a child of its own, with its number, from 0, as its id.
///
/// ```
/// use treewarden_runtime::{Actor, Context, Failure, Reply, System};
/// use treewarden_supervisor::{Child, PartitionSupervisor, Supervisor};
///
/// #[derive(Default)]
/// struct Counts(std::collections::HashMap<String, u64>);
///
/// enum Msg {
///     Hit(String),
///     Hits(String, Reply<u64>),
/// }
///
/// impl Actor for Counts {
///     type Msg = Msg;
///     type Error = Failure;
///     async fn handle(&mut self, msg: Msg, _cx: &mut Context<Self>) -> Result<(), Failure> {
///         match msg {
///             Msg::Hit(page) => *self.0.entry(page).or_default() += 1,
///             Msg::Hits(page, reply) => reply.send(self.0.get(&page).copied().unwrap_or(0)),
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let counts = PartitionSupervisor::new("counts", 4, |number| {
///     Child::actor(number.to_string(), |_| async { Ok(Counts::default()) })
/// });
/// let tree = Supervisor::one_for_one("app").child(counts.child()).start(&System::new("demo")).await?;
/// let counts = counts.find::<Msg>(&tree)?;
///
/// counts.of("/index.html").tell(Msg::Hit("/index.html".into())).await?;
/// let hits = counts.of("/index.html").ask(|reply| Msg::Hits("/index.html".into(), reply)).await?;
/// assert_eq!(hits, 1);
/// counts.resize(6).await?;
/// # tree.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "partitions do nothing until a supervisor starts them"]
pub struct PartitionSupervisor {
    supervisor: Supervisor,
    partitions: usize,
    make: Arc<dyn Fn(usize) -> Child + Send + Sync>,
}

impl PartitionSupervisor {
    /// `partitions` children, at least one, each made by `make` from its number. What `make` gives it as its id does not matter.
    pub fn new(
        id: impl Into<Arc<str>>,
        partitions: usize,
        make: impl Fn(usize) -> Child + Send + Sync + 'static,
    ) -> Self {
        Self {
            supervisor: Supervisor::one_for_one(id).stop_together(),
            partitions: partitions.max(1),
            make: Arc::new(make),
        }
    }

    /// Other settings of the supervisor than the defaults of [`Supervisor::one_for_one`]: its intensity, for example.
    pub fn with(mut self, settings: impl FnOnce(Supervisor) -> Supervisor) -> Self {
        self.supervisor = settings(self.supervisor);
        self
    }

    /// The supervisor, to be put into a tree.
    pub fn child(&self) -> Supervisor {
        self.of_size(self.partitions)
    }

    pub(crate) fn id(&self) -> &str {
        &self.supervisor.id
    }

    pub(crate) fn count(&self) -> usize {
        self.partitions
    }

    pub(crate) fn of_size(&self, partitions: usize) -> Supervisor {
        let children = (0..partitions).map(|number| self.partition(number));
        self.supervisor.clone().children(children)
    }

    pub(crate) fn partition(&self, number: usize) -> Child {
        let mut child = (self.make)(number);
        child.spec.id = number.to_string().into();
        child
    }

    /// The partitions in the tree that they were put into, below the supervisor that they are a child of. All handles to resize by have
    /// to be clones of one: each knows of its own resizes alone.
    ///
    /// # Errors
    ///
    /// If they are not there, or are actors that take messages of another type.
    pub fn find<M: Send + 'static>(&self, parent: &Tree) -> Result<Partitions<M>, LookupError> {
        let tree = parent.supervisor(&self.supervisor.id)?;
        let partitions = (0..self.partitions).map(|number| tree.actor(&number.to_string()));
        let partitions = partitions.collect::<Result<_, _>>()?;
        Ok(Partitions {
            inner: Arc::new(Inner {
                tree,
                plan: self.clone(),
                partitions: RwLock::new(partitions),
                resizing: tokio::sync::Mutex::new(()),
            }),
        })
    }
}

impl fmt::Debug for PartitionSupervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionSupervisor")
            .field("supervisor", &self.supervisor)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

/// Partitions that run. Cheap to clone; clones are the same partitions.
pub struct Partitions<M> {
    inner: Arc<Inner<M>>,
}

struct Inner<M> {
    tree: Tree,
    plan: PartitionSupervisor,
    partitions: RwLock<Vec<ActorRef<M>>>,
    /// Resizes come one after the other.
    resizing: tokio::sync::Mutex<()>,
}

impl<M: Send + 'static> Partitions<M> {
    /// The partition that this key belongs to. Its reference outlives restarts; after a resize the key may belong to another one.
    #[must_use]
    pub fn of<K: Hash + ?Sized>(&self, key: &K) -> ActorRef<M> {
        let partitions = self.read();
        partitions[partition_of(key, partitions.len())].clone()
    }

    /// All partitions, by number.
    #[must_use]
    pub fn all(&self) -> Vec<ActorRef<M>> {
        self.read().clone()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.read().len()
    }

    /// Makes them so many, at least one. Growing: the new ones are started, and then keys are sent to them. Shrinking: keys go to those that
    /// stay, and then the last ones are stopped as their specification says: with [`Child::drain`] they handle what they have first,
    /// otherwise that becomes dead letters. Keys that move find other state: moving it is up to you. A restart of the supervisor itself
    /// begins with the new number.
    ///
    /// A resize waits for the one before it. It is not cancel safe: when it is dropped, keys go where they should, but partitions may be
    /// left that nobody uses until the next resize.
    ///
    /// # Errors
    ///
    /// If a new partition cannot be started, or the tree ends: [`count`](Self::count) says how many there are then, and keys go to those.
    pub async fn resize(&self, partitions: usize) -> Result<(), CallError> {
        let Inner { tree, plan, .. } = &*self.inner;
        let _turn = self.inner.resizing.lock().await;
        let (before, after) = (self.count(), partitions.max(1));
        if after < before {
            self.write().truncate(after);
            for number in (after..before).rev() {
                let id = number.to_string();
                tree.terminate_child(&*id).await?;
                tree.delete_child(&*id).await?;
            }
        }
        // The specification that a restart of the supervisor begins with. New ones have no instance yet.
        tree.change(plan.of_size(after)).await?;
        for number in before..after {
            let started = tree.restart_child(&*number.to_string()).await;
            let partition = started.and_then(|child| {
                // Just now it was there, and what kind of child it is does not change.
                child.actor().map_err(|_| crate::AdminError::NotFound)
            });
            match partition {
                Ok(partition) => self.write().push(partition),
                Err(error) => {
                    for number in (self.count()..after).rev() {
                        // It may not run; then there is nothing to stop.
                        let _ = tree.terminate_child(&*number.to_string()).await;
                        let _ = tree.delete_child(&*number.to_string()).await;
                    }
                    let _ = tree.change(plan.of_size(self.count())).await;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<ActorRef<M>>> {
        let partitions = self.inner.partitions.read();
        partitions.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Vec<ActorRef<M>>> {
        let partitions = self.inner.partitions.write();
        partitions.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<M> Clone for Partitions<M> {
    fn clone(&self) -> Self {
        Partitions {
            inner: self.inner.clone(),
        }
    }
}

impl<M: Send + 'static> fmt::Debug for Partitions<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Partitions({}, {})",
            self.inner.tree.path(),
            self.count()
        )
    }
}

fn partition_of<K: Hash + ?Sized>(key: &K, partitions: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    jump(hasher.finish(), partitions)
}

/// Jump consistent hashing, as in the paper. `buckets` is at least 1.
fn jump(mut key: u64, buckets: usize) -> usize {
    let (mut bucket, mut next) = (0_i64, 0_i64);
    while next < buckets as i64 {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let scale = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((bucket + 1) as f64 * scale) as i64;
    }
    bucket as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_and_a_resize_moves_no_more_than_it_has_to() {
        const KEYS: u64 = 10_000;
        for partitions in 1..12 {
            let mut sizes = vec![0; partitions];
            let mut moved = 0;
            for key in 0..KEYS {
                let (now, then) = (
                    partition_of(&key, partitions),
                    partition_of(&key, partitions + 1),
                );
                sizes[now] += 1;
                if now != then {
                    assert_eq!(then, partitions, "it moves to the new one or not at all");
                    moved += 1;
                }
            }
            let fair = KEYS / partitions as u64;
            assert!(
                sizes
                    .iter()
                    .all(|&size| size > fair * 8 / 10 && size < fair * 12 / 10)
            );
            let fair = KEYS / (partitions as u64 + 1);
            assert!(
                moved > fair * 8 / 10 && moved < fair * 12 / 10,
                "{moved} of {fair}"
            );
        }
    }
}
