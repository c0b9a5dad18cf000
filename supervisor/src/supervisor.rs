//! The specification of a supervisor.

use std::sync::Arc;
use std::time::Duration;

use treewarden_runtime::System;

use crate::child::Child;
use crate::error::StartError;
use crate::machine::{AutoShutdown, Escalation, Flags, Resolution, Strategy};
use crate::tree::Tree;

/// A supervisor to be: a strategy, limits, and children in start order.
///
/// [`start`](Self::start) makes it the root of a tree; as a [`Child`] it is part of another one.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::System;
/// use treewarden_supervisor::{Child, Supervisor};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let system = System::new("demo");
/// let tree = Supervisor::one_for_one("app")
///     .intensity(5, Duration::from_secs(10))
///     .child(Child::future("heartbeat", || async { std::future::pending().await }))
///     .child(Supervisor::rest_for_one("pipeline"))
///     .start(&system)
///     .await?;
/// assert!(tree.shutdown().await.is_clean());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a supervisor does nothing until it is started"]
pub struct Supervisor {
    pub(crate) id: Arc<str>,
    pub(crate) flags: Flags,
    pub(crate) children: Vec<Child>,
}

impl Supervisor {
    fn new(id: impl Into<Arc<str>>, strategy: Strategy) -> Self {
        Supervisor {
            id: id.into(),
            flags: Flags::new(strategy),
            children: Vec::new(),
        }
    }

    /// A child that fails is restarted alone.
    pub fn one_for_one(id: impl Into<Arc<str>>) -> Self {
        Self::new(id, Strategy::OneForOne)
    }

    /// When a child fails, all are stopped in reverse start order, and started again in start order.
    pub fn one_for_all(id: impl Into<Arc<str>>) -> Self {
        Self::new(id, Strategy::OneForAll)
    }

    /// When a child fails, it and those after it are stopped in reverse start order, and started again.
    pub fn rest_for_one(id: impl Into<Arc<str>>) -> Self {
        Self::new(id, Strategy::RestForOne)
    }

    /// Any number of children that come and go: without unique ids or order, restarted alone, stopped together under
    /// the longest of their deadlines (OTP: `simple_one_for_one`; Elixir: `DynamicSupervisor`).
    pub fn dynamic(id: impl Into<Arc<str>>) -> Self {
        Self::new(id, Strategy::Dynamic)
    }

    /// Tolerates so many restarts within this time, together; one more, and the supervisor gives up. Default, as in
    /// OTP: 1 in 5 s. A child whose restarts take longer than `period / restarts` never exceeds it.
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.flags.intensity.limit = restarts;
        self.flags.intensity.period = period;
        self
    }

    /// How fine the time of restarts is measured. Default: exactly; OTP measures whole seconds.
    pub fn resolution(mut self, resolution: Resolution) -> Self {
        self.flags.intensity.resolution = resolution;
        self
    }

    /// Whether the supervisor ends with its significant children. Default: never.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.flags.auto_shutdown = auto_shutdown;
        self
    }

    /// With what reason the supervisor ends when it gives up. Default: as a failure, so that a transient supervisor is
    /// restarted by its parent. OTP's is `Shutdown`.
    pub fn escalation(mut self, escalation: Escalation) -> Self {
        self.flags.escalation = escalation;
        self
    }

    /// How many children [`Tree::start_child`] admits. Default: any number.
    pub fn max_children(mut self, most: usize) -> Self {
        self.flags.max_children = Some(most);
        self
    }

    /// Reports a child as hung that has still not ended this long after it was killed: it blocks its thread, which
    /// nothing can interrupt. Default: never.
    pub fn report_hung_after(mut self, after: Duration) -> Self {
        self.flags.hung_after = Some(after);
        self
    }

    /// Leaves children behind that are [hung](Self::report_hung_after) when the supervisor shuts down, instead of waiting
    /// for them. Default: waits. A restart always waits: two incarnations never run at once.
    pub fn abandon_hung_on_shutdown(mut self) -> Self {
        self.flags.abandon_hung = true;
        self
    }

    /// Ends the children together when the supervisor ends, under the longest of their deadlines: they are equal, and do not need
    /// each other.
    pub(crate) fn stop_together(mut self) -> Self {
        self.flags.stop_together = true;
        self
    }

    /// Adds a child, to be started after those before it.
    pub fn child(mut self, child: impl Into<Child>) -> Self {
        self.children.push(child.into());
        self
    }

    /// Adds several children.
    pub fn children<C: Into<Child>>(mut self, children: impl IntoIterator<Item = C>) -> Self {
        self.children.extend(children.into_iter().map(Into::into));
        self
    }

    /// Starts the supervisor as the root of a tree, on the tokio runtime of the caller, and resolves when all children
    /// have started. Its path is `/id`.
    ///
    /// Another tree of the system may have the same id; look-ups by path ([`System::actor`], `Snapshot::find`) then search the older one
    /// first. Choose different ids.
    ///
    /// The tree belongs to the system: it goes on when its handle is dropped, and is shut down by
    /// [`System::shutdown`]. When the returned future is dropped before it resolves, what has been started is stopped
    /// again, in order.
    ///
    /// # Errors
    ///
    /// If a specification is refused, or a child failed to start. The children that had been started have been stopped
    /// again, in reverse order; nothing is left.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn start(self, system: &System) -> Result<Tree, StartError> {
        crate::tree::start(self, system).await
    }
}
