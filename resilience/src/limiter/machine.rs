//! Letting in, and learning from what comes out.
//!
//! Rules of the shared state: `in_flight` is raised only by compare-and-swap below the limit, and lowered once for each that was
//! raised. `limit` is written only under the lock of `learning`; a lower limit takes nothing back, it only lets nobody in.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::algorithm::{Baseline, Sample};
use super::{Algorithm, LimiterConfig};
use crate::sync_ext::MutexExt;

/// An adaptive limit on calls in flight. Cheap to clone; clones share the limit. Built by [`LimiterConfig::build`].
#[derive(Clone, Debug)]
pub struct Limiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: LimiterConfig,
    limit: AtomicU32,
    in_flight: AtomicU32,
    learning: Mutex<Learning>,
}

#[derive(Debug)]
struct Learning {
    /// The limit with its fraction.
    limit: f64,
    baseline: Baseline,
    sample: Sample,
    /// Calls that began earlier belong to another limit and are not learnt from. `None` until the first call.
    window_began: Option<Instant>,
}

/// As many calls are in flight as the limit allows this class. The call was not made; shed it, or answer that the service is
/// overloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saturated {
    /// Calls in flight when this one was refused.
    pub in_flight: u32,
    /// The most that this class of calls may have in flight.
    pub limit: u32,
}

impl fmt::Display for Saturated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_flight, limit } = self;
        write!(
            f,
            "{in_flight} calls are in flight and {limit} are allowed: the call was not made"
        )
    }
}

impl std::error::Error for Saturated {}

impl Limiter {
    pub(super) fn new(config: LimiterConfig) -> Self {
        let (begin, lowest) = (f64::from(config.begin), f64::from(config.lowest));
        let (limit, baseline) = config.algorithm.first(begin, lowest);
        Self(Arc::new(Shared {
            config,
            limit: AtomicU32::new(limit as u32),
            in_flight: AtomicU32::new(0),
            learning: Mutex::new(Learning {
                limit,
                baseline,
                sample: Sample::default(),
                window_began: None,
            }),
        }))
    }

    /// The limit at present.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// Calls in flight at present.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.0.in_flight.load(Ordering::Relaxed)
    }

    /// Lets a call in at `now`, or not. Never waits.
    pub fn try_acquire(&self, now: Instant) -> Result<InFlight, Saturated> {
        self.try_acquire_within(1.0, now)
    }

    /// As [`try_acquire`](Limiter::try_acquire), for a class of calls that is refused once `share` of the limit (0 to 1) is in flight,
    /// whoever uses it. For example 0.6 for what can be shed, 0.9 by default, 1 for what is critical. At least one call is let in when
    /// none is in flight.
    pub fn try_acquire_within(&self, share: f64, now: Instant) -> Result<InFlight, Saturated> {
        // Not-a-number becomes 0, and so 1 call.
        let limit = ((f64::from(self.limit()) * share.clamp(0.0, 1.0)) as u32).max(1);
        let one_more = |in_flight| (in_flight < limit).then_some(in_flight + 1);
        let in_flight = &self.0.in_flight;
        match in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(InFlight {
                limiter: self.clone(),
                began: now,
            }),
            Err(in_flight) => Err(Saturated { in_flight, limit }),
        }
    }

    fn learn(&self, call: &InFlight, overloaded: bool, now: Instant) {
        let config = &self.0.config;
        // This call included: it makes room only after it was learnt from.
        let in_flight = self.in_flight();
        let latency = now.saturating_duration_since(call.began);
        let too_slow = match config.algorithm {
            Algorithm::Aimd {
                overloaded_after: Some(after),
                ..
            } => latency > after,
            _ => false,
        };
        let mut learning = self.0.learning.locked();
        let window_began = *learning.window_began.get_or_insert(call.began);
        if call.began < window_began {
            return;
        }
        let sample = &mut learning.sample;
        sample.completed += 1;
        sample.latency_sum = sample.latency_sum.saturating_add(latency);
        sample.overloaded += u32::from(overloaded || too_slow);
        sample.in_flight_max = sample.in_flight_max.max(in_flight);
        let long_enough = now.saturating_duration_since(window_began) >= config.window;
        if !long_enough || sample.completed < config.window_calls_min {
            return;
        }
        let Learning {
            limit,
            baseline,
            sample,
            ..
        } = &mut *learning;
        let (lowest, highest) = (f64::from(config.lowest), f64::from(config.highest));
        let next = config
            .algorithm
            .next(*limit, lowest, *sample, baseline, now);
        *limit = next.clamp(lowest, highest);
        self.0.limit.store(*limit as u32, Ordering::Relaxed);
        learning.sample = Sample::default();
        learning.window_began = Some(now);
    }
}

/// A call in flight. Say how it ended with [`success`](InFlight::success) or [`overloaded`](InFlight::overloaded).
///
/// Dropped without either, as by a cancelled future or after an error that says nothing about load, it only makes room.
#[must_use = "dropping it ends the call's place in flight"]
#[derive(Debug)]
pub struct InFlight {
    limiter: Limiter,
    began: Instant,
}

impl InFlight {
    /// The call was answered: its latency counts.
    pub fn success(self, now: Instant) {
        self.limiter.learn(&self, false, now);
    }

    /// The call was refused or timed out for overload.
    pub fn overloaded(self, now: Instant) {
        self.limiter.learn(&self, true, now);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.limiter.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
