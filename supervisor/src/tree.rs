//! The handle of a running tree.

use std::fmt;
use std::sync::Arc;

use tokio::sync::broadcast;
use treewarden_runtime::{ActorRef, ExitReason, Inspect, LookupError, NodeSnapshot, System};

use crate::child::Child;
use crate::core::Message;
use crate::error::{CallError, StartError};
use crate::machine::{
    AdminError, Answer, Changed, ChildCounts, ChildInfo, ChildKey, Request, Target,
};
use crate::node::Node;
use crate::report::{ShutdownReport, TreeEvent, TreeLog};
use crate::supervisor::Supervisor;

pub(crate) async fn start(supervisor: Supervisor, system: &System) -> Result<Tree, StartError> {
    let path = format!("/{}", supervisor.id).into();
    let node = Node::build(&supervisor, path, system.clone(), TreeLog::default(), None)?;
    node.start_as_root();
    let mut unfinished = StopOnDrop(Some(node.clone()));
    let started = node.started().await;
    unfinished.0 = None;
    started.map(|()| Tree { node })
}

/// A start that nobody waits for any more.
struct StopOnDrop(Option<Arc<Node>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(node) = &self.0 {
            node.order_shutdown();
        }
    }
}

/// A supervisor that was started: the root of a tree, or one below it.
///
/// Cheap to clone. Dropping it stops nothing: the tree belongs to its system. The calls are cancel safe: one that is
/// dropped may or may not be carried out, but never in part. They wait while the supervisor starts or stops a child, as in OTP.
#[derive(Clone)]
pub struct Tree {
    pub(crate) node: Arc<Node>,
}

impl Tree {
    /// Its path, for example `/app`.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.node.path
    }

    /// The system it belongs to.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.node.system
    }

    /// The address of an actor below, by the ids that lead to it: `counter`, or `pipeline/parser`; or by its whole path, as it
    /// stands in logs and snapshots. The reference outlives restarts, also those of the supervisors above it.
    ///
    /// # Errors
    ///
    /// If there is no such child, or its messages are of another type.
    pub fn actor<M: Send + 'static>(&self, path: &str) -> Result<ActorRef<M>, LookupError> {
        let found = self
            .node
            .find_below(self.below(path))
            .ok_or_else(|| LookupError::NotFound { name: path.into() })?;
        found.into_actor(path)
    }

    /// A whole path without what leads here.
    fn below<'p>(&self, path: &'p str) -> &'p str {
        match path.strip_prefix(&*self.node.path) {
            Some("") => "",
            Some(below) => below.strip_prefix('/').unwrap_or(path),
            None => path,
        }
    }

    /// A supervisor below, by the ids that lead to it, or by its whole path.
    ///
    /// # Errors
    ///
    /// If there is no such child, or it is no supervisor.
    pub fn supervisor(&self, path: &str) -> Result<Tree, LookupError> {
        let found = self
            .node
            .find_below(self.below(path))
            .ok_or_else(|| LookupError::NotFound { name: path.into() })?;
        found.downcast().map_err(|found| LookupError::OtherType {
            name: path.into(),
            expected: "a supervisor",
            found,
        })
    }

    /// Adds a child after all others, starts it, and resolves when it has started.
    ///
    /// # Errors
    ///
    /// [`AlreadyStarted`](AdminError::AlreadyStarted), [`AlreadyPresent`](AdminError::AlreadyPresent),
    /// [`MaxChildren`](AdminError::MaxChildren), [`Invalid`](AdminError::Invalid) and
    /// [`StartFailed`](AdminError::StartFailed): nothing was added. [`Declined`](AdminError::Declined): the child was
    /// added without an instance, unless it is temporary or dynamic.
    pub async fn start_child(&self, child: impl Into<Child>) -> Result<ChildHandle, CallError> {
        let child = Box::new(child.into());
        let answer = self
            .node
            .ask(|reply| Message::StartChild { child, reply })
            .await?;
        self.handle_of(answer)
    }

    /// Stops a child as its specification says, and resolves when it has ended. It keeps its specification unless it is
    /// temporary or dynamic. No error if it does not run; if it was about to be restarted, it is not.
    ///
    /// # Errors
    ///
    /// [`NotFound`](AdminError::NotFound); [`Dynamic`](AdminError::Dynamic) if a dynamic child is named by id.
    pub async fn terminate_child(&self, child: impl Into<Target>) -> Result<(), CallError> {
        self.node
            .call(Request::TerminateChild(child.into()))
            .await
            .map(drop)
    }

    /// Starts a child that does not run, and resolves when it has started.
    ///
    /// # Errors
    ///
    /// [`Running`](AdminError::Running), [`Restarting`](AdminError::Restarting), [`NotFound`](AdminError::NotFound),
    /// [`Dynamic`](AdminError::Dynamic). [`StartFailed`](AdminError::StartFailed) and
    /// [`Declined`](AdminError::Declined): it still does not run.
    pub async fn restart_child(&self, child: impl Into<Target>) -> Result<ChildHandle, CallError> {
        let answer = self.node.call(Request::RestartChild(child.into())).await?;
        self.handle_of(answer)
    }

    /// Removes the specification of a child that does not run. Its address is gone.
    ///
    /// # Errors
    ///
    /// [`Running`](AdminError::Running), [`Restarting`](AdminError::Restarting), [`NotFound`](AdminError::NotFound),
    /// [`Dynamic`](AdminError::Dynamic).
    pub async fn delete_child(&self, child: impl Into<Target>) -> Result<(), CallError> {
        self.node
            .call(Request::DeleteChild(child.into()))
            .await
            .map(drop)
    }

    /// Gives the supervisor the settings of `supervisor`, and its children the specifications of those with the same ids, without touching
    /// what runs: they count from the next end of a child on (OTP: a code change). Children that are new are added without an instance,
    /// for [`restart_child`](Self::restart_child) to start; those that `supervisor` does not name stay as they are, behind the others. A
    /// restart of the supervisor itself begins with the children of `supervisor` alone.
    ///
    /// What changes is how a child is supervised: restart, shutdown, backoff, significance, deadlines, the fate of its queue, its place in
    /// the order. What it *is*, its factory and mailbox, stays until it is deleted and added again, because its address stays. (OTP
    /// replaces the start function as well.) The id of `supervisor` does not matter. For a dynamic supervisor only the settings count.
    ///
    /// Waits while the supervisor starts or stops a child.
    ///
    /// # Errors
    ///
    /// [`Invalid`](AdminError::Invalid), [`StartFailed`](AdminError::StartFailed) if a new child cannot be made: nothing was changed.
    pub async fn change(&self, supervisor: Supervisor) -> Result<Changed, CallError> {
        let supervisor = Box::new(supervisor);
        self.node
            .ask_for(|reply| Message::Change { supervisor, reply })
            .await
    }

    /// The children in start order. (OTP lists the latest first.)
    ///
    /// # Errors
    ///
    /// [`ShuttingDown`](AdminError::ShuttingDown).
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, CallError> {
        match self.node.call(Request::WhichChildren).await? {
            Answer::Children(children) => Ok(children),
            _ => Ok(Vec::new()),
        }
    }

    /// How many children of which sort there are.
    ///
    /// # Errors
    ///
    /// [`ShuttingDown`](AdminError::ShuttingDown).
    pub async fn count_children(&self) -> Result<ChildCounts, CallError> {
        match self.node.call(Request::CountChildren).await? {
            Answer::Counts(counts) => Ok(counts),
            _ => Ok(ChildCounts::default()),
        }
    }

    fn handle_of(&self, answer: Answer) -> Result<ChildHandle, CallError> {
        match answer {
            Answer::Started(key) => {
                // It may have ended and be gone by now; then its handle finds nothing.
                let path = self
                    .node
                    .path_of_child(key)
                    .unwrap_or_else(|| self.node.path.clone());
                Ok(ChildHandle {
                    key,
                    path,
                    node: self.node.clone(),
                })
            }
            _ => Err(AdminError::Declined),
        }
    }

    /// What happens in the whole tree from now on. A subscriber that is more than 1024 events behind misses the oldest,
    /// and is told how many.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<TreeEvent> {
        self.node.log.subscribe()
    }

    /// The tree as it is now.
    #[must_use]
    pub fn inspect(&self) -> NodeSnapshot {
        Inspect::inspect(&*self.node)
    }

    /// Stops everything in reverse start order, each child with its deadline, and resolves when all has ended. A start
    /// that is under way is interrupted. Of a supervisor below the root, its parent decides whether it is restarted: for
    /// the parent it has ended by itself, with `Shutdown`.
    ///
    /// Cancel safe: the shutdown goes on when the future is dropped.
    pub async fn shutdown(&self) -> ShutdownReport {
        self.node.shut_down().await
    }

    /// Kills all children together, without their cleanup.
    pub fn kill(&self) {
        self.node.order_kill();
    }

    /// Resolves with the exit reason when the tree has ended, for whatever reason. Cancel safe.
    pub async fn wait(&self) -> ExitReason {
        self.node.ended().await
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({})", self.node.path)
    }
}

/// A child that was started by a call.
#[derive(Clone)]
pub struct ChildHandle {
    key: ChildKey,
    path: Arc<str>,
    node: Arc<Node>,
}

impl ChildHandle {
    /// Its name for calls: `tree.terminate_child(handle.key())`.
    #[must_use]
    pub fn key(&self) -> ChildKey {
        self.key
    }

    /// Its path, for example `/app/sessions/session#17`.
    #[must_use]
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// Its address, if it is an actor. It outlives restarts.
    ///
    /// # Errors
    ///
    /// If it is gone, is no actor, or takes messages of another type.
    pub fn actor<M: Send + 'static>(&self) -> Result<ActorRef<M>, LookupError> {
        let found = self
            .node
            .find_child(self.key)
            .ok_or_else(|| LookupError::NotFound {
                name: self.path.clone(),
            })?;
        found.into_actor(&self.path)
    }
}

impl fmt::Debug for ChildHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChildHandle({})", self.path)
    }
}

impl From<&str> for Target {
    fn from(id: &str) -> Self {
        Target::Id(id.into())
    }
}

impl From<Arc<str>> for Target {
    fn from(id: Arc<str>) -> Self {
        Target::Id(id)
    }
}

impl From<ChildKey> for Target {
    fn from(key: ChildKey) -> Self {
        Target::Key(key)
    }
}

impl From<&ChildHandle> for Target {
    fn from(child: &ChildHandle) -> Self {
        Target::Key(child.key)
    }
}
