//! Children: how they are specified, and the kinds there are.
//!
//! A [`Child`] is a specification and a blueprint. The kinds are in files of their own, each behind [`ChildKind`]:
//! `actor.rs`, `task.rs`, `blocking.rs`, `join.rs`, `supervisor.rs`, `process/`, `ractor.rs`.

mod actor;
mod blocking;
mod incarnation;
mod join;
mod kind;
mod order;
#[cfg(all(unix, feature = "process"))]
mod process;
#[cfg(feature = "ractor")]
mod ractor;
mod supervisor;
mod task;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use treewarden_runtime::{Actor, Failure, HandlerBudget, Init, Mailbox, Placement};

pub use self::blocking::BlockingContext;
pub(crate) use self::kind::ChildOptions;
pub use self::kind::{ChildKind, ChildPlace, Found};
#[cfg(all(unix, feature = "process"))]
pub use self::process::{Output, Process, ProcessFailed};
pub use self::task::TaskContext;
use crate::machine::{Backoff, ChildSpec, QueueFate, Restart, Shutdown};
use crate::supervisor::Supervisor;
use crate::sync::MutexExt;

type Blueprint = Arc<dyn Fn(ChildPlace) -> Result<Box<dyn ChildKind>, Failure> + Send + Sync>;

/// A child to be: what it is, and how it is supervised.
///
/// The defaults are OTP's: permanent, five seconds to stop (supervisors: as long as it takes), restarted without delay.
/// Its messages survive its own restart, and become dead letters when it is restarted because a sibling failed.
///
/// ```
/// use std::time::Duration;
/// use treewarden_supervisor::{Backoff, Child, Restart, Shutdown};
///
/// let child = Child::future("poll", || async { /* ... */ })
///     .restart(Restart::Transient)
///     .shutdown(Shutdown::Timeout(Duration::from_secs(1)))
///     .backoff(Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)));
/// ```
#[derive(Clone)]
#[must_use = "a child does nothing until a supervisor starts it"]
pub struct Child {
    pub(crate) spec: ChildSpec,
    pub(crate) options: ChildOptions,
    pub(crate) blueprint: Blueprint,
}

impl Child {
    /// An actor. The factory makes the instance of each incarnation; its start includes [`Actor::started`].
    #[track_caller]
    pub fn actor<A, F, Fut>(id: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        A: Actor,
        F: FnMut(Init<A::Msg>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<A, A::Error>> + Send + 'static,
    {
        Self::actor_or_ignore(id, move |init| {
            let instance = factory(init);
            async move { instance.await.map(Some) }
        })
    }

    /// An actor whose factory may decline with `None` (OTP: `ignore`). The child then stays without an instance, and is
    /// no failure.
    #[track_caller]
    pub fn actor_or_ignore<A, F, Fut>(id: impl Into<Arc<str>>, factory: F) -> Self
    where
        A: Actor,
        F: FnMut(Init<A::Msg>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<A>, A::Error>> + Send + 'static,
    {
        // A restarted subtree uses the same address again, but the blueprint may also be used twice: it is shared.
        let factory = Arc::new(Mutex::new(factory));
        Self::custom(id, move |place| {
            let factory = factory.clone();
            actor::ActorKind::host::<A, _, _>(place, move |init| (factory.locked())(init))
        })
    }

    /// A task: a future that is made anew for each incarnation, and told when to stop.
    ///
    /// It counts as started when it calls [`TaskContext::ready`], when it drops its context, or when it returns `Ok`;
    /// until then later siblings wait. When it is asked to stop ([`TaskContext::cancelled`]) and returns `Ok`, its exit
    /// reason is `Shutdown`; if it returns `Ok` by itself, `Normal`.
    pub fn task<F, Fut, E>(id: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut(TaskContext) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Failure>,
    {
        let factory = Arc::new(Mutex::new(move |context| -> task::TaskFuture {
            let future = factory(context);
            Box::pin(async move { future.await.map_err(Into::into) })
        }));
        Self::custom(id, move |place| {
            Ok(Box::new(task::TaskKind::new(
                place,
                factory.clone(),
                task::Style::Task,
            )))
        })
    }

    /// A plain future, made anew for each incarnation. It counts as started at once, and is stopped by being dropped at
    /// an await point, with the exit reason `Shutdown`.
    pub fn future<F, Fut>(id: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let factory = Arc::new(Mutex::new(move |_context| -> task::TaskFuture {
            let future = factory();
            Box::pin(async move {
                future.await;
                Ok(())
            })
        }));
        Self::custom(id, move |place| {
            Ok(Box::new(task::TaskKind::new(
                place,
                factory.clone(),
                task::Style::Future,
            )))
        })
    }

    /// A function that blocks, on a thread of its own for each incarnation.
    ///
    /// It counts as started when it says that it is [ready](BlockingContext::ready), when it begins to work off a channel, or when it
    /// returns `Ok`. It has to look whether it is to stop, because nothing can interrupt it: if it returns `Ok` then, its exit reason is
    /// `Shutdown`, and `Killed` if its time was over. To feed it, give it the receiving end of a channel, which outlives its incarnations:
    ///
    /// ```
    /// use crossbeam_channel::bounded;
    /// use treewarden_runtime::Failure;
    /// use treewarden_supervisor::Child;
    ///
    /// let (jobs, waiting) = bounded::<String>(64); // senders wait, or are refused, beyond
    /// let child = Child::blocking("digest", move |cx| {
    ///     cx.each(&waiting, |job| {
    ///         println!("{} bytes", job.len());
    ///         Ok::<(), Failure>(())
    ///     })
    /// });
    /// # drop((jobs, child));
    /// ```
    #[track_caller]
    pub fn blocking<F, E>(id: impl Into<Arc<str>>, function: F) -> Self
    where
        F: Fn(&BlockingContext) -> Result<(), E> + Send + Sync + 'static,
        E: Into<Failure>,
    {
        let function =
            Arc::new(move |context: &BlockingContext| function(context).map_err(Into::into));
        Self::custom(id, move |place| {
            Ok(Box::new(blocking::BlockingKind::new(
                place,
                function.clone(),
            )))
        })
    }

    /// An actor of the ractor crate (feature `ractor`). The factory spawns it for each incarnation, linked to the cell that
    /// it is given, and returns its cell.
    ///
    /// It is stopped as ractor stops actors: after the message in its handler, or with [`drain`](Self::drain) after those
    /// that wait; a kill lands at its next await. An error or a panic of it is a failure with ractor's text. Its
    /// mailbox is unbounded and its reference goes stale with the incarnation, because ractor has them so; pass
    /// new references on from the factory.
    ///
    /// ```
    /// # use treewarden_supervisor::Child;
    /// use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
    ///
    /// struct Echo;
    ///
    /// impl Actor for Echo {
    ///     type Msg = String;
    ///     type State = ();
    ///     type Arguments = ();
    ///     async fn pre_start(&self, _: ActorRef<String>, _: ()) -> Result<(), ActorProcessingErr> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let child = Child::ractor("echo", |parent| async move {
    ///     let (echo, _) = Echo::spawn_linked(None, Echo, (), parent).await?;
    ///     Ok::<_, SpawnErr>(echo.get_cell())
    /// });
    /// ```
    #[cfg(feature = "ractor")]
    pub fn ractor<F, Fut, E>(id: impl Into<Arc<str>>, mut factory: F) -> Self
    where
        F: FnMut(::ractor::ActorCell) -> Fut + Send + 'static,
        Fut: Future<Output = Result<::ractor::ActorCell, E>> + Send + 'static,
        E: Into<Failure>,
    {
        let factory = Arc::new(Mutex::new(move |parent| -> ractor::RactorFuture {
            let future = factory(parent);
            Box::pin(async move { future.await.map_err(Into::into) })
        }));
        Self::custom(id, move |place| {
            Ok(Box::new(ractor::RactorKind::new(place, factory.clone())))
        })
    }

    /// A task that is spawned elsewhere, for code that hands out `JoinHandle`s: the function spawns it for each incarnation. It counts as
    /// started at once. An order to stop aborts it, which lands at its next await; it has ended when its handle says so. If somebody else
    /// aborts it, it was killed.
    ///
    /// ```
    /// use treewarden_supervisor::Child;
    ///
    /// let child = Child::join_handle("poller", || tokio::spawn(async { /* ... */ Ok::<(), std::io::Error>(()) }));
    /// ```
    pub fn join_handle<F, E>(id: impl Into<Arc<str>>, spawn: F) -> Self
    where
        F: FnMut() -> tokio::task::JoinHandle<Result<(), E>> + Send + 'static,
        E: Into<Failure> + Send + 'static,
    {
        let spawner = Arc::new(Mutex::new(spawn));
        Self::custom(id, move |place| {
            Ok(Box::new(join::JoinKind::new(place, spawner.clone())))
        })
    }

    /// An OS process (feature `process`, on Unix).
    ///
    /// Exit code 0 is `Normal`, and `Shutdown` when it was asked to stop; another code or a signal is a failure with
    /// [`ProcessFailed`]. It is asked to stop with `SIGTERM` and killed with `SIGKILL`, its whole process group with it. None is left when
    /// this process ends, however it ends: see [`Process::reaper`].
    #[cfg(all(unix, feature = "process"))]
    pub fn process(id: impl Into<Arc<str>>, process: Process) -> Self {
        Self::custom(id, move |place| {
            Ok(Box::new(process::ProcessKind::new(place, process.clone())))
        })
    }

    /// A child of a kind of your own. The blueprint is called when the child is added to a supervisor, and starts
    /// nothing; a failure of it refuses the child.
    #[track_caller]
    pub fn custom<F>(id: impl Into<Arc<str>>, blueprint: F) -> Self
    where
        F: Fn(ChildPlace) -> Result<Box<dyn ChildKind>, Failure> + Send + Sync + 'static,
    {
        Child {
            spec: ChildSpec::worker(id),
            options: ChildOptions {
                specified_at: Some(Location::caller()),
                ..ChildOptions::default()
            },
            blueprint: Arc::new(blueprint),
        }
    }

    pub(crate) fn supervisor(supervisor: Supervisor) -> Self {
        let spec = ChildSpec::supervisor(supervisor.id.clone());
        let blueprint =
            Arc::new(move |place| supervisor::SupervisorKind::build(&supervisor, place));
        Child {
            spec,
            options: ChildOptions::default(),
            blueprint,
        }
    }

    /// When it is restarted. Default: always.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.spec.restart = restart;
        self
    }

    /// How it is stopped. Default: asked, and killed after five seconds; supervisors are given all the time they need.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.spec.shutdown = shutdown;
        self
    }

    /// How long to wait before it is restarted. Default: not at all.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.spec.backoff = Some(Arc::new(backoff));
        self
    }

    /// Whether the end of this child can end the supervisor; see [`AutoShutdown`](crate::AutoShutdown). Default: no.
    pub fn significant(mut self, significant: bool) -> Self {
        self.spec.significant = significant;
        self
    }

    /// How long a start may take before the child is killed, and its start has failed. Default: for ever, as in OTP.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.spec.start_timeout = Some(timeout);
        self
    }

    /// What becomes of the messages that wait when the child itself failed. Default: they are kept.
    pub fn queue_on_own_restart(mut self, fate: QueueFate) -> Self {
        self.spec.queue_on_own_restart = fate;
        self
    }

    /// What becomes of the messages that wait when the child is restarted because a sibling failed. Default: they go to
    /// the dead letters.
    pub fn queue_on_group_restart(mut self, fate: QueueFate) -> Self {
        self.spec.queue_on_group_restart = fate;
        self
    }

    /// The mailbox of an actor. Other kinds have none.
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.options.mailbox = mailbox;
        self
    }

    /// Where an actor or task runs. Default: on the runtime on which the tree was started.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.options.placement = placement;
        self
    }

    /// Whether an actor that is asked to stop refuses new messages and handles those that wait before it does. The
    /// deadline of its [`shutdown`](Self::shutdown) holds all the same. Default: no.
    pub fn drain(mut self, drain: bool) -> Self {
        self.options.drain = drain;
        self
    }

    /// How long a handler of an actor may take, and what is done about one that takes longer. Other kinds have no handlers. Default: as
    /// long as it takes, unwatched.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use treewarden_runtime::{Actor, Context, Failure};
    /// # struct Mill;
    /// # impl Actor for Mill {
    /// #     type Msg = ();
    /// #     type Error = Failure;
    /// #     async fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<(), Failure> { Ok(()) }
    /// # }
    /// use treewarden_runtime::HandlerBudget;
    /// use treewarden_supervisor::Child;
    ///
    /// let child = Child::actor("mill", |_| async { Ok(Mill) })
    ///     .handler_budget(HandlerBudget::cancel(Duration::from_secs(2)));
    /// ```
    pub fn handler_budget(mut self, budget: HandlerBudget) -> Self {
        self.options.budget = Some(budget);
        self
    }

    /// Everything that the machine knows of it at once, for tests that have it from a script.
    #[cfg(feature = "unstable-machines")]
    pub fn with_spec(mut self, spec: ChildSpec) -> Self {
        self.spec = spec;
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.spec.id
    }
}

impl From<Supervisor> for Child {
    /// A supervisor as a child: permanent, with all the time it needs to stop.
    fn from(supervisor: Supervisor) -> Self {
        Child::supervisor(supervisor)
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("spec", &self.spec)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
