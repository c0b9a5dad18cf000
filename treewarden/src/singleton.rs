//! A cluster singleton as a child (feature `cluster`): the tree of a singleton runs on one member, and is supervised there like everything else.

use std::sync::Arc;

use treewarden_cluster::{
    Node,
    singleton::{Duty, SingletonConfig, Term, Verdict},
};
use treewarden_runtime::{ExitReason, Failure};
use treewarden_supervisor::{Child, ShutdownReport, Supervisor, TaskContext, Tree};

/// A child that every node has, and that runs the tree of a singleton while this node is to do its work. See
/// [`cluster::singleton`](treewarden_cluster::singleton) for when that is, and what it is worth.
///
/// `make` makes the tree for a term of office; its root stands beside the tree that this child is in. When that tree ends by itself, this child
/// fails with its reason, and begins again as its supervisor says: still on this node, because the node is still the oldest. When the work is to move, the
/// tree is shut down in order before anybody is told that it has stopped.
///
/// ```no_run
/// # use std::{sync::Arc, time::Duration};
/// # use treewarden::{cluster::{Node, singleton::SingletonConfig}, prelude::*, singleton};
/// # async fn run(system: System, node: Arc<Node>) -> Result<(), Failure> {
/// let scheduler = singleton::child("scheduler", node, SingletonConfig::new(Duration::from_secs(3)), |term| {
///     println!("in office for epoch {}", term.epoch);
///     Supervisor::one_for_one("scheduler").child(Child::future("tick", || async { /* ... */ }))
/// });
/// let tree = Supervisor::one_for_one("app").child(scheduler).start(&system).await?;
/// # Ok(())
/// # }
/// ```
pub fn child(
    name: impl Into<Arc<str>>,
    node: Arc<Node>,
    config: SingletonConfig,
    make: impl Fn(Term) -> Supervisor + Send + Sync + 'static,
) -> Child {
    let name = name.into();
    let make = Arc::new(make);
    Child::task(name.clone(), move |cx| {
        let duty = node.singleton(&name, config.clone());
        serve(cx, duty, make.clone())
    })
}

/// Kills the tree if nobody is left to shut it down.
struct Office(Option<Tree>);

impl Office {
    async fn close(&mut self) -> Option<ShutdownReport> {
        let report = match &self.0 {
            Some(tree) => Some(tree.shutdown().await),
            None => None,
        };
        self.0 = None;
        report
    }

    /// Resolves when the tree has ended by itself.
    async fn ended(&self) -> ExitReason {
        match &self.0 {
            Some(tree) => tree.wait().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(tree) = &self.0 {
            tree.kill();
        }
    }
}

async fn serve(
    cx: TaskContext,
    mut duty: Duty,
    make: Arc<impl Fn(Term) -> Supervisor>,
) -> Result<(), Failure> {
    cx.ready();
    let system = cx.system().clone();
    let mut office = Office(None);
    loop {
        tokio::select! {
            verdict = duty.next() => match verdict {
                Some(Verdict::Begin(term)) => {
                    tracing::info!(singleton = duty.name(), epoch = term.epoch, "this node does its work now");
                    office.0 = Some(make(term).start(&system).await?);
                }
                Some(Verdict::Stop) => {
                    let report = office.close().await;
                    tracing::info!(singleton = duty.name(), ?report, "this node does its work no longer");
                    duty.stopped();
                }
                // The node has ended, and with it everything that it was to decide.
                None => break,
            },
            reason = office.ended() => {
                office.0 = None;
                return Err(Failure::msg(format!("the tree of the singleton ended: {reason}")));
            }
            () = cx.cancelled() => break,
        }
    }
    office.close().await;
    duty.stopped();
    Ok(())
}
