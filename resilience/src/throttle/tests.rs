use std::time::Instant;

use super::*;
use crate::testing::{Xorshift, for_seeds, ms, secs};

/// Always sent: the largest share is never below a probability.
const SENT: u64 = u64::MAX;

#[track_caller]
fn check(k: f64, requests: u64, accepted: u64, expected_probability: f64) {
    let throttle = ThrottleConfig::default()
        .k(k)
        .probability_max(1.0)
        .build()
        .unwrap();
    let now = Instant::now();
    (0..requests).for_each(|_| throttle.admit(now, SENT).unwrap());
    (0..accepted).for_each(|_| throttle.accepted(now));
    let got = throttle.rejection_probability(now);
    assert!((got - expected_probability).abs() < 1e-9, "{got}");
}

#[test]
fn the_probability_is_that_of_the_sre_book() {
    check(2.0, 0, 0, 0.0);
    check(2.0, 100, 100, 0.0);
    check(2.0, 100, 50, 0.0);
    check(2.0, 99, 25, 0.49);
    check(2.0, 99, 0, 0.99);
    check(1.0, 99, 49, 0.5);
    check(100.0, 100, 1, 0.0);
}

#[test]
fn the_random_value_decides_by_its_share() {
    let throttle = ThrottleConfig::default().build().unwrap();
    let now = Instant::now();
    (0..99).for_each(|_| throttle.admit(now, SENT).unwrap());
    assert_eq!(throttle.admit(now, 0), Err(Throttled { probability: 0.9 }));
    assert_eq!(throttle.admit(now, SENT), Ok(()));
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    let throttle = ThrottleConfig::default().window(secs(10)).build().unwrap();
    let now = Instant::now();
    (0..99).for_each(|_| throttle.admit(now, SENT).unwrap());
    assert!(throttle.rejection_probability(now + ms(8999)) > 0.8);
    assert_eq!(throttle.rejection_probability(now + secs(10)), 0.0);
}

/// Offers 1000 requests a second for a minute to a destination that accepts `capacity` of them; what is sent and accepted in the
/// last ten seconds.
fn offer(
    throttle: &Throttle,
    now: &mut Instant,
    capacity: u64,
    random: &mut Xorshift,
) -> (u64, u64) {
    let (mut sent, mut accepted) = (0, 0);
    for second in 0..60 {
        let (mut sent_now, mut accepted_now) = (0, 0);
        for _ in 0..1000 {
            *now += ms(1);
            if throttle.admit(*now, random.next()).is_ok() {
                sent_now += 1;
                if accepted_now < capacity {
                    accepted_now += 1;
                    throttle.accepted(*now);
                }
            }
        }
        if second >= 50 {
            sent += sent_now;
            accepted += accepted_now;
        }
    }
    (sent, accepted)
}

#[test]
fn an_overloaded_destination_gets_about_k_times_what_it_accepts_and_stays_full() {
    for_seeds(5, |random| {
        let throttle = ThrottleConfig::default().window(secs(10)).build().unwrap();
        let (sent, accepted) = offer(&throttle, &mut Instant::now(), 100, random);
        assert_eq!(accepted, 1000, "all that it can");
        assert!((1800..=2300).contains(&sent), "{sent} sent of 10000");
    });
}

#[test]
fn a_dead_destination_is_asked_by_a_tenth_and_gets_everything_again_within_five_windows() {
    for_seeds(5, |random| {
        let throttle = ThrottleConfig::default().window(secs(10)).build().unwrap();
        let mut now = Instant::now();
        let (sent, _) = offer(&throttle, &mut now, 0, random);
        assert!(
            (900..=1100).contains(&sent),
            "{sent} of 10000 sent to the dead"
        );
        let (sent, _) = offer(&throttle, &mut now, 1000, random);
        assert_eq!(sent, 10_000);
    });
}

#[test]
fn the_formula_alone_hardly_asks_the_dead() {
    for_seeds(5, |random| {
        let config = ThrottleConfig::default()
            .window(secs(10))
            .probability_max(1.0);
        let (sent, _) = offer(&config.build().unwrap(), &mut Instant::now(), 0, random);
        assert!(sent < 50, "{sent} of 10000");
    });
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let good = ThrottleConfig::default();
    let bad = [
        ("k", good.k(0.9)),
        ("k", good.k(f64::NAN)),
        ("probability_max", good.probability_max(1.1)),
        ("window", good.window(ms(999))),
        ("window", good.window(secs(3601))),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field, "{config:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_shell_holds_back_only_for_refusals_by_overload() {
    let refusals = async |error: &'static str| {
        let throttle = ThrottleConfig::default().seed(7).build().unwrap();
        let mut held_back = 0;
        for _ in 0..200 {
            let request = async { Err::<(), _>(error) };
            match throttle.call(|error| *error == "overloaded", request).await {
                Err(ThrottleError::Throttled(_)) => held_back += 1,
                outcome => assert_eq!(outcome, Err(ThrottleError::Failed(error))),
            }
        }
        held_back
    };
    assert_eq!(refusals("not found").await, 0);
    assert!(refusals("overloaded").await > 150);
}
