//! The cell rate algorithm over one atomic word.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A rate limit, shared by reference. Built by [`RateConfig::build`](super::RateConfig::build).
#[derive(Debug)]
pub struct Rate {
    /// The time that one permit takes to come back.
    permit_ns: u64,
    burst: u32,
    /// When the burst is full again, in nanoseconds since the epoch ("theoretical arrival time"). Wraps after 584 years.
    full_at_ns: AtomicU64,
    /// The first `now`.
    epoch: OnceLock<Instant>,
}

impl Rate {
    pub(super) fn new(permit_ns: u64, burst: u32) -> Self {
        Self {
            permit_ns,
            burst,
            full_at_ns: AtomicU64::new(0),
            epoch: OnceLock::new(),
        }
    }

    /// Takes permits of this weight at `now`, or none. A weight of 0 is always admitted.
    pub fn try_acquire(&self, weight: u32, now: Instant) -> Result<(), Limited> {
        self.reserve(weight, Duration::ZERO, now).map(drop)
    }

    /// Takes permits of this weight that are there within `wait_max` of `now`, and tells how long to wait for them; or takes none.
    ///
    /// Reserved permits cannot be given back: a caller that does not use them has used them.
    pub fn reserve(
        &self,
        weight: u32,
        wait_max: Duration,
        now: Instant,
    ) -> Result<Duration, Limited> {
        let burst = self.burst;
        if weight > burst {
            return Err(Limited::TooHeavy { weight, burst });
        }
        let epoch = *self.epoch.get_or_init(|| now);
        let now_ns = saturating_ns(now.saturating_duration_since(epoch));
        let wait_max_ns = saturating_ns(wait_max);
        // By the builder's bounds at most a million times an hour, a fifth of what fits.
        let (burst_ns, weight_ns) = (
            self.permit_ns * u64::from(burst),
            self.permit_ns * u64::from(weight),
        );
        let mut full_at_ns = self.full_at_ns.load(Ordering::Relaxed);
        loop {
            let taken_ns = full_at_ns.max(now_ns).saturating_add(weight_ns);
            let wait_ns = taken_ns.saturating_sub(now_ns).saturating_sub(burst_ns);
            if wait_ns > wait_max_ns {
                let retry_after = Duration::from_nanos(wait_ns - wait_max_ns);
                return Err(Limited::NotYet { retry_after });
            }
            // Relaxed: the word guards nothing but itself.
            match self.full_at_ns.compare_exchange_weak(
                full_at_ns,
                taken_ns,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(Duration::from_nanos(wait_ns)),
                Err(newer) => full_at_ns = newer,
            }
        }
    }
}

fn saturating_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// No permit was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limited {
    /// Not enough are there yet.
    NotYet {
        /// When the same request would be admitted, if nobody else came.
        retry_after: Duration,
    },
    /// More than ever are there at once. Split the request, or raise the burst.
    TooHeavy {
        /// What was asked for.
        weight: u32,
        /// What is there at most.
        burst: u32,
    },
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limited::NotYet { retry_after } => {
                write!(f, "the rate limit is reached: try again in {retry_after:?}")
            }
            Limited::TooHeavy { weight, burst } => write!(
                f,
                "a weight of {weight} is above the burst of {burst} and can never be admitted: split the request"
            ),
        }
    }
}

impl std::error::Error for Limited {}
