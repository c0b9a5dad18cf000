//! What holds however threads interleave. (The window's sums, the permits of a round, the change of state.)

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::{calls, config, opened};
use crate::breaker::permit::Role;
use crate::breaker::{BreakerConfig, Counts, State};
use crate::testing::{Xorshift, ms, secs};

const THREADS: usize = 4;

/// Chooses the window of a breaker.
type Windowed = fn(BreakerConfig) -> BreakerConfig;

#[test]
fn threads_get_exactly_the_probes_of_a_round_between_them() {
    for _ in 0..200 {
        let (breaker, now) = opened(config().probes(7));
        let (admitted, barrier) = (AtomicUsize::new(0), Barrier::new(THREADS));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..5 {
                        if let Ok(permit) = breaker.try_acquire(now + secs(1)) {
                            admitted.fetch_add(1, Ordering::Relaxed);
                            std::mem::forget(permit);
                        }
                    }
                });
            }
        });
        assert_eq!(admitted.load(Ordering::Relaxed), 7);
    }
}

/// Only all failures together open the breaker: one thread must see them all.
#[test]
fn failures_counted_at_once_are_seen_together_by_one_of_the_threads() {
    let windows: [Windowed; 2] = [
        |config| config.last_calls(64),
        |config| config.last_time(secs(10)),
    ];
    for window in windows {
        for _ in 0..300 {
            let failures = (THREADS * 4) as u32;
            let breaker = window(config()).min_calls(failures).failure_ratio(1.0);
            let breaker = breaker.build().unwrap();
            let (now, barrier) = (Instant::now(), Barrier::new(THREADS));
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        barrier.wait();
                        calls(&breaker, "xxxx", now);
                    });
                }
            });
            assert_eq!(breaker.state(), State::Open, "{:?}", breaker.counts(now));
        }
    }
}

#[test]
fn the_sums_equal_the_calls_after_any_interleaving() {
    let windows: [(Windowed, u64); 2] = [
        (|config| config.last_calls(97), 97),
        (|config| config.last_time(secs(10)), 40_000),
    ];
    for (window, expected_calls) in windows {
        let breaker = window(config())
            .min_calls(90)
            .failure_ratio(1.0)
            .build()
            .unwrap();
        let (now, failed) = (Instant::now(), AtomicU64::new(0));
        thread::scope(|scope| {
            for seed in 1..=THREADS as u64 {
                let (breaker, failed) = (&breaker, &failed);
                scope.spawn(move || {
                    let mut random = Xorshift::new(seed);
                    for _ in 0..10_000 {
                        let fails = random.chance(0.4);
                        failed.fetch_add(u64::from(fails), Ordering::Relaxed);
                        breaker.try_acquire(now).unwrap().finish(fails, || now);
                    }
                });
            }
        });
        let counts = breaker.counts(now);
        assert_eq!(counts.calls, expected_calls);
        if expected_calls > 97 {
            assert_eq!(counts.failed, failed.load(Ordering::Relaxed));
        }
        // A lap of successes leaves nothing else in a count window, if the sums have not drifted.
        for _ in 0..97 {
            breaker.try_acquire(now).unwrap().success(now);
        }
        let all_good = Counts {
            calls: 97,
            ..Counts::default()
        };
        assert!(
            expected_calls > 97 || breaker.counts(now) == all_good,
            "{counts:?}"
        );
    }
}

/// Random outcomes, drops and waits on all threads, over a clock that all share; the probes under way are watched for each round.
#[test]
fn no_round_ever_has_more_probes_under_way_than_it_may() {
    const PROBES: usize = 2;
    for seed in 1..=20 {
        let breaker = config()
            .probes(PROBES as u32)
            .open_for(ms(3))
            .open_for_max(ms(6));
        let breaker = breaker.build().unwrap();
        let (epoch, clock_ms) = (Instant::now(), AtomicU64::new(0));
        // One count for each generation that the word can hold.
        let under_way: Vec<_> = (0..8192).map(|_| AtomicUsize::new(0)).collect();
        let probes = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..THREADS as u64 {
                let (breaker, clock_ms) = (&breaker, &clock_ms);
                let (under_way, probes) = (&under_way, &probes);
                scope.spawn(move || {
                    let mut random = Xorshift::new(seed * 100 + thread);
                    while probes.load(Ordering::Relaxed) < 300 {
                        let now_ms = clock_ms.fetch_add(random.below(2), Ordering::Relaxed);
                        let now = epoch + ms(now_ms);
                        let Ok(permit) = breaker.try_acquire(now) else {
                            thread::yield_now();
                            continue;
                        };
                        if permit.role == Role::Probe {
                            probes.fetch_add(1, Ordering::Relaxed);
                            let round = &under_way[usize::from(permit.generation)];
                            let probing = round.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!(probing <= PROBES, "seed {seed}: {probing} probes");
                            thread::yield_now();
                            round.fetch_sub(1, Ordering::SeqCst);
                        }
                        match random.below(4) {
                            0 => drop(permit),
                            1 => permit.success(now),
                            _ => permit.failure(now),
                        }
                    }
                });
            }
        });
        // Whatever happened, it is not stuck: after the longest wait and a healthy round it is closed.
        let now = epoch + ms(clock_ms.into_inner()) + secs(100);
        while breaker.state() != State::Closed {
            breaker
                .try_acquire(now)
                .expect("a probe is admitted")
                .success(now);
        }
    }
}
