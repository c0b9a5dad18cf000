//! What is promised of notices, in the simulated network. That none arrives twice, that its bytes are those that were posted, and that few
//! wait, is checked after every step by the invariants.

use std::collections::BTreeSet;
use std::time::Duration;

use treewarden_cluster::membership::{
    CommandError, Config, NOTICES_OF_ONES_OWN_MAX, NoticeError, Stats,
};
use treewarden_tests::sim::formed::{accused, formed, formed_with, run_for, run_until_true, told};
use treewarden_tests::sim::trace::Entry;
use treewarden_tests::sim::{Fault, World};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NOBODY: [usize; 0] = [];

/// Which notices each node has heard: origin and number.
fn heard(world: &World) -> Vec<BTreeSet<(String, u64)>> {
    let mut heard = vec![BTreeSet::new(); world.processes.len()];
    for (_, entry) in world.trace.entries() {
        if let Entry::Heard { node, notice } = entry {
            heard[*node].insert((notice.origin.name.to_string(), notice.number));
        }
    }
    heard
}

/// The nodes that did not hear a notice that they should have heard.
fn deaf(world: &World, origin: usize, number: u64) -> Vec<usize> {
    let wanted = (format!("n{origin}"), number);
    let heard = heard(world).into_iter().enumerate();
    heard
        .filter(|(node, heard)| *node != origin && !heard.contains(&wanted))
        .map(|(node, _)| node)
        .collect()
}

fn stats(world: &World, node: usize) -> Stats {
    world.processes[node].alive().expect("it runs").stats()
}

fn post(world: &mut World, node: usize, name: &str) -> Result<u64, CommandError> {
    let posted = world.truth.posted.len().to_le_bytes();
    let (id, outcome) = world
        .ask(node, |machine, now| {
            (machine.id().clone(), machine.post(now, name, &posted))
        })
        .expect("it runs");
    if let Ok(number) = outcome {
        world.truth.posted.insert((id, number), posted.into());
    }
    outcome
}

#[test]
fn a_notice_reaches_all_members() {
    let mut slowest = Vec::new();
    for (nodes, seeds) in [(2, 20), (3, 50), (8, 50), (30, 20), (128, 5)] {
        for seed in 0..seeds {
            let mut world = formed(nodes, seed);
            let since = world.now();
            let number = post(&mut world, 1, "").unwrap();
            run_for(&mut world, SECOND * 2);
            assert_eq!(
                deaf(&world, 1, number),
                NOBODY,
                "seed {seed}, {nodes} nodes\n{}",
                world.trace
            );
            let last = world.trace.entries().iter().rev();
            let last = last.filter(|(_, entry)| matches!(entry, Entry::Heard { .. }));
            slowest.push((nodes, last.map(|(at, _)| *at - since).max().unwrap()));
        }
    }
    for nodes in [2, 3, 8, 30, 128] {
        let of = slowest.iter().filter(|(of, _)| *of == nodes);
        let time = of.map(|(_, time)| *time).max().unwrap();
        println!("{nodes} nodes: the last of them hears it after {time:?} at most");
    }
}

#[test]
fn a_notice_reaches_all_members_at_ten_per_cent_loss_and_while_packets_are_doubled() {
    for seed in 0..20 {
        let mut world = formed(30, seed);
        world.commit(Fault::Loss(0.1));
        world.commit(Fault::Duplicate(0.3));
        let numbers: Vec<u64> = (0..10).map(|_| post(&mut world, 4, "").unwrap()).collect();
        run_for(&mut world, SECOND * 3);
        for number in numbers {
            assert_eq!(deaf(&world, 4, number), NOBODY, "seed {seed}: {number}");
        }
        let repeated: u64 = (0..30)
            .map(|node| stats(&world, node).notices_repeated)
            .sum();
        assert!(repeated > 0, "seed {seed}: copies came, and were counted");
    }
}

/// How a flood ended.
#[derive(Debug)]
struct Flood {
    /// Notices that were taken, and refused.
    taken: usize,
    refused: usize,
    /// How many times one was dropped before it had been sent to the end.
    cut_short: u64,
    /// How many times one did not reach a node, of how many.
    missing: usize,
    of: usize,
}

/// Some nodes of eight post eighty notices each, again and again for four seconds.
fn flood(nodes: usize, seed: u64) -> Flood {
    let mut world = formed(8, seed);
    let (mut refused, mut taken) = (0, Vec::new());
    for _ in 0..20 {
        for node in 0..nodes {
            for _ in 0..80 {
                match post(&mut world, node, "") {
                    Ok(number) => taken.push((node, number)),
                    Err(error) => {
                        let full = CommandError::Notice(NoticeError::TooManyWaiting);
                        assert_eq!(error, full);
                        refused += 1;
                    }
                }
            }
        }
        run_for(&mut world, MS * 200);
    }
    run_for(&mut world, SECOND * 10);
    let heard = heard(&world);
    let missing_at = |(origin, number): &(usize, u64)| {
        let notice = (format!("n{origin}"), *number);
        let deaf = heard.iter().enumerate();
        deaf.filter(|(node, heard)| node != origin && !heard.contains(&notice))
            .count()
    };
    for node in 0..8 {
        let machine = world.processes[node].alive().expect("it runs");
        assert_eq!(machine.notices_waiting().0, 0, "seed {seed}: n{node}");
    }
    let flood = Flood {
        refused,
        taken: taken.len(),
        cut_short: (0..8)
            .map(|node| stats(&world, node).notices_cut_short)
            .sum(),
        missing: taken.iter().map(missing_at).sum(),
        of: taken.len() * 7,
    };
    println!("seed {seed}, {nodes} post: {flood:?}");
    flood
}

#[test]
fn who_posts_too_much_is_told_so_and_what_was_taken_arrives() {
    for seed in 0..5 {
        let flood = flood(1, seed);
        assert!(flood.refused > 0, "seed {seed}: {flood:?}");
        assert!(
            flood.taken > NOTICES_OF_ONES_OWN_MAX,
            "seed {seed}: {flood:?}"
        );
        assert_eq!((flood.cut_short, flood.missing), (0, 0), "seed {seed}");
    }
}

#[test]
fn when_all_post_too_much_what_is_cut_short_is_counted_and_almost_everything_arrives() {
    for seed in 0..5 {
        let flood = flood(8, seed);
        assert!(
            flood.refused > 0 && flood.cut_short > 0,
            "seed {seed}: {flood:?}"
        );
        assert!(flood.missing * 100 < flood.of, "seed {seed}: {flood:?}");
    }
}

#[test]
fn a_newer_notice_of_the_same_name_replaces_one_that_still_waits() {
    for seed in 0..20 {
        let mut world = formed(8, seed);
        for _ in 0..500 {
            post(&mut world, 2, "config").expect("a replacement needs no room");
        }
        let other = post(&mut world, 2, "other").unwrap();
        run_for(&mut world, SECOND * 2);
        assert_eq!(deaf(&world, 2, 500), NOBODY, "seed {seed}: the newest");
        assert_eq!(deaf(&world, 2, other), NOBODY, "seed {seed}: another name");
        assert_eq!(stats(&world, 2).notices_replaced, 499, "seed {seed}");
        let heard = heard(&world);
        let most = heard.iter().map(BTreeSet::len).max().unwrap();
        assert!(most <= 3, "seed {seed}: {most} of 501 travelled");
    }
}

#[test]
fn a_notice_that_nobody_is_there_to_hear_waits_for_the_first_who_comes_and_costs_nothing_meanwhile()
{
    let alone = |notice: bool| {
        let mut world = formed(1, 0);
        if notice {
            assert_eq!(post(&mut world, 0, ""), Ok(1));
        }
        run_for(&mut world, SECOND * 10);
        world.traffic()
    };
    assert_eq!(alone(true), alone(false));
    let mut world = formed_with(Config::local(), 2, 0);
    world.commit(Fault::Crash(1));
    run_for(&mut world, SECOND * 5);
    let number = post(&mut world, 0, "").unwrap();
    run_for(&mut world, SECOND * 5);
    world.commit(Fault::Start(1));
    run_until_true(&mut world, SECOND * 5);
    run_for(&mut world, SECOND);
    assert_eq!(deaf(&world, 0, number), NOBODY, "{}", world.trace);
}

#[test]
fn a_member_that_is_cut_off_never_hears_what_travelled_meanwhile() {
    let mut world = formed(5, 1);
    world.commit(Fault::split(&[4], &[0, 1, 2, 3]));
    let number = post(&mut world, 0, "").unwrap();
    run_for(&mut world, SECOND * 5);
    world.commit(Fault::Heal);
    run_until_true(&mut world, SECOND * 10);
    run_for(&mut world, SECOND * 5);
    assert_eq!(deaf(&world, 0, number), [4], "as documented");
}

#[test]
fn notices_do_not_delay_the_news_of_a_crash() {
    let first_found = |notices: bool, seed| {
        let mut world = formed(30, seed);
        let killed_at = world.now();
        world.commit(Fault::Crash(7));
        for _ in 0..60 {
            for node in (0..30).filter(|node| *node != 7 && notices) {
                let _ = post(&mut world, node, ""); // as many as it takes
            }
            run_for(&mut world, MS * 50);
        }
        let found = told(&world, killed_at, accused);
        assert!(found.len() >= 29, "seed {seed}, notices {notices}");
        found[28].1
    };
    let median = |notices| {
        let mut times: Vec<Duration> = (0..9).map(|seed| first_found(notices, seed)).collect();
        times.sort();
        times[4]
    };
    let (without, with) = (median(false), median(true));
    println!("all know of a crash after {without:?}, and among notices after {with:?}");
    assert!(with < without * 3 / 2, "{without:?} and {with:?}");
}
