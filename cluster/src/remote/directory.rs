//! The seam to membership: where a node is, and whether it still is.

use std::net::SocketAddr;

use crate::membership::NodeId;

/// Where one boot of one node is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// It takes links at this address.
    At(SocketAddr),
    /// Nothing is known of it, or not where it takes links. It may become known.
    Unknown,
    /// It is down, or another boot has taken its name. It will never be back.
    Down,
}

/// Knows where nodes are. Links ask it before each attempt to connect, and when they are called.
///
/// What it learns between is told by its owner: see [`Links::node_down`](super::Links::node_down),
/// [`node_unreachable`](super::Links::node_unreachable) and [`node_reachable`](super::Links::node_reachable).
pub trait Directory: Send + Sync + 'static {
    /// Where `node` is. Called with no lock held; must not block.
    fn locate(&self, node: &NodeId) -> Location;
}

impl<F> Directory for F
where
    F: Fn(&NodeId) -> Location + Send + Sync + 'static,
{
    fn locate(&self, node: &NodeId) -> Location {
        self(node)
    }
}
