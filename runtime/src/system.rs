//! The [`System`]: everything that actors share, and nothing that is global.

use std::{
    any::Any,
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use crate::{
    actor::Actor,
    cell::{
        Cell, Core, order,
        run::host,
        starter::{Factory, Once},
        watched::WatchedAddress,
    },
    context::Init,
    dead_letter::DeadLetters,
    envelope::Envelope,
    groups::Groups,
    host::{HostHandle, HostSpec, Hosted, Observer},
    id::ActorId,
    idle::IdleList,
    mailbox::{Mailbox, Queue, Reading, WeighsOtherMessages},
    reference::{ActorRef, AddressState},
    registry::{LookupError, NameTaken, Registry},
    roots::Roots,
    snapshot::{Inspect, NodeSnapshot, Snapshot},
    timer::Wheels,
    topic::Topics,
    turnstile::Turnstile,
    watchdog::{Post, Unwatched, Watchdog},
};

/// How many handlers may be given up at a time, unless said otherwise.
const MAX_HUNG: usize = 8;

/// How long [`System::shutdown`] lets a single actor come to its end before it is killed.
const ACTOR_SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);

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

/// A tree, or an actor outside any tree: what a system pictures and shuts down.
pub trait Root: Inspect {
    /// Ends it in order, and resolves when it has ended.
    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// The actor at this path, which may be anywhere: an [`ActorRef`], and the name of its type of messages.
    fn find(self: Arc<Self>, path: &str) -> Option<(Box<dyn Any + Send>, &'static str)> {
        let _ = path;
        None
    }
}

/// Keeps a root attached to its system. Dropping it detaches the root.
#[derive(Debug)]
pub struct RootAttachment {
    system: System,
    key: usize,
}

impl Drop for RootAttachment {
    fn drop(&mut self) {
        self.system.inner.roots.remove(self.key);
    }
}

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

/// Where the run loop of an actor is polled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placement {
    /// As a task of the runtime of the caller.
    #[default]
    Caller,
    /// As a task of a dispatcher of the system, by name.
    Dispatcher(Arc<str>),
    /// On a thread of its own, for handlers that block. The thread parks on the mailbox like a task does, so references
    /// and supervision are the same. A stop or kill waits for the handler, because a thread cannot be interrupted.
    OwnThread,
}

/// How to spawn one actor that is not all defaults.
#[derive(Clone, Debug, Default)]
pub struct SpawnOptions {
    name: Option<Arc<str>>,
    mailbox: Mailbox,
    placement: Placement,
}

impl SpawnOptions {
    /// No name, the default mailbox, the runtime of the caller.
    pub fn new() -> Self {
        Self::default()
    }

    /// A name in the system; the path is then `/name`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Another mailbox.
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = mailbox;
        self
    }

    /// Another place than a task of the caller's runtime.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }
}

/// Why an actor was not spawned. It has been dropped; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// Its name belongs to another.
    NameTaken(NameTaken),
    /// Its mailbox weighs messages of another type.
    WeighsOtherMessages(WeighsOtherMessages),
    /// The system has no dispatcher of that name.
    NoSuchDispatcher {
        /// The name.
        name: Arc<str>,
    },
    /// The operating system gave no thread.
    NoThread {
        /// What it said.
        cause: Arc<str>,
    },
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken(error) => error.fmt(f),
            Self::WeighsOtherMessages(error) => error.fmt(f),
            Self::NoSuchDispatcher { name } => write!(
                f,
                "the system has no dispatcher {name:?}; give it one with SystemBuilder::dispatcher"
            ),
            Self::NoThread { cause } => write!(f, "no thread for the actor: {cause}"),
        }
    }
}

impl std::error::Error for SpawnError {}

impl System {
    /// A system with this name, which appears in snapshots and logs.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::builder(name).build()
    }

    /// A system that is not all defaults.
    pub fn builder(name: impl Into<Arc<str>>) -> SystemBuilder {
        SystemBuilder {
            name: name.into(),
            dispatchers: HashMap::new(),
            max_hung: MAX_HUNG,
            seed: None,
            turnstile: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Spawns an actor outside any tree. It has one incarnation, and its address ends with it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn<A: Actor>(&self, actor: A) -> ActorRef<A::Msg> {
        let queue = Queue::new(
            Mailbox::default()
                .queue_config(message_of, reading())
                .expect("the default mailbox weighs nothing"),
        );
        let id = self.next_id();
        let cell = self.cell(id, None, queue, order::START);
        let reference = self.attach_cell(&cell);
        let host = host::<A, _, _>(cell, Once(Some(actor)), Unwatched);
        self.spawn_task(&Handle::current(), host);
        reference
    }

    /// [`spawn`](Self::spawn) with a name.
    ///
    /// # Errors
    ///
    /// [`NameTaken`]; the actor has been dropped then.
    pub fn spawn_named<A: Actor>(
        &self,
        name: impl Into<Arc<str>>,
        actor: A,
    ) -> Result<ActorRef<A::Msg>, NameTaken> {
        match self.spawn_with(SpawnOptions::new().name(name), actor) {
            Ok(reference) => Ok(reference),
            Err(SpawnError::NameTaken(error)) => Err(error),
            Err(error) => unreachable!("only a name was chosen: {error}"),
        }
    }

    /// [`spawn`](Self::spawn) with options.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`].
    pub fn spawn_with<A: Actor>(
        &self,
        options: SpawnOptions,
        actor: A,
    ) -> Result<ActorRef<A::Msg>, SpawnError> {
        let place = self.place(&options.placement)?;
        let queue = options
            .mailbox
            .queue_config(message_of, reading())
            .map_err(SpawnError::WeighsOtherMessages)?;
        let id = self.next_id();
        let path = options.name.as_ref().map(|name| format!("/{name}").into());
        let cell = self.cell(id, path, Queue::new(queue), order::START);
        if let Some(name) = options.name {
            let reference = ActorRef { cell: cell.clone() };
            self.registry()
                .register(name, &reference)
                .map_err(SpawnError::NameTaken)?;
        }
        let reference = self.attach_cell(&cell);
        self.run_at(
            place,
            &cell.core,
            host::<A, _, _>(cell.clone(), Once(Some(actor)), Unwatched),
        )?;
        Ok(reference)
    }

    /// Makes an actor outside any tree part of snapshots and of the shutdown.
    fn attach_cell<M: Send + 'static>(&self, cell: &Arc<Cell<M>>) -> ActorRef<M> {
        let weak: Weak<dyn Root> = Arc::downgrade(cell) as Weak<dyn Root>;
        cell.core.set_root_key(self.attach_entry(weak));
        if self.is_closed() {
            // Spawned after the shutdown: its first order is to stop before its first message.
            cell.core.give_order(order::SHUTDOWN);
        }
        ActorRef { cell: cell.clone() }
    }

    /// Makes an address whose incarnations are started by the owner of the handle. See [`crate::host`].
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]; a hosted address has no name in the registry, so none can be taken.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, if the spec names no dispatcher.
    pub fn host<A, F, Fut>(
        &self,
        spec: HostSpec,
        factory: F,
        observer: Arc<dyn Observer>,
    ) -> Result<(ActorRef<A::Msg>, HostHandle), SpawnError>
    where
        A: Actor,
        F: FnMut(Init<A::Msg>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<A>, A::Error>> + Send + 'static,
    {
        let place = self.place(&spec.placement)?;
        let queue = spec
            .mailbox
            .queue_config(message_of, reading())
            .map_err(SpawnError::WeighsOtherMessages)?;
        let cell = self.cell(self.next_id(), Some(spec.path), Queue::new(queue), 0);
        cell.core.set_observer(observer);
        match spec.budget {
            None => self.run_at(
                place,
                &cell.core,
                host::<A, _, _>(cell.clone(), Factory(factory), Unwatched),
            )?,
            Some((budget, specified_at)) => {
                let watchdog = &self.inner.watchdog;
                let post = Arc::new(Post::new(watchdog.clone(), budget, specified_at));
                let runtime = place.runtime().clone();
                let watched =
                    WatchedAddress::<A, F>::new(cell.clone(), factory, post.clone(), runtime);
                watchdog
                    .watch(post, watched.clone())
                    .map_err(|error| SpawnError::NoThread {
                        cause: error.to_string().into(),
                    })?;
                self.run_at(place, &cell.core, watched.host())?;
            }
        }
        let hosted: Arc<dyn Hosted> = cell.clone();
        Ok((ActorRef { cell }, HostHandle::new(hosted)))
    }

    /// The runtime that a placement stands for: the caller's, unless a dispatcher is named.
    ///
    /// # Errors
    ///
    /// [`SpawnError::NoSuchDispatcher`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, unless a dispatcher is named.
    pub fn runtime(&self, placement: &Placement) -> Result<Handle, SpawnError> {
        match placement {
            Placement::Caller | Placement::OwnThread => Ok(Handle::current()),
            Placement::Dispatcher(name) => self
                .inner
                .dispatchers
                .get(name)
                .cloned()
                .ok_or_else(|| SpawnError::NoSuchDispatcher { name: name.clone() }),
        }
    }

    fn place(&self, placement: &Placement) -> Result<Place, SpawnError> {
        let runtime = self.runtime(placement)?;
        Ok(match placement {
            Placement::Caller | Placement::Dispatcher(_) => Place::Task(runtime),
            Placement::OwnThread => Place::Thread(runtime),
        })
    }

    /// How many handlers were given up and have not come back.
    pub fn hung(&self) -> usize {
        self.inner.watchdog.hung()
    }

    /// Spawns a task that belongs to this system on `runtime`, through the turnstile if there is one.
    ///
    /// For those who build supervisors.
    pub fn spawn_task(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        match &self.inner.turnstile {
            None => drop(runtime.spawn(task)),
            Some(turnstile) => drop(runtime.spawn(turnstile.pass(Box::pin(task)))),
        }
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

    /// Makes a tree part of this system's snapshots and of its shutdown, for as long as the attachment lives.
    ///
    /// For those who build supervisors.
    pub fn attach_root(&self, root: Weak<dyn Root>) -> RootAttachment {
        RootAttachment {
            system: self.clone(),
            key: self.attach_entry(root),
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

    fn attach_entry(&self, root: Weak<dyn Root>) -> usize {
        let number = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        self.inner.roots.insert(number, root)
    }

    fn next_id(&self) -> ActorId {
        ActorId(self.inner.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn cell<M>(
        &self,
        id: ActorId,
        path: Option<Arc<str>>,
        queue: Queue<Envelope<M>>,
        orders: u32,
    ) -> Arc<Cell<M>> {
        Arc::new(Cell {
            queue,
            core: Core::new(id, path, self.clone(), orders),
        })
    }

    /// Where timers wait.
    pub(crate) fn wheels(&self) -> &Wheels {
        &self.inner.wheels
    }

    /// Those who may have memory to give back.
    pub(crate) fn idle_list(&self) -> &Arc<IdleList> {
        &self.inner.idle
    }

    /// An address of this system has ended.
    pub(crate) fn forget(&self, core: &Core) {
        if let Some(key) = core.root_key() {
            self.inner.roots.remove(key);
        }
        if core.is_registered() {
            self.inner.registry.forget(core.id);
            self.inner.groups.forget(core.id);
        }
    }
}

/// A placement that was looked up.
enum Place {
    Task(Handle),
    Thread(Handle),
}

impl Place {
    fn runtime(&self) -> &Handle {
        match self {
            Self::Task(runtime) | Self::Thread(runtime) => runtime,
        }
    }
}

impl System {
    fn run_at(
        &self,
        place: Place,
        core: &Core,
        host: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), SpawnError> {
        match place {
            Place::Task(runtime) => self.spawn_task(&runtime, host),
            Place::Thread(runtime) => {
                std::thread::Builder::new()
                    .name(core.path().to_string())
                    .spawn(move || runtime.block_on(host))
                    .map_err(|error| SpawnError::NoThread {
                        cause: error.to_string().into(),
                    })?;
            }
        }
        Ok(())
    }
}

fn message_of<M>(envelope: &Envelope<M>) -> &M {
    &envelope.message
}

/// How a mailbox that chooses reads and marks envelopes.
fn reading<M>() -> Reading<Envelope<M>> {
    Reading {
        now: || tokio::time::Instant::now().into_std(),
        criticality_of: |envelope| envelope.criticality(),
        sentence: |envelope, reason| envelope.sentence(reason),
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System({})", self.inner.name)
    }
}

impl<M: Send + 'static> Inspect for Cell<M> {
    fn inspect(&self) -> NodeSnapshot {
        Hosted::inspect(self)
    }
}

impl<M: Send + 'static> Root for Cell<M> {
    fn find(self: Arc<Self>, path: &str) -> Option<(Box<dyn Any + Send>, &'static str)> {
        let is_it = *self.core.path() == *path;
        let reference: ActorRef<M> = ActorRef { cell: self };
        is_it.then(|| -> (Box<dyn Any + Send>, _) {
            (Box::new(reference), std::any::type_name::<M>())
        })
    }

    fn shutdown(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let (mut monitor, inbox) = crate::monitor::Monitor::new();
            self.watch(inbox);
            self.stop(false);
            let ended = async {
                while self.core.state() != AddressState::Gone && monitor.next().await.is_some() {}
            };
            tokio::pin!(ended);
            if tokio::time::timeout(ACTOR_SHUTDOWN_TIME_MAX, &mut ended)
                .await
                .is_err()
            {
                tracing::warn!(path = %self.core.path(), "did not stop in time; killed");
                self.kill();
                ended.await;
            }
        })
    }
}
