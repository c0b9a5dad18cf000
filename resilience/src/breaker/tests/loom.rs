//! All interleavings of two or three threads, checked by loom.

use loom::sync::Arc;
use loom::thread;
use std::time::Instant;

use super::{calls, config};
use crate::breaker::State;
use crate::testing::secs;

#[test]
fn of_two_callers_after_the_wait_exactly_one_gets_the_only_probe() {
    let now = Instant::now();
    loom::model(move || {
        let breaker = config()
            .last_calls(2)
            .min_calls(1)
            .probes(1)
            .build()
            .unwrap();
        calls(&breaker, "x", now);
        let breaker = Arc::new(breaker);
        let caller = {
            let breaker = breaker.clone();
            move || match breaker.try_acquire(now + secs(1)) {
                Ok(permit) => {
                    std::mem::forget(permit);
                    1
                }
                Err(_) => 0,
            }
        };
        let other = thread::spawn(caller.clone());
        assert_eq!(caller() + other.join().unwrap(), 1);
    });
}

#[test]
fn two_failures_at_once_are_seen_together_by_one_of_the_threads() {
    let now = Instant::now();
    loom::model(move || {
        let breaker = config().last_calls(2).min_calls(2).failure_ratio(1.0);
        let breaker = Arc::new(breaker.build().unwrap());
        let caller = {
            let breaker = breaker.clone();
            move || calls(&breaker, "x", now)
        };
        let other = thread::spawn(caller.clone());
        caller();
        other.join().unwrap();
        assert_eq!(breaker.state(), State::Open);
    });
}

#[test]
fn outcomes_that_share_a_slot_leave_sums_that_equal_the_slots() {
    let now = Instant::now();
    loom::model(move || {
        // One slot, which both threads write.
        let breaker = config().last_calls(1).min_calls(1).failure_ratio(1.0);
        let breaker = Arc::new(breaker.build().unwrap());
        let succeed = {
            let breaker = breaker.clone();
            move || calls(&breaker, ".", now)
        };
        let other = thread::spawn(succeed.clone());
        succeed();
        other.join().unwrap();
        let counts = breaker.counts(now);
        assert_eq!((counts.calls, counts.failed, counts.slow), (1, 0, 0));
    });
}

#[test]
fn a_returned_probe_and_a_failed_one_end_the_round_once() {
    let now = Instant::now();
    loom::model(move || {
        let breaker = config()
            .last_calls(2)
            .min_calls(1)
            .probes(2)
            .build()
            .unwrap();
        calls(&breaker, "x", now);
        let breaker = Arc::new(breaker);
        let later = now + secs(1);
        let returning = {
            let breaker = breaker.clone();
            thread::spawn(move || drop(breaker.try_acquire(later)))
        };
        if let Ok(permit) = breaker.try_acquire(later) {
            permit.failure(later);
        }
        returning.join().unwrap();
        assert_eq!(breaker.state(), State::Open);
        // Whatever was returned late, the next round has both its probes and no more.
        calls(&breaker, "!", later + secs(1));
        calls(&breaker, "..", later + secs(2));
        assert_eq!(breaker.state(), State::Closed);
    });
}
