//! What to do about members that stay unreachable: pure policies, asked by the membership machine.
//!
//! A policy sees one member's view of the cluster and gives a verdict. It has no memory, clock or network, so the same view gives the same
//! verdict everywhere; that is all that its safety rests on. Views can differ for as long as news travel, so these policies are best
//! effort: mutual exclusion is the work of consensus.
//!
//! | policy | who goes on after a split |
//! |---|---|
//! | [`KeepMajority`] (default) | the side with more members; of two nodes nobody decides unless told how |
//! | [`StaticQuorum`] | a side with at least so many members, if there are no more members than such a quorum can rule |
//! | [`KeepOldest`] | the side with the oldest process |
//! | [`LeaseMajority`] | the side that gets a lease from a third party; the majority asks first |
//! | [`DownAll`] | nobody |
//! | [`DownAfter`] | every side for itself |
//!
//! The names and most of the semantics are those of Akka's and Pekko's split brain resolver. What differs is written at each policy.
//!
//! | file | subject |
//! |---|---|
//! | `view` | what a policy sees |
//! | `patience` | when a view counts as settled |
//! | `tally` | counting votes |
//! | `lease` | the seam to the third party |
//! | one file for each policy | its rule as one `match` |
//! | `tests` | the decisions as a table, side by side |

mod down_after;
mod down_all;
mod keep_majority;
mod keep_oldest;
mod lease;
mod lease_majority;
mod patience;
mod static_quorum;
mod tally;
#[cfg(test)]
mod tests;
mod view;

use std::fmt::Debug;
use std::time::Duration;

pub use down_after::DownAfter;
pub use down_all::DownAll;
pub use keep_majority::{KeepMajority, OfTwo};
pub use keep_oldest::KeepOldest;
pub use lease::{Lease, LeaseAnswer, LeaseFuture};
pub use lease_majority::LeaseMajority;
pub use patience::{Patience, Restless};
pub use static_quorum::StaticQuorum;
pub use view::{Peer, Unreachable, View};

/// What a policy wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing before so much more time has passed or the view has changed.
    WaitFor(Duration),
    /// Ask the silent members for a sign of life, and then this policy again.
    Ask,
    /// Ask for the [`Lease`], and then this policy again, with the answer in the view.
    AskLease,
    /// Declare every unreachable member down.
    DownUnreachable,
    /// Declare this member itself down: it is on the side that has to yield.
    DownMyself,
    /// Neither: the unreachable stay so until they come back, the view changes, or an operator decides.
    Undecided(Undecided),
}

/// Why a policy leaves the decision to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undecided {
    /// Two nodes, of which one lost the other, have no majority. Say how to decide with [`KeepMajority::of_two`], add a third node, or
    /// declare the lost one down by hand.
    TwoNodes,
}

/// Decides about unreachable members.
pub trait PartitionPolicy: Debug + Send {
    /// The verdict on a view. Asked again after a wait and after each change.
    fn decide(&self, view: &View) -> Verdict;

    /// Whether it may say [`Verdict::AskLease`]: then an agent does not start without a lease.
    fn needs_lease(&self) -> bool {
        false
    }
}
