//! Tests of the mailbox under `std`; the models for loom and shuttle are next to this folder.

mod answer;
mod choosing;
mod random_operations;
mod semantics;
mod sizes;
mod stress;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

fn queue_of<T: 'static>(mailbox: &Mailbox) -> Queue<T> {
    mailbox
        .queue_config::<T, T>(|value| value, Reading::plain())
        .map(Queue::new)
        .expect("weighs these messages")
}

/// A number, and how many of its kind are alive.
#[derive(Debug)]
struct Counted {
    value: u64,
    alive: Arc<AtomicI64>,
}

impl Counted {
    fn new(value: u64, alive: &Arc<AtomicI64>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self {
            value,
            alive: alive.clone(),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The xorshift64* generator of Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % bound
    }
}

/// `TREEWARDEN_SEED`, or the default.
fn seed(default: u64) -> u64 {
    std::env::var("TREEWARDEN_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Under Miri a fraction of the work must do.
fn scaled(count: u64) -> u64 {
    if cfg!(miri) {
        (count / 1000).max(10)
    } else {
        count
    }
}
