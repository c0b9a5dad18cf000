use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::testing::{for_seeds, ms, secs};

/// Ten a second, three at once.
fn rate() -> Rate {
    RateConfig::new(10, secs(1)).burst(3).build().unwrap()
}

/// Requests at milliseconds with weights, and for each how long to wait in milliseconds, 0 for admitted.
#[track_caller]
fn check(requests: &[(u64, u32, u64)]) {
    let (rate, epoch) = (rate(), Instant::now());
    for (at_ms, weight, expected_ms) in requests {
        let got_ms = match rate.try_acquire(*weight, epoch + ms(*at_ms)) {
            Ok(()) => 0,
            Err(Limited::NotYet { retry_after }) => retry_after.as_millis() as u64,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(
            got_ms, *expected_ms,
            "weight {weight} at {at_ms} ms of {requests:?}"
        );
    }
}

#[test]
fn a_burst_then_one_for_each_interval() {
    check(&[
        (0, 1, 0),
        (0, 1, 0),
        (0, 1, 0),
        (0, 1, 100),
        (99, 1, 1),
        (100, 1, 0),
        (100, 1, 100),
    ]);
}

#[test]
fn a_pause_fills_the_burst_and_no_more() {
    check(&[(0, 3, 0), (3_600_000, 3, 0), (3_600_000, 1, 100)]);
}

#[test]
fn a_refused_request_takes_nothing() {
    check(&[(0, 2, 0), (0, 2, 100), (0, 3, 200), (0, 1, 0), (0, 1, 100)]);
}

#[test]
fn a_weight_of_nought_is_always_admitted_and_one_above_the_burst_never() {
    check(&[(0, 3, 0), (0, 0, 0)]);
    let too_heavy = Limited::TooHeavy {
        weight: 4,
        burst: 3,
    };
    assert_eq!(rate().try_acquire(4, Instant::now()), Err(too_heavy));
}

#[test]
fn a_reservation_waits_behind_those_before_it_and_is_refused_beyond_its_patience() {
    let (rate, now) = (rate(), Instant::now());
    let reserve = |weight, wait_max_ms| rate.reserve(weight, ms(wait_max_ms), now);
    assert_eq!(reserve(3, 0), Ok(ms(0)));
    assert_eq!(reserve(2, 1000), Ok(ms(200)));
    assert_eq!(reserve(1, 299), Err(Limited::NotYet { retry_after: ms(1) }));
    assert_eq!(reserve(1, 300), Ok(ms(300)));
}

#[test]
fn it_admits_what_a_bucket_of_tokens_admits() {
    for_seeds(500, |random| {
        let permits = 1 + random.below(1000) as u32;
        let period = Duration::from_nanos(u64::from(permits) * (1000 + random.below(50_000_000)));
        let burst = 1 + random.below(20) as u32;
        let rate = RateConfig::new(permits, period)
            .burst(burst)
            .build()
            .unwrap();
        let permit_ns = period.as_nanos().div_ceil(u128::from(permits)) as u64;
        let full_ns = permit_ns * u64::from(burst);
        let (epoch, mut now_ns, mut tokens_ns) = (Instant::now(), 0, full_ns);
        for _ in 0..500 {
            let step_ns = random.below(permit_ns * 3);
            now_ns += step_ns;
            tokens_ns = (tokens_ns + step_ns).min(full_ns);
            let weight = random.below(u64::from(burst) + 1);
            let enough = tokens_ns >= weight * permit_ns;
            let admitted = rate.try_acquire(weight as u32, epoch + Duration::from_nanos(now_ns));
            assert_eq!(
                admitted.is_ok(),
                enough,
                "{tokens_ns} ns of tokens for {weight}"
            );
            match admitted {
                Ok(()) => tokens_ns -= weight * permit_ns,
                Err(Limited::NotYet { retry_after }) => {
                    assert_eq!(
                        retry_after.as_nanos() as u64,
                        weight * permit_ns - tokens_ns
                    );
                }
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn threads_share_one_burst_exactly() {
    for _ in 0..50 {
        let rate = RateConfig::new(1, secs(1)).burst(1000).build().unwrap();
        let (now, admitted) = (Instant::now(), AtomicU64::new(0));
        thread::scope(|scope| {
            for weight in [1, 1, 2, 5] {
                let (rate, admitted) = (&rate, &admitted);
                scope.spawn(move || {
                    while rate.try_acquire(weight, now).is_ok() {
                        admitted.fetch_add(u64::from(weight), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(
            admitted.into_inner(),
            1000,
            "the thread of weight 1 leaves none"
        );
    }
}

#[test]
fn the_fastest_rate_misses_by_a_thousandth_and_downwards() {
    let rate = RateConfig::new(999_983, secs(1)).burst(1).build().unwrap();
    let (epoch, mut admitted) = (Instant::now(), 0);
    for tick in 0..1_000_000 {
        admitted += u32::from(
            rate.try_acquire(1, epoch + Duration::from_micros(tick))
                .is_ok(),
        );
    }
    assert!((499_990..=999_983).contains(&admitted), "{admitted}");
    let mut exact = Duration::ZERO;
    while let Err(Limited::NotYet { retry_after }) = rate.try_acquire(1, epoch + secs(2) + exact) {
        exact += retry_after;
    }
    let next = rate.try_acquire(1, epoch + secs(2) + exact).unwrap_err();
    let Limited::NotYet { retry_after } = next else {
        panic!("{next}")
    };
    assert_eq!(retry_after, Duration::from_nanos(1001));
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let bad = [
        ("permits", RateConfig::new(0, secs(1))),
        ("permits", RateConfig::new(1_000_001, secs(1))),
        ("period", RateConfig::new(1_000_000, ms(999))),
        ("period", RateConfig::new(2, secs(7201))),
        ("burst", RateConfig::new(1, secs(1)).burst(0)),
        ("burst", RateConfig::new(1, secs(1)).burst(1_000_001)),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field, "{config:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_shell_waits_its_turn_and_errs_at_once_when_that_is_too_late() {
    let rate = rate();
    let begun = tokio::time::Instant::now();
    let mut admitted_ms = Vec::new();
    for _ in 0..6 {
        rate.acquire(1, secs(1)).await.unwrap();
        admitted_ms.push(begun.elapsed().as_millis());
    }
    assert_eq!(admitted_ms, [0, 0, 0, 100, 200, 300]);
    let (refused, before) = (rate.acquire(3, ms(299)).await, begun.elapsed());
    assert_eq!(refused, Err(Limited::NotYet { retry_after: ms(1) }));
    assert_eq!(before, ms(300));
}
