//! The keeper: one member decides where things run, and has them started and stopped there.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{task::JoinSet, time::Instant};
use treewarden_cluster::{
    Node,
    groups::ClusterGroups,
    singleton::{SingletonConfig, Term, Verdict},
};
use treewarden_runtime::Failure;
use treewarden_supervisor::{Child, TaskContext};

use super::{
    host::{HOSTS, Start},
    kinds::encode,
    order::{order, stop},
    plan::{Command, Pace, Place, Planner, Site, Standing, Wanted},
};

/// Longest time to wait for the answer to an order.
const ORDER_TIME_MAX: Duration = Duration::from_secs(10);

/// How often to look at least.
const LOOK_AT_LEAST: Duration = Duration::from_secs(1);

/// Something that is to run on some node, or on several.
#[derive(Clone, Debug)]
pub struct Item {
    name: String,
    kind: String,
    replicas: usize,
    arguments: Vec<u8>,
}

impl Item {
    /// One replica of a [kind](super::Kinds), as a member of the group `name`. Nothing else may be in that group.
    ///
    /// # Errors
    ///
    /// What the `Serialize` of the arguments said.
    pub fn new(
        name: impl Into<String>,
        kind: impl Into<String>,
        arguments: &impl Serialize,
    ) -> Result<Self, String> {
        Ok(Self {
            name: name.into(),
            kind: kind.into(),
            replicas: 1,
            arguments: encode(arguments)?,
        })
    }

    /// On how many nodes it is to run; spread over zones as evenly as they allow.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }
}

/// How a [keeper] works.
#[derive(Clone, Debug)]
pub struct KeeperConfig {
    /// Who decides: the oldest member with the role.
    pub singleton: SingletonConfig,
    /// How fast things are placed.
    pub pace: Pace,
}

impl KeeperConfig {
    /// With this [margin](SingletonConfig::margin) between two who decide, and the default pace.
    #[must_use]
    pub fn new(margin: Duration) -> Self {
        Self {
            singleton: SingletonConfig::new(margin),
            pace: Pace::default(),
        }
    }
}

/// A child that every node has, with the same items: the member whose turn it is keeps them running on the nodes that have a [host](super::host()).
///
/// Where they run stands in the directory of the cluster, and nowhere else: whoever takes over reads it there. What another keeper, or somebody by hand, starts is left
/// alone.
pub fn keeper(
    name: impl Into<Arc<str>>,
    node: Arc<Node>,
    config: KeeperConfig,
    items: Vec<Item>,
) -> Child {
    let name = name.into();
    let items: Arc<[Item]> = items.into();
    Child::task(name.clone(), move |cx| {
        serve(
            cx,
            name.clone(),
            node.clone(),
            config.clone(),
            items.clone(),
        )
    })
}

async fn serve(
    cx: TaskContext,
    name: Arc<str>,
    node: Arc<Node>,
    config: KeeperConfig,
    items: Arc<[Item]>,
) -> Result<(), Failure> {
    let mut duty = node.singleton(&name, config.singleton.clone());
    let mut term = None;
    cx.ready();
    loop {
        let office = async {
            match term {
                Some(term) => keep(&node, &name, &config.pace, &items, term).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = office => return Ok(()),
            verdict = duty.next() => match verdict {
                Some(Verdict::Begin(begun)) => term = Some(begun),
                // What decides has been dropped with `office`; orders under way are told apart by their term.
                Some(Verdict::Stop) => {
                    term = None;
                    duty.stopped();
                }
                None => return Ok(()),
            },
            () = cx.cancelled() => return Ok(()),
        }
    }
}

/// Decides for one term of office, until the node ends.
async fn keep(node: &Arc<Node>, name: &Arc<str>, pace: &Pace, items: &Arc<[Item]>, term: Term) {
    tracing::info!(keeper = %name, epoch = term.epoch, "this node decides what runs where");
    let wanted = items.iter().map(|item| Wanted {
        name: item.name.clone(),
        replicas: item.replicas,
    });
    let mut planner = Planner::new(wanted.collect(), pace.clone());
    let began = Instant::now();
    let groups = node.groups();
    let mut changes = groups.changes();
    let mut events = node.events();
    let mut orders: JoinSet<(Command, bool)> = JoinSet::new();
    loop {
        let commands = planner.observe(began.elapsed(), &sites(&groups), &placed(&groups, items));
        for command in commands {
            let (node, name, items) = (node.clone(), name.clone(), items.clone());
            orders.spawn(async move {
                let succeeded = carry_out(&node, &name, &items, term, &command).await;
                (command, succeeded)
            });
        }
        let now = began.elapsed();
        let due = planner.poll_timeout().filter(|due| *due > now);
        let pause = due.map_or(LOOK_AT_LEAST, |due| (due - now).min(LOOK_AT_LEAST));
        tokio::select! {
            change = changes.next() => if change.is_none() {
                return;
            },
            event = events.next() => if event.is_none() {
                return;
            },
            Some(Ok((command, succeeded))) = orders.join_next() => {
                planner.ended(began.elapsed(), &command, succeeded);
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The nodes that have a host.
fn sites(groups: &ClusterGroups) -> Vec<Site> {
    let hosts = groups.addresses(HOSTS).into_iter();
    hosts
        .map(|host| Site {
            standing: match (host.is_reachable, host.is_draining, host.is_cordoned) {
                (false, ..) => Standing::Unreachable,
                (true, true, _) => Standing::Draining,
                (true, false, true) => Standing::Cordoned,
                (true, false, false) => Standing::Open,
            },
            node: host.address.node,
            zone: host.zone,
        })
        .collect()
}

fn placed(groups: &ClusterGroups, items: &[Item]) -> BTreeSet<Place> {
    let of_item = |item: &Item| {
        let name = item.name.clone();
        let members = groups.addresses(&item.name).into_iter();
        members.map(move |member| (name.clone(), member.address.node))
    };
    items.iter().flat_map(of_item).collect()
}

async fn carry_out(
    node: &Node,
    keeper: &str,
    items: &[Item],
    term: Term,
    command: &Command,
) -> bool {
    match command {
        Command::Start { item, node: there } => {
            let Some(item) = items.iter().find(|other| other.name == *item) else {
                return false;
            };
            let start = Start {
                kind: item.kind.clone(),
                id: item.name.clone(),
                group: item.name.clone(),
                arguments: item.arguments.clone(),
                term: Some((keeper.to_owned(), term.epoch)),
            };
            let started = order(node, there, start, ORDER_TIME_MAX).await;
            match &started {
                Ok(address) => tracing::info!(item = item.name, %address, "placed"),
                Err(error) => {
                    tracing::warn!(item = item.name, %there, %error, "was not placed; tried elsewhere, or there later");
                }
            }
            started.is_ok()
        }
        Command::Stop { item, node: there } => {
            let stopped = stop(node, there, item, ORDER_TIME_MAX).await;
            tracing::info!(item, %there, ?stopped, "taken away");
            stopped.is_ok()
        }
    }
}
