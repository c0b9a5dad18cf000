//! Names and groups of the cluster: who is there for what, on whichever node.
//!
//! | file | subject |
//! |---|---|
//! | `entry`, `change` | what is entered, within which bounds; what is told of it |
//! | `shelf` | the entries of one node, in versions; pure |
//! | `replica` | one node's copy of everything; pure |
//! | `gossip`, `task` | what copies tell each other, and the shell that carries it |
//! | `trial` | what the fuzz target `groups` does (feature `fuzzing`) |
//! | `handle`, `reference`, `router/`, `route_error` | what applications use |
//!
//! # Rules
//!
//! * Each node owns its entries, in versions that it alone raises; the others hold copies. So copies are compared, and never merged.
//! * A change is told at once to every member that can be reached. Whatever is lost on the way is made good by comparison: about each second a
//!   node sends the versions that it has to another one, drawn by lot, and each gives the other what that lacks, of third nodes as well; so it does when a member
//!   is new or can be reached again. (Demers et al., "Epidemic algorithms for replicated database maintenance", 1987.)
//! * What is entered is found, on every node that stays in contact with the others, after that; until then nodes may see different things.
//! * Entries of a node that is *unreachable* stay, and are marked; those of one that is *down* go. In a partition each side goes on with what it knows,
//!   and what it enters. The side that goes down comes back under new boots, and enters what it has anew.
//! * A name has one holder. Of two claims the older holds, when they meet.
//!
//! This is eventually consistent, as Erlang's `pg` and Pekko's receptionist are. It is nothing to base mutual exclusion on.

mod change;
mod entry;
mod gossip;
mod handle;
mod reference;
mod replica;
mod route_error;
mod router;
mod shelf;
mod task;
#[cfg(test)]
mod tests;
#[cfg(feature = "fuzzing")]
pub(crate) mod trial;

pub use change::Change;
pub use entry::{Address, ENTRIES_MAX, Found, GroupError, TOPIC_BYTES_MAX};
pub(crate) use handle::Hall;
pub use handle::{Changes, ClusterGroups};
pub use reference::{ClusterRef, ClusterTellError};

pub(crate) use replica::Replica;
pub use route_error::{GroupAskError, GroupRouteError};
pub use router::{
    GroupGather, GroupGathered, GroupRouter, GroupRouterBuilder, GroupTooFew, MemberLoad,
};
pub(crate) use task::{Clerk, Look, SYNC_INTERVAL, TARGET, run};
