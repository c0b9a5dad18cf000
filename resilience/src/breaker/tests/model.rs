//! The whole breaker against a slow and obvious one, over random calls, waits and operators.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::breaker::{Breaker, BreakerConfig, Permit, State};
use crate::testing::{Xorshift, for_seeds, ms};

const PATIENCE_MS: u64 = 700;

/// One thread, no packing, no generations that wrap, time in milliseconds.
struct Model {
    state: State,
    period: u64,
    window: VecDeque<bool>,
    length: usize,
    min_calls: usize,
    ratio: f64,
    open_for_ms: u64,
    open_for_max_ms: u64,
    opened_in_a_row: u32,
    until_ms: u64,
    probes: u64,
    probes_left: u64,
    probes_passed: u64,
    probes_failed: u64,
}

impl Model {
    fn enter(&mut self, state: State) {
        self.state = state;
        self.period += 1;
    }

    fn open(&mut self, now_ms: u64) {
        let wait_ms = (self.open_for_ms << self.opened_in_a_row.min(20)).min(self.open_for_max_ms);
        self.opened_in_a_row += 1;
        self.until_ms = now_ms + wait_ms;
        self.enter(State::Open);
    }

    fn close(&mut self) {
        self.opened_in_a_row = 0;
        self.window.clear();
        self.enter(State::Closed);
    }

    /// The period of the permit, if there is one.
    fn acquire(&mut self, now_ms: u64) -> Option<u64> {
        let round_over = now_ms >= self.until_ms
            && match self.state {
                State::Open => true,
                State::HalfOpen => self.probes_left == 0,
                _ => false,
            };
        if round_over {
            (self.probes_left, self.probes_passed, self.probes_failed) = (self.probes, 0, 0);
            self.until_ms = now_ms + PATIENCE_MS;
            self.enter(State::HalfOpen);
        }
        match self.state {
            State::Closed | State::ForcedClosed => Some(self.period),
            State::HalfOpen if self.probes_left > 0 => {
                self.probes_left -= 1;
                Some(self.period)
            }
            _ => None,
        }
    }

    /// `failed` is `None` for a permit that is dropped.
    fn finish(&mut self, period: u64, failed: Option<bool>, now_ms: u64) {
        if period != self.period {
            return;
        }
        match (self.state, failed) {
            (State::Closed, Some(failed)) => {
                self.window.push_back(failed);
                if self.window.len() > self.length {
                    self.window.pop_front();
                }
                let (calls, bad) = (
                    self.window.len(),
                    self.window.iter().filter(|bad| **bad).count(),
                );
                if failed && calls >= self.min_calls && bad as f64 >= self.ratio * calls as f64 {
                    self.open(now_ms);
                }
            }
            (State::HalfOpen, None) => self.probes_left += 1,
            (State::HalfOpen, Some(failed)) => {
                self.probes_failed += u64::from(failed);
                self.probes_passed += u64::from(!failed);
                if self.probes_failed > 0
                    && self.probes_failed as f64 >= self.ratio * self.probes as f64
                {
                    self.open(now_ms);
                } else if self.probes_failed + self.probes_passed == self.probes {
                    self.close();
                }
            }
            _ => {}
        }
    }

    fn operator(&mut self, state: State) {
        self.opened_in_a_row = 0;
        if self.state != state {
            match state {
                State::Closed => self.close(),
                _ => self.enter(state),
            }
        }
    }
}

fn pair(random: &mut Xorshift) -> (Breaker, Model) {
    let length = 1 + random.below(12) as u32;
    let min_calls = 1 + random.below(u64::from(length)) as u32;
    let ratio = [0.1, 0.25, 0.5, 0.75, 1.0][random.below(5) as usize];
    let open_for_ms = 1 + random.below(500);
    let open_for_max_ms = open_for_ms + random.below(2000);
    let probes = 1 + random.below(6);
    let breaker = BreakerConfig::default()
        .last_calls(length)
        .min_calls(min_calls)
        .failure_ratio(ratio)
        .open_for(ms(open_for_ms))
        .open_for_max(ms(open_for_max_ms))
        .probes(probes as u32)
        .probe_patience(ms(PATIENCE_MS));
    let model = Model {
        state: State::Closed,
        period: 0,
        window: VecDeque::new(),
        length: length as usize,
        min_calls: min_calls as usize,
        ratio,
        open_for_ms,
        open_for_max_ms,
        opened_in_a_row: 0,
        until_ms: 0,
        probes,
        probes_left: 0,
        probes_passed: 0,
        probes_failed: 0,
    };
    (breaker.build().unwrap(), model)
}

#[test]
fn it_does_what_a_slow_and_obvious_breaker_does() {
    for_seeds(400, |random| {
        let (breaker, mut model) = pair(random);
        let mut held: Vec<(Permit<'_>, u64)> = Vec::new();
        let (epoch, mut now_ms) = (Instant::now(), 0);
        let mut failing = 0.5;
        for step in 0..600 {
            let now = epoch + ms(now_ms);
            match random.below(100) {
                0 => failing = [0.0, 0.2, 0.9][random.below(3) as usize],
                1 => {
                    let state = [
                        State::ForcedOpen,
                        State::ForcedClosed,
                        State::Closed,
                        State::Closed,
                    ];
                    let state = state[random.below(4) as usize];
                    model.operator(state);
                    match state {
                        State::ForcedOpen => breaker.force_open(now),
                        State::ForcedClosed => breaker.force_closed(now),
                        _ => breaker.release(now),
                    }
                }
                2..=9 => now_ms += random.below(800),
                10..=59 => {
                    let permit = breaker.try_acquire(now).ok();
                    let period = model.acquire(now_ms);
                    assert_eq!(permit.is_some(), period.is_some(), "step {step}");
                    held.extend(permit.zip(period));
                }
                _ if !held.is_empty() => {
                    let (permit, period) =
                        held.swap_remove(random.below(held.len() as u64) as usize);
                    if random.chance(0.1) {
                        model.finish(period, None, now_ms);
                        drop(permit);
                    } else {
                        let failed = random.chance(failing);
                        model.finish(period, Some(failed), now_ms);
                        permit.finish(failed, || now);
                    }
                }
                _ => {}
            }
            assert_eq!(breaker.state(), model.state, "step {step}");
        }
    });
}

#[test]
fn it_never_admits_a_probe_early_however_the_instants_fall_within_milliseconds() {
    for_seeds(2000, |random| {
        let wait = ms(1 + random.below(50));
        let breaker = BreakerConfig::default()
            .last_time(ms(1000))
            .min_calls(1)
            .open_for(wait)
            .build()
            .unwrap();
        let epoch = Instant::now();
        let _ = breaker.counts(epoch);
        let opened = epoch + Duration::from_nanos(random.below(10_000_000));
        breaker.try_acquire(opened).unwrap().failure(opened);
        let early = opened + wait - Duration::from_nanos(1 + random.below(1_500_000)).min(wait);
        assert!(breaker.try_acquire(early).is_err());
        let late = opened + wait + ms(1);
        assert!(breaker.try_acquire(late).is_ok());
    });
}
