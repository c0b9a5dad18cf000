//! What the windows remember, against a plain list of calls.

use std::collections::VecDeque;
use std::time::Instant;

use super::config;
use crate::breaker::Counts;
use crate::testing::{for_seeds, ms, secs};

/// A call of the list: when, failed, slow.
type Call = (u64, bool, bool);

fn count<'a>(calls: impl Iterator<Item = &'a Call> + Clone) -> Counts {
    Counts {
        calls: calls.clone().count() as u64,
        failed: calls.clone().filter(|call| call.1).count() as u64,
        slow: calls.filter(|call| call.2).count() as u64,
    }
}

#[test]
fn the_count_window_holds_exactly_the_last_calls() {
    for_seeds(200, |random| {
        let length = 1 + random.below(40) as u32;
        let never = config().last_calls(length).min_calls(length);
        let breaker = never
            .slow_calls(secs(1), 1.0)
            .failure_ratio(1.0)
            .build()
            .unwrap();
        let (now, mut list) = (Instant::now(), VecDeque::new());
        // One success that stays in the window keeps the breaker closed.
        for turn in 0..500 {
            let healthy = length == 1 || turn % (length as u64 - 1) == 0;
            let failed = !healthy && random.chance(0.5);
            let slow = !healthy && random.chance(0.3);
            let permit = breaker.try_acquire(now).unwrap();
            permit.finish(failed, || now + if slow { secs(1) } else { ms(0) });
            list.push_back((0, failed, slow));
            if list.len() > length as usize {
                list.pop_front();
            }
            assert_eq!(
                breaker.counts(now),
                count(list.iter()),
                "turn {turn} of {length}"
            );
        }
    });
}

#[test]
fn the_time_window_forgets_between_nine_tenths_and_the_whole_of_its_length() {
    for_seeds(200, |random| {
        let never = config().last_time(ms(1000)).min_calls(u32::MAX);
        let breaker = never.slow_calls(ms(1), 1.0).build().unwrap();
        let epoch = Instant::now();
        let (mut now_ms, mut list) = (0, Vec::new());
        for _ in 0..300 {
            let most_ms = if random.chance(0.05) { 4000 } else { 60 };
            now_ms += random.below(most_ms);
            let now = epoch + ms(now_ms);
            let (failed, slow) = (random.chance(0.3), random.chance(0.3));
            let started = if slow { now - ms(1) } else { now };
            breaker.try_acquire(started).unwrap().finish(failed, || now);
            list.push((now_ms, failed, slow));
            let younger = |age_ms| count(list.iter().filter(move |call| now_ms - call.0 < age_ms));
            let (least, most, got) = (younger(900), younger(1000), breaker.counts(now));
            assert!(
                (least.calls..=most.calls).contains(&got.calls),
                "{got:?} at {now_ms}"
            );
            assert!(
                (least.failed..=most.failed).contains(&got.failed),
                "{got:?} at {now_ms}"
            );
            assert!(
                (least.slow..=most.slow).contains(&got.slow),
                "{got:?} at {now_ms}"
            );
        }
    });
}

#[test]
fn a_call_held_up_for_a_whole_window_does_not_wipe_the_newer_calls() {
    let breaker = config().last_time(ms(1000)).build().unwrap();
    let epoch = Instant::now();
    breaker.try_acquire(epoch).unwrap().success(epoch);
    for _ in 0..3 {
        breaker
            .try_acquire(epoch)
            .unwrap()
            .success(epoch + ms(1000));
    }
    breaker.try_acquire(epoch).unwrap().success(epoch);
    assert_eq!(breaker.counts(epoch + ms(1000)).calls, 3);
}
