//! What a breaker does, state by state.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{calls, check, config, opened};
use crate::breaker::*;
use crate::testing::{ms, secs};

#[test]
fn it_opens_when_the_share_of_failures_is_reached_and_not_before() {
    for (script, expected) in [
        ("xxx", State::Closed),
        ("xxxx!", State::Open),
        ("..xx!", State::Open),
        ("...x", State::Closed),
        ("...xx", State::Closed),
        ("...xxx!", State::Open),
        ("xxx--", State::Closed),
        ("......xxxx", State::Closed),
        ("......xxxxx!", State::Open),
    ] {
        check(&config(), script, expected);
    }
    let all = config().failure_ratio(1.0);
    check(&all, ".xxxxxxxxx", State::Closed);
    check(&all, ".xxxxxxxxxx!", State::Open);
    check(&config().min_calls(1), "x!", State::Open);
    check(
        &config().failure_ratio(0.001).min_calls(10),
        ".........x!",
        State::Open,
    );
}

#[test]
fn a_success_never_opens_it_even_if_it_brings_the_calls_to_the_minimum() {
    check(&config(), "xxx.", State::Closed);
    check(&config(), "xxx..x!", State::Open);
}

#[test]
fn slow_calls_open_it_whether_they_failed_or_not() {
    let slow = config().failure_ratio(1.0).slow_calls(secs(2), 0.5);
    for (script, expected) in [
        ("..ss!", State::Open),
        ("..##!", State::Open),
        ("..s#!", State::Open),
        ("...s", State::Closed),
    ] {
        check(&slow, script, expected);
    }
    check(&config(), "ssssssssss", State::Closed);
    let patient = config().slow_calls(secs(2) + Duration::from_nanos(1), 0.1);
    check(&patient, "ssss", State::Closed);
}

#[test]
fn open_rejects_for_the_whole_wait_and_says_how_much_is_left() {
    let (breaker, now) = opened(config());
    let rejected = |at| breaker.try_acquire(at).map(drop).unwrap_err().retry_after;
    assert_eq!(rejected(now), Some(secs(1)));
    assert_eq!(rejected(now + ms(999)), Some(ms(1)));
    assert_eq!(
        rejected(now + Duration::from_nanos(999_999_999)),
        Some(ms(1))
    );
    assert_eq!(breaker.state(), State::Open);
    assert!(breaker.try_acquire(now + secs(1)).is_ok());
}

#[test]
fn half_open_admits_exactly_its_probes_and_closes_when_all_passed() {
    let (breaker, now) = opened(config());
    let now = now + secs(1);
    let probes = [(); 3].map(|()| breaker.try_acquire(now).unwrap());
    assert_eq!(breaker.state(), State::HalfOpen);
    let rejected = breaker.try_acquire(now).map(drop).unwrap_err();
    assert_eq!(
        (rejected.state, rejected.retry_after),
        (State::HalfOpen, None)
    );
    for (left, probe) in (0..3).rev().zip(probes) {
        probe.success(now);
        let expected = if left > 0 {
            State::HalfOpen
        } else {
            State::Closed
        };
        assert_eq!(breaker.state(), expected);
    }
    assert_eq!(breaker.counts(now), Counts::default());
}

#[test]
fn half_open_opens_as_soon_as_the_other_probes_cannot_change_it() {
    let (breaker, now) = opened(config());
    calls(&breaker, ".xx!", now + secs(1));
    assert_eq!(breaker.state(), State::Open);
    let (breaker, now) = opened(config());
    calls(&breaker, "xx!", now + secs(1));
    let (breaker, now) = opened(config());
    calls(&breaker, ".x.", now + secs(1));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn slow_probes_count_as_in_closed() {
    let (breaker, now) = opened(config().slow_calls(secs(2), 0.5));
    calls(&breaker, "ss", now + secs(1));
    assert_eq!(breaker.state(), State::Open);
}

#[test]
fn a_probe_that_is_dropped_gives_its_place_to_another_call() {
    let (breaker, now) = opened(config());
    calls(&breaker, "------.-.-.", now + secs(1));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn probes_that_never_come_back_block_nothing_for_ever() {
    let (breaker, now) = opened(config().probe_patience(secs(5)));
    let now = now + secs(1);
    let lost = [(); 3].map(|()| breaker.try_acquire(now).unwrap());
    calls(&breaker, "!", now + ms(4999));
    calls(&breaker, "..", now + secs(5));
    let [late, later, never] = lost;
    late.failure(now + secs(6));
    drop(later);
    std::mem::forget(never);
    calls(&breaker, ".", now + secs(6));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn the_wait_doubles_with_each_failed_round_up_to_its_maximum_and_begins_anew_once_closed() {
    let (breaker, mut now) = opened(config());
    for wait in [1, 2, 4, 4, 4] {
        let rejected = breaker.try_acquire(now).map(drop).unwrap_err();
        assert_eq!(rejected.retry_after, Some(secs(wait)));
        now += secs(wait);
        calls(&breaker, "xx!", now);
    }
    now += secs(4);
    calls(&breaker, "...xxxx", now);
    let rejected = breaker.try_acquire(now).map(drop).unwrap_err();
    assert_eq!(rejected.retry_after, Some(secs(1)));
}

#[test]
fn an_outcome_counts_only_for_the_period_in_which_its_call_was_admitted() {
    let breaker = config().build().unwrap();
    let now = Instant::now();
    let mut late = [(); 8]
        .map(|()| breaker.try_acquire(now).ok())
        .into_iter()
        .flatten();
    calls(&breaker, "xxxx", now);
    late.by_ref().take(2).for_each(|permit| permit.success(now));
    assert_eq!(breaker.state(), State::Open);
    let now = now + secs(1);
    calls(&breaker, ".", now);
    late.by_ref().take(2).for_each(|permit| permit.failure(now));
    assert_eq!(breaker.state(), State::HalfOpen);
    calls(&breaker, "..", now);
    late.for_each(|permit| permit.failure(now));
    assert_eq!(breaker.state(), State::Closed);
    assert_eq!(breaker.counts(now), Counts::default());
}

#[test]
fn an_operator_can_force_it_open_or_closed_until_it_is_released() {
    let (breaker, now) = (config().build().unwrap(), Instant::now());
    breaker.force_open(now);
    calls(&breaker, "!", now);
    calls(&breaker, "!", now + secs(3600));
    breaker.force_closed(now);
    calls(&breaker, "xxxxxxxxxxxx", now);
    assert_eq!(breaker.state(), State::ForcedClosed);
    breaker.release(now);
    assert_eq!(
        (breaker.state(), breaker.counts(now)),
        (State::Closed, Counts::default())
    );
    calls(&breaker, "xxxx!", now);
    breaker.release(now);
    calls(&breaker, ".", now);
}

#[test]
fn each_change_is_told_once_in_order_with_its_cause() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = told.clone();
    let breaker = config()
        .slow_calls(secs(2), 1.0)
        .probe_patience(secs(5))
        .on_transition(move |transition| telling.lock().unwrap().push(transition))
        .build()
        .unwrap();
    let now = Instant::now();
    calls(&breaker, "xxxx!", now);
    calls(&breaker, "xx!", now + secs(1));
    calls(&breaker, "...ssss!", now + secs(3));
    let lost = [(); 3].map(|()| breaker.try_acquire(now + secs(8)));
    calls(&breaker, ".", now + secs(13));
    drop(lost);
    breaker.force_closed(now + secs(20));
    breaker.force_closed(now + secs(21));
    breaker.release(now + secs(22));
    use State::*;
    let expected = [
        (0, Closed, Open, Cause::Failures),
        (1, Open, HalfOpen, Cause::WaitOver),
        (1, HalfOpen, Open, Cause::ProbesFailed),
        (3, Open, HalfOpen, Cause::WaitOver),
        (3, HalfOpen, Closed, Cause::ProbesPassed),
        (5, Closed, Open, Cause::SlowCalls),
        (8, Open, HalfOpen, Cause::WaitOver),
        (13, HalfOpen, HalfOpen, Cause::ProbesLost),
        (20, HalfOpen, ForcedClosed, Cause::Operator),
        (22, ForcedClosed, Closed, Cause::Operator),
    ];
    let told = told.lock().unwrap();
    for (index, (told, expected)) in told.iter().zip(expected).enumerate() {
        let at_s = (told.at - now).as_secs();
        assert_eq!(told.number, index as u64 + 1);
        assert_eq!((at_s, told.from, told.to, told.cause), expected);
    }
    assert_eq!(told.len(), expected.len());
}

#[test]
fn a_closed_breaker_reads_no_clock_unless_slow_calls_or_the_window_need_it() {
    let now = || -> Instant { panic!("the clock was read") };
    let breaker = config().build().unwrap();
    for _ in 0..100 {
        breaker.try_acquire_with(now).unwrap().finish(false, now);
    }
    breaker.force_open(Instant::now());
    assert!(breaker.try_acquire_with(now).is_err());
}

#[test]
fn a_clock_that_goes_back_is_read_as_no_time_having_passed() {
    let (breaker, now) = opened(config().last_time(secs(10)));
    let before = now - secs(5);
    assert_eq!(
        breaker
            .try_acquire(before)
            .map(drop)
            .unwrap_err()
            .retry_after,
        Some(secs(1))
    );
    calls(&breaker, "...x", now + secs(1));
    breaker.try_acquire(now + secs(1)).unwrap().failure(before);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let good = BreakerConfig::default;
    let bad = [
        ("last_calls", good().last_calls(0)),
        ("last_calls", good().last_calls(65_537)),
        ("last_time", good().last_time(ms(99))),
        ("last_time", good().last_time(secs(601))),
        ("min_calls", good().min_calls(0)),
        ("min_calls", good().min_calls(101)),
        ("failure_ratio", good().failure_ratio(0.0)),
        ("failure_ratio", good().failure_ratio(1.01)),
        ("failure_ratio", good().failure_ratio(f64::NAN)),
        (
            "slow_calls(slow_after)",
            good().slow_calls(Duration::ZERO, 0.5),
        ),
        ("slow_calls(slow_ratio)", good().slow_calls(secs(1), 0.0)),
        ("open_for", good().open_for(Duration::ZERO)),
        (
            "open_for_max",
            good().open_for(secs(9)).open_for_max(secs(8)),
        ),
        ("probes", good().probes(0)),
        ("probes", good().probes(1024)),
        ("probe_patience", good().probe_patience(Duration::MAX)),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field);
    }
}

#[test]
fn rejections_say_that_the_call_was_not_made_and_when_to_come_back() {
    let (breaker, now) = opened(config());
    let text = breaker.try_acquire(now).map(drop).unwrap_err().to_string();
    assert_eq!(
        text,
        "the breaker is open: the call was not made; try again in 1s"
    );
}
