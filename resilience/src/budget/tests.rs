use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::testing::{for_seeds, ms, secs};

fn budget(ratio: f64, reserve_per_second: f64) -> Budget {
    BudgetConfig::default()
        .ratio(ratio)
        .reserve_per_second(reserve_per_second)
        .build()
        .unwrap()
}

fn granted(budget: &Budget, asked: u64, now: Instant) -> u64 {
    (0..asked).filter(|_| budget.withdraw(now).is_ok()).count() as u64
}

#[track_caller]
fn check(ratio: f64, reserve_per_second: f64, requests: u64, expected_retries: u64) {
    let budget = budget(ratio, reserve_per_second);
    let now = Instant::now();
    (0..requests).for_each(|_| budget.deposit(now));
    assert_eq!(budget.available(now), expected_retries);
    assert_eq!(granted(&budget, 10_000, now), expected_retries);
    assert_eq!(budget.available(now), 0);
}

#[test]
fn retries_are_a_share_of_requests_plus_a_reserve() {
    check(0.2, 0.0, 0, 0);
    check(0.2, 0.0, 4, 0);
    check(0.2, 0.0, 5, 1);
    check(0.1, 0.0, 10, 1);
    check(0.7, 0.0, 10, 7);
    check(0.2, 1.0, 0, 10);
    check(0.2, 1.0, 1000, 210);
    check(0.0, 0.0, 1000, 0);
    check(2.0, 0.0, 7, 14);
}

#[test]
fn requests_and_retries_are_forgotten_after_the_window() {
    let budget = budget(0.5, 0.0);
    let epoch = Instant::now();
    (0..10).for_each(|_| budget.deposit(epoch));
    assert_eq!(granted(&budget, 3, epoch), 3);
    assert_eq!(budget.available(epoch + ms(8999)), 2);
    assert_eq!(budget.available(epoch + secs(10)), 0);
    (0..10).for_each(|_| budget.deposit(epoch + secs(11)));
    assert_eq!(budget.available(epoch + secs(11)), 5, "spent ones too");
}

#[test]
fn under_a_total_outage_the_load_grows_by_the_ratio_and_no_more() {
    for_seeds(10, |random| {
        let budget = budget(0.2, 0.0);
        let (mut now, mut requests, mut retries) = (Instant::now(), 0u64, 0u64);
        for _ in 0..20_000 {
            now += Duration::from_micros(random.below(5000));
            requests += 1;
            budget.deposit(now);
            // Every attempt fails, and its caller would try three times.
            retries += granted(&budget, 2, now);
        }
        // A retry may have been paid for by requests that its window has forgotten since.
        assert!(
            retries as f64 <= requests as f64 * 0.2 * 1.05,
            "{retries} of {requests}"
        );
        assert!(
            retries as f64 >= requests as f64 * 0.2 * 0.9,
            "{retries} of {requests}"
        );
    });
}

#[test]
fn threads_that_share_a_budget_never_overdraw_it() {
    let budget = budget(0.1, 0.0);
    let now = Instant::now();
    let granted_in_all = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    budget.deposit(now);
                    granted_in_all.fetch_add(granted(&budget, 2, now), Ordering::Relaxed);
                }
            });
        }
    });
    let left = budget.available(now);
    assert_eq!(granted_in_all.load(Ordering::Relaxed) + left, 400);
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let good = BudgetConfig::default();
    let bad = [
        ("ratio", good.ratio(-0.1)),
        ("ratio", good.ratio(f64::NAN)),
        ("reserve_per_second", good.reserve_per_second(-1.0)),
        ("window", good.window(ms(99))),
        ("window", good.window(secs(3601))),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field, "{config:?}");
    }
}
