use std::time::Duration;

use super::*;
use crate::testing::{for_seeds, ms};

const LARGEST: u64 = u64::MAX;

fn backoff(jitter: Jitter) -> Backoff {
    BackoffConfig::default()
        .first(ms(100))
        .cap(ms(1000))
        .jitter(jitter)
        .build()
        .unwrap()
}

/// The first six delays in milliseconds, rounded, with the same random value each time.
#[track_caller]
fn check(jitter: Jitter, random: u64, expected_ms: [u64; 6]) {
    let mut delays = backoff(jitter).delays();
    let got_ms = [(); 6].map(|()| (delays.next(random).as_secs_f64() * 1000.0).round() as u64);
    assert_eq!(got_ms, expected_ms, "{jitter:?} with {random:#x}");
}

#[test]
fn delays_grow_up_to_the_cap_and_jitter_only_moves_them_in_its_own_range() {
    check(Jitter::None, 0, [100, 200, 400, 800, 1000, 1000]);
    check(Jitter::None, LARGEST, [100, 200, 400, 800, 1000, 1000]);
    check(Jitter::Full, 0, [0; 6]);
    check(Jitter::Full, LARGEST / 2, [50, 100, 200, 400, 500, 500]);
    check(Jitter::Full, LARGEST, [100, 200, 400, 800, 1000, 1000]);
    check(Jitter::Equal, 0, [50, 100, 200, 400, 500, 500]);
    check(Jitter::Equal, LARGEST, [100, 200, 400, 800, 1000, 1000]);
    check(Jitter::Decorrelated, 0, [100; 6]);
    check(
        Jitter::Decorrelated,
        LARGEST,
        [300, 900, 1000, 1000, 1000, 1000],
    );
}

#[test]
fn no_delay_exceeds_the_cap_whatever_the_parameters() {
    for_seeds(500, |random| {
        let first = Duration::from_nanos(random.below(3_600_000_000_000));
        let cap = first + Duration::from_nanos(random.below(1_000_000_000_000));
        let jitter = [
            Jitter::None,
            Jitter::Full,
            Jitter::Equal,
            Jitter::Decorrelated,
        ];
        let jitter = jitter[random.below(4) as usize];
        let backoff = BackoffConfig::default()
            .first(first)
            .cap(cap)
            .factor(1.0 + random.below(990) as f64 / 10.0)
            .jitter(jitter)
            .build()
            .unwrap();
        let mut delays = backoff.delays();
        for _ in 0..2000 {
            let delay = delays.next(random.next());
            assert!(delay <= cap, "{delay:?} above {cap:?} in {backoff:?}");
            if jitter == Jitter::Decorrelated {
                assert!(delay >= first.min(cap), "{delay:?} below {first:?}");
            }
        }
    });
}

#[test]
fn full_jitter_is_uniform_so_that_its_mean_is_half_the_delay() {
    for_seeds(20, |random| {
        let draws = 4000;
        let sum: f64 = (0..draws)
            .map(|_| {
                backoff(Jitter::Full)
                    .delays()
                    .next(random.next())
                    .as_secs_f64()
            })
            .sum();
        let mean_ms = sum / f64::from(draws) * 1000.0;
        assert!((mean_ms - 50.0).abs() < 3.0, "mean {mean_ms} ms");
    });
}

#[test]
fn a_success_begins_again_with_the_first_delay() {
    let mut delays = backoff(Jitter::None).delays();
    delays.next(0);
    delays.next(0);
    assert_eq!(delays.failures(), 2);
    delays.reset();
    assert_eq!((delays.next(0), delays.failures()), (ms(100), 1));
}

#[test]
fn a_first_delay_of_zero_means_no_delay() {
    for jitter in [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ] {
        let config = BackoffConfig::default()
            .first(Duration::ZERO)
            .jitter(jitter);
        let mut delays = config.build().unwrap().delays();
        assert_eq!([(); 3].map(|()| delays.next(LARGEST)), [Duration::ZERO; 3]);
    }
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let good = BackoffConfig::default();
    let bad = [
        (
            "first",
            good.first(Duration::from_secs(3601)).cap(ms(99_999_000)),
        ),
        ("cap", good.first(ms(11)).cap(ms(10))),
        ("cap", good.cap(Duration::MAX)),
        ("factor", good.factor(0.99)),
        ("factor", good.factor(f64::NAN)),
        ("factor", good.factor(f64::INFINITY)),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field, "{config:?}");
    }
}
