//! Which worker is next: one pure function.
//!
//! It reads of the candidates only what the policy needs, because reading all loads of a big pool for each message is what round
//! robin and the power of two choices are there to avoid. Random numbers come from outside.

use std::time::Duration;

/// How a [`Router`](super::Router) chooses among its workers. Messages with a key go by the key, whatever is said here.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Routing {
    /// One after the other. For equal workers and equal messages.
    RoundRobin,
    /// The one with the least to do: asks made through this router that are not answered yet, or messages queued, whichever is
    /// more. Reads all loads for each message; those that are equal take turns.
    LeastLoaded,
    /// Of two that are drawn by lot, the one that should answer sooner: its latency times what it has to do (Mitzenmacher, "The
    /// Power of Two Choices in Randomized Load Balancing", 1996; Finagle's `p2c_peak_ewma`). For workers that are not equally
    /// fast, and for many. Latency is known from asks alone; without any, what is queued decides.
    PowerOfTwo(PeakEwma),
    /// By key, with rendezvous hashing (Thaler and Ravishankar, 1998): a key stays with its worker while that one can take
    /// messages, and when a worker comes or goes only its own keys move. A message without a key goes to one drawn by lot.
    Rendezvous,
}

/// How latencies are averaged: a worse one counts at once, and a better one slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeakEwma {
    /// After so long without news, what is known of a latency counts for a third (1/e). So a worker that was slow is tried again.
    pub decay: Duration,
}

impl Default for PeakEwma {
    /// Ten seconds, as Finagle has it.
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
        }
    }
}

/// What a policy can see of those it chooses among.
pub trait Candidates {
    /// How many there are; they are numbered from 0.
    fn count(&self) -> usize;
    /// Whether it may be given anything now.
    fn is_eligible(&self, index: usize) -> bool;
    /// What stays the same about it, across restarts and resizes.
    fn identity(&self, index: usize) -> u64;
    /// How many messages it has to do.
    fn outstanding(&self, index: usize) -> usize;
    /// Its latency in nanoseconds; `None` if nothing is known.
    fn latency(&self, index: usize) -> Option<f64>;
}

/// What comes from outside for one choice.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Counts the choices.
    pub turn: usize,
    /// Uniform over all of `u64`.
    pub random: u64,
    /// The hash of the key, for messages that have one.
    pub key: Option<u64>,
}

/// The index of the chosen one; `None` if nobody is eligible.
pub fn choose(routing: Routing, draw: Draw, candidates: &impl Candidates) -> Option<usize> {
    match (draw.key, routing) {
        (Some(key), _) => highest(key, candidates),
        (None, Routing::Rendezvous) => highest(draw.random, candidates),
        (None, Routing::RoundRobin) => at_turn(draw, candidates),
        (None, Routing::LeastLoaded) => least_loaded(draw.turn, candidates),
        (None, Routing::PowerOfTwo(_)) => sooner_of_two(draw.random, candidates),
    }
}

/// The one whose hash together with the key is the highest.
fn highest(key: u64, candidates: &impl Candidates) -> Option<usize> {
    (0..candidates.count())
        .filter(|&index| candidates.is_eligible(index))
        .max_by_key(|&index| mix(key ^ mix(candidates.identity(index))))
}

fn at_turn(draw: Draw, candidates: &impl Candidates) -> Option<usize> {
    let count = candidates.count();
    let index = draw.turn.checked_rem(count)?;
    // The turn of one that is not eligible goes to any other, not to its neighbour, which would have twice as much.
    match candidates.is_eligible(index) {
        true => Some(index),
        false => by_lot(draw.random, None, candidates),
    }
}

fn least_loaded(turn: usize, candidates: &impl Candidates) -> Option<usize> {
    let count = candidates.count();
    (0..count)
        .map(|offset| (turn % count + offset) % count)
        .filter(|&index| candidates.is_eligible(index))
        .min_by_key(|&index| candidates.outstanding(index))
}

fn sooner_of_two(random: u64, candidates: &impl Candidates) -> Option<usize> {
    let one = by_lot(random, None, candidates)?;
    let Some(other) = by_lot(mix(random), Some(one), candidates) else {
        return Some(one);
    };
    match cost(other, candidates) < cost(one, candidates) {
        true => Some(other),
        false => Some(one),
    }
}

/// What one that never answered is taken to cost while it has something to do: more than any that is known. So a new worker
/// gets one request, and the next when it has answered.
const UNKNOWN: f64 = 1e18;

/// How long a message would take there, in nanoseconds.
fn cost(index: usize, candidates: &impl Candidates) -> f64 {
    let outstanding = candidates.outstanding(index) as f64;
    match candidates.latency(index) {
        Some(latency) => latency * (outstanding + 1.0),
        None if outstanding == 0.0 => 0.0,
        None => UNKNOWN * outstanding,
    }
}

/// Any that is eligible, each as likely, `but` excepted.
fn by_lot(random: u64, but: Option<usize>, candidates: &impl Candidates) -> Option<usize> {
    let count = candidates.count();
    let may = |index: &usize| Some(*index) != but && candidates.is_eligible(*index);
    let first = within(random, count)?;
    if may(&first) {
        return Some(first);
    }
    let eligible = (0..count).filter(may).count();
    let place = within(mix(random), eligible)?;
    (0..count).filter(may).nth(place)
}

/// `random` as a number below `count`.
fn within(random: u64, count: usize) -> Option<usize> {
    (count > 0).then(|| ((u128::from(random) * count as u128) >> 64) as usize)
}

/// Spreads the bits of a number: the finalizer of SplitMix64.
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    struct Worker {
        identity: u64,
        eligible: bool,
        outstanding: usize,
        latency: Option<f64>,
    }

    impl Worker {
        fn idle(identity: u64) -> Self {
            Self {
                identity,
                eligible: true,
                outstanding: 0,
                latency: None,
            }
        }
    }

    impl Candidates for Vec<Worker> {
        fn count(&self) -> usize {
            self.len()
        }
        fn is_eligible(&self, index: usize) -> bool {
            self[index].eligible
        }
        fn identity(&self, index: usize) -> u64 {
            self[index].identity
        }
        fn outstanding(&self, index: usize) -> usize {
            self[index].outstanding
        }
        fn latency(&self, index: usize) -> Option<f64> {
            self[index].latency
        }
    }

    const P2C: Routing = Routing::PowerOfTwo(PeakEwma {
        decay: Duration::from_secs(10),
    });
    const ALL: [Routing; 4] = [
        Routing::RoundRobin,
        Routing::LeastLoaded,
        P2C,
        Routing::Rendezvous,
    ];

    fn idle(count: u64) -> Vec<Worker> {
        (0..count).map(Worker::idle).collect()
    }

    fn draw(turn: usize) -> Draw {
        Draw {
            turn,
            random: mix(turn as u64),
            key: None,
        }
    }

    fn keyed(key: u64) -> Draw {
        Draw {
            key: Some(key),
            ..draw(0)
        }
    }

    /// How many of `draws` choices each worker gets.
    fn shares(routing: Routing, workers: &Vec<Worker>, draws: usize) -> Vec<usize> {
        let mut shares = vec![0; workers.len()];
        for turn in 0..draws {
            shares[choose(routing, draw(turn), workers).expect("somebody is eligible")] += 1;
        }
        shares
    }

    fn is_about(share: usize, expected: usize) -> bool {
        share * 10 > expected * 9 && share * 10 < expected * 11
    }

    #[test]
    fn every_policy_spreads_messages_evenly_over_equal_workers() {
        for routing in ALL {
            for share in shares(routing, &idle(5), 10_000) {
                assert!(is_about(share, 2000), "{routing:?}: {share}");
            }
        }
        assert_eq!(shares(Routing::RoundRobin, &idle(4), 100), [25; 4]);
        assert_eq!(shares(Routing::LeastLoaded, &idle(4), 100), [25; 4]);
    }

    #[test]
    fn every_policy_gives_the_share_of_one_that_is_not_eligible_to_all_others_alike() {
        for routing in [Routing::RoundRobin, P2C, Routing::Rendezvous] {
            let mut workers = idle(5);
            workers[2].eligible = false;
            let shares = shares(routing, &workers, 10_000);
            assert_eq!(shares[2], 0, "{routing:?}");
            for index in [0, 1, 3, 4] {
                assert!(is_about(shares[index], 2500), "{routing:?}: {shares:?}");
            }
        }
    }

    #[test]
    fn nobody_is_chosen_when_nobody_is_eligible_and_the_last_one_when_only_one_is() {
        for routing in ALL {
            let mut workers = idle(3);
            for worker in &mut workers {
                worker.eligible = false;
            }
            assert_eq!(choose(routing, draw(1), &workers), None, "{routing:?}");
            assert_eq!(choose(routing, keyed(1), &workers), None, "{routing:?}");
            assert_eq!(choose(routing, draw(1), &Vec::new()), None, "{routing:?}");
            workers[1].eligible = true;
            for turn in 0..100 {
                assert_eq!(choose(routing, draw(turn), &workers), Some(1));
            }
        }
    }

    #[test]
    fn the_least_loaded_has_the_least_to_do_of_those_that_are_eligible() {
        let mut workers = idle(4);
        for (worker, outstanding) in workers.iter_mut().zip([3, 1, 2, 0]) {
            worker.outstanding = outstanding;
        }
        workers[3].eligible = false;
        for turn in 0..8 {
            assert_eq!(choose(Routing::LeastLoaded, draw(turn), &workers), Some(1));
        }
    }

    #[test]
    fn the_power_of_two_avoids_the_slow_and_the_busy() {
        let mut workers = idle(4);
        for worker in &mut workers {
            worker.latency = Some(1e6);
        }
        workers[0].latency = Some(1e8);
        // The slow one loses against whomever it is drawn with.
        assert_eq!(shares(P2C, &workers, 10_000)[0], 0);
        // Until the others have a hundred times as much to do.
        for worker in &mut workers[1..] {
            worker.outstanding = 200;
        }
        let slow = shares(P2C, &workers, 10_000)[0];
        assert!(is_about(slow, 5000), "it is drawn half the time: {slow}");
    }

    #[test]
    fn one_that_never_answered_gets_a_first_request_and_no_second() {
        let mut workers = idle(2);
        workers[0].latency = Some(1e9);
        for (outstanding, expected) in [(0, 1), (1, 0)] {
            workers[1].outstanding = outstanding;
            for turn in 0..100 {
                assert_eq!(choose(P2C, draw(turn), &workers), Some(expected));
            }
        }
    }

    #[test]
    fn a_key_goes_to_the_same_worker_in_whatever_order_they_are_listed() {
        let workers = idle(7);
        let reversed: Vec<_> = workers.iter().rev().copied().collect();
        for key in 0..1000 {
            let one = choose(Routing::RoundRobin, keyed(key), &workers).expect("seven are");
            let other = choose(P2C, keyed(key), &reversed).expect("seven are");
            assert_eq!(workers[one].identity, reversed[other].identity);
        }
    }

    #[test]
    fn exactly_the_keys_of_a_worker_that_leaves_move_and_come_back_with_it() {
        const KEYS: u64 = 10_000;
        for count in 2..9 {
            let before = idle(count);
            for leaves in 0..count as usize {
                let mut after = before.clone();
                after[leaves].eligible = false;
                let mut inherited = vec![0; count as usize];
                for key in 0..KEYS {
                    let from = choose(Routing::Rendezvous, keyed(key), &before).expect("all are");
                    let to = choose(Routing::Rendezvous, keyed(key), &after).expect("some are");
                    assert_eq!(from != to, from == leaves, "key {key} of {count}");
                    inherited[to] += u64::from(from == leaves);
                }
                // And they are spread over all that stay.
                let fair = KEYS / count / (count - 1);
                for (index, &keys) in inherited.iter().enumerate() {
                    let is_fair = keys * 10 > fair * 6 && keys * 10 < fair * 14;
                    assert!(index == leaves || is_fair, "{keys} of {fair}");
                }
            }
        }
    }
}
