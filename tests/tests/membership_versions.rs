//! Members of two versions of the protocol in one cluster. An old one is a machine that is pinned to the first version: it refuses what it does
//! not read, as the build of that time does.

use std::time::Duration;

use treewarden_cluster::membership::Config;
use treewarden_cluster::membership::wire::{VERSION_MAX, VERSION_MIN};
use treewarden_tests::sim::formed::{accused, formed_with, run_for, run_until_true, told};
use treewarden_tests::sim::trace::Entry;
use treewarden_tests::sim::{Fault, World};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NODES: usize = 7;

/// A cluster of old ones.
fn old_ones(seed: u64) -> World {
    let config = Config {
        wire_version_max: VERSION_MIN,
        ..Config::local()
    };
    formed_with(config, NODES, seed)
}

/// Ends a node in order and starts it with another program.
fn exchange(world: &mut World, node: usize, version: u8) {
    world.commit(Fault::Leave(node));
    run_for(world, SECOND);
    restart(world, node, version);
}

/// Kills a node and starts it with another program at once.
fn kill_and_exchange(world: &mut World, node: usize, version: u8) {
    world.commit(Fault::Crash(node));
    run_for(world, MS * 50);
    restart(world, node, version);
}

fn restart(world: &mut World, node: usize, version: u8) {
    world.commit(Fault::Install(node, version));
    world.commit(Fault::Start(node));
    run_until_true(world, SECOND * 5);
}

/// How many packets each node has refused, and how many of them because of their version.
fn refused(world: &World) -> Vec<(u64, u64)> {
    let alive = world.processes.iter().filter_map(|node| node.alive());
    alive
        .map(|machine| {
            let stats = machine.stats();
            (stats.packets_refused, stats.versions_refused)
        })
        .collect()
}

/// Which nodes have heard of a notice since then, in order.
fn hearers(world: &World, since: Duration) -> Vec<usize> {
    let heard = world.trace.entries().iter().filter(|(at, _)| *at >= since);
    let mut nodes: Vec<usize> = heard
        .filter_map(|(_, entry)| match entry {
            Entry::Heard { node, .. } => Some(*node),
            _ => None,
        })
        .collect();
    nodes.sort_unstable();
    nodes
}

fn post(world: &mut World, node: usize) -> Vec<usize> {
    let since = world.now();
    world.commit(Fault::Post(node, ""));
    run_for(world, SECOND * 2);
    hearers(world, since)
}

#[test]
fn a_cluster_of_old_ones_is_upgraded_node_by_node_and_one_goes_back() {
    for seed in 0..20 {
        let mut world = old_ones(seed);
        for node in 0..NODES {
            exchange(&mut world, node, VERSION_MAX);
            let expected: Vec<usize> = (0..node).collect();
            assert_eq!(
                post(&mut world, node),
                expected,
                "seed {seed}: the new ones alone hear a notice\n{}",
                world.trace
            );
        }
        exchange(&mut world, 3, VERSION_MIN);
        assert_eq!(post(&mut world, 0), [1, 2, 4, 5, 6], "seed {seed}");
        run_for(&mut world, SECOND * 5);
        assert_eq!(
            told(&world, Duration::ZERO, accused),
            [],
            "seed {seed}: nobody is accused\n{}",
            world.trace
        );
        assert_eq!(refused(&world), [(0, 0); NODES], "seed {seed}");
    }
}

#[test]
fn a_node_that_is_killed_and_comes_back_with_another_version_loses_packets_only_until_it_is_known()
{
    for seed in 0..20 {
        let mut world = old_ones(seed);
        for node in 0..NODES {
            kill_and_exchange(&mut world, node, VERSION_MAX);
        }
        assert_eq!(
            refused(&world),
            [(0, 0); NODES],
            "seed {seed}: on the way up"
        );
        // The others write to the new one that was there before, until they hear of the old one that is there now.
        kill_and_exchange(&mut world, 3, VERSION_MIN);
        let lost = refused(&world);
        run_for(&mut world, SECOND * 10);
        assert_eq!(refused(&world), lost, "seed {seed}: and then no more");
        for (node, (all, by_version)) in lost.into_iter().enumerate() {
            assert_eq!(all, by_version, "seed {seed}: n{node}");
            assert!(by_version == 0 || node == 3, "seed {seed}: n{node}");
            assert!(by_version < 20, "seed {seed}: {by_version}");
        }
        assert_eq!(told(&world, Duration::ZERO, accused), [], "seed {seed}");
    }
}

#[test]
fn who_went_down_finds_a_node_that_came_back_with_an_older_program() {
    let mut tried = 0;
    for seed in 0..10 {
        let mut world = formed_with(Config::local(), 4, seed);
        world.commit(Fault::Crash(0));
        world.commit(Fault::Crash(1));
        run_for(&mut world, SECOND * 10);
        let downed = [2, 3].map(|node: usize| {
            let machine = world.processes[node].alive();
            machine.is_some_and(|machine| machine.state().is_down())
        });
        // Half without the oldest yields, unless one was found dead so much later than the other that there was a majority each time.
        if downed != [true; 2] {
            continue;
        }
        tried += 1;
        // It knows nobody of them, so they have to find it.
        world.commit(Fault::Install(0, VERSION_MIN));
        world.commit(Fault::Start(0));
        run_until_true(&mut world, SECOND * 10);
    }
    assert!(tried > 0);
}

#[test]
fn a_mixed_cluster_finds_a_crash_and_heals_after_a_partition() {
    for seed in 0..10 {
        let mut world = old_ones(seed);
        for node in [1, 3, 5] {
            exchange(&mut world, node, VERSION_MAX);
        }
        let killed_at = world.now();
        world.commit(Fault::Crash(6));
        run_for(&mut world, SECOND * 4);
        let found = told(&world, killed_at, accused);
        assert_eq!(found.len(), NODES - 1, "seed {seed}\n{}", world.trace);
        world.commit(Fault::split(&[0, 1], &[2, 3, 4, 5]));
        run_for(&mut world, SECOND * 10);
        world.commit(Fault::Heal);
        run_until_true(&mut world, SECOND * 10);
        assert_eq!(post(&mut world, 1), [3, 5], "seed {seed}");
        let no_version = refused(&world)
            .into_iter()
            .all(|(_, versions)| versions == 0);
        assert!(no_version, "seed {seed}");
    }
}
