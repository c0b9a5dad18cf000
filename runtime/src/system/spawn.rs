//! How actors come into a system: where they run, with which mailbox, under which name.

use std::{
    fmt,
    future::Future,
    sync::{Arc, atomic::Ordering},
};

use tokio::runtime::Handle;

use super::System;
use crate::{
    actor::Actor,
    cell::{
        Cell, Core, order,
        run::host,
        starter::{Factory, Once},
        watched::WatchedAddress,
    },
    context::Init,
    envelope::Envelope,
    host::{HostHandle, HostSpec, Hosted, Observer},
    id::ActorId,
    mailbox::{Mailbox, Queue, Reading, WeighsOtherMessages},
    reference::ActorRef,
    registry::NameTaken,
    watchdog::{Post, Unwatched},
};

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

    /// Spawns a task that belongs to this system on `runtime`, through the turnstile if there is one.
    ///
    /// For those who build supervisors.
    pub fn spawn_task(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        match &self.inner.turnstile {
            None => drop(runtime.spawn(task)),
            Some(turnstile) => drop(runtime.spawn(turnstile.pass(Box::pin(task)))),
        }
    }

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
