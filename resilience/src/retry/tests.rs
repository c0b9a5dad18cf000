use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::IdempotencyKey;
use crate::backoff::{Backoff, BackoffConfig, Jitter};
use crate::budget::BudgetConfig;
use crate::testing::{for_seeds, ms, secs};

const KEY: IdempotencyKey = IdempotencyKey::new(0x5eed);

/// 100, 200, 400, ... ms, without jitter.
fn plain_backoff() -> Backoff {
    BackoffConfig::default()
        .jitter(Jitter::None)
        .build()
        .unwrap()
}

fn config() -> RetryConfig {
    RetryConfig::default().backoff(plain_backoff())
}

/// Fails the first attempt with `failed` and says what follows, with the wait in milliseconds.
#[track_caller]
fn check(
    config: RetryConfig,
    idempotency: Idempotency,
    failed: Failed,
    expected: Result<u64, GiveUp>,
) {
    let now = Instant::now();
    let mut operation = config.build().unwrap().begin(idempotency, now);
    operation.next_attempt(now).unwrap();
    let got = match operation.fail(failed, now, 0) {
        Decision::Retry { at } => Ok((at - now).as_millis() as u64),
        Decision::GiveUp(reason) => Err(reason),
    };
    assert_eq!(got, expected, "{idempotency:?}, {failed:?}");
}

#[test]
fn what_may_have_been_handled_is_retried_only_when_idempotent() {
    use Class::*;
    use Idempotency::*;
    let table = [
        (Permanent, No, Err(GiveUp::Permanent)),
        (Permanent, Natural, Err(GiveUp::Permanent)),
        (Permanent, Key(KEY), Err(GiveUp::Permanent)),
        (NotHandled, No, Ok(100)),
        (NotHandled, Natural, Ok(100)),
        (NotHandled, Key(KEY), Ok(100)),
        (MaybeHandled, No, Err(GiveUp::NotIdempotent)),
        (MaybeHandled, Natural, Ok(100)),
        (MaybeHandled, Key(KEY), Ok(100)),
    ];
    for (class, idempotency, expected) in table {
        check(config(), idempotency, class.into(), expected);
    }
}

#[test]
fn a_servers_wish_is_added_to_the_backoff_and_bound_by_the_deadline_alone() {
    let refused = Class::NotHandled;
    check(config(), Idempotency::No, refused.after(secs(2)), Ok(2100));
    check(
        config(),
        Idempotency::No,
        refused.after(secs(29)),
        Ok(29_100),
    );
    let too_late = Err(GiveUp::Deadline);
    check(config(), Idempotency::No, refused.after(secs(30)), too_late);
    check(
        config(),
        Idempotency::No,
        refused.after(Duration::MAX),
        too_late,
    );
}

#[test]
fn a_retry_that_would_begin_at_or_after_the_deadline_is_given_up_at_once() {
    let refused = Class::NotHandled.into();
    check(
        config().deadline(ms(101)),
        Idempotency::No,
        refused,
        Ok(100),
    );
    check(
        config().deadline(ms(100)),
        Idempotency::No,
        refused,
        Err(GiveUp::Deadline),
    );
}

#[test]
fn attempts_are_counted_with_the_first() {
    let refused = Class::NotHandled.into();
    check(config().attempts_max(2), Idempotency::No, refused, Ok(100));
    let exhausted = Err(GiveUp::AttemptsExhausted);
    check(
        config().attempts_max(1),
        Idempotency::No,
        refused,
        exhausted,
    );
}

#[test]
fn every_attempt_carries_the_same_key_its_number_and_the_time_left() {
    let now = Instant::now();
    let retry = config()
        .deadline(secs(1))
        .attempt_timeout(ms(800))
        .build()
        .unwrap();
    let mut operation = retry.begin(Idempotency::Key(KEY), now);
    let attempt = |number, time_left| {
        Ok(Attempt {
            number,
            key: Some(KEY),
            time_left,
        })
    };
    assert_eq!(operation.next_attempt(now), attempt(1, ms(800)));
    assert_eq!(operation.next_attempt(now + ms(500)), attempt(2, ms(500)));
    assert_eq!(operation.next_attempt(now + secs(1)), Err(GiveUp::Deadline));
    assert_eq!(operation.attempts(), 2);
}

#[test]
fn a_callers_deadline_can_only_bring_the_own_one_forward() {
    let now = Instant::now();
    let retry = config().deadline(secs(1)).build().unwrap();
    let time_left = |not_after| {
        let mut operation = retry.begin(Idempotency::No, now).not_after(not_after);
        operation.next_attempt(now).map(|attempt| attempt.time_left)
    };
    assert_eq!(time_left(now + ms(300)), Ok(ms(300)));
    assert_eq!(time_left(now + secs(9)), Ok(secs(1)));
    assert_eq!(time_left(now), Err(GiveUp::Deadline));
}

#[test]
fn a_token_is_spent_only_on_a_retry_that_will_be_made() {
    let now = Instant::now();
    let budget = BudgetConfig::default().ratio(1.0).reserve_per_second(0.0);
    let budget = Arc::new(budget.build().unwrap());
    let retry = config()
        .budget(budget.clone())
        .deadline(secs(1))
        .build()
        .unwrap();
    let fail = |failed: Failed| {
        let mut operation = retry.begin(Idempotency::No, now);
        operation.next_attempt(now).unwrap();
        operation.fail(failed, now, 0)
    };
    fail(Class::Permanent.into());
    fail(Class::MaybeHandled.into());
    fail(Class::NotHandled.after(secs(5)));
    assert_eq!(budget.available(now), 3, "earned by three operations");
    fail(Class::NotHandled.into());
    assert_eq!(budget.available(now), 3, "earned one, spent one");
}

#[test]
fn without_a_token_there_is_no_retry() {
    let budget = BudgetConfig::default().ratio(0.0).reserve_per_second(0.0);
    let budget = Arc::new(budget.build().unwrap());
    let exhausted = Err(GiveUp::BudgetExhausted);
    check(
        config().budget(budget),
        Idempotency::No,
        Class::NotHandled.into(),
        exhausted,
    );
}

/// Three layers, each of three attempts, over a dependency that is down.
#[test]
fn layers_that_share_a_budget_do_not_multiply() {
    fn call(layers: &[Retry], now: Instant, reached: &Cell<u64>) -> Result<(), ()> {
        let Some((layer, below)) = layers.split_first() else {
            reached.set(reached.get() + 1);
            return Err(());
        };
        let mut operation = layer.begin(Idempotency::Natural, now);
        loop {
            operation.next_attempt(now).unwrap();
            if call(below, now, reached).is_ok() {
                return Ok(());
            }
            match operation.fail(Class::MaybeHandled, now, 0) {
                Decision::Retry { .. } => {}
                Decision::GiveUp(_) => return Err(()),
            }
        }
    }
    let load = |budget: Option<BudgetConfig>| {
        let budget = budget.map(|budget| Arc::new(budget.build().unwrap()));
        let layer = |outermost: bool| match (&budget, outermost) {
            (None, _) => config().build().unwrap(),
            (Some(budget), true) => config().budget(budget.clone()).build().unwrap(),
            (Some(budget), false) => config().shared_budget(budget.clone()).build().unwrap(),
        };
        let (layers, reached) = ([layer(true), layer(false), layer(false)], Cell::new(0));
        let now = Instant::now();
        for _ in 0..1000 {
            let _ = call(&layers, now, &reached);
        }
        reached.get()
    };
    assert_eq!(load(None), 27_000);
    assert_eq!(
        load(Some(BudgetConfig::default().reserve_per_second(0.0))),
        1200
    );
}

#[test]
fn no_operation_exceeds_its_attempts_or_begins_one_after_its_deadline() {
    for_seeds(2000, |random| {
        let attempts_max = 1 + random.below(20) as u32;
        let total = ms(1 + random.below(5000));
        let retry = RetryConfig::default()
            .attempts_max(attempts_max)
            .deadline(total);
        let begun = Instant::now();
        let mut now = begun;
        let mut operation = retry.build().unwrap().begin(Idempotency::Natural, now);
        while let Ok(attempt) = operation.next_attempt(now) {
            assert!(attempt.number <= attempts_max && now < begun + total);
            assert!(now + attempt.time_left <= begun + total);
            now += ms(random.below(400));
            let failed = Class::MaybeHandled.after(ms(random.below(50)));
            match operation.fail(failed, now, random.next()) {
                Decision::Retry { at } => now = at,
                Decision::GiveUp(reason) => {
                    let full = operation.attempts() == attempts_max;
                    assert_eq!(reason == GiveUp::AttemptsExhausted, full, "{reason:?}");
                    return;
                }
            }
        }
    });
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let bad = [
        ("attempts_max", config().attempts_max(0)),
        ("attempts_max", config().attempts_max(1001)),
        ("deadline", config().deadline(Duration::ZERO)),
        ("deadline", config().deadline(Duration::MAX)),
        ("attempt_timeout", config().attempt_timeout(Duration::ZERO)),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field);
    }
}

#[test]
fn the_error_tells_why_and_what_is_known_of_the_last_attempt() {
    let error = |attempts, last| RetryError {
        reason: GiveUp::Deadline,
        attempts,
        last,
    };
    let text = error(2, Some("refused")).to_string();
    assert!(
        text.ends_with("before the deadline; the last failed: refused"),
        "{text}"
    );
    assert!(
        error(2, None)
            .to_string()
            .ends_with("may have been handled")
    );
    assert!(error(0, None).to_string().ends_with("nothing was sent"));
}

/// The shell, over answers in order; returns what it gave and when each attempt began, in milliseconds.
async fn run(
    config: RetryConfig,
    answers: &[Result<&'static str, Class>],
) -> (Result<&'static str, RetryError<Class>>, Vec<u64>) {
    let begun = tokio::time::Instant::now();
    let began_ms = RefCell::new(Vec::new());
    let outcome = config
        .build()
        .unwrap()
        .run(
            Idempotency::Natural,
            |class: &Class| (*class).into(),
            |attempt| {
                began_ms
                    .borrow_mut()
                    .push(begun.elapsed().as_millis() as u64);
                let answer = answers.get(attempt.number as usize - 1);
                async move {
                    match answer {
                        Some(answer) => *answer,
                        None => std::future::pending().await,
                    }
                }
            },
        )
        .await;
    (outcome, began_ms.into_inner())
}

#[tokio::test(start_paused = true)]
async fn the_shell_waits_between_attempts_and_returns_the_first_success() {
    let answers = [Err(Class::NotHandled), Err(Class::MaybeHandled), Ok("done")];
    assert_eq!(
        run(config(), &answers).await,
        (Ok("done"), vec![0, 100, 300])
    );
}

#[tokio::test(start_paused = true)]
async fn the_shell_drops_an_attempt_that_hangs_and_tries_again() {
    let hangs = config().attempt_timeout(ms(250)).attempts_max(2);
    let error = RetryError {
        reason: GiveUp::AttemptsExhausted,
        attempts: 2,
        last: None,
    };
    assert_eq!(run(hangs, &[]).await, (Err(error), vec![0, 350]));
}

#[tokio::test(start_paused = true)]
async fn the_shell_ends_by_the_deadline_even_if_the_attempt_hangs() {
    let begun = tokio::time::Instant::now();
    let (outcome, _) = run(config().deadline(ms(700)), &[Err(Class::NotHandled)]).await;
    let error = RetryError {
        reason: GiveUp::Deadline,
        attempts: 2,
        last: None,
    };
    assert_eq!((outcome, begun.elapsed()), (Err(error), ms(700)));
}

#[tokio::test(start_paused = true)]
async fn the_shell_sends_nothing_when_the_callers_deadline_has_passed() {
    let retry = config().build().unwrap();
    let now = tokio::time::Instant::now().into_std();
    let operation = retry.begin(Idempotency::No, now).not_after(now);
    let outcome: Result<(), RetryError<Class>> = retry
        .run_operation(
            operation,
            |class: &Class| (*class).into(),
            |_| async { panic!("was sent") },
        )
        .await;
    let error = RetryError {
        reason: GiveUp::Deadline,
        attempts: 0,
        last: None,
    };
    assert_eq!(outcome, Err(error));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_waits_the_same_times() {
    let began = async |seed| {
        let failures = [Err(Class::NotHandled); 5];
        let config = RetryConfig::default().attempts_max(5).seed(seed);
        run(config, &failures).await.1
    };
    assert_eq!(began(3).await, began(3).await);
    assert_ne!(began(3).await, began(4).await);
}

#[tokio::test]
async fn the_shell_runs_inside_a_spawned_task_and_may_borrow_its_state() {
    let retry = Arc::new(config().build().unwrap());
    let task = tokio::spawn(async move {
        let (mut seen, word) = (Vec::new(), String::from("borrowed"));
        let word = &word;
        let classify = |_: &Class| Class::Permanent.into();
        let outcome = retry
            .run(Idempotency::No, classify, |attempt| {
                seen.push(attempt.number);
                async move {
                    tokio::task::yield_now().await;
                    Ok(word.len())
                }
            })
            .await;
        (outcome, seen)
    });
    assert_eq!(task.await.unwrap(), (Ok(8), vec![1]));
}
