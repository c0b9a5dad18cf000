//! What copies of the directory tell each other.

use serde::{Deserialize, Serialize};

use super::shelf::Delta;
use crate::{membership::NodeId, remote::RemoteMessage};

/// What copies tell each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Gossip {
    /// What the sender has of whom. It is answered with what it lacks, and, unless it is an answer itself, with a digest if
    /// it has what the receiver lacks.
    Digest {
        from: NodeId,
        versions: Vec<(NodeId, u64)>,
        is_answer: bool,
    },
    /// What has changed.
    Deltas { from: NodeId, deltas: Vec<Delta> },
}

impl RemoteMessage for Gossip {
    const NAME: &'static str = "treewarden/groups";
    const VERSION: u32 = 1;
}
