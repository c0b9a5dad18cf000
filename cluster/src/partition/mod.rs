//! What to do about members that stay unreachable: pure policies, asked by the membership machine.
//!
//! A policy sees one member's view of the cluster and gives a verdict. It has no memory, clock or network, so the same view gives the same
//! verdict everywhere; that is all that its safety rests on. Views can differ for as long as news travel, so these policies are best
//! effort: mutual exclusion is the work of consensus.

mod down_after;
mod keep_majority;

use std::fmt::Debug;
use std::time::Duration;

pub use down_after::DownAfter;
pub use keep_majority::KeepMajority;

use crate::membership::NodeId;

/// A member that is unreachable, as a policy sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Which process.
    pub id: NodeId,
    /// For how long, in time that the deciding process ran.
    pub for_duration: Duration,
}

/// One member's view of the cluster, without those that are down.
#[derive(Clone, Debug)]
pub struct View {
    /// The deciding member itself, and those that it has heard from since the last change.
    pub reachable: Vec<NodeId>,
    /// Those that nobody accuses, but that it has not heard from since the last change: perhaps they are lost as well and merely not
    /// found out yet.
    pub silent: Vec<NodeId>,
    /// The others. Never empty when a policy is asked.
    pub unreachable: Vec<Unreachable>,
    /// For how long no member has become unreachable or come back.
    pub stable_for: Duration,
}

/// What a policy wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing before so much more time has passed or the view has changed.
    WaitFor(Duration),
    /// Ask the silent members for a sign of life, and then this policy again.
    Ask,
    /// Declare every unreachable member down.
    DownUnreachable,
    /// Declare this member itself down: it is on the side that has to yield.
    DownMyself,
}

/// Decides about unreachable members.
pub trait PartitionPolicy: Debug + Send {
    /// The verdict on a view. Asked again after a wait and after each change.
    fn decide(&self, view: &View) -> Verdict;
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::membership::{BootUid, NodeName};

    pub(crate) fn node(name: &str, boot: u64) -> NodeId {
        NodeId {
            name: NodeName::new(name).unwrap(),
            boot: BootUid(boot),
        }
    }

    /// A view of boots (named after them); the unreachable ones are so for as long as the view is stable.
    pub(crate) fn view(
        reachable: &[u64],
        silent: &[u64],
        unreachable: &[u64],
        stable_s: u64,
    ) -> View {
        let id = |boot: &u64| node(&format!("n{boot}"), *boot);
        let stable_for = Duration::from_secs(stable_s);
        View {
            reachable: reachable.iter().map(id).collect(),
            silent: silent.iter().map(id).collect(),
            unreachable: unreachable
                .iter()
                .map(|boot| Unreachable {
                    id: id(boot),
                    for_duration: stable_for,
                })
                .collect(),
            stable_for,
        }
    }
}
