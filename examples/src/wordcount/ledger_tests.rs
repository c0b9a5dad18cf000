//! The promise of the ledger, case by case and for random histories.

use std::collections::HashMap;

use super::*;

const FAR: NodeIndex = NodeIndex(1);

fn ledger(in_flight_max: usize) -> Ledger {
    Ledger::new(Limits {
        in_flight_max,
        attempts_max: 3,
    })
}

/// A ledger with one worker on each of two nodes.
fn two_nodes(in_flight_max: usize) -> Ledger {
    let mut ledger = ledger(in_flight_max);
    ledger.join(HOME, 1);
    ledger.join(FAR, 1);
    ledger
}

fn send(ledger: &mut Ledger) -> Delivery {
    ledger.next_delivery(None).expect("somebody has room")
}

#[test]
fn an_answer_counts_once_and_a_doubled_one_does_not() {
    let mut ledger = two_nodes(1);
    ledger.offer(Reach::Anywhere);
    ledger.complete();
    let delivery = send(&mut ledger);
    assert!(!ledger.is_finished());
    assert_eq!(ledger.answered(delivery), Answer::Counts);
    assert!(ledger.is_finished());
    assert_eq!(ledger.answered(delivery), Answer::AlreadyCounted);
    assert_eq!(ledger.counted(), 1);
}

#[test]
fn a_chunk_whose_worker_crashed_goes_to_another() {
    let mut ledger = two_nodes(4);
    ledger.offer(Reach::Anywhere);
    let first = send(&mut ledger);
    ledger.failed(first).unwrap();
    let second = send(&mut ledger);
    assert_eq!((second.chunk, second.attempt), (first.chunk, 2));
    assert_ne!(second.worker, first.worker);
    assert_eq!(ledger.redeliveries(), 1);
}

#[test]
fn the_only_worker_gets_its_chunk_again() {
    let mut ledger = ledger(1);
    ledger.join(HOME, 1);
    ledger.offer(Reach::Anywhere);
    let first = send(&mut ledger);
    ledger.failed(first).unwrap();
    assert_eq!(send(&mut ledger).worker, first.worker);
}

#[test]
fn what_a_dead_node_had_goes_to_others() {
    let mut ledger = two_nodes(2);
    for _ in 0..4 {
        ledger.offer(Reach::Anywhere);
    }
    let deliveries: Vec<_> = (0..4).map(|_| send(&mut ledger)).collect();
    assert_eq!(ledger.in_flight(FAR), 2);
    let lost = ledger.lose(FAR).unwrap();
    assert_eq!(lost, 2);
    assert_eq!(ledger.next_delivery(None), None, "home is full");
    for delivery in deliveries.iter().filter(|d| d.worker.node == HOME) {
        ledger.answered(*delivery);
    }
    assert_eq!(send(&mut ledger).worker.node, HOME);
    assert_eq!(send(&mut ledger).worker.node, HOME);
}

#[test]
fn what_is_recalled_goes_to_others_and_the_node_may_still_answer() {
    let mut ledger = two_nodes(1);
    ledger.offer(Reach::Anywhere);
    let first = ledger.next_delivery(Some(FAR)).unwrap();
    assert_eq!(ledger.recall(FAR), Ok(1));
    let again = ledger.next_delivery(Some(FAR)).unwrap();
    assert_eq!(again.worker.node, HOME);
    ledger.failed(first).unwrap();
    assert_eq!(ledger.next_delivery(None), None, "it is out already");
    assert_eq!(ledger.answered(first), Answer::Counts);
    assert_eq!(ledger.answered(again), Answer::AlreadyCounted);
}

#[test]
fn a_late_answer_of_a_dead_node_counts_if_it_is_the_first() {
    let mut ledger = two_nodes(1);
    ledger.offer(Reach::Anywhere);
    let late = ledger.next_delivery(Some(FAR)).unwrap();
    ledger.lose(FAR).unwrap();
    let again = send(&mut ledger);
    assert_eq!(ledger.answered(late), Answer::Counts);
    assert_eq!(ledger.answered(again), Answer::AlreadyCounted);
    assert_eq!(ledger.in_flight(HOME), 0, "the slot is free again");
}

#[test]
fn a_chunk_that_was_answered_while_it_waited_is_not_delivered_again() {
    let mut ledger = two_nodes(1);
    ledger.offer(Reach::Anywhere);
    let late = send(&mut ledger);
    ledger.failed(late).unwrap();
    assert_eq!(ledger.answered(late), Answer::Counts);
    assert_eq!(ledger.next_delivery(None), None);
    assert!(ledger.wants_chunk());
}

#[test]
fn a_failure_that_is_told_twice_puts_the_chunk_back_once() {
    let mut ledger = two_nodes(1);
    ledger.offer(Reach::Anywhere);
    let first = send(&mut ledger);
    assert_eq!(ledger.failed(first), Ok(true));
    assert_eq!(ledger.failed(first), Ok(false), "this is no news");
    send(&mut ledger);
    assert_eq!(ledger.next_delivery(None), None);
}

#[test]
fn a_paused_node_gets_nothing_and_may_still_answer() {
    let mut ledger = two_nodes(2);
    ledger.offer(Reach::Anywhere);
    let delivery = ledger.next_delivery(Some(FAR)).unwrap();
    ledger.pause(FAR);
    ledger.offer(Reach::Anywhere);
    assert_eq!(ledger.next_delivery(Some(FAR)).unwrap().worker.node, HOME);
    assert_eq!(ledger.answered(delivery), Answer::Counts);
    ledger.resume(FAR);
    ledger.offer(Reach::Anywhere);
    assert_eq!(ledger.next_delivery(Some(FAR)).unwrap().worker.node, FAR);
}

#[test]
fn a_chunk_that_is_too_long_for_a_frame_stays_home() {
    let mut ledger = two_nodes(1);
    ledger.offer(Reach::Home);
    ledger.offer(Reach::Home);
    let first = ledger.next_delivery(Some(FAR)).unwrap();
    assert_eq!(first.worker.node, HOME);
    assert_eq!(ledger.next_delivery(None), None);
    ledger.failed(first).unwrap();
    assert_eq!(send(&mut ledger).worker.node, HOME);
}

#[test]
fn the_next_chunk_is_read_only_when_somebody_has_room_and_none_waits() {
    let mut ledger = ledger(1);
    assert!(!ledger.wants_chunk(), "nobody is there");
    ledger.join(HOME, 1);
    assert!(ledger.wants_chunk());
    ledger.offer(Reach::Anywhere);
    assert!(!ledger.wants_chunk(), "one waits");
    let delivery = send(&mut ledger);
    assert!(!ledger.wants_chunk(), "nobody has room");
    ledger.answered(delivery);
    assert!(ledger.wants_chunk());
    ledger.complete();
    assert!(!ledger.wants_chunk(), "there is none");
}

#[test]
fn a_job_can_wait_for_one_node_alone() {
    let mut ledger = two_nodes(1);
    ledger.offer(Reach::Anywhere);
    ledger.next_delivery(Some(FAR)).unwrap();
    assert!(!ledger.waits_only_for(FAR), "there may be more");
    ledger.offer(Reach::Anywhere);
    ledger.complete();
    let home = send(&mut ledger);
    assert!(!ledger.waits_only_for(FAR), "home has one");
    ledger.answered(home);
    assert!(ledger.waits_only_for(FAR));
    assert!(!ledger.waits_only_for(HOME));
}

#[test]
fn a_chunk_is_given_up_after_so_many_attempts() {
    let mut ledger = two_nodes(1);
    ledger.offer(Reach::Anywhere);
    for _ in 0..2 {
        let delivery = send(&mut ledger);
        ledger.failed(delivery).unwrap();
    }
    let delivery = send(&mut ledger);
    let given_up = ledger.failed(delivery).unwrap_err();
    assert_eq!((given_up.chunk, given_up.attempts), (ChunkId(0), 3));
    assert!(!ledger.is_finished());
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// A random history: answers, failures, doubled and late ones, pauses, deaths and joins, until every chunk is counted.
fn run_history(seed: u64) {
    const IN_FLIGHT_MAX: usize = 3;
    let mut random = Random(seed);
    let mut ledger = Ledger::new(Limits {
        in_flight_max: IN_FLIGHT_MAX,
        attempts_max: u32::MAX,
    });
    let chunks = 1 + random.below(60) as u64;
    let mut nodes = vec![HOME];
    let mut nodes_ever = 1;
    ledger.join(HOME, 1 + random.below(2) as u32);
    let mut read = 0;
    let mut counted: HashMap<ChunkId, u32> = HashMap::new();
    // Deliveries that somebody may still answer, fail, or answer again after all.
    let mut out: Vec<Delivery> = Vec::new();
    let mut steps = 0;
    while !ledger.is_finished() {
        steps += 1;
        assert!(steps < 200_000, "seed {seed}: no progress");
        match random.below(12) {
            0..5 => {
                if ledger.wants_chunk() {
                    if read < chunks {
                        read += 1;
                        let home = random.below(10) == 0;
                        ledger.offer(if home { Reach::Home } else { Reach::Anywhere });
                    } else {
                        ledger.complete();
                    }
                }
                let first = nodes[random.below(nodes.len())];
                if let Some(delivery) = ledger.next_delivery(Some(first)) {
                    assert!(!counted.contains_key(&delivery.chunk), "seed {seed}");
                    assert!(nodes.contains(&delivery.worker.node), "seed {seed}");
                    out.push(delivery);
                }
            }
            5..9 if !out.is_empty() => {
                let place = random.below(out.len());
                // One in four stays, and is answered or fails again later.
                let delivery = match random.below(4) {
                    0 => out[place],
                    _ => out.swap_remove(place),
                };
                if random.below(4) == 0 {
                    ledger.failed(delivery).unwrap();
                } else if ledger.answered(delivery) == Answer::Counts {
                    *counted.entry(delivery.chunk).or_default() += 1;
                }
            }
            9 if nodes_ever < 12 => {
                nodes.push(NodeIndex(nodes_ever));
                ledger.join(NodeIndex(nodes_ever), 1 + random.below(3) as u32);
                nodes_ever += 1;
            }
            10 if nodes.len() > 1 => {
                let dead = nodes.remove(1 + random.below(nodes.len() - 1));
                ledger.lose(dead).unwrap();
            }
            11 => {
                let node = nodes[random.below(nodes.len())];
                ledger.pause(node);
                if random.below(2) == 0 {
                    ledger.recall(node).unwrap();
                }
                if random.below(3) > 0 {
                    for &node in &nodes {
                        ledger.resume(node);
                    }
                }
            }
            _ => {}
        }
        for &node in &nodes {
            assert!(ledger.in_flight(node) <= 3 * IN_FLIGHT_MAX, "seed {seed}");
        }
        assert_eq!(ledger.counted(), counted.len() as u64, "seed {seed}");
    }
    assert_eq!(counted.len() as u64, chunks, "seed {seed}");
    assert!(counted.values().all(|&times| times == 1), "seed {seed}");
}

#[test]
fn each_chunk_counts_exactly_once_in_every_history() {
    for seed in 0..2000 {
        run_history(seed);
    }
}
