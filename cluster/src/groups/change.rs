//! What is told of the directory.

use super::entry::Address;
use crate::membership::NodeId;

/// A change of the directory, as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// An actor is in a group.
    Joined {
        /// Which group.
        group: String,
        /// Who.
        member: Address,
    },
    /// An actor is in a group no longer: it left, is gone, or its node is down.
    Left {
        /// Which group.
        group: String,
        /// Who.
        member: Address,
    },
    /// A name has another holder.
    Name {
        /// Which name.
        name: String,
        /// Who has it now, if anybody.
        holder: Option<Address>,
    },
    /// This node had claimed a name, and an older claim turned up. The claim was withdrawn; the actor lives on without the name.
    NameLost {
        /// Which name.
        name: String,
        /// The actor that loses it, on this node.
        loser: Address,
        /// Who has it.
        holder: Address,
    },
    /// What is on that node cannot be reached for now, and stays in its groups.
    Unreachable {
        /// Which node.
        node: NodeId,
    },
    /// What is on that node can be reached again.
    Reachable {
        /// Which node.
        node: NodeId,
    },
}
