//! When another attempt begins, and when the race is over.
//!
//! [`Hedge::begin`] starts the first attempt. At [`Race::hedge_at`] call [`Race::hedge`], and begin another attempt if it says so.
//! When an attempt ends, call [`Race::succeeded`] or [`Race::failed`].

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::latencies::Latencies;
use super::{HedgeConfig, HedgeDelay};
use crate::retry::Idempotency;
use crate::sync_ext::MutexExt;

/// A hedging policy, with its memory of latencies. Cheap to clone; clones share the memory. Built by [`HedgeConfig::build`].
#[derive(Clone, Debug)]
pub struct Hedge(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: HedgeConfig,
    latencies: Mutex<Latencies>,
}

impl Hedge {
    pub(super) fn new(config: HedgeConfig) -> Self {
        Self(Arc::new(Shared {
            config,
            latencies: Mutex::default(),
        }))
    }

    /// How long an attempt may take at present before another is begun.
    #[must_use]
    pub fn delay(&self) -> Duration {
        match self.0.config.delay {
            HedgeDelay::Fixed(delay) => delay,
            HedgeDelay::Percentile { at_first, .. } => {
                self.0.latencies.locked().percentile().unwrap_or(at_first)
            }
        }
    }

    /// One operation, whose first attempt begins at `now`.
    #[must_use]
    pub fn begin(&self, idempotency: Idempotency, now: Instant) -> Race {
        let config = &self.0.config;
        if let Some(budget) = &config.budget {
            budget.deposit(now);
        }
        let attempts_max = match idempotency {
            Idempotency::No => 1,
            Idempotency::Natural | Idempotency::Key(_) => config.attempts_max,
        };
        let delay = self.delay();
        Race {
            hedge: self.clone(),
            attempts_max,
            delay,
            under_way: vec![(1, now)],
            begun: 1,
            hedge_at: (attempts_max > 1).then_some(now + delay),
        }
    }
}

/// One operation: the attempts under way.
#[derive(Debug)]
pub struct Race {
    hedge: Hedge,
    attempts_max: u32,
    delay: Duration,
    /// Number, counted from 1, and beginning of each.
    under_way: Vec<(u32, Instant)>,
    begun: u32,
    hedge_at: Option<Instant>,
}

impl Race {
    /// When to call [`hedge`](Race::hedge); `None` if no other attempt will be begun.
    #[must_use]
    pub fn hedge_at(&self) -> Option<Instant> {
        self.hedge_at
    }

    /// The number of the attempt to begin now, if one is. `None` before its time, and for good when the budget is exhausted.
    pub fn hedge(&mut self, now: Instant) -> Option<u32> {
        if self.hedge_at.is_none_or(|at| now < at) {
            return None;
        }
        let budget = self.hedge.0.config.budget.as_ref();
        if budget.is_some_and(|budget| budget.withdraw(now).is_err()) {
            self.hedge_at = None;
            return None;
        }
        self.begun += 1;
        self.under_way.push((self.begun, now));
        self.hedge_at = (self.begun < self.attempts_max).then_some(now + self.delay);
        Some(self.begun)
    }

    /// An attempt failed. True if the operation has failed with it: nothing else is under way.
    pub fn failed(&mut self, attempt: u32) -> bool {
        self.under_way.retain(|(number, _)| *number != attempt);
        if self.under_way.is_empty() {
            self.hedge_at = None;
        }
        self.under_way.is_empty()
    }

    /// An attempt succeeded, and the race is over: cancel the others. All latencies are remembered.
    pub fn succeeded(self, now: Instant) {
        if let HedgeDelay::Percentile { share, .. } = self.hedge.0.config.delay {
            let mut latencies = self.hedge.0.latencies.locked();
            for (_, began) in &self.under_way {
                latencies.record(now.saturating_duration_since(*began), share);
            }
        }
    }
}
