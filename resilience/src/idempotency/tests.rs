use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::testing::{for_seeds, ms, secs};

fn key(bits: u128) -> IdempotencyKey {
    IdempotencyKey::new(bits)
}

/// Two keys, answers for 10 s.
fn store() -> IdempotencyStore<u32> {
    IdempotencyConfig::default()
        .keys_max(2)
        .keep(secs(10))
        .build()
        .unwrap()
}

/// What `begin` says, in short; a new operation is dropped, and so interrupted.
fn begin(store: &IdempotencyStore<u32>, bits: u128, now: Instant) -> String {
    match store.begin(key(bits), 7, now) {
        Begin::New(_) => "new".into(),
        other => format!("{other:?}"),
    }
}

fn new(store: &IdempotencyStore<u32>, bits: u128, now: Instant) -> Operation<u32> {
    match store.begin(key(bits), 7, now) {
        Begin::New(operation) => operation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_repetition_gets_the_answer_until_it_expires() {
    let (store, now) = (store(), Instant::now());
    new(&store, 1, now).finish(42, now + secs(1));
    assert_eq!(begin(&store, 1, now + ms(10_999)), "Done(42)");
    assert_eq!(begin(&store, 1, now + secs(11)), "new");
}

#[test]
fn a_repetition_while_it_is_under_way_neither_waits_nor_runs() {
    let (store, now) = (store(), Instant::now());
    let operation = new(&store, 1, now);
    assert_eq!(begin(&store, 1, now), "UnderWay");
    assert_eq!(
        begin(&store, 1, now + secs(999)),
        "UnderWay",
        "never expires"
    );
    operation.finish(42, now + secs(999));
    assert_eq!(begin(&store, 1, now + secs(999)), "Done(42)");
}

#[test]
fn what_was_certainly_not_done_may_run_again() {
    let (store, now) = (store(), Instant::now());
    new(&store, 1, now).not_done();
    assert!(store.is_empty());
    assert_eq!(begin(&store, 1, now), "new");
}

#[test]
fn what_was_interrupted_does_not_run_again_until_somebody_who_knows_says_so() {
    let (store, now) = (store(), Instant::now());
    let panicked = thread::scope(|scope| {
        let crash = || {
            let _operation = new(&store, 1, now);
            panic!("in the handler");
        };
        scope.spawn(crash).join().map(|(): ()| ())
    });
    assert!(panicked.is_err());
    assert_eq!(begin(&store, 1, now), "Interrupted");
    assert!(store.forget(key(1)) && !store.forget(key(1)));
    assert_eq!(begin(&store, 1, now), "new");
}

#[test]
fn an_interruption_is_remembered_for_as_long_as_an_answer_however_long_the_operation_took() {
    let (store, now) = (store(), Instant::now());
    let operation = new(&store, 1, now);
    let interrupted = now + secs(1000);
    drop(operation);
    assert_eq!(begin(&store, 1, interrupted), "Interrupted");
    assert_eq!(begin(&store, 1, interrupted + ms(9999)), "Interrupted");
    assert_eq!(begin(&store, 1, interrupted + secs(10)), "new");
}

#[test]
fn the_same_key_for_another_request_is_refused() {
    let (store, now) = (store(), Instant::now());
    new(&store, 1, now).finish(42, now);
    assert!(matches!(store.begin(key(1), 8, now), Begin::Mismatch));
}

#[test]
fn a_full_store_refuses_rather_than_forgets_early() {
    let (store, now) = (store(), Instant::now());
    new(&store, 1, now).finish(1, now);
    let second = new(&store, 2, now);
    assert_eq!(begin(&store, 3, now + ms(9999)), "Full");
    assert_eq!(begin(&store, 1, now + ms(9999)), "Done(1)");
    new(&store, 3, now + secs(10)).finish(3, now + secs(10));
    assert_eq!(
        begin(&store, 4, now + secs(10)),
        "Full",
        "one under way, one new"
    );
    drop(second);
}

#[test]
fn an_operation_that_was_forgotten_leaves_its_successor_alone() {
    let (store, now) = (store(), Instant::now());
    let (first, second) = (new(&store, 1, now), new(&store, 2, now));
    store.forget(key(1));
    store.forget(key(2));
    let again = [new(&store, 1, now), new(&store, 2, now)];
    first.finish(1, now);
    second.not_done();
    assert_eq!(begin(&store, 1, now), "UnderWay");
    assert_eq!(begin(&store, 2, now), "UnderWay");
    let [again, other] = again;
    again.finish(11, now + secs(5));
    other.not_done();
    assert_eq!(begin(&store, 1, now + ms(14_999)), "Done(11)");
}

#[test]
fn random_operations_are_done_at_most_once_within_the_time_and_the_store_stays_bounded() {
    for_seeds(200, |random| {
        let keys_max = 1 + random.below(8) as usize;
        let config = IdempotencyConfig::default()
            .keys_max(keys_max)
            .keep(secs(10));
        let store = config.build::<u64>().unwrap();
        let mut now = Instant::now();
        let mut under_way = Vec::new();
        let mut done = HashMap::<u128, (u64, Instant)>::new();
        for step in 0..1000 {
            now += ms(random.below(500));
            let bits = u128::from(random.below(12));
            let known = done
                .get(&bits)
                .filter(|(_, at)| now - *at < secs(10))
                .copied();
            match store.begin(key(bits), 0, now) {
                Begin::New(operation) => {
                    assert_eq!(known, None, "done twice");
                    under_way.push((bits, operation));
                }
                Begin::Done(answer) => assert_eq!(Some(answer), known.map(|known| known.0)),
                Begin::UnderWay => assert!(under_way.iter().any(|(other, _)| *other == bits)),
                Begin::Full => assert!(known.is_none() && store.len() == keys_max),
                other => panic!("{other:?}"),
            }
            assert!(store.len() <= keys_max);
            if random.chance(0.6) && !under_way.is_empty() {
                let (bits, operation) =
                    under_way.swap_remove(random.below(under_way.len() as u64) as usize);
                if random.chance(0.2) {
                    operation.not_done();
                } else {
                    operation.finish(step, now);
                    done.insert(bits, (step, now));
                }
            }
        }
    });
}

#[test]
fn of_threads_that_begin_the_same_key_exactly_one_runs_it() {
    let store = IdempotencyConfig::default().build::<u32>().unwrap();
    let (now, ran) = (Instant::now(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for bits in 0..500 {
                    if let Begin::New(operation) = store.begin(key(bits), 0, now) {
                        ran.fetch_add(1, Ordering::Relaxed);
                        operation.finish(0, now);
                    }
                }
            });
        }
    });
    assert_eq!(ran.into_inner(), 500);
}

#[test]
fn keys_are_shown_as_32_hexadecimal_digits() {
    assert_eq!(key(0x2a).to_string(), "0000000000000000000000000000002a");
    assert_eq!(key(u128::MAX).bits(), u128::MAX);
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let good = IdempotencyConfig::default();
    let bad = [
        ("keys_max", good.keys_max(0)),
        ("keep", good.keep(Duration::ZERO)),
        ("keep", good.keep(Duration::MAX)),
    ];
    for (field, config) in bad {
        assert_eq!(config.build::<()>().unwrap_err().field, field);
    }
}
