use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::testing::{Xorshift, for_seeds, ms, secs};

fn aimd() -> LimiterConfig {
    let config = LimiterConfig::default().algorithm(Algorithm::aimd());
    config.begin(10).window(ms(10)).window_calls_min(1)
}

/// Fills the limit, lets `letters` of it end (`.` success, `x` overloaded, `-` dropped), and tells the limit after the window.
fn window(limiter: &Limiter, letters: &str, now: &mut Instant) -> u32 {
    let full: Vec<_> = std::iter::from_fn(|| limiter.try_acquire(*now).ok()).collect();
    *now += ms(10);
    for (call, letter) in full
        .into_iter()
        .zip(letters.chars().chain(std::iter::repeat('-')))
    {
        match letter {
            '.' => call.success(*now),
            'x' => call.overloaded(*now),
            _ => drop(call),
        }
    }
    limiter.limit()
}

#[test]
fn no_more_calls_are_in_flight_than_the_limit_and_each_end_makes_room() {
    let limiter = aimd().build().unwrap();
    let now = Instant::now();
    let mut calls: Vec<_> = std::iter::from_fn(|| limiter.try_acquire(now).ok()).collect();
    assert_eq!((calls.len(), limiter.in_flight()), (10, 10));
    let refused = limiter.try_acquire(now).map(drop).unwrap_err();
    assert_eq!(
        refused,
        Saturated {
            in_flight: 10,
            limit: 10
        }
    );
    drop(calls.pop());
    calls.pop().unwrap().success(now);
    calls.pop().unwrap().overloaded(now);
    assert_eq!(limiter.in_flight(), 7);
}

#[test]
fn aimd_adds_after_a_good_window_and_multiplies_after_an_overloaded_one() {
    let (limiter, mut now) = (aimd().build().unwrap(), Instant::now());
    let limits: Vec<_> = [".", ".", "x", ".", "x", "-"]
        .map(|letters| window(&limiter, letters, &mut now))
        .into();
    // 11, 12, 10.8, 11.8, 10.62, and a dropped call teaches nothing.
    assert_eq!(limits, [11, 12, 10, 11, 10, 10]);
}

#[test]
fn a_limit_that_is_not_used_does_not_grow() {
    for algorithm in [Algorithm::aimd(), Algorithm::gradient()] {
        let config = aimd().algorithm(algorithm).limits(1, 100);
        let (limiter, mut now) = (config.build().unwrap(), Instant::now());
        for _ in 0..20 {
            let call = limiter.try_acquire(now).unwrap();
            now += ms(10);
            call.success(now);
        }
        assert_eq!(limiter.limit(), 10, "{algorithm:?}");
    }
}

/// One call, alone, of this latency in milliseconds; the limit after it.
fn one_call(limiter: &Limiter, latency_ms: u64, now: &mut Instant) -> u32 {
    let call = limiter.try_acquire(*now).unwrap();
    *now += ms(latency_ms);
    call.success(*now);
    limiter.limit()
}

#[test]
fn the_gradient_measures_a_new_baseline_now_and_then_and_forgets_the_old_one() {
    let config = aimd().algorithm(Algorithm::gradient()).limits(1, 100);
    let (limiter, mut now) = (config.build().unwrap(), Instant::now());
    assert_eq!(limiter.limit(), 1, "it begins by measuring");
    assert_eq!(one_call(&limiter, 100, &mut now), 10);
    assert_eq!(
        one_call(&limiter, 100, &mut now),
        10,
        "as quick as the baseline"
    );
    now += secs(30);
    assert_eq!(one_call(&limiter, 10, &mut now), 1, "it measures again");
    assert_eq!(one_call(&limiter, 10, &mut now), 10);
    // Five times the new baseline; not yet the old one. A fifth of the way to half, and the root of ten.
    assert_eq!(one_call(&limiter, 50, &mut now), 9);
}

#[test]
fn aimd_takes_a_slow_success_for_overload_if_told_so() {
    let slow = Algorithm::Aimd {
        increase: 1.0,
        decrease: 0.5,
        overloaded_after: Some(ms(9)),
    };
    let (limiter, mut now) = (aimd().algorithm(slow).build().unwrap(), Instant::now());
    assert_eq!(window(&limiter, ".", &mut now), 5);
}

#[test]
fn the_limit_never_leaves_its_bounds() {
    for_seeds(100, |random| {
        let lowest = 1 + random.below(10) as u32;
        let highest = lowest + random.below(30) as u32;
        let algorithm = [Algorithm::aimd(), Algorithm::gradient()][random.below(2) as usize];
        let config = aimd()
            .algorithm(algorithm)
            .limits(lowest, highest)
            .begin(lowest);
        let (limiter, mut now) = (config.build().unwrap(), Instant::now());
        for _ in 0..300 {
            let letters: String = (0..5)
                .map(|_| ['.', '.', 'x', '-'][random.below(4) as usize])
                .collect();
            now += ms(random.below(2000));
            let limit = window(&limiter, &letters, &mut now);
            assert!((lowest..=highest).contains(&limit), "{limit}");
        }
    });
}

#[test]
fn a_class_with_a_share_gives_way_before_the_others() {
    let (limiter, now) = (aimd().build().unwrap(), Instant::now());
    let held: Vec<_> = (0..6)
        .map(|_| limiter.try_acquire_within(0.6, now).unwrap())
        .collect();
    let sheddable = limiter.try_acquire_within(0.6, now).map(drop).unwrap_err();
    assert_eq!(
        sheddable,
        Saturated {
            in_flight: 6,
            limit: 6
        }
    );
    let default: Vec<_> = (0..3)
        .map(|_| limiter.try_acquire_within(0.9, now).unwrap())
        .collect();
    assert!(limiter.try_acquire_within(0.9, now).is_err());
    let critical = limiter.try_acquire(now).unwrap();
    drop((held, default, critical));
    for share in [0.0, -3.0, f64::NAN] {
        assert!(
            limiter.try_acquire_within(share, now).is_ok(),
            "one call always"
        );
    }
}

#[test]
fn a_call_from_before_the_window_is_not_learnt_from() {
    let (limiter, mut now) = (aimd().build().unwrap(), Instant::now());
    let old = limiter.try_acquire(now).unwrap();
    window(&limiter, ".", &mut now);
    let limit = limiter.limit();
    now += ms(50);
    old.overloaded(now);
    assert_eq!((limiter.limit(), limiter.in_flight()), (limit, 0));
}

#[test]
fn threads_never_pass_the_limit_and_leave_nothing_in_flight() {
    let (limiter, now) = (aimd().limits(1, 10).build().unwrap(), Instant::now());
    let (under_way, most) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for seed in 1..=4 {
            let (limiter, under_way, most) = (&limiter, &under_way, &most);
            scope.spawn(move || {
                let mut random = Xorshift::new(seed);
                for _ in 0..20_000 {
                    let calls: Vec<_> = (0..random.below(5))
                        .flat_map(|_| limiter.try_acquire(now))
                        .collect();
                    let ours = calls.len() as u32;
                    most.fetch_max(
                        under_way.fetch_add(ours, Ordering::SeqCst) + ours,
                        Ordering::SeqCst,
                    );
                    under_way.fetch_sub(ours, Ordering::SeqCst);
                    drop(calls);
                }
            });
        }
    });
    assert!(most.into_inner() <= 10);
    assert_eq!(limiter.in_flight(), 0);
}

/// A service with so many workers, each call 10 ms on one of them, and a queue before them.
struct Service {
    workers: usize,
    busy_until: Vec<Instant>,
    running: VecDeque<(Instant, InFlight)>,
}

/// Offers `rate` calls a second for `length`, evenly; returns the latencies of the second half.
fn offer(
    service: &mut Service,
    limiter: &Limiter,
    now: &mut Instant,
    rate: u64,
    length: Duration,
) -> Vec<Duration> {
    let (begun, step) = (*now, Duration::from_nanos(1_000_000_000 / rate));
    let mut latencies = Vec::new();
    while *now < begun + length {
        // FIFO with equal service times: calls end in the order in which they began.
        while service
            .running
            .front()
            .is_some_and(|(ends, _)| *ends <= *now)
        {
            let (ends, call) = service.running.pop_front().unwrap();
            call.success(ends);
        }
        if let Ok(call) = limiter.try_acquire(*now) {
            service.busy_until.resize(service.workers, *now);
            let free = (0..service.workers)
                .min_by_key(|worker| service.busy_until[*worker])
                .unwrap();
            let ends = service.busy_until[free].max(*now) + ms(10);
            service.busy_until[free] = ends;
            service.running.push_back((ends, call));
            if *now > begun + length / 2 {
                latencies.push(ends - *now);
            }
        }
        *now += step;
    }
    latencies.sort();
    latencies
}

/// Capacity is 100 calls a second for each worker.
#[track_caller]
fn check_gradient(workers: usize, load: u64, random: &mut Xorshift) {
    let limiter = LimiterConfig::default()
        .begin(4 + random.below(900) as u32)
        .build()
        .unwrap();
    let mut service = Service {
        workers,
        busy_until: Vec::new(),
        running: VecDeque::new(),
    };
    let capacity = 100 * workers as u64;
    let mut now = Instant::now();
    let latencies = offer(&mut service, &limiter, &mut now, capacity * load, secs(40));
    let served = latencies.len() as f64 / (capacity as f64 * 20.0);
    let p99 = latencies[latencies.len() * 99 / 100];
    assert!(
        served >= 0.95,
        "{workers} workers at {load}x: {served} of capacity"
    );
    assert!(p99 <= ms(40), "{workers} workers at {load}x: p99 {p99:?}");
}

/// Without a limit the latency at 10x would grow by 9 s for each 10 s.
#[test]
fn the_gradient_keeps_capacity_and_latency_at_ten_times_the_load_wherever_it_begins() {
    for_seeds(2, |random| {
        check_gradient(10, 2, random);
        check_gradient(10, 10, random);
        check_gradient(50, 10, random);
    });
}

#[test]
fn the_gradient_follows_a_service_that_loses_and_regains_workers() {
    let limiter = LimiterConfig::default().build().unwrap();
    let mut service = Service {
        workers: 40,
        busy_until: Vec::new(),
        running: VecDeque::new(),
    };
    let mut now = Instant::now();
    for (workers, capacity) in [(40, 4000), (10, 1000), (40, 4000)] {
        service.workers = workers;
        service.busy_until.truncate(workers);
        let latencies = offer(&mut service, &limiter, &mut now, 5000, secs(60));
        let served = latencies.len() as f64 / (f64::from(capacity) * 30.0);
        let p99 = latencies[latencies.len() * 99 / 100];
        assert!(
            served >= 0.95 && p99 <= ms(50),
            "{workers} workers: {served}, {p99:?}"
        );
    }
}

#[test]
fn each_bound_is_refused_by_the_name_of_its_field() {
    let good = LimiterConfig::default();
    let gradient = |tolerance, baseline_every| {
        good.algorithm(Algorithm::Gradient {
            tolerance,
            baseline_every,
        })
    };
    let aimd = |increase, decrease| {
        good.algorithm(Algorithm::Aimd {
            increase,
            decrease,
            overloaded_after: None,
        })
    };
    let bad = [
        ("limits(lowest)", good.limits(0, 9)),
        ("limits(highest)", good.limits(9, 8)),
        ("begin", good.limits(30, 40)),
        ("begin", good.begin(1001)),
        ("window", good.window(Duration::ZERO)),
        ("window_calls_min", good.window_calls_min(0)),
        ("algorithm(increase)", aimd(0.0, 0.9)),
        ("algorithm(decrease)", aimd(1.0, 1.0)),
        ("algorithm(tolerance)", gradient(0.9, secs(30))),
        ("algorithm(tolerance)", gradient(f64::NAN, secs(30))),
        ("algorithm(baseline_every)", gradient(1.25, ms(999))),
    ];
    for (field, config) in bad {
        assert_eq!(config.build().unwrap_err().field, field, "{config:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_shell_learns_from_successes_and_overload_and_from_nothing_else() {
    let limiter = aimd().limits(1, 100).begin(1).build().unwrap();
    let call = async |outcome: Result<(), &'static str>| {
        let limited = limiter.call(|error| *error == "busy", async {
            tokio::time::sleep(ms(10)).await;
            outcome
        });
        (limited.await, limiter.limit())
    };
    assert_eq!(call(Ok(())).await, (Ok(()), 2));
    assert_eq!(
        call(Err("bad request")).await,
        (Err(LimitedError::Failed("bad request")), 2)
    );
    assert_eq!(
        call(Err("busy")).await,
        (Err(LimitedError::Failed("busy")), 1)
    );
    let hang = tokio::time::timeout(
        ms(50),
        limiter.call(|_: &()| true, std::future::pending::<Result<(), ()>>()),
    );
    assert!(hang.await.is_err());
    assert_eq!((limiter.in_flight(), limiter.limit()), (0, 1));
    let _held = limiter.try_acquire(Instant::now()).unwrap();
    assert!(matches!(
        call(Ok(())).await.0,
        Err(LimitedError::Saturated(_))
    ));
}
