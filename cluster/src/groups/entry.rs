//! What stands in the directory: addresses of actors, and under what they are found. Bounds and errors.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::membership::{Metadata, NodeId};
use crate::remote::ExposeError;

/// Most entries, names and places in groups together, that one node may own.
pub const ENTRIES_MAX: usize = 4096;

/// Longest name of a group, and longest cluster-wide name, in bytes.
pub const TOPIC_BYTES_MAX: usize = 200;

/// Where an actor is: which boot of which node exposes it, and as what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// Which process of which node.
    pub node: NodeId,
    /// The name under which it is [exposed](crate::Node::expose) there.
    pub target: String,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.target, self.node)
    }
}

/// An address as it is found, with what is believed of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub address: Address,
    /// Whether its node can be reached at this moment. One that is unreachable may be back; one that is down is not found.
    pub is_reachable: bool,
    /// Whether its node wants to be emptied.
    pub is_draining: bool,
    /// Whether its node is to get nothing new.
    pub is_cordoned: bool,
    /// The failure domain of its node; empty when unknown.
    pub zone: String,
}

impl Found {
    /// Whether it can be given work: its node can be reached, and neither drains nor is cordoned.
    #[must_use]
    pub fn takes_work(&self) -> bool {
        self.is_reachable && !self.is_draining && !self.is_cordoned
    }
}

/// What is believed of a node, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) is_reachable: bool,
    pub(crate) is_draining: bool,
    pub(crate) is_cordoned: bool,
    pub(crate) zone: String,
}

impl Standing {
    pub(crate) fn new(is_reachable: bool, metadata: &Metadata) -> Self {
        Self {
            is_reachable,
            is_draining: metadata.is_draining(),
            is_cordoned: metadata.is_cordoned(),
            zone: metadata.zone.clone(),
        }
    }
}

/// What an entry is, unique among the entries of its node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Key {
    /// A place in a group.
    Group { group: String, target: String },
    /// A name that belongs to one actor of the cluster.
    Name { name: String },
}

/// What is said under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The version of the shelf with which it came.
    pub(crate) sequence: u64,
    /// For names: who has it.
    pub(crate) target: String,
    /// For names: when it was claimed, in milliseconds of the claiming node's wall clock. The oldest claim holds.
    pub(crate) claimed_ms: u64,
}

/// Why an entry was not made. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupError {
    /// The name of the group, or the cluster-wide name, is empty or longer than [`TOPIC_BYTES_MAX`].
    NameLength {
        /// Its length.
        bytes: usize,
    },
    /// This node owns [`ENTRIES_MAX`] entries already. Leave some first.
    TooManyEntries,
    /// An actor, here or on another node, has the name, as far as is known here.
    NameTaken {
        /// Which name.
        name: String,
        /// Who has it.
        holder: Address,
    },
    /// The actor could not be made reachable for others.
    Expose(ExposeError),
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameLength { bytes } => write!(
                f,
                "names of groups and actors in the cluster have 1 to {TOPIC_BYTES_MAX} bytes, this one has {bytes}; nothing was entered"
            ),
            Self::TooManyEntries => write!(
                f,
                "this node has {ENTRIES_MAX} entries in the directory of the cluster, which is the most; nothing was entered"
            ),
            Self::NameTaken { name, holder } => write!(
                f,
                "the name {name} belongs to {holder}; nothing was entered"
            ),
            Self::Expose(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for GroupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Expose(error) => Some(error),
            Self::NameLength { .. } | Self::TooManyEntries | Self::NameTaken { .. } => None,
        }
    }
}

/// Refuses names of a bad length.
pub(crate) fn check_topic(topic: &str) -> Result<(), GroupError> {
    match topic.len() {
        1..=TOPIC_BYTES_MAX => Ok(()),
        bytes => Err(GroupError::NameLength { bytes }),
    }
}
