//! A thousand members. They begin with a true view, as after hours of calm, so that a few simulated seconds are enough.

use std::collections::BTreeSet;
use std::time::Duration;

use treewarden_cluster::membership::{Config, Event};
use treewarden_tests::sim::formed::{run_for, told};
use treewarden_tests::sim::{Fault, Latency, Network, World, WorldConfig, keep_majority};

const SECOND: Duration = Duration::from_secs(1);
const NODES: usize = 1000;

#[test]
fn a_thousand_members_all_learn_of_a_crash_and_of_a_notice_and_accuse_nobody_else() {
    let config = WorldConfig {
        membership: Config::lan(),
        stable_after: SECOND * 30,
        policy: keep_majority,
        nodes: NODES,
        seeds: 1,
        check_every: 101,
        trace: true,
    };
    let latency = Latency {
        least: Duration::from_micros(200),
        tail_mean: Duration::from_micros(800),
    };
    let mut world = World::new(config, Network::new(latency), 1);
    for node in 0..NODES {
        world.commit(Fault::Start(node));
    }
    world.introduce_all();
    run_for(&mut world, SECOND * 2);
    let digests: BTreeSet<u64> = world
        .processes
        .iter()
        .filter_map(|node| node.alive())
        .map(|machine| machine.digest())
        .collect();
    assert_eq!(digests.len(), 1, "all have the same view");

    let killed_at = world.now();
    world.commit(Fault::Crash(500));
    world.commit(Fault::Post(3, "scale"));
    run_for(&mut world, SECOND * 20);
    let lost = told(
        &world,
        killed_at,
        |event| matches!(event, Event::MemberUnreachable { id, .. } if id.name.as_str() == "n500"),
    );
    let knows: BTreeSet<usize> = lost.iter().map(|(node, _)| *node).collect();
    assert_eq!(knows.len(), NODES - 1, "all know of the crash");
    let wronged = told(
        &world,
        Duration::ZERO,
        |event| matches!(event, Event::MemberUnreachable { id, .. } if id.name.as_str() != "n500"),
    );
    assert_eq!(wronged, []);
    let heard: u64 = world
        .processes
        .iter()
        .filter_map(|node| node.alive())
        .map(|machine| machine.stats().notices_arrived)
        .sum();
    assert_eq!(
        heard,
        NODES as u64 - 2,
        "all but its origin and the dead one heard the notice"
    );
    println!(
        "the first knows after {:?}, the last after {:?}; {} steps",
        lost[0].1,
        lost[lost.len() - 1].1,
        world.steps()
    );
}
