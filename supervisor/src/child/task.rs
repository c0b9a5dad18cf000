//! Tasks and plain futures as children.
//!
//! Each incarnation is a tokio task that polls the future and, before each poll, looks whether it has been killed.
//! Panics of the future, of its factory and of its drop are caught and become exit reasons. A future that blocks its
//! thread cannot be killed before it returns to an await point.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use tokio::sync::{Notify, watch};
use treewarden_runtime::host::{Life, Observer};
use treewarden_runtime::{ExitReason, Failure, Panic, System};

use super::order::{Order, Orders};
use super::{ChildKind, ChildPlace};
use crate::sync::MutexExt;

type FallibleFuture<T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>;
pub(super) type TaskFuture = FallibleFuture<()>;
type TaskFactory = dyn FnMut(TaskContext) -> TaskFuture + Send;

/// How a future takes part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// It says when it is ready, and is told when to stop.
    Task,
    /// It knows nothing of the supervisor.
    Future,
}

/// What a task knows of its supervisor. Clones belong to the same incarnation.
///
/// When the last clone is dropped the task counts as ready: nobody is left who could say so.
#[derive(Clone)]
pub struct TaskContext {
    orders: watch::Receiver<Order>,
    readiness: Arc<ContextReadiness>,
    place: ChildPlace,
    last_exit: Option<ExitReason>,
}

impl TaskContext {
    /// Says that the task is up: later siblings may start. Only the first call counts.
    pub fn ready(&self) {
        self.readiness.0.announce();
    }

    /// Resolves when the task is to stop. It then has the time of its [`Shutdown`](crate::Shutdown) to return. Cancel
    /// safe; may be awaited any number of times.
    pub async fn cancelled(&self) {
        let mut orders = self.orders.clone();
        // An error means that nobody can give orders any more, which is an order to stop.
        let _ = orders.wait_for(|order| *order != Order::Run).await;
    }

    /// What is needed to hear of the order to stop, without a share in the readiness.
    #[cfg(feature = "cancellation")]
    pub(crate) fn orders_only(&self) -> TaskOrders {
        TaskOrders(self.orders.clone())
    }

    /// Whether the task is to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.orders.borrow() != Order::Run
    }

    /// The system.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.place.system
    }

    /// The path of the task, for example `/app/http`.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.place.path
    }

    /// Which incarnation this is; the first is 1.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.readiness.0.incarnation
    }

    /// How the incarnation before this one ended.
    #[must_use]
    pub fn last_exit(&self) -> Option<&ExitReason> {
        self.last_exit.as_ref()
    }
}

/// See [`TaskContext::orders_only`].
#[cfg(feature = "cancellation")]
pub(crate) struct TaskOrders(watch::Receiver<Order>);

#[cfg(feature = "cancellation")]
impl TaskOrders {
    pub(crate) async fn cancelled(mut self) {
        // An error means that nobody can give orders any more, which is an order to stop.
        let _ = self.0.wait_for(|order| *order != Order::Run).await;
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TaskContext({}, incarnation {})",
            self.place.path,
            self.incarnation()
        )
    }
}

/// Makes sure that `Started` is reported once, and never after the end.
struct Readiness {
    observer: Arc<dyn Observer>,
    incarnation: u64,
    is_settled: AtomicBool,
    /// Notified when no context is left that could announce it.
    contexts_gone: Notify,
}

/// The share of the contexts. It does not announce by itself: a future that fails drops its context as well.
struct ContextReadiness(Arc<Readiness>);

impl Drop for ContextReadiness {
    fn drop(&mut self) {
        self.0.contexts_gone.notify_one();
    }
}

impl Readiness {
    fn announce(&self) {
        if self.settle() {
            self.observer.on_life(Life::Started {
                incarnation: self.incarnation,
            });
        }
    }

    /// True for the first caller.
    fn settle(&self) -> bool {
        !self.is_settled.swap(true, Ordering::AcqRel)
    }
}

pub(super) struct TaskKind {
    place: ChildPlace,
    factory: Arc<Mutex<TaskFactory>>,
    style: Style,
    orders: Orders,
    last_exit: Arc<Mutex<Option<ExitReason>>>,
}

impl TaskKind {
    pub(super) fn new(place: ChildPlace, factory: Arc<Mutex<TaskFactory>>, style: Style) -> Self {
        TaskKind {
            place,
            factory,
            style,
            orders: Orders::default(),
            last_exit: Arc::default(),
        }
    }
}

impl ChildKind for TaskKind {
    fn kind(&self) -> Cow<'static, str> {
        match self.style {
            Style::Task => "task".into(),
            Style::Future => "future".into(),
        }
    }

    fn start(&mut self, incarnation: u64) {
        let runtime = match self.place.system.runtime(&self.place.options.placement) {
            Ok(runtime) => runtime,
            Err(error) => {
                let reason = ExitReason::Failed(error.into());
                return self.place.observer.on_life(Life::StartFailed {
                    incarnation,
                    reason,
                });
            }
        };
        let orders = self.orders.renew();
        let readiness = Arc::new(Readiness {
            observer: self.place.observer.clone(),
            incarnation,
            is_settled: AtomicBool::new(false),
            contexts_gone: Notify::new(),
        });
        let context = TaskContext {
            orders: orders.clone(),
            readiness: Arc::new(ContextReadiness(readiness.clone())),
            place: self.place.clone(),
            last_exit: self.last_exit.locked().clone(),
        };
        let mut ending = Ending {
            readiness: Some(readiness.clone()),
            last_exit: self.last_exit.clone(),
            style: self.style,
        };
        let (factory, style) = (self.factory.clone(), self.style);
        self.place.system.spawn_task(&runtime, async move {
            let reason = run(&factory, context, orders, style, &readiness).await;
            ending.report(reason);
        });
    }

    fn stop(&mut self) {
        self.orders.give(Order::Stop);
    }

    fn kill(&mut self) {
        self.orders.give(Order::Kill);
    }
}

/// Reports the end of an incarnation, also when its runtime is dropped under it.
struct Ending {
    readiness: Option<Arc<Readiness>>,
    last_exit: Arc<Mutex<Option<ExitReason>>>,
    style: Style,
}

impl Ending {
    fn report(&mut self, reason: ExitReason) {
        let Some(readiness) = self.readiness.take() else {
            return;
        };
        *self.last_exit.locked() = Some(reason.clone());
        let incarnation = readiness.incarnation;
        // Who ends without a failure has been up, whether or not it said so.
        if self.style == Style::Future || reason.is_orderly() {
            readiness.announce();
        }
        readiness.observer.on_life(match readiness.settle() {
            true => Life::StartFailed {
                incarnation,
                reason,
            },
            false => Life::Exited {
                incarnation,
                reason,
                suspect: None,
            },
        });
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.report(ExitReason::Killed);
    }
}

/// Runs one incarnation to its end, whatever that is.
async fn run(
    factory: &Mutex<TaskFactory>,
    context: TaskContext,
    mut orders: watch::Receiver<Order>,
    style: Style,
    readiness: &Readiness,
) -> ExitReason {
    // The lock is released before the future is polled, so incarnations of one blueprint do not wait for each other.
    let made = catch_unwind(AssertUnwindSafe(|| (factory.locked())(context)));
    let mut future = match made {
        Ok(future) => Some(future),
        Err(payload) => return ExitReason::Panicked(Panic::from_payload(payload)),
    };
    if style == Style::Future {
        readiness.announce();
    }
    let dropped_at = match style {
        Style::Task => Order::Kill,
        Style::Future => Order::Stop,
    };
    let mut contexts_live = true;
    let result = loop {
        tokio::select! {
            biased;
            _ = orders.wait_for(|order| *order >= dropped_at) => break None,
            result = poll_caught(&mut future) => break Some(result),
            // Only after a poll that did not end the future: one that fails has never been ready.
            () = readiness.contexts_gone.notified(), if contexts_live => {
                contexts_live = false;
                readiness.announce();
            }
        }
    };
    // The incarnation has ended when everything it held has been dropped.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(future.take())));
    let order = *orders.borrow();
    match (result, dropped) {
        (Some(Err(reason)), _) => reason,
        (_, Err(payload)) => ExitReason::Panicked(Panic::from_payload(payload)),
        (Some(Ok(())), _) if order == Order::Run => ExitReason::Normal,
        (Some(Ok(())), _) => ExitReason::Shutdown,
        (None, _) if order == Order::Kill => ExitReason::Killed,
        (None, _) => ExitReason::Shutdown,
    }
}

/// Resolves with the result of the future, or with its panic.
pub(super) async fn poll_caught<T>(
    future: &mut Option<FallibleFuture<T>>,
) -> Result<T, ExitReason> {
    poll_fn(|cx| {
        let Some(future) = future.as_mut() else {
            return Poll::Pending;
        };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(result)) => Poll::Ready(result.map_err(ExitReason::Failed)),
            Err(payload) => Poll::Ready(Err(ExitReason::Panicked(Panic::from_payload(payload)))),
        }
    })
    .await
}
