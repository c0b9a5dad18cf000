//! Taking a node out of service for a while, or for good: cordon and drain.

use std::time::Duration;

use treewarden_cluster::{Node, agent::CallError, membership::CORDON, membership::NodeId};

use super::host::PLACED;

/// This node goes on with what runs at its host, and gets nothing new: no children from others, and no messages from routers over groups. The note is for
/// people, who see it among its metadata; it counts towards the bound of the metadata.
///
/// # Errors
///
/// The note is too long, or the node has ended. Nothing has changed.
pub async fn cordon(node: &Node, note: &str) -> Result<(), CallError> {
    let mut metadata = node.agent().metadata();
    metadata.values.insert(CORDON.to_owned(), note.to_owned());
    node.agent().set_metadata(metadata).await
}

/// This node takes work again, after a [`cordon`] or a [`drain`]. What moved away does not come back by itself.
///
/// # Errors
///
/// The node has ended.
pub async fn uncordon(node: &Node) -> Result<(), CallError> {
    let mut metadata = node.agent().metadata();
    metadata.values.remove(CORDON);
    if metadata.is_draining() {
        metadata.health_percent = 100;
    }
    node.agent().set_metadata(metadata).await
}

/// Empties this node before it leaves: says that it wants no more work (health 0), and waits until keepers have placed elsewhere what runs at its host. The
/// count of what still runs here is 0 when that was possible within `limit`; otherwise it ends with the node, and is placed again
/// when the node has left. Routers over groups pass this node over from now on.
///
/// # Errors
///
/// The node has ended.
pub async fn drain(node: &Node, limit: Duration) -> Result<usize, CallError> {
    let mut metadata = node.agent().metadata();
    metadata.health_percent = 0;
    node.agent().set_metadata(metadata).await?;
    let groups = node.groups();
    let mut changes = groups.changes();
    let me: NodeId = node.id();
    let left = || {
        let placed = groups.addresses(PLACED);
        placed
            .iter()
            .filter(|found| found.address.node == me)
            .count()
    };
    let emptied = async { while left() > 0 && changes.next().await.is_some() {} };
    // Whether in time or not, what counts is what is left.
    let _ = tokio::time::timeout(limit, emptied).await;
    Ok(left())
}
