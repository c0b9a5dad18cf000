//! Children on other nodes (feature `cluster`): started there by hand, or kept running on as many nodes as wanted.
//!
//! This stands above `cluster` and `supervisor`, which know nothing of each other: orders go over links, what is started is supervised
//! where it runs, and where it runs stands in the [directory](treewarden_cluster::groups) of the cluster.
//!
//! | file | subject |
//! |---|---|
//! | `kinds` | [`Kinds`]: what a node can run |
//! | `host` | [`host()`]: the child that runs it for others |
//! | `order` | [`start()`] and [`stop`] on another node |
//! | `plan` | where things run; pure |
//! | `keeper` | [`keeper()`]: the shell around it |
//! | `upkeep` | [`cordon`] and [`drain`] |
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use treewarden::{cluster::Node, placement::{self, Item, KeeperConfig, Kinds}, prelude::*};
//! # async fn run(system: System, node: Arc<Node>, kinds: Kinds) -> Result<(), Failure> {
//! let items = vec![Item::new("sessions", "counter", &0_u64).map_err(Failure::msg)?.replicas(3)];
//! let tree = Supervisor::one_for_one("app")
//!     .child(placement::host("placed", node.clone(), kinds))
//!     .child(placement::keeper("keeper", node, KeeperConfig::new(Duration::from_secs(3)), items))
//!     .start(&system)
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it is worth
//!
//! An item whose node goes *down* is placed again; while the node is *unreachable* it is not, because it may still run there. One member decides, for as
//! long as the [singleton](treewarden_cluster::singleton) promises that; beyond it two may, and an item runs once more than wanted until one of them has
//! seen it. So replicas are for capacity and redundancy; that something never runs twice has to be seen to by epochs, or by consensus.
//! State is not moved: what an actor knew ends with it.

mod host;
mod keeper;
mod kinds;
mod order;
mod plan;
#[cfg(test)]
mod plan_tests;
mod upkeep;

pub use host::{Refusal, host};
pub use keeper::{Item, KeeperConfig, keeper};
pub use kinds::Kinds;
pub use order::{StartError, start, stop};
pub use plan::{Command, Pace, Place, Planner, Site, Standing, Wanted};
pub use upkeep::{cordon, drain, uncordon};
