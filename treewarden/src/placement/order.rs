//! Starting and stopping children on another node.

use std::{fmt, time::Duration};

use serde::Serialize;
use treewarden_cluster::{
    Node,
    groups::Address,
    membership::NodeId,
    remote::{Lane, RemoteAskError, RemoteMessage, RemoteRef},
};

use super::{
    host::{Order, Refusal, Start, TARGET},
    kinds::encode,
};

/// Why a child was not started on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The host there refused. Nothing of it is left.
    Refused(Refusal),
    /// The arguments cannot be encoded. Nothing was sent.
    Arguments {
        /// What their `Serialize` said.
        error: String,
    },
    /// There is no answer. Unless it [is safe to retry](RemoteAskError::is_safe_to_retry), the child may have been started: to ask again with
    /// the same id starts it at most once.
    NoAnswer(RemoteAskError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Arguments { error } => write!(
                f,
                "the arguments cannot be encoded ({error}); nothing was started"
            ),
            Self::NoAnswer(error) => write!(f, "the host gave no answer: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::NoAnswer(error) => Some(error),
            Self::Arguments { .. } => None,
        }
    }
}

/// Starts a child of a registered kind under the [host](super::host()) of another node (or of this one), and gives a reference to its actor. The child
/// is supervised there, outlives the one who asked, and is a member of the [group](treewarden_cluster::groups) named as its kind.
/// `id` is unique at that host: what runs there under it already is not started again.
///
/// Hear of its ends with [`RemoteRef::monitor`]; stop it with [`stop`].
///
/// ```no_run
/// # use std::time::Duration;
/// # use serde::{Deserialize, Serialize};
/// # use treewarden::{cluster::{Node, membership::NodeId, remote::RemoteMessage}, placement, prelude::*};
/// # #[derive(Serialize, Deserialize)] enum CounterMsg { Total(Reply<u64>) }
/// # impl RemoteMessage for CounterMsg { const NAME: &'static str = "counter"; const VERSION: u32 = 1; }
/// # async fn run(node: &Node, there: &NodeId) -> Result<(), Failure> {
/// let limit = Duration::from_secs(5);
/// let counter = placement::start::<CounterMsg>(node, there, "counter", "counter-7", &100_u64, limit).await?;
/// let total = counter.ask(CounterMsg::Total).timeout(limit).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// See [`StartError`].
pub async fn start<M: RemoteMessage>(
    node: &Node,
    there: &NodeId,
    kind: &str,
    id: &str,
    arguments: &impl Serialize,
    limit: Duration,
) -> Result<RemoteRef<M>, StartError> {
    let arguments = encode(arguments).map_err(|error| StartError::Arguments { error })?;
    let start = Start {
        kind: kind.to_owned(),
        id: id.to_owned(),
        group: kind.to_owned(),
        arguments,
        term: None,
    };
    let address = order(node, there, start, limit).await?;
    Ok(node.remote(&address.node, &address.target))
}

/// Stops what was [started](start()) under this id on that node, as its child's shutdown says, and waits for its end. `false`: it does not run there.
///
/// # Errors
///
/// There is no answer within `limit`. Unless it [is safe to retry](RemoteAskError::is_safe_to_retry), it may have been stopped.
pub async fn stop(
    node: &Node,
    there: &NodeId,
    id: &str,
    limit: Duration,
) -> Result<bool, RemoteAskError> {
    let id = id.to_owned();
    let host = host_of(node, there);
    let ask = host.ask(|reply| Order::Stop { id, reply });
    ask.timeout(limit).await
}

pub(super) async fn order(
    node: &Node,
    there: &NodeId,
    start: Start,
    limit: Duration,
) -> Result<Address, StartError> {
    let host = host_of(node, there);
    let ask = host.ask(|reply| Order::Start { start, reply });
    match ask.timeout(limit).await {
        Ok(started) => started.map_err(StartError::Refused),
        Err(error) => Err(StartError::NoAnswer(error)),
    }
}

fn host_of(node: &Node, there: &NodeId) -> RemoteRef<Order> {
    node.remote(there, TARGET).on(Lane::Control)
}
