//! The [`System`]: everything that actors share, and nothing that is global.
//!
//! | file | subject |
//! |---|---|
//! | `builder` | how it is made |
//! | `spawn` | how actors come into it |
//! | `root` | what it pictures and shuts down |

mod builder;
mod root;
mod spawn;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::runtime::Handle;

use crate::{
    dead_letter::DeadLetters,
    groups::Groups,
    idle::IdleList,
    reference::ActorRef,
    registry::{LookupError, Registry},
    roots::Roots,
    snapshot::Snapshot,
    timer::Wheels,
    topic::Topics,
    turnstile::Turnstile,
    watchdog::Watchdog,
};

pub use builder::SystemBuilder;
pub use root::{Root, RootAttachment};
pub use spawn::{Placement, SpawnError, SpawnOptions};

/// A world of actors: their names, dead letters, dispatchers and trees.
///
/// Cloning it costs one increment. Several systems live in one process without knowing of each other. Dropping the last
/// handle stops nothing: actors hold their system. [`shutdown`](Self::shutdown) does.
#[derive(Clone)]
pub struct System {
    inner: Arc<Inner>,
}

struct Inner {
    name: Arc<str>,
    next_id: AtomicU64,
    dead_letters: DeadLetters,
    registry: Registry,
    groups: Groups,
    topics: Topics,
    dispatchers: HashMap<Arc<str>, Handle>,
    roots: Roots,
    idle: Arc<IdleList>,
    watchdog: Arc<Watchdog>,
    wheels: Wheels,
    seed: u64,
    turnstile: Option<Arc<dyn Turnstile>>,
    closed: AtomicBool,
}

impl System {
    /// A system with this name, which appears in snapshots and logs.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::builder(name).build()
    }

    /// A system that is not all defaults.
    pub fn builder(name: impl Into<Arc<str>>) -> SystemBuilder {
        SystemBuilder::new(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// How many handlers were given up and have not come back.
    pub fn hung(&self) -> usize {
        self.inner.watchdog.hung()
    }

    /// What the random choices of the shells begin with. See [`SystemBuilder::seed`].
    pub fn seed(&self) -> u64 {
        self.inner.seed
    }

    /// Whether a [`Turnstile`] decides when the tasks of this system are polled.
    pub fn has_turnstile(&self) -> bool {
        self.inner.turnstile.is_some()
    }

    /// The names of this system.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// The groups of this system.
    pub fn groups(&self) -> &Groups {
        &self.inner.groups
    }

    pub(crate) fn topics(&self) -> &Topics {
        &self.inner.topics
    }

    /// The actor at this path: one in a tree (`/app/pipeline/parser`), or one outside (`/name`, `/#7`). Goes through the roots, and from there
    /// straight down; whoever sends often keeps the reference.
    ///
    /// # Errors
    ///
    /// [`LookupError::NotFound`]: there is no actor. [`LookupError::OtherType`]: its messages are of another type.
    pub fn actor<M: Send + 'static>(&self, path: &str) -> Result<ActorRef<M>, LookupError> {
        let found = self
            .inner
            .roots
            .all()
            .into_iter()
            .find_map(|root| root.find(path));
        let (reference, found) =
            found.ok_or_else(|| LookupError::NotFound { name: path.into() })?;
        match reference.downcast::<ActorRef<M>>() {
            Ok(reference) => Ok(*reference),
            Err(_) => Err(LookupError::OtherType {
                name: path.into(),
                expected: std::any::type_name::<M>(),
                found,
            }),
        }
    }

    /// The messages of this system that were not handled.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.inner.dead_letters
    }

    /// A picture of all trees and single actors, now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            system: self.inner.name.clone(),
            roots: self
                .inner
                .roots
                .all()
                .iter()
                .map(|root| root.inspect())
                .collect(),
            dead_letters: self.dead_letters().total(),
        }
    }

    /// Ends all trees and single actors, one after the other, the newest first, and resolves when they have ended.
    ///
    /// Trees end as their child specs say. A single actor ends after the message that it is handling; if that takes more
    /// than five seconds it is killed. What is spawned after this was called ends before its first message.
    pub async fn shutdown(&self) {
        self.inner.closed.store(true, Ordering::SeqCst);
        for root in self.inner.roots.all().into_iter().rev() {
            root.shutdown().await;
        }
    }

    /// Whether [`shutdown`](Self::shutdown) has been called.
    pub fn is_closed(&self) -> bool {
        self.inner.closed.load(Ordering::SeqCst)
    }

    /// Where timers wait.
    pub(crate) fn wheels(&self) -> &Wheels {
        &self.inner.wheels
    }

    /// Those who may have memory to give back.
    pub(crate) fn idle_list(&self) -> &Arc<IdleList> {
        &self.inner.idle
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System({})", self.inner.name)
    }
}
