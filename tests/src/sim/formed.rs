//! Clusters that have formed, for tests of what then happens to them.

use std::time::Duration;

use treewarden_cluster::membership::{Config, Event, MemberInfo, State};

use super::process::Process;
use super::trace::Entry;
use super::truth::differences;
use super::{Fault, Latency, Network, World, WorldConfig, keep_majority};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A cluster with the settings for one machine, in which everybody knows everybody.
pub fn formed(nodes: usize, seed: u64) -> World {
    formed_with(Config::local(), nodes, seed)
}

/// The same with other settings.
pub fn formed_with(membership: Config, nodes: usize, seed: u64) -> World {
    let config = WorldConfig {
        membership,
        stable_after: SECOND,
        policy: keep_majority,
        nodes,
        seeds: 2,
        check_every: if nodes > 20 { 50 } else { 1 },
        trace: true,
    };
    let mut world = World::new(
        config,
        Network::new(Latency {
            least: MS / 10,
            tail_mean: MS / 5,
        }),
        seed,
    );
    for node in 0..nodes {
        world.schedule(SECOND, Fault::Start(node));
    }
    run_until_true(&mut world, SECOND * 10);
    world
}

/// Runs on until every view is true; panics if that takes longer than `limit`.
pub fn run_until_true(world: &mut World, limit: Duration) -> Duration {
    let start = world.now();
    loop {
        run_for(world, MS * 50);
        let found = differences(&world.processes);
        if found.is_empty() {
            return world.now() - start;
        }
        assert!(
            world.now() - start < limit,
            "after {limit:?}: {found:#?}\n{}",
            world.trace
        );
    }
}

/// Runs on; panics with the trace when an invariant does not hold.
pub fn run_for(world: &mut World, span: Duration) {
    let end = world.now() + span;
    if let Err(broken) = world.run_until(end) {
        panic!("{}\n{broken}", world.trace);
    }
}

/// After how long each node told something that `select` accepts, counted from `since`.
pub fn told(
    world: &World,
    since: Duration,
    select: impl Fn(&Event) -> bool,
) -> Vec<(usize, Duration)> {
    let matching = world
        .trace
        .entries()
        .iter()
        .filter_map(|(at, entry)| match entry {
            Entry::Told { node, event } if *at >= since && select(event) => {
                Some((*node, *at - since))
            }
            _ => None,
        });
    matching.collect()
}

/// Somebody is believed to be lost.
pub fn accused(event: &Event) -> bool {
    matches!(event, Event::MemberUnreachable { .. })
}

impl World {
    /// Lets all members that run know each other without a packet, as if they had for long.
    pub fn introduce_all(&mut self) {
        let alive = self.processes.iter().filter_map(Process::alive);
        let infos: Vec<MemberInfo> = alive
            .map(|machine| MemberInfo {
                id: machine.id().clone(),
                state: State::Alive,
                incarnation: machine.incarnation(),
                record: machine.record().clone(),
                since: self.now(),
            })
            .collect();
        for node in 0..self.processes.len() {
            self.ask(node, |machine, now| machine.take_over(now, &infos));
        }
    }

    /// What is posted says how many were posted before it.
    pub(super) fn post(&mut self, node: usize, name: &str) {
        let payload = self.truth.posted.len().to_le_bytes();
        let posted = self.ask(node, |machine, now| {
            let number = machine.post(now, name, &payload);
            (machine.id().clone(), number)
        });
        // One that is down, pinned to an old version, or has posted too much lately refuses.
        if let Some((origin, Ok(number))) = posted {
            self.truth.posted.insert((origin, number), payload.into());
        }
    }
}
