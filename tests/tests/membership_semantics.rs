//! What the membership layer promises, sentence by sentence, in the simulated network. Every test runs over several seeds.

use std::time::Duration;

use treewarden_cluster::membership::{
    BootUid, Config, DownReason, Event, Identity, Machine, MemberInfo, Metadata, NodeId, NodeName,
    State,
};
use treewarden_tests::sim::formed::{accused, formed, formed_with, run_for, run_until_true, told};
use treewarden_tests::sim::truth::differences;
use treewarden_tests::sim::{Fault, World, keep_majority};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_member_that_no_datagram_reaches_is_not_accused_and_stays_informed() {
    for seed in 0..20 {
        let mut world = formed(5, seed);
        let blocked_at = world.now();
        world.commit(Fault::BlockDatagrams(3));
        run_for(&mut world, SECOND * 10);
        world.commit(Fault::ChangeMetadata(1));
        world.commit(Fault::ChangeMetadata(3));
        run_for(&mut world, SECOND * 10);
        let of = |node: usize, select: fn(&Event) -> bool| {
            let told = told(&world, blocked_at, select);
            told.iter().filter(|(by, _)| *by == node).count()
        };
        assert_eq!(
            told(&world, blocked_at, accused),
            [],
            "seed {seed}\n{}",
            world.trace
        );
        for node in 0..5 {
            let noticed = of(node, |event| {
                matches!(event, Event::AnsweredByStreamAlone { .. })
            });
            assert!(noticed > 0, "seed {seed}: n{node} did not tell");
        }
        assert_eq!(
            differences(&world.processes),
            Vec::<String>::new(),
            "seed {seed}: news travel all the same"
        );
    }
}

#[test]
fn a_process_that_is_killed_is_found_when_streams_are_tried_too_and_without_them_a_blocked_one_is_accused()
 {
    for (fallback, accusations) in [(true, false), (false, true)] {
        let mut config = Config::local();
        config.stream_fallback = fallback;
        let mut world = formed_with(config, 5, 0);
        let blocked_at = world.now();
        world.commit(Fault::BlockDatagrams(3));
        run_for(&mut world, SECOND * 10);
        let found = told(&world, blocked_at, accused);
        assert_eq!(!found.is_empty(), accusations, "fallback {fallback}");
        let killed_at = world.now();
        world.commit(Fault::Crash(3));
        world.commit(Fault::Crash(4));
        run_for(&mut world, SECOND * 3);
        let lost = told(
            &world,
            killed_at,
            |event| matches!(event, Event::MemberUnreachable { id, .. } if id.name.as_str() == "n4"),
        );
        assert!(lost.len() >= 3, "fallback {fallback}: {lost:?}");
    }
}

#[test]
fn a_killed_process_is_found_within_a_second_with_local_settings() {
    let mut times = Vec::new();
    for seed in 0..200 {
        let mut world = formed(3, seed);
        run_for(&mut world, MS * (seed as u32 % 300));
        let killed_at = world.now();
        world.commit(Fault::Crash(2));
        run_for(&mut world, SECOND * 3);
        let found = told(&world, killed_at, accused);
        let first = found
            .first()
            .unwrap_or_else(|| panic!("seed {seed}: not found\n{}", world.trace));
        times.push(first.1);
        let down = told(&world, killed_at, |event| {
            matches!(
                event,
                Event::MemberDown {
                    reason: DownReason::Policy,
                    ..
                }
            )
        });
        assert_eq!(
            down.len(),
            2,
            "seed {seed}: both survivors declare it down\n{}",
            world.trace
        );
    }
    times.sort();
    println!(
        "found unreachable after {:?} (median), {:?} (slowest of 200)",
        times[100], times[199]
    );
    assert!(times[199] <= SECOND, "slowest {:?}", times[199]);
}

#[test]
fn all_know_of_a_crash_at_about_the_same_time() {
    // Whoever misses the suspicion hears the verdict and then waits for a suspicion of its own, 0.7 s here. The news is spread by chance.
    let mut late = Vec::new();
    for seed in 0..10 {
        let mut world = formed(64, seed);
        let killed_at = world.now();
        world.commit(Fault::Crash(2));
        run_for(&mut world, SECOND * 5);
        let found = told(&world, killed_at, accused);
        let (first, last) = (found[0].1, found[found.len() - 1].1);
        assert!(found.len() >= 63, "seed {seed}: {} know", found.len());
        println!("seed {seed}: the first after {first:?}, the last after {last:?}");
        if last - first >= MS * 500 {
            late.push(seed);
        }
    }
    assert!(
        late.len() <= 1,
        "a suspicion did not reach all: seeds {late:?}"
    );
}

#[test]
fn a_member_that_hangs_again_and_again_is_told_of_less_and_its_death_is_found_as_soon() {
    for seed in 0..5 {
        let mut world = formed(40, seed);
        // Long enough to be lost, and too short to be declared down.
        let hang = |world: &mut World| {
            let before = world.traffic().1;
            world.commit(Fault::BlockIo(5));
            run_for(world, MS * 1300);
            world.commit(Fault::UnblockIo(5));
            run_for(world, MS * 200);
            world.traffic().1 - before
        };
        let at_first: u64 = (0..2).map(|_| hang(&mut world)).sum();
        for _ in 0..4 {
            hang(&mut world);
        }
        let later: u64 = (0..2).map(|_| hang(&mut world)).sum();
        assert!(later < at_first, "seed {seed}: {later} of {at_first} bytes");
        let killed_at = world.now();
        world.commit(Fault::Crash(5));
        run_for(&mut world, SECOND * 3);
        let found = told(&world, killed_at, accused);
        assert!(found.len() >= 39, "seed {seed}: {} know", found.len());
        assert!(found[0].1 < MS * 1500, "seed {seed}: {:?}", found[0]);
    }
}

#[test]
fn nobody_is_accused_while_nothing_is_wrong() {
    for seed in 0..5 {
        let mut world = formed(12, seed);
        let since = world.now();
        run_for(&mut world, SECOND * 60);
        let suspected = told(&world, since, |event| {
            matches!(event, Event::MemberSuspected { .. })
        });
        assert!(suspected.is_empty(), "seed {seed}\n{}", world.trace);
    }
}

#[test]
fn nobody_is_declared_unreachable_at_five_per_cent_loss() {
    for seed in 0..20 {
        let mut world = formed(8, seed);
        let since = world.now();
        world.commit(Fault::Loss(0.05));
        run_for(&mut world, SECOND * 30);
        assert!(
            told(&world, since, accused).is_empty(),
            "seed {seed}\n{}",
            world.trace
        );
    }
}

#[test]
fn a_stopped_process_accuses_nobody_when_it_goes_on() {
    for seed in 0..50 {
        let mut world = formed(5, seed);
        world.commit(Fault::Stop(3));
        run_for(&mut world, SECOND * 5);
        let since = world.now();
        world.commit(Fault::Continue(3));
        run_for(&mut world, SECOND * 5);
        let wronged = told(&world, since, accused);
        assert!(
            wronged.iter().all(|(node, _)| *node != 3),
            "seed {seed}\n{}",
            world.trace
        );
    }
}

#[test]
fn a_short_pause_costs_a_process_nothing() {
    for seed in 0..50 {
        let mut world = formed(5, seed);
        let since = world.now();
        world.commit(Fault::Stop(3));
        run_for(&mut world, MS * 250);
        world.commit(Fault::Continue(3));
        run_for(&mut world, SECOND * 5);
        assert!(
            told(&world, since, accused).is_empty(),
            "seed {seed}\n{}",
            world.trace
        );
    }
}

#[test]
fn a_leave_is_known_to_all_without_suspicion() {
    for seed in 0..20 {
        let mut world = formed(16, seed);
        let since = world.now();
        world.commit(Fault::Leave(7));
        run_until_true(&mut world, SECOND * 5);
        let left = told(&world, since, |event| {
            matches!(
                event,
                Event::MemberDown {
                    reason: DownReason::Left,
                    ..
                }
            )
        });
        assert_eq!(left.len(), 15, "seed {seed}");
        assert!(
            told(&world, since, accused).is_empty(),
            "seed {seed}\n{}",
            world.trace
        );
    }
}

#[test]
fn the_minority_of_a_partition_goes_down_and_rejoins_when_it_heals() {
    for seed in 0..20 {
        let mut world = formed(5, seed);
        world.commit(Fault::split(&[0, 1], &[2, 3, 4]));
        run_for(&mut world, SECOND * 10);
        for node in 0..5 {
            let state = world.processes[node].machine.as_ref().unwrap().state();
            let expected = if node < 2 {
                State::Down(DownReason::Policy)
            } else {
                State::Alive
            };
            assert_eq!(state, expected, "seed {seed}: n{node}\n{}", world.trace);
        }
        world.commit(Fault::Heal);
        run_until_true(&mut world, SECOND * 10);
    }
}

#[test]
fn who_was_cut_off_doubts_itself_until_it_rejoins_and_no_longer() {
    for seed in 0..20 {
        let mut world = formed(5, seed);
        let doubt = |world: &World| {
            let machine = world.processes[0].machine.as_ref();
            machine.expect("it lives").health_counter()
        };
        world.commit(Fault::split(&[0], &[1, 2, 3, 4]));
        run_for(&mut world, SECOND * 30);
        assert!(doubt(&world) > 0, "seed {seed}\n{}", world.trace);
        world.commit(Fault::Heal);
        run_until_true(&mut world, SECOND * 10);
        assert_eq!(doubt(&world), 0, "seed {seed}\n{}", world.trace);
    }
}

#[test]
fn however_long_a_partition_lasts_it_heals() {
    let mut world = formed(5, 1);
    world.commit(Fault::split(&[0, 1], &[2, 3, 4]));
    run_for(&mut world, SECOND * 2 * 3600);
    world.commit(Fault::Heal);
    let after = run_until_true(&mut world, SECOND * 10);
    println!("two hours of partition healed in {after:?}");
}

#[test]
fn one_broken_link_harms_nobody() {
    for seed in 0..20 {
        let mut world = formed(6, seed);
        let since = world.now();
        world.commit(Fault::split(&[1], &[4]));
        run_for(&mut world, SECOND * 30);
        assert!(
            told(&world, since, accused).is_empty(),
            "seed {seed}\n{}",
            world.trace
        );
    }
}

#[test]
fn a_hundred_nodes_join_at_once_and_half_of_them_leave_at_once() {
    let mut world = formed(100, 1);
    for node in 50..100 {
        world.commit(Fault::Leave(node));
    }
    let after = run_until_true(&mut world, SECOND * 20);
    println!("fifty leaves were known after {after:?}");
}

#[test]
fn a_restarted_process_replaces_its_predecessor() {
    for seed in 0..20 {
        let mut world = formed(4, seed);
        let since = world.now();
        world.commit(Fault::Crash(1));
        run_for(&mut world, MS * 50);
        world.commit(Fault::Start(1));
        run_until_true(&mut world, SECOND * 5);
        let replaced = told(&world, since, |event| {
            matches!(
                event,
                Event::MemberDown {
                    reason: DownReason::Replaced,
                    ..
                }
            )
        });
        assert_eq!(replaced.len(), 3, "seed {seed}\n{}", world.trace);
    }
}

#[test]
fn the_packets_of_a_member_do_not_grow_in_number_with_the_cluster() {
    let packets_per_node_s = |nodes| {
        let mut world = formed(nodes, 3);
        run_for(&mut world, SECOND * 5);
        let (before, _) = world.traffic();
        run_for(&mut world, SECOND * 20);
        (world.traffic().0 - before) as f64 / 20.0 / nodes as f64
    };
    let (few, many) = (packets_per_node_s(8), packets_per_node_s(128));
    println!("{few:.1} packets for each node and second among 8, {many:.1} among 128");
    assert!(many < few * 1.1, "{few} and {many}");
}

#[test]
fn members_that_are_taken_over_are_known_to_each_other_without_a_packet() {
    let mut machines: Vec<Machine> = (0..20u8)
        .map(|index| {
            let identity = Identity {
                id: NodeId {
                    name: NodeName::new(&format!("n{index}")).unwrap(),
                    boot: BootUid(u64::from(index) + 1),
                },
                addr: ([10, 0, 0, index], 7946).into(),
                metadata: Metadata::default(),
            };
            let policy = keep_majority(SECOND, 20);
            Machine::new(SECOND, Config::local(), identity, policy, index.into()).unwrap()
        })
        .collect();
    let infos: Vec<MemberInfo> = machines
        .iter()
        .map(|machine| MemberInfo {
            id: machine.id().clone(),
            state: State::Alive,
            incarnation: machine.incarnation(),
            record: machine.record().clone(),
            since: SECOND,
        })
        .collect();
    for machine in &mut machines {
        machine.take_over(SECOND, &infos).unwrap();
        machine.take_over(SECOND, &infos).unwrap(); // what is known already stays
        assert_eq!(machine.live_count(), 20);
        assert_eq!(machine.members().count(), 19);
        assert!(machine.poll_event().is_none());
    }
    let digests: Vec<u64> = machines.iter().map(Machine::digest).collect();
    assert!(
        digests.windows(2).all(|pair| pair[0] == pair[1]),
        "{digests:?}"
    );
}
