//! How a [`GroupRouter`] is made.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use treewarden_runtime::{Ejection, Routing};

use super::{GroupRouter, Inner};
use crate::{groups::handle::ClusterGroups, remote::RemoteMessage};

/// Makes a [`GroupRouter`] that is not all defaults: [`ClusterGroups::router_builder`].
#[derive(Clone, Debug)]
#[must_use = "it makes a router when it is built"]
pub struct GroupRouterBuilder {
    groups: ClusterGroups,
    group: String,
    routing: Routing,
    stays_in_zone: bool,
    ejection: Option<Ejection>,
    seed: Option<u64>,
}

impl GroupRouterBuilder {
    /// Leaves members out that fail. Default: only those that are [ejected by hand](GroupRouter::eject), because a timeout can also
    /// mean that there is too much to do.
    ///
    /// What counts as a failure is an ask through the router that ends with a timeout, a crash, a lost link, a dropped reply, or because the member
    /// takes no such messages, and what is [reported](GroupRouter::report). Overload counts as none, as for [`Ejection`]. The share is one of all
    /// members, in all zones, also of those on nodes that are unreachable. Each router judges for itself, by its own asks, and forgets who leaves the group.
    pub fn eject(mut self, ejection: Ejection) -> Self {
        self.ejection = Some(ejection);
        self
    }

    /// Heeds no zones. Default: messages without a key stay in the zone of this node while that has members that can take them.
    pub fn over_all_zones(mut self) -> Self {
        self.stays_in_zone = false;
        self
    }

    /// Lots that follow from `seed` alone, for tests. Default: they differ from router to router.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The router. It follows who is in the group.
    pub fn build<M: RemoteMessage>(self) -> GroupRouter<M> {
        let seed = self
            .seed
            .unwrap_or_else(|| RandomState::new().build_hasher().finish());
        GroupRouter {
            inner: Arc::new(Inner {
                groups: self.groups,
                group: self.group,
                routing: self.routing,
                stays_in_zone: self.stays_in_zone,
                ejection: self.ejection,
                turn: AtomicU64::new(0),
                seed,
                workers: Mutex::new((None, Arc::new([]))),
                ejecting: Mutex::default(),
            }),
        }
    }
}

impl ClusterGroups {
    /// A router over a group, with all defaults, which follows who is in it.
    #[must_use]
    pub fn router<M: RemoteMessage>(&self, group: &str, routing: Routing) -> GroupRouter<M> {
        self.router_builder(group, routing).build()
    }

    /// [`router`](Self::router) that heeds no zones.
    #[must_use]
    pub fn router_over_all_zones<M: RemoteMessage>(
        &self,
        group: &str,
        routing: Routing,
    ) -> GroupRouter<M> {
        let builder = self.router_builder(group, routing);
        builder.over_all_zones().build()
    }

    /// A router over a group that is not all defaults. Its messages are of whatever type it is [built](GroupRouterBuilder::build) for.
    pub fn router_builder(&self, group: &str, routing: Routing) -> GroupRouterBuilder {
        GroupRouterBuilder {
            groups: self.clone(),
            group: group.to_owned(),
            routing,
            stays_in_zone: true,
            ejection: None,
            seed: None,
        }
    }
}
