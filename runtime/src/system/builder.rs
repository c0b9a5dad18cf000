//! How a system is made that is not all defaults.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
};

use tokio::runtime::Handle;

use super::{Inner, System};
use crate::{
    dead_letter::DeadLetters, groups::Groups, registry::Registry, roots::Roots, timer::Wheels,
    topic::Topics, turnstile::Turnstile, watchdog::Watchdog,
};

/// How many handlers may be given up at a time, unless said otherwise.
const MAX_HUNG: usize = 8;

/// Makes a [`System`] that is not all defaults.
#[derive(Debug)]
pub struct SystemBuilder {
    name: Arc<str>,
    dispatchers: HashMap<Arc<str>, Handle>,
    max_hung: usize,
    seed: Option<u64>,
    turnstile: Option<Arc<dyn Turnstile>>,
}

impl SystemBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            dispatchers: HashMap::new(),
            max_hung: MAX_HUNG,
            seed: None,
            turnstile: None,
        }
    }

    /// How many handlers can be given up and not have come back at a time; see
    /// [`HandlerBudget::give_up`](crate::HandlerBudget::give_up). Each holds a thread. Default: 8.
    pub fn max_hung(mut self, handlers: usize) -> Self {
        self.max_hung = handlers;
        self
    }

    /// A tokio runtime that actors and subtrees can be put on by name, so that one part of a service cannot starve
    /// another. The application keeps the runtime alive.
    pub fn dispatcher(mut self, name: impl Into<Arc<str>>, runtime: Handle) -> Self {
        self.dispatchers.insert(name.into(), runtime);
        self
    }

    /// What the random choices of the shells begin with, such as the jitter of a backoff. Without it they differ from
    /// process to process.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Lets `turnstile` decide when the tasks of the system are polled: actors, supervisors and children that are
    /// tasks, all but those with a thread of their own. For tests.
    pub fn turnstile(mut self, turnstile: Arc<dyn Turnstile>) -> Self {
        self.turnstile = Some(turnstile);
        self
    }

    /// The system. Nothing is spawned or installed.
    pub fn build(self) -> System {
        System {
            inner: Arc::new(Inner {
                name: self.name,
                next_id: AtomicU64::new(1),
                dead_letters: DeadLetters::new(),
                registry: Registry::default(),
                groups: Groups::default(),
                topics: Topics::default(),
                dispatchers: self.dispatchers,
                roots: Roots::default(),
                idle: Arc::default(),
                watchdog: Arc::new(Watchdog::new(self.max_hung)),
                wheels: Wheels::default(),
                seed: self.seed.unwrap_or_else(|| std::process::id().into()),
                turnstile: self.turnstile,
                closed: AtomicBool::new(false),
            }),
        }
    }
}
