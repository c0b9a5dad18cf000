//! Shutdown in phases: stop taking work, drain, close resources; each with a deadline, one after the other.
//!
//! A tree stops in reverse start order, which is enough when everything that has to stop is in it. A service has more: a listener that has to
//! stop accepting, a load balancer that has to hear of it, a queue that has to run dry, before the tree goes. A plan says what comes before what, and
//! what is done when something takes too long: it is given up, named in the report, and the next phase begins.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::error::CallError;
use crate::report::ShutdownReport;
use crate::tree::Tree;

type Action = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The order in which a service shuts down. What is in one phase happens at the same time.
///
/// ```
/// use std::time::Duration;
/// use treewarden_runtime::System;
/// use treewarden_supervisor::{Child, ShutdownPlan, Supervisor};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let forever = || async { std::future::pending::<()>().await };
/// let tree = Supervisor::one_for_one("app")
///     .child(Child::future("database", forever))
///     .child(Child::future("http", forever))
///     .start(&System::new("demo"))
///     .await?;
///
/// let report = ShutdownPlan::new()
///     .phase("stop taking work", Duration::from_secs(1))
///     .child("http")
///     .phase("drain", Duration::from_secs(10))
///     .action("let the load balancer notice", async { tokio::time::sleep(Duration::from_secs(5)).await })
///     .run(&tree)
///     .await;
/// assert!(report.is_clean(), "{report}");
/// # Ok(())
/// # }
/// ```
#[must_use = "a plan does nothing until it is run"]
#[derive(Default)]
pub struct ShutdownPlan {
    phases: Vec<Phase>,
}

struct Phase {
    name: Arc<str>,
    deadline: Duration,
    steps: Vec<(Arc<str>, Step)>,
}

enum Step {
    Action(Action),
    Child,
}

impl ShutdownPlan {
    /// A plan with nothing in it but the shutdown of the tree, which always comes last.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the next phase; what follows belongs to it. What is not done `deadline` after its beginning is given up.
    pub fn phase(mut self, name: impl Into<Arc<str>>, deadline: Duration) -> Self {
        self.phases.push(Phase {
            name: name.into(),
            deadline,
            steps: Vec::new(),
        });
        self
    }

    /// Something to be done in the present phase, dropped at its deadline. Before the first phase: in a phase of its own without a name, and
    /// with all the time that it needs.
    pub fn action(
        self,
        name: impl Into<Arc<str>>,
        action: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.step(name.into(), Step::Action(Box::pin(action)))
    }

    /// A child of the tree, by the ids that lead to it, to be stopped in the present phase, as its specification says. The order to stop has
    /// been given when the phase is over, even if the child has not ended by then; the shutdown of the tree waits for it. One that does not
    /// run is stopped already. One that the tree does not know is [reported](PhaseReport::not_found).
    pub fn child(self, path: impl Into<Arc<str>>) -> Self {
        self.step(path.into(), Step::Child)
    }

    fn step(mut self, name: Arc<str>, step: Step) -> Self {
        if self.phases.is_empty() {
            self = self.phase("", Duration::MAX);
        }
        if let Some(phase) = self.phases.last_mut() {
            phase.steps.push((name, step));
        }
        self
    }

    /// Goes through the phases, and then shuts down the tree, which has the deadlines of its children.
    ///
    /// If the tree has ended already the phases are gone through all the same, because actions may concern other things than it.
    ///
    /// Not cancel safe: when it is dropped, what is under way is dropped and the rest is not begun.
    pub async fn run(self, tree: &Tree) -> PlanReport {
        let mut phases = Vec::new();
        for phase in self.phases {
            phases.push(phase.run(tree).await);
        }
        PlanReport {
            phases,
            tree: tree.shutdown().await,
        }
    }
}

impl Phase {
    async fn run(self, tree: &Tree) -> PhaseReport {
        let began = Instant::now();
        // As good as never, where a sum would be past the end of time.
        let year = Duration::from_secs(365 * 24 * 3600);
        let deadline = began + self.deadline.min(year);
        let mut unfinished: Vec<_> = self.steps.iter().map(|(name, _)| name.clone()).collect();
        let mut steps: FuturesUnordered<_> = self
            .steps
            .into_iter()
            .map(|(name, step)| async move {
                let found = match step {
                    Step::Action(action) => {
                        action.await;
                        true
                    }
                    Step::Child => stop_child(tree, &name).await,
                };
                (name, found)
            })
            .collect();
        let mut not_found = Vec::new();
        while let Ok(Some((name, found))) = timeout_at(deadline, steps.next()).await {
            if let Some(position) = unfinished.iter().position(|other| *other == name) {
                unfinished.remove(position);
            }
            if !found {
                not_found.push(name);
            }
        }
        let report = PhaseReport {
            name: self.name,
            took: began.elapsed(),
            unfinished,
            not_found,
        };
        if !report.unfinished.is_empty() {
            tracing::warn!(phase = %report.name, unfinished = ?report.unfinished, "a phase of the shutdown took too long, and was given up");
        }
        report
    }
}

/// Stops a child. `false`: the tree knows no such child, so that nothing was stopped that the plan wanted to be.
async fn stop_child(tree: &Tree, path: &str) -> bool {
    let (parent, id) = match path.rsplit_once('/') {
        None => (Ok(tree.clone()), path),
        Some((parent, id)) => (tree.supervisor(parent), id),
    };
    let stopped = match parent {
        Ok(parent) => parent.terminate_child(id).await,
        Err(_) => Err(CallError::NotFound),
    };
    match stopped {
        // The supervisor ends, and its children with it.
        Ok(()) | Err(CallError::ShuttingDown) => true,
        Err(error) => {
            tracing::warn!(path, %error, "a child that the shutdown plan names was not stopped");
            false
        }
    }
}

impl fmt::Debug for ShutdownPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for phase in &self.phases {
            let steps: Vec<_> = phase.steps.iter().map(|(name, _)| name).collect();
            list.entry(&(&phase.name, phase.deadline, steps));
        }
        list.finish()
    }
}

/// How a plan went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlanReport {
    /// The phases, in their order.
    pub phases: Vec<PhaseReport>,
    /// The shutdown of the tree.
    pub tree: ShutdownReport,
}

/// How a phase went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseReport {
    /// Which.
    pub name: Arc<str>,
    /// How long it took.
    pub took: Duration,
    /// What was not done at its deadline, in the order of the plan.
    pub unfinished: Vec<Arc<str>>,
    /// The children that the tree does not know: the plan or the tree has changed, or there is a typo. A temporary child that has ended is
    /// not known either.
    pub not_found: Vec<Arc<str>>,
}

impl PlanReport {
    /// Whether everything was found, and done in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_clean =
            |phase: &PhaseReport| phase.unfinished.is_empty() && phase.not_found.is_empty();
        self.tree.is_clean() && self.phases.iter().all(is_clean)
    }
}

impl fmt::Display for PlanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phase in &self.phases {
            write!(f, "{}: {:?}", phase.name, phase.took)?;
            if !phase.unfinished.is_empty() {
                write!(f, "; not done: {}", phase.unfinished.join(", "))?;
            }
            if !phase.not_found.is_empty() {
                write!(f, "; not found: {}", phase.not_found.join(", "))?;
            }
            writeln!(f)?;
        }
        self.tree.fmt(f)
    }
}
