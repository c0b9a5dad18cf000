//! What the breaker's tests share. `semantics` is the table; the others look at threads, windows, a model, and the shell.
//!
//! `RUSTFLAGS="--cfg treewarden_loom" cargo test -p treewarden-resilience --lib breaker::tests::loom` checks all interleavings of a few
//! threads instead; the other tests are left out then.

#[cfg(treewarden_loom)]
mod loom;
#[cfg(not(treewarden_loom))]
mod model;
#[cfg(not(treewarden_loom))]
mod semantics;
#[cfg(not(treewarden_loom))]
mod shell;
#[cfg(not(treewarden_loom))]
mod threads;
#[cfg(not(treewarden_loom))]
mod windows;

use std::time::Instant;

use super::*;
use crate::testing::secs;

/// Four calls decide, half of them failed opens, open for 1 s to 4 s, three probes.
fn config() -> BreakerConfig {
    BreakerConfig::default()
        .last_calls(10)
        .min_calls(4)
        .open_for(secs(1))
        .open_for_max(secs(4))
        .probes(3)
}

/// Makes one call for each letter: `.` succeeds, `x` fails, `s` is slow, `#` is slow and fails, `-` is dropped, `!` must be rejected.
#[track_caller]
fn calls(breaker: &Breaker, script: &str, now: Instant) {
    for (index, letter) in script.char_indices() {
        match (letter, breaker.try_acquire(now)) {
            ('.', Ok(permit)) => permit.success(now),
            ('x', Ok(permit)) => permit.failure(now),
            ('s', Ok(permit)) => permit.success(now + secs(2)),
            ('#', Ok(permit)) => permit.failure(now + secs(2)),
            ('-', Ok(permit)) => drop(permit),
            ('!', Err(_)) => {}
            (_, got) => panic!("call {index} of {script}: {got:?} in {breaker:?}"),
        }
    }
}

#[cfg_attr(treewarden_loom, allow(dead_code))]
#[track_caller]
fn check(config: &BreakerConfig, script: &str, expected: State) {
    let breaker = config.clone().build().unwrap();
    calls(&breaker, script, Instant::now());
    assert_eq!(breaker.state(), expected, "after {script} with {config:?}");
}

/// A breaker that has just opened, and when.
#[cfg_attr(treewarden_loom, allow(dead_code))]
fn opened(config: BreakerConfig) -> (Breaker, Instant) {
    let (breaker, now) = (config.build().unwrap(), Instant::now());
    calls(&breaker, "xxxx", now);
    assert_eq!(breaker.state(), State::Open);
    (breaker, now)
}
