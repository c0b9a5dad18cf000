//! The host: starts children of the [kinds](super::Kinds) of this node when another one asks for it, and supervises them.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use treewarden_cluster::{Node, groups::Address, remote::RemoteMessage};
use treewarden_runtime::{Actor, ActorRef, Context, Failure, Reply};
use treewarden_supervisor::{Backoff, Child, ChildKey, Supervisor, TaskContext, Tree};

use super::kinds::Kinds;

/// Under which name a host takes orders.
pub(super) const TARGET: &str = "~host";
/// The group of all hosts.
pub(super) const HOSTS: &str = "~hosts";
/// The group of everything that runs at a host.
pub(super) const PLACED: &str = "~placed";

/// What a host is asked for.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    Start {
        start: Start,
        reply: Reply<Result<Address, Refusal>>,
    },
    /// Answered with whether it was there.
    Stop { id: String, reply: Reply<bool> },
}

impl RemoteMessage for Order {
    const NAME: &'static str = "treewarden/host";
    const VERSION: u32 = 1;
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) group: String,
    pub(super) arguments: Vec<u8>,
    /// Whose order it is, and of which term of office.
    pub(super) term: Option<(String, u64)>,
}

/// Why a host did not start a child. Nothing of it is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// The node has not registered this kind.
    UnknownKind,
    /// The arguments are not those of this kind: perhaps the nodes run different versions of the program.
    BadArguments,
    /// A child with this id runs there already.
    AlreadyRunning {
        /// Where.
        address: Address,
    },
    /// As many children run there as the host allows.
    TooMany {
        /// How many are allowed.
        children_max: usize,
    },
    /// The node drains: it takes nothing new.
    Draining,
    /// The node is cordoned: it goes on with what it has, and takes nothing new.
    Cordoned,
    /// A later term of office has given orders already.
    Outdated,
    /// It failed to start, or could not be entered in the directory.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind => {
                f.write_str("the node does not know this kind: register it with Kinds::actor there")
            }
            Self::BadArguments => f.write_str("the arguments are not those of this kind"),
            Self::AlreadyRunning { address } => {
                write!(f, "a child with this id runs there already, as {address}")
            }
            Self::TooMany { children_max } => {
                write!(
                    f,
                    "the node runs the {children_max} children that it may run"
                )
            }
            Self::Draining => f.write_str("the node drains and takes nothing new"),
            Self::Cordoned => f.write_str("the node is cordoned and takes nothing new"),
            Self::Outdated => f.write_str("a later term of office has given orders there already"),
            Self::Failed { reason } => write!(f, "the child failed to start: {reason}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// A child that makes its node a host: others start children of these kinds under it. They are supervised below a tree of their own, named as this child,
/// and end with it.
///
/// A host starts one child after the other; a slow start makes the next wait.
pub fn host(name: impl Into<Arc<str>>, node: Arc<Node>, kinds: Kinds) -> Child {
    let name = name.into();
    Child::task(name.clone(), move |cx| {
        serve(cx, name.clone(), node.clone(), kinds.clone())
    })
}

async fn serve(
    cx: TaskContext,
    name: Arc<str>,
    node: Arc<Node>,
    kinds: Kinds,
) -> Result<(), Failure> {
    // A child that crashes again and again waits longer each time, and costs its neighbours nothing.
    let tree = Supervisor::dynamic(name)
        .intensity(u32::MAX, Duration::from_secs(1))
        .start(cx.system())
        .await?;
    let tree = Household(tree);
    let clerk = cx.system().spawn(Clerk {
        tree: tree.0.clone(),
        node: Arc::downgrade(&node),
        kinds,
        children: HashMap::new(),
        terms: HashMap::new(),
    });
    let clerk = Office(clerk);
    node.expose(TARGET, &clerk.0)?;
    node.groups().join(HOSTS, &clerk.0)?;
    cx.ready();
    tokio::select! {
        reason = tree.0.wait() => return Err(Failure::msg(format!("the tree of the host ended: {reason}"))),
        reason = clerk.0.closed() => return Err(Failure::msg(format!("the host ended: {reason}"))),
        () = cx.cancelled() => {}
    }
    clerk.0.stop();
    clerk.0.closed().await;
    tree.0.shutdown().await;
    Ok(())
}

/// Kills the tree if nobody is left to shut it down.
struct Household(Tree);

impl Drop for Household {
    fn drop(&mut self) {
        self.0.kill();
    }
}

struct Office(ActorRef<Order>);

impl Drop for Office {
    fn drop(&mut self) {
        self.0.kill();
    }
}

struct Clerk {
    tree: Tree,
    node: Weak<Node>,
    kinds: Kinds,
    children: HashMap<String, (ChildKey, Address)>,
    /// The latest term of each who gives orders.
    terms: HashMap<String, u64>,
}

impl Actor for Clerk {
    type Msg = Order;
    type Error = Infallible;

    async fn handle(&mut self, order: Order, _: &mut Context<Self>) -> Result<(), Infallible> {
        match order {
            Order::Start { start, reply } => reply.send(self.start(start).await),
            Order::Stop { id, reply } => reply.send(self.stop(&id).await),
        }
        Ok(())
    }
}

impl Clerk {
    async fn start(&mut self, start: Start) -> Result<Address, Refusal> {
        let Some(node) = self.node.upgrade() else {
            return Err(Refusal::Draining);
        };
        if let Some((who, epoch)) = start.term {
            let latest = self.terms.entry(who).or_default();
            if epoch < *latest {
                return Err(Refusal::Outdated);
            }
            *latest = epoch;
        }
        self.forget_ended().await;
        if let Some((_, address)) = self.children.get(&start.id) {
            return Err(Refusal::AlreadyRunning {
                address: address.clone(),
            });
        }
        let metadata = node.agent().metadata();
        if metadata.is_draining() {
            return Err(Refusal::Draining);
        }
        if metadata.is_cordoned() {
            return Err(Refusal::Cordoned);
        }
        if let Some(children_max) = self.kinds.most()
            && self.children.len() >= children_max
        {
            return Err(Refusal::TooMany { children_max });
        }
        let kind = self.kinds.get(&start.kind).ok_or(Refusal::UnknownKind)?;
        let child = (kind.make)(&start.id, &start.arguments).ok_or(Refusal::BadArguments)?;
        let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10));
        let failed = |reason: String| Refusal::Failed { reason };
        let started = self.tree.start_child(child.backoff(backoff)).await;
        let handle = started.map_err(|error| failed(error.to_string()))?;
        match (kind.enter)(&node.groups(), &handle, &[&start.group, PLACED]) {
            Ok(address) => {
                let child = (handle.key(), address.clone());
                self.children.insert(start.id, child);
                Ok(address)
            }
            Err(reason) => {
                // Nobody could find it.
                let stopped = self.tree.terminate_child(handle.key()).await;
                tracing::debug!(?stopped, "a child that could not be entered was stopped");
                Err(failed(reason))
            }
        }
    }

    async fn stop(&mut self, id: &str) -> bool {
        let Some((key, _)) = self.children.remove(id) else {
            return false;
        };
        // An error says that it has ended by itself.
        self.tree.terminate_child(key).await.is_ok()
    }

    /// Children can end by themselves, as their restart policy says.
    async fn forget_ended(&mut self) {
        if let Ok(children) = self.tree.which_children().await {
            let is_there = |key: ChildKey| children.iter().any(|child| child.key == key);
            self.children.retain(|_, (key, _)| is_there(*key));
        }
    }
}
