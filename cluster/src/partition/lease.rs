//! The seam to a third party that grants a lease: a database row, a Kubernetes Lease, a consensus group.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use crate::membership::NodeId;

/// What came of asking for the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// This side has it.
    Granted,
    /// Another side has it, or the third party could not be asked.
    Refused,
}

/// An answer that is still to come.
pub type LeaseFuture<'l> = Pin<Box<dyn Future<Output = LeaseAnswer> + Send + 'l>>;

/// A lease that at most one side of a partition gets.
///
/// What it is worth is up to the implementation: it must grant the lease to one owner at a time, and long enough for the other side to have
/// given up. All members of a side ask for it, under the name of the cluster, so **members of the same side must all be granted it**: the
/// owner to present is the side's oldest member, which is the same for all who have the same view.
pub trait Lease: Debug + Send + Sync {
    /// Asks for the lease in the name of `owner`, the oldest reachable member of the asking side. Dropped when it takes longer than the
    /// agent's `lease_timeout`, which counts as refused.
    fn acquire(&self, owner: &NodeId) -> LeaseFuture<'_>;
}
