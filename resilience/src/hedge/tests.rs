use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::budget::BudgetConfig;
use crate::retry::Idempotency;
use crate::testing::{for_seeds, ms, secs};

fn fixed(attempts_max: u32) -> HedgeConfig {
    let delay = HedgeDelay::Fixed(ms(10));
    HedgeConfig::default()
        .attempts_max(attempts_max)
        .delay(delay)
}

/// When attempts begin, in milliseconds, if none ever ends.
fn begin_ms(config: HedgeConfig, idempotency: Idempotency) -> Vec<u64> {
    let now = Instant::now();
    let mut race = config.build().unwrap().begin(idempotency, now);
    let mut begun = vec![0];
    while let Some(at) = race.hedge_at() {
        assert_eq!(race.hedge(at - ms(1)), None, "too early");
        if race.hedge(at).is_some() {
            begun.push((at - now).as_millis() as u64);
        }
    }
    begun
}

#[test]
fn an_attempt_begins_each_time_the_youngest_takes_too_long() {
    assert_eq!(begin_ms(fixed(1), Idempotency::Natural), [0]);
    assert_eq!(begin_ms(fixed(2), Idempotency::Natural), [0, 10]);
    assert_eq!(begin_ms(fixed(4), Idempotency::Natural), [0, 10, 20, 30]);
}

#[test]
fn what_is_not_idempotent_is_attempted_once() {
    assert_eq!(begin_ms(fixed(4), Idempotency::No), [0]);
}

#[test]
fn hedges_are_paid_from_the_budget() {
    let budget = BudgetConfig::default().ratio(0.1).reserve_per_second(0.0);
    let hedge = fixed(2)
        .budget(Arc::new(budget.build().unwrap()))
        .build()
        .unwrap();
    let now = Instant::now();
    let hedged = (0..1000).filter(|_| {
        let mut race = hedge.begin(Idempotency::Natural, now);
        race.hedge(now + ms(10)).is_some()
    });
    assert_eq!(hedged.count(), 100);
}

#[test]
fn the_operation_fails_only_when_all_attempts_have_failed() {
    let now = Instant::now();
    let mut race = fixed(3).build().unwrap().begin(Idempotency::Natural, now);
    assert_eq!(race.hedge(now + ms(10)), Some(2));
    assert!(!race.failed(1));
    assert_eq!(race.hedge(now + ms(20)), Some(3));
    assert!(!race.failed(3));
    assert!(race.failed(2));
    assert_eq!(race.hedge_at(), None);
}

#[test]
fn the_delay_is_a_percentile_of_the_recent_latencies_once_enough_are_known() {
    for_seeds(50, |random| {
        let hedge = HedgeConfig::default().build().unwrap();
        let now = Instant::now();
        for known in 0..1000 {
            let race = hedge.begin(Idempotency::Natural, now);
            // 1 to 100 ms; after 500 operations ten times slower.
            let slower = if known < 500 { 1 } else { 10 };
            race.succeeded(now + ms(1 + random.below(100)) * slower);
            match known {
                0..31 => assert_eq!(hedge.delay(), ms(100)),
                499 => assert!(
                    (ms(85)..=ms(100)).contains(&hedge.delay()),
                    "{:?}",
                    hedge.delay()
                ),
                999 => assert!((ms(850)..=ms(1000)).contains(&hedge.delay())),
                _ => {}
            }
        }
    });
}

#[test]
fn an_attempt_that_lost_counts_with_the_time_it_had_taken() {
    let first = HedgeDelay::Percentile {
        share: 0.999,
        at_first: ms(10),
    };
    let hedge = HedgeConfig::default().delay(first).build().unwrap();
    let now = Instant::now();
    for _ in 0..32 {
        let mut race = hedge.begin(Idempotency::Natural, now);
        race.hedge(now + ms(10));
        race.succeeded(now + ms(12));
    }
    assert_eq!(hedge.delay(), ms(12));
}

/// Runs attempts of these latencies in milliseconds, each with its outcome; what came out and when, and which began.
async fn run(
    config: HedgeConfig,
    idempotency: Idempotency,
    script: &[(u64, Result<&'static str, &'static str>)],
) -> (Result<&'static str, &'static str>, Duration, Vec<u32>) {
    let (begun, began) = (tokio::time::Instant::now(), RefCell::new(Vec::new()));
    let hedge = config.build().unwrap();
    let outcome = hedge.run(idempotency, |number| {
        began.borrow_mut().push(number);
        let (latency_ms, outcome) = script[number as usize - 1];
        async move {
            tokio::time::sleep(ms(latency_ms)).await;
            outcome
        }
    });
    (outcome.await, begun.elapsed(), began.into_inner())
}

#[tokio::test(start_paused = true)]
async fn the_shell_takes_the_first_success_and_ignores_failures_before_it() {
    let natural = Idempotency::Natural;
    let quick = run(fixed(2), natural, &[(9, Ok("first"))]).await;
    assert_eq!(quick, (Ok("first"), ms(9), vec![1]));
    let tail = run(fixed(2), natural, &[(900, Ok("first")), (5, Ok("second"))]).await;
    assert_eq!(tail, (Ok("second"), ms(15), vec![1, 2]));
    let first_wins = run(fixed(2), natural, &[(20, Ok("first")), (50, Ok("second"))]).await;
    assert_eq!(first_wins, (Ok("first"), ms(20), vec![1, 2]));
    let fails = run(fixed(2), natural, &[(20, Ok("first")), (5, Err("second"))]).await;
    assert_eq!(fails, (Ok("first"), ms(20), vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn the_shell_returns_the_last_error_and_does_not_retry() {
    let natural = Idempotency::Natural;
    let alone = run(fixed(2), natural, &[(5, Err("first"))]).await;
    assert_eq!(alone, (Err("first"), ms(5), vec![1]));
    let both = run(fixed(2), natural, &[(30, Err("first")), (5, Err("second"))]).await;
    assert_eq!(both, (Err("first"), ms(30), vec![1, 2]));
    let unsafe_to_repeat = run(fixed(2), Idempotency::No, &[(30, Ok("first"))]).await;
    assert_eq!(unsafe_to_repeat, (Ok("first"), ms(30), vec![1]));
}

#[tokio::test(start_paused = true)]
async fn the_shell_drops_the_losers_and_runs_in_a_spawned_task() {
    let alive = Arc::new(());
    let held = alive.clone();
    let task = tokio::spawn(async move {
        let hedge = fixed(3).build().unwrap();
        hedge
            .run(Idempotency::Natural, |number| {
                let held = held.clone();
                async move {
                    let _held = held;
                    if number < 3 {
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, ()>(number)
                }
            })
            .await
    });
    assert_eq!(task.await.unwrap(), Ok(3));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let percentile =
        |share, at_first| HedgeConfig::default().delay(HedgeDelay::Percentile { share, at_first });
    let bad = [
        ("attempts_max", fixed(0)),
        ("attempts_max", fixed(9)),
        ("delay", fixed(2).delay(HedgeDelay::Fixed(Duration::ZERO))),
        ("delay(share)", percentile(0.4, ms(1))),
        ("delay(share)", percentile(f64::NAN, ms(1))),
        ("delay(at_first)", percentile(0.95, secs(3601))),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field);
    }
}
